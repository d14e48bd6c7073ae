package suite

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// flipAndBack moves the pointer to the secondary while the primary serves on, and
// back: only the probes of the primary fail.
func flipAndBack(meanwhile ...Action) []Step {
	return Then(Now(Pass(200*ms), Fault("eu", "probe_only"), PointerAt("us", 2*time.Second), MarkNow("at us")), Now(meanwhile...),
		Now(Served("us", 30), Mend("eu", "probe_only"), PointerAt("eu", 10*time.Second), MarkNow("at eu"), Served("eu", 30)))
}

// inflightScenarios are requests that are under way while the pointer moves: they
// finish where they are.
var inflightScenarios = []Scenario{
	{
		Name: "pipelining_through_a_flip", Proves: []string{"responses", "pointer"},
		Text:  "Clients pipeline eight requests at a time while the pointer moves there and back: answers come in order, each whole.",
		Load:  []chaos.Load{Shopping(50)},
		Steps: Then(Now(Meanwhile("pipelines", Pipeline(4, 8))), flipAndBack(), Now(Finish("pipelines"))),
		Want:  []Expectation{AllServed(), NoFailover(), Reasons("primary_down", "failback"), Requests(400)},
	},
	{
		Name: "pipelining_through_failovers", Proves: []string{"responses", "failover", "unplugged"},
		Text:  "Clients pipeline eight requests at a time while the primary is unplugged: answers come in order, each whole, and each is served.",
		Load:  []chaos.Load{Reading(50)},
		Steps: Now(Meanwhile("pipelines", Pipeline(4, 8)), Pass(300*ms), Unplug("eu"), PointerAt("us", time.Second), Pass(300*ms), Plug("eu"), PointerAt("eu", 5*time.Second), Pass(300*ms), Finish("pipelines")),
		Want:  []Expectation{AllServed(), FailedOver(1), Requests(300)},
	},
	{
		Name: "pipelining_of_bad_statuses", Proves: []string{"responses", "failover"},
		Text: "Every third answer of the primary is a 503 while clients pipeline: each of those is answered by the other origin, in its place.",
		Load: []chaos.Load{Reading(50)},
		Steps: Now(Behave("eu", chaos.InTurn(chaos.OK(1024), chaos.OK(70), chaos.Status(503))), Meanwhile("pipelines", Pipeline(4, 8)), Pass(1200*ms),
			Finish("pipelines")),
		Want: []Expectation{AllServed(), FailedOver(40), Classes("eu", "status:503", "breaker_open"), Steady()},
	},
	uploadsThroughAFlip("uploads_through_a_flip", 64<<20, 2, 5*ms, false),
	uploadsThroughAFlip("gigabyte_uploads_through_a_flip", 1<<30, 2, 0, true),
	{
		Name: "streams_through_a_flip", Proves: []string{"tunnels", "pointer"},
		Text: "Streams of events go on where they began while the pointer moves there and back; new ones begin where it points.",
		Load: []chaos.Load{Shopping(50)},
		Steps: Then(Now(Together(Behave("eu", chaos.Trickle(20000, 40, 50*ms), "/events/"), Behave("us", chaos.Trickle(20000, 20, 50*ms), "/events/")),
			Meanwhile("streams of eu", Requesting(5, "eu", chaos.Request{Path: "/events/"}))),
			flipAndBack(Do("streams are under way", underWay("streams of eu")), Meanwhile("streams of us", Requesting(5, "us", chaos.Request{Path: "/events/"}))),
			Now(Await("streams of eu"), Await("streams of us"))),
		Want: []Expectation{AllServed(), NoFailover(), Reasons("primary_down", "failback")},
	},
	{
		Name: "tunnels_through_a_flip", Proves: []string{"tunnels", "pointer"},
		Text: "Upgraded connections go on where they began while the pointer moves there and back; new ones begin where it points.",
		Load: []chaos.Load{Shopping(50)},
		Steps: Then(Now(Together(Behave("eu", chaos.Upgrade(), "/tunnel/"), Behave("us", chaos.Upgrade(), "/tunnel/")), Meanwhile("tunnels to eu", Tunnels(5, "eu"))),
			flipAndBack(Meanwhile("tunnels to us", Tunnels(5, "us"))), Now(Pass(200*ms), Finish("tunnels to eu"), Finish("tunnels to us"))),
		Want: []Expectation{AllServed(), NoFailover(), Reasons("primary_down", "failback"), Quickly("the others", 0.95, 60*ms, short)},
	},
	{
		Name: "tunnels_and_a_dead_primary", Proves: []string{"tunnels", "commit"},
		Text:  "The primary dies under upgraded connections: they end, and are not moved elsewhere behind their clients' backs; the others are served by the other origin.",
		Load:  []chaos.Load{Reading(50)},
		Steps: Now(Behave("eu", chaos.Upgrade(), "/tunnel/"), Meanwhile("tunnels", Tunnels(5, "eu")), Pass(300*ms), Unplug("eu"), PointerAt("us", time.Second), Do("the tunnels have ended", endedAll("tunnels")), Served("us", 20)),
		Want: []Expectation{NotServedOnly(101, 0), Holds("all tunnels were aborted", func(o *Outcome) error {
			if n := o.Ledger.Count(chaos.Aborted); n != 5 {
				return fmt.Errorf("%d were", n)
			}
			return nil
		})},
	},
}

// endedAll waits for a task whose failure is what is wanted.
func endedAll(name string) func(*Stage) error {
	return func(s *Stage) error {
		t := s.tasks[name]
		if err := s.await(patience, name+" to end", func() bool { return stopped(t.done) }); err != nil {
			return err
		}
		if err := s.finish(name); err == nil {
			return fmt.Errorf("they ended in order")
		}
		return nil
	}
}

// short is not one of the long requests.
func short(r *chaos.Result) bool { return r.BodySize <= 4096 && r.Status == 200 }

// uploadsThroughAFlip are uploads that begin at the primary and are under way when
// the pointer leaves it: they end where they began, and are held nowhere.
func uploadsThroughAFlip(name string, size int64, n int, pace time.Duration, full bool) Scenario {
	return Scenario{
		Name: name, Proves: []string{"pointer", "once", "responses", "backpressure"}, Full: full, Needs: []Need{Linux},
		Text:  fmt.Sprintf("Uploads of %d MB are under way while the pointer leaves the primary: they end where they began, whole, and the proxy holds none of them.", size>>20),
		Setup: Setup{Route: "timeout = \"60s\"\n"}, Load: []chaos.Load{Shopping(30)},
		Steps: Now(Meanwhile("uploads", Requesting(n, "eu", chaos.Request{Method: "POST", BodySize: size, Pace: pace})), Fault("eu", "probe_only"), PointerAt("us", 2*time.Second), MarkNow("at us"),
			Do("the uploads are under way", underWay("uploads")), Await("uploads"), MemoryAtMost(100<<20), Mend("eu", "probe_only"), PointerAt("eu", 10*time.Second), Served("eu", 20)),
		Want: []Expectation{AllServed(), NoFailover(), Reasons("primary_down", "failback"), ServedBy("us", Window{Moment{Mark: "at us"}, Moment{Mark: "eu mended"}})},
	}
}

// underWay fails if a task is over, since the scenario would prove nothing.
func underWay(name string) func(*Stage) error {
	return func(s *Stage) error {
		if stopped(s.tasks[name].done) {
			return late("%s are over already", name)
		}
		return nil
	}
}
