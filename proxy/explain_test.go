package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// explain explains a request as ask sends it.
func (g *rig) explain(method, target string) Explanation {
	g.t.Helper()
	e, err := g.srv.Explain(method, "chaos.test", target)
	if err != nil {
		g.t.Fatalf("explain %s %s: %v", method, target, err)
	}
	return e
}

// situation is what an operator and the health checks may have brought about.
type situation struct {
	target               failover.Role
	euDrained, usDrained bool
}

// put brings it about.
func (s situation) put(t testing.TB, g *rig) {
	t.Helper()
	g.pointer.Unpin()
	if s.target != failover.RoleNone {
		if err := g.pointer.Pin(s.target, 0); err != nil {
			t.Fatal(err)
		}
	}
	for origin, drained := range map[string]bool{"eu": s.euDrained, "us": s.usDrained} {
		if err := g.srv.SetDrained(origin, drained); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever the configuration, the pointer, the breakers and the operator: what
// is explained is what then happens, to a request that goes well and to one that
// fails at the first origin.
func TestAnExplanationIsWhatHappensNext(t *testing.T) {
	for unsafe := failover.UnsafePark; unsafe <= failover.UnsafeNever; unsafe++ {
		for _, secondary := range []bool{true, false} {
			for open := range 4 {
				t.Run(fmt.Sprintf("%v, secondary %v, breakers %02b", unsafe, secondary, open), func(t *testing.T) {
					t.Parallel()
					explainAll(t, unsafe, secondary, open)
				})
			}
		}
	}
}

func explainAll(t *testing.T, unsafe failover.Unsafe, secondary bool, open int) {
	setups := []setup{breaks(1, time.Hour), policy(func(p *failover.PolicyConfig) {
		p.Methods, p.Statuses = []string{"GET", "HEAD"}, []int{404} // a failure that moves no breaker
		p.Unsafe, p.ParkTimeout = unsafe, 50*time.Millisecond
	})}
	if !secondary {
		setups = append(setups, alone)
	}
	g := startRig(t, append(setups, points(failover.PointerConfig{BothDown: failover.BothDownFailFast}))...)
	g.eu.SetPath("/missing/", chaos.Status(404))
	g.us.SetPath("/missing/", chaos.Status(404))
	g.pointer.Verdict(failover.RolePrimary, false)
	g.pointer.Verdict(failover.RoleSecondary, false)
	targets := []failover.Role{failover.RoleNone, failover.RolePrimary}
	if secondary {
		targets = append(targets, failover.RoleSecondary)
	}
	for role := failover.RolePrimary; role <= failover.RoleSecondary; role++ {
		if open&int(role) != 0 && g.leg(role) != nil {
			g.trip(role)
		}
	}
	for _, target := range targets {
		for drained := range 4 {
			s := situation{target, drained&1 != 0, drained&2 != 0}
			s.put(t, g)
			for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
				happens(t, g, method, "/found/", s)
				happens(t, g, method, "/missing/", s)
			}
		}
	}
}

// happens holds an explanation against the request.
func happens(t *testing.T, g *rig, method, path string, s situation) {
	t.Helper()
	id := chaos.NewID()
	e := g.explain(method, path+id)
	r := g.ask(chaos.Request{ID: id, Method: method, Path: path + id})
	got := arrivals(g, id)
	want := []string{}
	switch {
	case e.First != "" && e.Then != "" && e.Covered && path == "/missing/":
		want = append(want, e.First, e.Then)
	case e.First != "":
		want = append(want, e.First)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s %s, %+v: it reached %v and was explained as\n%s", method, path, s, got, text(e))
	}
	status := e.Status
	if e.First == "" && e.Status == 0 {
		status = refuseParked.status // it was parked, for nothing moved
		if !strings.Contains(e.Outcome, "waits") {
			t.Errorf("neither an origin nor a status nor a wait: %+v", e)
		}
	}
	if status != 0 && (r.Status != status || r.Origin != "") {
		t.Errorf("%s %s, %+v: answered %v and explained as\n%s", method, path, s, r, text(e))
	}
	if e.First != "" && e.Status != 0 || e.First == "" && e.Then != "" || e.Outcome == "" || len(e.Steps) == 0 {
		t.Errorf("it contradicts itself:\n%s", text(e))
	}
}

// arrivals are the origins that a request reached, in order.
func arrivals(g *rig, id string) []string {
	eu, us := g.eu.Arrivals(id), g.us.Arrivals(id)
	all := []string{}
	for range eu {
		all = append(all, "eu")
	}
	for range us {
		all = append(all, "us")
	}
	if len(eu) == 1 && len(us) == 1 && us[0].Get("Failover-Attempt") == "" {
		all[0], all[1] = "us", "eu"
	}
	return all
}

// text is an explanation for people.
func text(e Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "first %q, then %q, covered %v, why not %q, status %d: %s\n", e.First, e.Then, e.Covered, e.WhyNot, e.Status, e.Outcome)
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "  %-8s %-4s %s (%s)\n", s.Rule, s.Result, s.Text, s.Key)
	}
	return b.String()
}

func TestWhatIsRefusedIsExplainedWithItsStatus(t *testing.T) {
	t.Parallel()
	g := startRig(t, withRoute(func(r *Route) { r.Match = "shop.test/x/" }))
	for _, tt := range []struct{ method, host, target, rule, key string }{
		{"GET", "shop.test", "/x/%2e%2e", "request", ""},
		{"GET", "shop.test", "/x/%2F", "request", "server.encoded_slash"},
		{"GET", "shop.test", "/x/%zz", "request", ""},
		{"GET", "shop.test", "x", "request", ""},
		{"GET", "shop.test", "*", "request", ""},
		{"GET", "sh@p", "/x/", "request", ""},
		{"CONNECT", "shop.test", "/x/", "request", ""},
		{"TRACE", "shop.test", "/x/", "request", ""},
		{"OPTIONS", "shop.test", "*", "request", ""},
		{"G(T", "shop.test", "/x/", "request", ""},
		{"GET", "shop.test", "/y/", "route", ""},
		{"GET", "other.test", "/x/", "route", ""},
		{"GET", "shop.test", "http://other.test/x/", "route", ""},
	} {
		e, err := g.srv.Explain(tt.method, tt.host, tt.target)
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		r, err := g.dial().Do(tt.method + " " + tt.target + " HTTP/1.1\r\nHost: " + tt.host + "\r\n\r\n")
		if err != nil || r.Status != e.Status || e.First != "" {
			t.Errorf("%+v: answered %d, %v, explained as\n%s", tt, r.Status, err, text(e))
		}
		if last := e.Steps[len(e.Steps)-1]; last.Rule != tt.rule || last.Result != "stop" || last.Key != tt.key {
			t.Errorf("%+v: explained as\n%s", tt, text(e))
		}
	}
	for _, target := range []string{"/x/y?z", "http://shop.test/x/y?z"} {
		for _, host := range []string{"shop.test", "SHOP.test:8080"} {
			if e, err := g.srv.Explain("GET", host, target); err != nil || e.First != "eu" || e.Route != "all" || e.Group != "shop" {
				t.Errorf("%s of %s: %v\n%s", target, host, err, text(e))
			}
		}
	}
	if e, err := g.srv.Explain("GET", "", "http://shop.test/x/"); err != nil || e.First != "eu" {
		t.Errorf("with the host in the URL alone: %v\n%s", err, text(e))
	}
}

func TestWhatCannotStandInARequestIsAnError(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	for _, tt := range [][3]string{
		{"", "a", "/"}, {"GET", "a", ""}, {"GET /", "a", "/"}, {"GET", "a", "/ HTTP/1.1\r\nX: y"}, {"GET", "a", "/\x7f"},
		{"GET", "a\r\nContent-Length: 5", "/"}, {"GET", "a b", "/"}, {"GET", "a", "/ü"},
	} {
		if e, err := g.srv.Explain(tt[0], tt[1], tt[2]); err == nil || e.Steps != nil {
			t.Errorf("%q: %v, %+v", tt, err, e)
		}
	}
}

func TestAFullBulkheadIsExplained(t *testing.T) {
	t.Parallel()
	g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 1, QueueTimeout: patience}))
	release := make(chan struct{})
	g.eu.SetPath("/hold", chaos.OK(10).When(release))
	answers := make(chan chaos.Result, 2)
	hold := func() { answers <- g.ask(chaos.Request{Path: "/hold"}) }
	go hold()
	g.awaitStats("a permit in use", func(s RouteStats) bool { return s.InUse == 1 })
	if e := g.explain("GET", "/"); e.First != "eu" || !strings.Contains(text(e), "behind 0 others") {
		t.Errorf("with room in the queue:\n%s", text(e))
	}
	go hold()
	g.awaitStats("a full queue", func(s RouteStats) bool { return s.Queued == 1 })
	e := g.explain("GET", "/")
	if last := e.Steps[len(e.Steps)-1]; e.First != "" || e.Status != 503 || last.Rule != "permit" || last.Key != "routes.all.bulkhead.max_concurrent" {
		t.Errorf("with no room in the queue:\n%s", text(e))
	}
	wantStatus(t, g.ask(chaos.Request{}), e.Status, "")
	if s := g.stats(); s.InUse != 1 || s.Queued != 1 {
		t.Errorf("explaining has changed the bulkhead: %+v", s)
	}
	close(release)
	wantServed(t, <-answers, "eu")
	wantServed(t, <-answers, "eu")
}

// The trial of a half-open breaker is foreseen, and not used up by looking.
func TestAHalfOpenBreakerIsExplained(t *testing.T) {
	t.Parallel()
	g := startRig(t, breaks(1, 20*time.Millisecond))
	g.trip(failover.RolePrimary)
	g.awaitBreaker(failover.RolePrimary, "half-open")
	for range 3 {
		if e := g.explain("GET", "/"); e.First != "eu" {
			t.Errorf("before the trial:\n%s", text(e))
		}
	}
	release := make(chan struct{})
	g.eu.SetPath("/hold", chaos.OK(10).When(release))
	trial := make(chan chaos.Result)
	go func() { trial <- g.ask(chaos.Request{Path: "/hold"}) }()
	chaos.Await(t, patience, "the trial", func() bool { return g.eu.Arrived() == 1 })
	if e := g.explain("GET", "/"); e.First != "us" {
		t.Errorf("during the trial:\n%s", text(e))
	}
	wantServed(t, g.ask(chaos.Request{}), "us")
	close(release)
	wantServed(t, <-trial, "eu")
	if e := g.explain("GET", "/"); e.First != "eu" || e.Then != "us" {
		t.Errorf("after the trial:\n%s", text(e))
	}
}

func TestTwoOriginsOfOneEndpointAreExplained(t *testing.T) {
	t.Parallel()
	g := startRig(t, func(g *rig, cfg *Config) { cfg.Origins[1].URL = g.eu.URL() })
	g.eu.Set(chaos.Status(503))
	e := g.explain("GET", "/")
	if e.First != "eu" || e.Then != "" || e.WhyNot != "same_endpoint" || !e.Covered {
		t.Errorf("explained as\n%s", text(e))
	}
	r := g.ask(chaos.Request{})
	wantStatus(t, r, 503, "eu")
	g.arrivedOnce(r.ID)
}
