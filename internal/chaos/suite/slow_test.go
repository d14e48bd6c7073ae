package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// patientProbes know that the origin is slow.
const patientProbes = "interval = \"200ms\"\ntimeout = \"2s\"\n"

// slowScenarios are origins that fail nothing.
var slowScenarios = []Scenario{
	{
		Name: "slow", Proves: []string{"coverage", "health"},
		Text:  "Every answer of the primary takes 300 ms, within every time-out: that is no failure, and nothing is tried twice.",
		Setup: Setup{Health: patientProbes},
		Steps: Now(Pass(100*time.Millisecond), Fault("eu", "slow"), Served("eu", 80), Mend("eu", "slow"), Served("eu", 20)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1), NotShed(), NotParked(),
			Quickly("requests", 0.95, 550*time.Millisecond, everyone)},
	},
	{
		Name: "slow_for_probes", Proves: []string{"health", "pointer"},
		Text:  "The primary is too slow for its probes, not for requests: the pointer moves, and nobody gets an error before, meanwhile or after.",
		Setup: Setup{Group: soonBack},
		Steps: Now(Pass(100*time.Millisecond), Fault("eu", "slow"), PointerAt("us", 1200*time.Millisecond), Served("us", 20), Mend("eu", "slow"), PointerAt("eu", 5*time.Second), Served("eu", 10)),
		Want:  []Expectation{AllServed(), Flips(2, 2), NoFailover(), NoFailure("eu"), NoFailure("us"), AttemptsPerRequest(1)},
	},
	{
		Name: "bimodal", Proves: []string{"coverage", "isolation"},
		Text:  "Every tenth answer of the primary takes 300 ms: the others wait for none of them.",
		Setup: Setup{Health: patientProbes},
		Steps: Now(Fault("eu", "bimodal"), Served("eu", 200)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1), NotShed(),
			Quickly("requests", 0.8, 100*time.Millisecond, everyone), Quickly("slow ones", 0.99, 550*time.Millisecond, everyone),
			Some("requests of 300 ms", 15, func(r *chaos.Result) bool { return r.Latency >= 300*time.Millisecond })},
	},
	{
		Name: "slow_head", Proves: []string{"coverage"},
		Text:  "The primary sends its heads one byte at a time, in less than response_header_timeout: each is served.",
		Setup: Setup{Health: patientProbes, Origin: "response_header_timeout = \"3s\"\n"},
		Load:  []chaos.Load{Shopping(60)},
		Steps: Now(Fault("eu", "slow_head"), Served("eu", 60)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1),
			Some("requests that took half a second", 60, func(r *chaos.Result) bool { return r.Latency >= 500*time.Millisecond })},
	},
	{
		Name: "slow_head_times_out", Proves: []string{"failover", "classes", "once"},
		Text:  "The primary sends its heads one byte at a time, too slowly: bytes that trickle do not put response_header_timeout off, and covered requests fail over.",
		Setup: Setup{Origin: "response_header_timeout = \"300ms\"\n", Route: steady},
		Load:  []chaos.Load{Shopping(60)},
		Steps: Now(Pass(100*time.Millisecond), FaultOfRequests("eu", "slow_head"), Served("us", 40), Mend("eu", "slow_head"), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), NoFlip(), Classes("eu", "header_timeout"), NotServedOnly(504), LostAs("eu", "header_timeout"),
			FailedOver(40), WritesStay("us"), Some("writes that are lost", 5, Lost),
			Quickly("covered requests", 0.95, 550*time.Millisecond, Covered), Quickly("lost writes", 0.95, 550*time.Millisecond, Lost),
			None("write lost before the time-out", func(r *chaos.Result) bool { return Lost(r) && r.Latency < 300*time.Millisecond })},
	},
	{
		Name: "status_burst", Proves: []string{"failover", "classes", "breaker", "once"},
		Text:  "Two requests of every twenty get a 503: covered ones are answered by the secondary, a write gets the origin's 503, and neither the breaker nor the pointer moves.",
		Load:  []chaos.Load{readsAndWrites(150)},
		Steps: Now(Pass(100*time.Millisecond), Fault("eu", "status_burst"), AwaitResults("writes that are lost", 3, Lost), Mend("eu", "status_burst"), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), FailedOver(2), Classes("eu", "status:503"), NotServedOnly(503), LostAs("eu", "status:503"), NoFlip(),
			BreakerOpened("eu", 0, 0), AttemptsPerRequest(1.12), WritesStay("us"), None("answer of the proxy itself", func(r *chaos.Result) bool { return r.Origin == "" }),
			Quickly("covered requests", 0.95, 150*time.Millisecond, Covered)},
	},
	{
		Name: "status_single", Proves: []string{"failover", "breaker"},
		Text:  "One request of fifty gets a 500, for long: the breaker never opens, since none follows the other.",
		Load:  []chaos.Load{Reading(150)},
		Steps: Now(Behave("eu", oneBadOf(50, chaos.Status(500))), Served("us", 5)),
		Want:  []Expectation{AllServed(), FailedOver(5), Classes("eu", "status:500"), NoFlip(), BreakerOpened("eu", 0, 0), AttemptsPerRequest(1.06)},
	},
	{
		Name: "status_4xx", Proves: []string{"classes", "breaker", "health"},
		Text:  "The primary answers 404 and, as configured for failover, 429: a 404 is an answer like any, a 429 goes to the secondary, and neither counts against the primary.",
		Setup: Setup{Group: "failover_statuses = [429, 500]\n"},
		Load:  []chaos.Load{{Rate: 100, Mix: []chaos.Shot{{Path: "/missing/"}, {Path: "/product/"}}}},
		Steps: Now(Behave("eu", chaos.Status(404), "/missing/"), Behave("eu", chaos.Status(429), "/product/"), Served("us", 50)),
		Want: []Expectation{NotServedOnly(404), FailedOver(50), Classes("eu", "status:429"), NoFlip(), BreakerOpened("eu", 0, 0),
			Some("answers of 404", 40, func(r *chaos.Result) bool { return r.Status == 404 && r.Origin == "eu" }),
			None("404 of another path", func(r *chaos.Result) bool { return r.Status == 404 && r.Path[:9] != "/missing/" })},
	},
}

// readsAndWrites come in another rhythm than the bursts.
func readsAndWrites(rate float64) chaos.Load {
	return chaos.Load{Rate: rate, Mix: []chaos.Shot{{Weight: 2, Path: "/product/"}, {Weight: 1, Method: "POST", Path: "/order/", BodySize: 512}}}
}

// everyone selects every result.
func everyone(*chaos.Result) bool { return true }

// oneBadOf answers n-1 requests well, and the next one as given.
func oneBadOf(n int, bad chaos.Behaviour) chaos.Behaviour {
	turns := make([]chaos.Behaviour, n)
	for i := range turns {
		turns[i] = chaos.OK(1024)
	}
	turns[n-1] = bad
	return chaos.InTurn(turns...)
}
