package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

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
	g := startRig(t, withRoute(func(r *Route) { r.Timeout = DrillMinLeft - time.Millisecond }))
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
