package proxy

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

func (g *rig) setDrained(origin string, drained bool) {
	g.t.Helper()
	if err := g.srv.SetDrained(origin, drained); err != nil {
		g.t.Error(err)
	}
}

func TestADrainedOriginGetsNothingNew(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged)
	g.setDrained("eu", true)
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		wantServed(t, g.ask(chaos.Request{Method: method}), "us")
	}
	r := g.ask(chaos.Request{})
	if rec := log.find(t, r.ID); rec.Decision != "served" || rec.Pointer != "primary" || rec.classes() != "us ok" {
		t.Errorf("record %+v", rec)
	}
	g.pointer.Verdict(failover.RolePrimary, false) // as whoever drains it does
	wantServed(t, g.ask(chaos.Request{Method: "POST", BodySize: 100}), "us")
	if n := g.eu.Accepted(); n != 0 {
		t.Errorf("the drained origin got %d connections", n)
	}
	g.setDrained("eu", false)
	g.pointer.Verdict(failover.RolePrimary, true)
	wantServed(t, g.ask(chaos.Request{}), "eu")
	if err := g.srv.SetDrained("nobody", true); err == nil {
		t.Error("an origin that there is not was drained")
	}
}

func TestWhatIsInFlightIsFinishedByADrainedOrigin(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	wantServed(t, g.ask(chaos.Request{}), "eu")
	wantServed(t, g.ask(chaos.Request{}), "eu")
	release := make(chan struct{})
	g.eu.SetPath("/hold", chaos.OK(10).When(release))
	held, other := make(chan chaos.Result), make(chan chaos.Result)
	go func() { held <- g.ask(chaos.Request{Path: "/hold", Method: "POST", BodySize: 10}) }()
	chaos.Await(t, patience, "arrival", func() bool { return g.eu.Arrived() == 3 })
	go func() { other <- g.ask(chaos.Request{}) }()
	wantServed(t, <-other, "eu")
	if idle := g.leg(failover.RolePrimary).pool.Idles(); idle == 0 {
		t.Fatal("nothing is idle, so that nothing can be seen to be closed")
	}
	g.setDrained("eu", true)
	if idle := g.leg(failover.RolePrimary).pool.Idles(); idle != 0 {
		t.Errorf("%d idle connections to a drained origin", idle)
	}
	chaos.Await(t, patience, "one connection is left, the busy one", func() bool { return g.eu.OpenConns() == 1 })
	wantServed(t, g.ask(chaos.Request{}), "us")
	l.route(t, func(r *Route) { r.Bulkhead.MaxConcurrent = 63 }) // which sets anew how many are kept
	close(release)
	wantServed(t, <-held, "eu")
	chaos.Await(t, patience, "the last connection to be closed", func() bool { return g.eu.OpenConns() == 0 })
	g.setDrained("eu", false)
	wantServed(t, g.ask(chaos.Request{}), "eu")
	g.awaitStats("rest", atRest)
	if idle := g.leg(failover.RolePrimary).pool.Idles(); idle != 1 {
		t.Errorf("%d idle connections after it is back, want 1", idle)
	}
}

func TestADrainedOriginIsNoCandidateForFailover(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged)
	g.eu.SetPath("/broken", chaos.Status(503))
	g.setDrained("us", true)
	r := g.ask(chaos.Request{Path: "/broken"})
	wantStatus(t, r, 503, "eu")
	if rec := log.find(t, "/broken"); rec.WhyNot != "drained" || rec.Decision != "served" {
		t.Errorf("record %+v", rec)
	}
	g.eu.Down()
	r = g.ask(chaos.Request{})
	wantStatus(t, r, 502, "")
	if rec := log.find(t, r.ID); rec.WhyNot != "drained" || rec.Decision != "failed" {
		t.Errorf("record %+v", rec)
	}
	if n := g.us.Accepted(); n != 0 {
		t.Errorf("the drained origin got %d connections", n)
	}
}

// A write follows the pointer, and waits for it.
func TestAWriteWaitsForThePointerToLeaveADrainedOrigin(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient)
	g.setDrained("eu", true)
	answer := g.post(1, chaos.Request{BodySize: 1000})
	if n := g.us.Accepted(); n != 0 {
		t.Error("the secondary was touched before the pointer moved")
	}
	g.pointer.Verdict(failover.RolePrimary, false)
	r := <-answer
	wantServed(t, r, "us")
	g.arrivedOnce(r.ID)
}

// Although a drained origin accepts connections, nothing that is parked goes
// there before it is back in service.
func TestTheKnockAtADrainedOriginDoesNotCount(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient)
	g.setDrained("eu", true)
	first := g.post(1, chaos.Request{})
	waits, stop := context.WithTimeout(t.Context(), 3*knockEvery)
	defer stop()
	select {
	case r := <-first:
		t.Errorf("got %v while the origin was drained", r)
	case <-waits.Done():
	}
	if n := g.eu.Accepted(); n != 0 {
		t.Errorf("the drained origin got %d connections", n)
	}
	g.setDrained("eu", false)
	wantServed(t, <-first, "eu")
}

// One that was parked because the origin refused connections does not go there
// either, if it has been drained meanwhile.
func TestARequestThatWasParkedBeforeTheDrainStaysParked(t *testing.T) {
	t.Parallel()
	g := startRig(t, policy(func(p *failover.PolicyConfig) { p.ParkTimeout = 4 * knockEvery }))
	g.eu.Down()
	answer := g.post(1, chaos.Request{})
	g.setDrained("eu", true)
	accepted := g.eu.Accepted()
	if err := g.eu.Up(); err != nil {
		t.Fatal(err)
	}
	r := <-answer
	wantStatus(t, r, 503, "")
	wantRetryAfter(t, r)
	if g.eu.Accepted() != accepted {
		t.Error("the drained origin was touched")
	}
}

func TestWithNoOriginInServiceRequestsAreRefusedAtOnce(t *testing.T) {
	tests := map[string][]setup{"both drained": nil, "no secondary": {alone}}
	for name, setups := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, append(setups, patient)...)
			g.setDrained("eu", true)
			g.setDrained("us", true)
			for _, method := range []string{"GET", "POST"} {
				r := g.ask(chaos.Request{Method: method})
				wantStatus(t, r, 503, "")
				wantRetryAfter(t, r)
			}
			if g.eu.Accepted()+g.us.Accepted() != 0 {
				t.Error("a drained origin was touched")
			}
		})
	}
}

func TestUnsafeSaysWhatBecomesOfAWriteToADrainedOrigin(t *testing.T) {
	t.Parallel()
	g := startRig(t, policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeUnsent }))
	g.setDrained("eu", true)
	wantServed(t, g.ask(chaos.Request{Method: "POST", BodySize: 10}), "us")
	never := startRig(t, policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeNever }))
	never.setDrained("eu", true)
	r := never.ask(chaos.Request{Method: "POST", BodySize: 10})
	wantStatus(t, r, 503, "")
	wantRetryAfter(t, r)
	g.us.Down()
	g.eu.Down()
	g.setDrained("eu", false)
	g.setDrained("us", true)
	wantStatus(t, g.ask(chaos.Request{Method: "POST"}), 502, "") // and not to us, although nothing was sent
}

func TestAnOriginStaysDrainedThroughReloads(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	wantServed(t, g.ask(chaos.Request{}), "eu")
	g.setDrained("eu", true)
	l.route(t, func(r *Route) { r.Bulkhead.MaxConcurrent = 7 })
	wantServed(t, g.ask(chaos.Request{}), "us")
	spare := chaos.NewOrigin(t, "spare")
	l.reload(t, func(cfg *Config) { cfg.Origins[0].URL = spare.URL() })
	wantServed(t, g.ask(chaos.Request{}), "us")
	l.reload(t, func(cfg *Config) { // a new way to it
		more := cfg.Routes[0]
		more.Name, more.Match = "more", "/more/"
		cfg.Routes = append(cfg.Routes, more)
	})
	wantServed(t, g.ask(chaos.Request{Path: "/more/x"}), "us")
	if o := g.srv.Origins(); !o[0].Drained || o[1].Drained {
		t.Errorf("got %+v", o)
	}
	g.setDrained("eu", false)
	wantServed(t, g.ask(chaos.Request{}), "spare")
	l.reload(t, func(cfg *Config) { cfg.Origins[0].Name, cfg.Groups[0].Primary = "new", "new" })
	if o := g.srv.Origins(); o[0].Drained {
		t.Errorf("a new origin is drained: %+v", o)
	}
}

// Under load an origin is drained and put back again and again: no request fails
// for it, and none is sent twice.
func TestDrainsUnderLoadCostNoRequest(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient)
	run := chaos.Load{Address: g.addr, Conns: 16, Rate: 1000, Count: 800, Mix: []chaos.Shot{
		{Weight: 4}, {Method: "POST", BodySize: 1000}, {Method: "POST", BodySize: 100_000, Chunked: true},
	}}.Start(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); run.Wait() }()
	for busy, n := true, 0; busy; n++ {
		select {
		case <-done:
			busy = false
		case <-time.After(20 * time.Millisecond):
			g.setDrained("eu", n%2 == 0)
			g.pointer.Verdict(failover.RolePrimary, n%2 != 0)
		}
	}
	ledger := run.Wait()
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	if n := ledger.Count(chaos.Served); n != 800 {
		t.Errorf("%d of 800 were served: %v", n, ledger)
	}
	if g.us.Arrived() == 0 || g.eu.Arrived() == 0 {
		t.Error("one of the origins was never used")
	}
}

// When the other origin's probe fails too, the pointer rests at the drained one or
// comes back to it, and has nowhere to leave to: all requests try the origin that
// is in service.
func TestWithBothDownRequestsTryTheOneThatIsNotDrained(t *testing.T) {
	for unsafe := failover.UnsafePark; unsafe <= failover.UnsafeNever; unsafe++ {
		for _, bothDown := range []failover.BothDown{failover.BothDownFailOpen, failover.BothDownStay} {
			for _, first := range []failover.Role{failover.RolePrimary, failover.RoleSecondary} {
				t.Run(fmt.Sprintf("%v, %v, %v first", unsafe, bothDown, first), func(t *testing.T) {
					t.Parallel()
					g := startRig(t, points(failover.PointerConfig{BothDown: bothDown}), policy(func(p *failover.PolicyConfig) {
						p.Unsafe, p.ParkTimeout = unsafe, 10*time.Millisecond
					}))
					g.pointer.Verdict(first, false)
					g.pointer.Verdict(first.Other(), false)
					drained, other := "eu", "us"
					if g.pointer.Pointer().Target == failover.RoleSecondary {
						drained, other = other, drained
					}
					g.setDrained(drained, true)
					for _, method := range []string{"GET", "POST"} {
						if e := g.explain(method, "/"); e.First != other {
							t.Errorf("explained as\n%s", text(e))
						}
						wantServed(t, g.ask(chaos.Request{Method: method}), other)
					}
					if err := g.pointer.Pin(g.pointer.Pointer().Target, 0); err != nil {
						t.Fatal(err)
					}
					if unsafe != failover.UnsafeUnsent { // a pin is somebody's wish, as always
						wantStatus(t, g.ask(chaos.Request{Method: "POST"}), 503, "")
					}
				})
			}
		}
	}
}

// A request that has read the pointer just before a drain moved it looks again,
// whatever unsafe says.
func TestAPointerThatMovedBeforeTheDrainIsFollowed(t *testing.T) {
	t.Parallel()
	g := startRig(t, policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeNever }))
	run := chaos.Load{Address: g.addr, Conns: 16, Rate: 1000, Count: 1000, Mix: []chaos.Shot{{Method: "POST", BodySize: 10}}}.Start(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); run.Wait() }()
	for busy := true; busy; {
		select {
		case <-done:
			busy = false
		default:
			g.pointer.Verdict(failover.RolePrimary, false)
			g.setDrained("eu", true)
			g.setDrained("eu", false)
			g.pointer.Verdict(failover.RolePrimary, true)
			if err := g.pointer.Failback(); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
	}
	if ledger := run.Wait(); ledger.Count(chaos.Served) != ledger.Len() {
		t.Errorf("not all of %d were served: %v", ledger.Len(), ledger)
	}
}
