package proxy

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// Clients that wait for less long than the route would are what a hanging secondary
// is noticed by. One that leaves at once is no error of anybody's.
func TestClientsThatGiveUpEndADrill(t *testing.T) {
	t.Parallel()
	ends := newDrillEnds()
	g := startRig(t, ends.kept)
	g.us.Set(chaos.Hang())
	g.drill(1)
	leave := func(ctx context.Context) {
		c := &chaos.Client{Address: g.addr, Timeout: patience}
		defer c.Close()
		if r := c.Do(ctx, chaos.Request{}); r.Kind != chaos.Left {
			t.Errorf("got %v", r)
		}
	}
	var all sync.WaitGroup
	soon, leaveNow := context.WithCancel(t.Context())
	for range failover.DrillMinErrors {
		all.Go(func() { leave(soon) })
	}
	chaos.Await(t, patience, "arrivals", func() bool { return g.us.Arrived() == failover.DrillMinErrors })
	leaveNow()
	all.Wait()
	chaos.Await(t, patience, "departures", func() bool { return g.drilled().Picked.Left == failover.DrillMinErrors })
	if d := g.drilled(); d.Why != failover.DrillRuns || d.Picked.Requests != 0 {
		t.Errorf("who left at once counted: %+v", d)
	}
	for range failover.DrillMinErrors {
		all.Go(func() {
			late, cancel := context.WithTimeout(t.Context(), drillPatience+drillPatience/2)
			defer cancel()
			leave(late)
		})
	}
	all.Wait()
	d := ends.next(t, failover.DrillErrors)
	if d.Picked.Errors != failover.DrillMinErrors || d.Failed != failover.DrillMinErrors || d.Picked.Requests != failover.DrillMinErrors {
		t.Errorf("counted %+v", d)
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

// The secondary breaks down under load: the drill ends, no client gets an error, and
// the invariants hold.
func TestADrillEndsByItselfWhenErrorsRise(t *testing.T) {
	t.Parallel()
	ends := newDrillEnds()
	g := startRig(t, ends.kept, breaks(5, time.Minute))
	g.drill(0.2)
	run := chaos.Load{Address: g.addr, Conns: 8, Rate: 500, Count: 800, Mix: []chaos.Shot{{Weight: 4}, {Method: "POST", BodySize: 1000}}}.Start(context.Background())
	chaos.Await(t, patience, "picked requests", func() bool { return g.drilled().Secondary > 10 })
	g.us.Set(chaos.Status(500))
	ends.next(t, failover.DrillErrors)
	ledger := run.Wait()
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	if n := ledger.Count(chaos.Served); n != ledger.Len() {
		t.Errorf("%d of %d were served: %v", n, ledger.Len(), ledger)
	}
	g.awaitStats("rest", atRest)
	d := g.drilled()
	if d.Rescued < failover.DrillMinErrors || d.Rescued > failover.DrillMinErrors+8 || d.Others.Errors != 0 {
		t.Errorf("counted %+v", d)
	}
	if state := g.leg(failover.RolePrimary).breakerState(); state != "closed" {
		t.Errorf("the breaker towards the primary is %s", state)
	}
	ends.none(t)
}

func TestADrillEndsWithWhatItStandsOn(t *testing.T) {
	tests := map[failover.DrillEnd]func(g *rig, l *live){
		failover.DrillPointer:       func(g *rig, _ *live) { _ = g.pointer.Pin(failover.RoleSecondary, 0) },
		failover.DrillSecondaryDown: func(g *rig, _ *live) { g.pointer.Verdict(failover.RoleSecondary, false) },
		failover.DrillPrimaryDown: func(g *rig, _ *live) {
			_ = g.pointer.Pin(failover.RolePrimary, 0)
			g.pointer.Verdict(failover.RolePrimary, false)
		},
		failover.DrillDrained: func(g *rig, _ *live) { g.setDrained("us", true) },
		failover.DrillReload: func(g *rig, l *live) {
			l.reload(g.t, func(cfg *Config) { cfg.Origins[1].URL = chaos.NewOrigin(g.t, "other").URL() })
		},
		failover.DrillUpgrade: func(g *rig, _ *live) { g.srv.EndDrills(failover.DrillUpgrade) },
		failover.DrillStop:    func(g *rig, _ *live) { g.cancel() },
	}
	for why, end := range tests {
		t.Run(why.String(), func(t *testing.T) {
			t.Parallel()
			ends := newDrillEnds()
			g, l := startLive(t, ends.kept)
			g.drill(1)
			wantServed(t, g.ask(chaos.Request{}), "us")
			ends.none(t)
			arrived := g.us.Arrived()
			end(g, l)
			if why == failover.DrillSecondaryDown || why == failover.DrillDrained || why == failover.DrillPrimaryDown {
				wantServed(t, g.ask(chaos.Request{}), "eu") // at once, whether or not the end was told
				if g.us.Arrived() != arrived {
					t.Error("the secondary got a request after the end")
				}
			}
			if d := ends.next(t, why); d.Secondary != 1 {
				t.Errorf("counted %+v", d)
			}
			if d := g.srv.current().table.seats["shop"].drills.running.Load(); d != nil {
				t.Error("it runs")
			}
		})
	}
}

func TestADrillEndsWhenItsTimeIsOverWithoutAnyRequest(t *testing.T) {
	t.Parallel()
	ends := newDrillEnds()
	g := startRig(t, ends.kept)
	if _, err := g.srv.StartDrill(DrillConfig{Group: "shop", Share: 1, StopAt: 0.01, For: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	ends.next(t, failover.DrillTime)
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

func TestADrillGoesOnThroughAReloadThatLeavesItsGroup(t *testing.T) {
	t.Parallel()
	ends := newDrillEnds()
	g, l := startLive(t, ends.kept)
	g.drill(1)
	l.reload(t, func(cfg *Config) {
		more := cfg.Routes[0]
		more.Name, more.Match, more.Bulkhead = "more", "/more/", bulkhead.Config{MaxConcurrent: 1}
		cfg.Routes = append(cfg.Routes, more)
	})
	wantServed(t, g.ask(chaos.Request{}), "us")
	wantServed(t, g.ask(chaos.Request{Path: "/more/x"}), "us")
	chaos.Await(t, patience, "both to be counted", func() bool { return g.drilled().Secondary == 2 })
	ends.none(t)
	l.reload(t, func(cfg *Config) { // the group is gone
		cfg.Groups[0].Name = "other"
		for i := range cfg.Routes {
			cfg.Routes[i].Group = "other"
		}
	})
	ends.next(t, failover.DrillReload)
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

// Drills are started, ended and looked at from everywhere while requests come.
func TestDrillsComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	ends := newDrillEnds()
	g := startRig(t, ends.kept)
	run := chaos.Load{Address: g.addr, Conns: 8, Count: 2000, Mix: []chaos.Shot{{Weight: 3}, {Method: "POST", BodySize: 10}}}.Start(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); run.Wait() }()
	var hands sync.WaitGroup
	for range 3 {
		hands.Go(func() {
			for busy := true; busy; {
				select {
				case <-done:
					busy = false
				default:
					_, started := g.srv.StartDrill(DrillConfig{Group: "shop", Share: 0.5, StopAt: 0.01, For: time.Minute})
					_, ended := g.srv.EndDrill("shop")
					if started != nil && !errors.Is(started, ErrDrillRuns) || ended != nil && !errors.Is(ended, ErrNoDrill) {
						t.Errorf("%v, %v", started, ended)
					}
					g.srv.Drills()
				}
			}
		})
	}
	hands.Wait()
	ledger := run.Wait()
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	g.awaitStats("rest", atRest)
	if n := ledger.Count(chaos.Served); n != ledger.Len() || g.us.Arrived() == 0 || g.eu.Arrived() == 0 {
		t.Errorf("%d of %d were served, %d by eu and %d by us", n, ledger.Len(), g.eu.Arrived(), g.us.Arrived())
	}
	var counted uint64
	for _, r := range g.srv.Drills()[0].Results {
		counted += r.Count
	}
	if counted != uint64(g.us.Arrived()) {
		t.Errorf("%d were counted, and %d have come to the secondary", counted, g.us.Arrived())
	}
	ends.none(t)
}
