package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// drillEnds keeps what OnDrill is told.
type drillEnds struct{ told chan DrillStatus }

func newDrillEnds() *drillEnds { return &drillEnds{make(chan DrillStatus, 16)} }

func (e *drillEnds) kept(_ *rig, cfg *Config) {
	cfg.OnDrill = func(s DrillStatus) { e.told <- s }
}

// next waits for the end of a drill.
func (e *drillEnds) next(t testing.TB, want failover.DrillEnd) DrillStatus {
	t.Helper()
	select {
	case s := <-e.told:
		if s.Why != want || s.Ended.IsZero() || s.Ended.Before(s.Began) {
			t.Errorf("a drill that ended by %v at %v, want by %v", s.Why, s.Ended, want)
		}
		return s
	case <-time.After(patience):
		t.Fatalf("no drill has ended, want one by %v", want)
		return DrillStatus{}
	}
}

// none asserts that nobody was told of an end.
func (e *drillEnds) none(t testing.TB) {
	t.Helper()
	select {
	case s := <-e.told:
		t.Errorf("told of an end by %v", s.Why)
	default:
	}
}

// drill starts one of the group shop.
func (g *rig) drill(share float64) {
	g.t.Helper()
	if _, err := g.srv.StartDrill(DrillConfig{Group: "shop", Share: share, StopAt: 0.01, For: MaxDrill}); err != nil {
		g.t.Fatal(err)
	}
}

// drilled is the last drill of the group shop.
func (g *rig) drilled() DrillStatus {
	g.t.Helper()
	all := g.srv.Drills()
	if len(all) != 1 || all[0].Last == nil {
		g.t.Fatalf("no drill in %+v", all)
	}
	return *all[0].Last
}

// undisturbed asserts that neither the breakers nor the pointer have noticed anything.
func (g *rig) undisturbed() {
	g.t.Helper()
	for _, r := range []failover.Role{failover.RolePrimary, failover.RoleSecondary} {
		if state := g.leg(r).breakerState(); state != "closed" {
			g.t.Errorf("the breaker towards the %v is %s", r, state)
		}
	}
	if n := g.pointer.Pointer().Generation; n != 1 {
		g.t.Errorf("the pointer has moved: generation %d", n)
	}
}

func TestADrillSendsExactlyItsShareToTheSecondary(t *testing.T) {
	for _, share := range []float64{0.01, 0.05, 0.5, 1} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			t.Parallel()
			var hurried failures
			g := startRig(t, breaks(2, time.Minute), hurried.counted)
			g.drill(share)
			const n = 1000
			ledger := chaos.Load{Address: g.addr, Conns: 8, Count: n, Mix: []chaos.Shot{{}, {Method: "HEAD"}}}.Do(context.Background())
			if err := chaos.Check(ledger, g.eu, g.us); err != nil {
				t.Error(err)
			}
			g.awaitStats("rest", atRest)
			picked := uint64(g.us.Arrived())
			if math.Abs(float64(picked)-share*n) > 6 || g.eu.Arrived() != int(n-picked) || ledger.Count(chaos.Served) != n {
				t.Errorf("%d went to the secondary and %d to the primary, want a share of %v: %v", picked, g.eu.Arrived(), share, ledger)
			}
			d := g.drilled()
			if d.Why != failover.DrillRuns || d.Picked.Requests != picked || d.Secondary != picked || d.Others.Requests != n-picked ||
				d.Picked.Errors+d.Others.Errors+d.Rescued+d.Failed != 0 {
				t.Errorf("counted %+v", d)
			}
			if s := g.stats(); s.FailedOver != picked || s.Served != n-picked || s.Saved != 0 || s.SentSecondary != picked {
				t.Errorf("the route counted %+v", s)
			}
			g.undisturbed()
			if n := hurried.n.Load(); n != 0 {
				t.Errorf("OnFailure was told %d times", n)
			}
		})
	}
}

func TestWhatMayNotFailOverIsNeverPicked(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.drill(1)
	ledger := chaos.Load{Address: g.addr, Conns: 4, Count: 200, Mix: []chaos.Shot{
		{Method: "POST", BodySize: 100}, {Method: "PUT", BodySize: 10, Chunked: true}, {Method: "DELETE"}, {Method: "GET", BodySize: 10},
	}}.Do(context.Background())
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	if n := g.us.Accepted(); n != 0 || ledger.Count(chaos.Served) != 200 {
		t.Errorf("the secondary got %d connections: %v", n, ledger)
	}
	if d := g.drilled(); d.Picked.Requests+d.Others.Requests != 0 {
		t.Errorf("counted %+v", d)
	}
	wantServed(t, g.ask(chaos.Request{}), "us")
}

// With so little time the primary could not be asked after a secondary that hangs.
func TestARequestWithoutTimeForBothOriginsIsNeverPicked(t *testing.T) {
	t.Parallel()
	g := startRig(t, withRoute(func(r *Route) { r.Timeout = drillMinLeft - time.Millisecond }))
	g.us.Set(chaos.Hang())
	g.drill(1)
	for range 20 {
		wantServed(t, g.ask(chaos.Request{}), "eu")
	}
	if n := g.us.Accepted(); n != 0 {
		t.Errorf("the secondary got %d connections", n)
	}
}

// A tunnel would stay at the secondary for longer than the drill.
func TestAnUpgradeIsNeverPicked(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.eu.SetPath("/ws", chaos.Upgrade())
	g.drill(1)
	c := g.dial()
	if r, err := c.Do("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chaos\r\n\r\n"); err != nil || r.Status != 101 {
		t.Errorf("got %d, %v", r.Status, err)
	}
	if n := g.us.Accepted(); n != 0 {
		t.Errorf("the secondary got %d connections", n)
	}
}

func TestAPickedRequestIsAFailoverForTheSecondaryAndForWhoReads(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged, withServer(func(cfg *Config) { cfg.Remember = true }))
	g.drill(1)
	r := g.ask(chaos.Request{})
	wantServed(t, r, "us")
	if a := g.us.Arrivals(r.ID)[0]; a.Get("Failover-Attempt") != "2" {
		t.Errorf("the secondary got %+v", a.Fields)
	}
	if s := r.Head.Get("Proxy-Status"); !strings.Contains(s, "next-hop=\"us\"; details=\"failover by a drill\"") {
		t.Errorf("Proxy-Status: %s", s)
	}
	rec := log.find(t, r.ID)
	if !rec.Drill || rec.Decision != "failed_over" || rec.Pointer != "primary" || rec.classes() != "eu connect_refused, us ok" ||
		!rec.Attempts[0].Simulated || rec.Attempts[1].Simulated {
		t.Errorf("record %+v", rec)
	}
	all := g.srv.Recent("all", false, 0)
	if len(all) != 1 || !all[0].Drill || len(all[0].Attempts) != 2 || !all[0].Attempts[0].Simulated || all[0].Attempts[0].Origin != "eu" ||
		all[0].Attempts[0].Why != whyNotTaken || all[0].Attempts[1].Class != "ok" {
		t.Errorf("remembered %+v", all)
	}
	if failed := g.srv.Recent("all", true, 0); len(failed) != 0 {
		t.Errorf("it stands among those that did not go well: %+v", failed)
	}
	for _, l := range g.srv.Legs() {
		for _, c := range l.Attempts {
			if want := map[string]uint64{"us ok": 1}[l.Origin+" "+c.Class]; c.Count != want {
				t.Errorf("%d attempts at %s are %s, want %d", c.Count, l.Origin, c.Class, want)
			}
		}
	}
}

// A drill must not cost a client what the primary would have given it.
// unreachable makes no connection to the secondary, for as long as one may take,
// which is longer than the route's timeout.
func unreachable(_ *rig, cfg *Config) {
	cfg.Origins[1].URL, cfg.Origins[1].ConnectTimeout = "http://us.test:80", time.Minute
	cfg.Routes[0].Timeout = 2 * time.Second
	cfg.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestThePrimaryAnswersAPickedRequestThatTheSecondaryFails(t *testing.T) {
	tests := map[string]struct {
		fault chaos.Behaviour
		setup setup
	}{
		"503":                       {chaos.Status(503), nil},
		"reset":                     {chaos.ResetBeforeHead(), nil},
		"garbage":                   {chaos.Garbage(), nil},
		"hangs":                     {chaos.Hang(), withRoute(func(r *Route) { r.Timeout = 2 * time.Second })},
		"connecting takes for ever": {chaos.OK(1), unreachable},
		"breaker is open":           {chaos.Status(503), breaks(1, time.Minute)},
		"no connection left": {chaos.OK(1), func(_ *rig, cfg *Config) {
			cfg.Origins[1].MaxConnections, cfg.Origins[1].ConnectTimeout = 1, 50*time.Millisecond
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends := newDrillEnds()
			setups := []setup{ends.kept}
			if tt.setup != nil {
				setups = append(setups, tt.setup)
			}
			g := startRig(t, setups...)
			if name == "no connection left" {
				release := make(chan struct{})
				defer close(release)
				g.us.SetPath("/busy", chaos.OK(1).When(release))
				if err := g.pointer.Pin(failover.RoleSecondary, 0); err != nil {
					t.Fatal(err)
				}
				go g.ask(chaos.Request{Path: "/busy"})
				chaos.Await(t, patience, "arrival", func() bool { return g.us.Arrived() == 1 })
				g.pointer.Unpin()
				if err := g.pointer.Failback(); err != nil {
					t.Fatal(err)
				}
			}
			g.us.Set(tt.fault)
			g.drill(1)
			var results []chaos.Result
			for range failover.DrillMinErrors {
				r := g.ask(chaos.Request{})
				wantServed(t, r, "eu")
				results = append(results, r)
				if n := len(g.eu.Arrivals(r.ID)); n != 1 {
					t.Errorf("the primary got it %d times", n)
				}
			}
			d := ends.next(t, failover.DrillErrors)
			if d.Rescued != failover.DrillMinErrors || d.Picked.Errors != d.Rescued || d.Failed+d.Secondary != 0 {
				t.Errorf("counted %+v", d)
			}
			arrived := g.us.Arrived()
			results = append(results, g.ask(chaos.Request{}))
			wantServed(t, results[len(results)-1], "eu")
			if g.us.Arrived() != arrived {
				t.Error("the secondary got a request after the end")
			}
			if s := g.stats(); s.Saved != 0 {
				t.Errorf("%d were saved, from what the drill itself did", s.Saved)
			}
			if name != "no connection left" { // whose other request was nobody's
				g.judge(results...)
			}
		})
	}
}

// Clients that wait for less long than the route would are what a hanging secondary
// is noticed by. One that leaves at once is no error of anybody's.
func TestClientsThatGiveUpEndADrill(t *testing.T) {
	t.Parallel()
	ends := newDrillEnds()
	g := startRig(t, ends.kept)
	g.us.Set(chaos.Hang())
	g.drill(1)
	leave := func(after time.Duration) {
		c := &chaos.Client{Address: g.addr, Timeout: after}
		defer c.Close()
		if r := c.Do(context.Background(), chaos.Request{}); r.Kind == chaos.Served {
			t.Errorf("got %v", r)
		}
	}
	var all sync.WaitGroup
	for range failover.DrillMinErrors {
		all.Go(func() { leave(drillPatience / 10) })
	}
	all.Wait()
	chaos.Await(t, patience, "departures", func() bool { return g.drilled().Picked.Left == failover.DrillMinErrors })
	if d := g.drilled(); d.Why != failover.DrillRuns || d.Picked.Requests != 0 {
		t.Errorf("who left at once counted: %+v", d)
	}
	for range failover.DrillMinErrors {
		all.Go(func() { leave(drillPatience + drillPatience/2) })
	}
	all.Wait()
	d := ends.next(t, failover.DrillErrors)
	if d.Picked.Errors != failover.DrillMinErrors || d.Failed != failover.DrillMinErrors || d.Picked.Requests != failover.DrillMinErrors {
		t.Errorf("counted %+v", d)
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

func TestWhenBothFailTheClientGetsWhatAFailoverWouldGive(t *testing.T) {
	t.Parallel()
	ends := newDrillEnds()
	g := startRig(t, ends.kept)
	g.drill(1)
	g.us.Set(chaos.Status(503))
	g.eu.Set(chaos.Status(502))
	wantStatus(t, g.ask(chaos.Request{}), 502, "eu") // the last response
	g.eu.Down()
	wantStatus(t, g.ask(chaos.Request{}), 503, "us") // the one that was held
	g.us.Set(chaos.ResetMidBody())
	if r := g.ask(chaos.Request{WantSize: 100_000}); r.Kind != chaos.Aborted {
		t.Errorf("got %v", r)
	}
	d := ends.next(t, failover.DrillErrors)
	if d.Failed != 3 || d.Picked.Errors != 3 || d.Rescued+d.Secondary != 0 {
		t.Errorf("counted %+v", d)
	}
	g.awaitStats("failures of the route", func(s RouteStats) bool { return s.Failed == 3 })
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

func TestDrillsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := DrillConfig{Group: "shop", Share: 0.5, StopAt: 0.01, For: time.Minute}
	with := func(change func(c *DrillConfig)) DrillConfig { c := good; change(&c); return c }
	g := startRig(t)
	tests := map[string]struct {
		give DrillConfig
		want error
	}{
		"no group":     {with(func(c *DrillConfig) { c.Group = "x" }), ErrNoGroup},
		"no share":     {with(func(c *DrillConfig) { c.Share = 0 }), ErrDrillConfig},
		"more":         {with(func(c *DrillConfig) { c.Share = 1.01 }), ErrDrillConfig},
		"no number":    {with(func(c *DrillConfig) { c.Share = math.NaN() }), ErrDrillConfig},
		"no stop":      {with(func(c *DrillConfig) { c.StopAt = 0 }), ErrDrillConfig},
		"stop at 2":    {with(func(c *DrillConfig) { c.StopAt = 2 }), ErrDrillConfig},
		"no time":      {with(func(c *DrillConfig) { c.For = 0 }), ErrDrillConfig},
		"too much":     {with(func(c *DrillConfig) { c.For = MaxDrill + 1 }), ErrDrillConfig},
		"nothing runs": {DrillConfig{}, ErrDrillConfig},
	}
	for name, tt := range tests {
		if _, err := g.srv.StartDrill(tt.give); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := g.srv.EndDrill("shop"); !errors.Is(err, ErrNoDrill) {
		t.Error(err)
	}
	if _, err := g.srv.EndDrill("x"); !errors.Is(err, ErrNoGroup) {
		t.Error(err)
	}
	g.drill(0.5)
	if _, err := g.srv.StartDrill(good); !errors.Is(err, ErrDrillRuns) {
		t.Error(err)
	}
	if d, err := g.srv.EndDrill("shop"); err != nil || d.Why != failover.DrillOperator || d.Ended.IsZero() {
		t.Errorf("%+v, %v", d, err)
	}
	for want, change := range map[failover.DrillEnd]func(on bool){
		failover.DrillPointer: func(on bool) {
			if on {
				_ = g.pointer.Pin(failover.RoleSecondary, 0)
				return
			}
			g.pointer.Unpin()
			_ = g.pointer.Failback()
		},
		failover.DrillSecondaryDown: func(on bool) { g.pointer.Verdict(failover.RoleSecondary, !on) },
		failover.DrillDrained:       func(on bool) { g.setDrained("eu", on) },
	} {
		change(true)
		_, err := g.srv.StartDrill(good)
		if unfit, ok := errors.AsType[*DrillUnfitError](err); !ok || unfit.Why != want {
			t.Errorf("%v, want %v", err, want)
		}
		change(false)
	}
	alone := startRig(t, alone)
	_, err := alone.srv.StartDrill(good)
	if unfit, ok := errors.AsType[*DrillUnfitError](err); !ok || unfit.Why != failover.DrillSecondaryDown {
		t.Errorf("without a secondary: %v", err)
	}
	alone.cancel()
	<-alone.done
	if _, err := alone.srv.StartDrill(good); !errors.Is(err, ErrStopped) {
		t.Errorf("after its end: %v", err)
	}
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

func TestADrillIsExplained(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.drill(0.05)
	if e := g.explain("GET", "/"); !strings.Contains(text(e), "a drill has 5 % of such requests go to us, as if eu had failed") {
		t.Errorf("explained as\n%s", text(e))
	}
	if e := g.explain("POST", "/"); strings.Contains(text(e), "a drill") {
		t.Errorf("explained as\n%s", text(e))
	}
}
