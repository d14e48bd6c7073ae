package proxy

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/chaos"
)

// These scenarios run a load against the whole: real health checkers with the
// timings that a configuration has by default, a real pointer, breakers.

// defaults are the default timings of a configuration.
func defaults(_ *rig, cfg *Config) {
	for i := range cfg.Origins {
		cfg.Origins[i].ConnectTimeout = time.Second
		cfg.Origins[i].ResponseHeaderTimeout = 10 * time.Second
	}
	cfg.Routes[0].Timeout = 30 * time.Second
	cfg.Routes[0].Breaker = BreakerConfig{ConsecutiveFailures: 5, OpenFor: 5 * time.Second, HalfOpenTrials: 1}
}

// shopping is a load of which a fifth is POST.
func shopping(g *rig, rate float64) chaos.Load {
	return chaos.Load{Address: g.addr, Rate: rate, Timeout: 2 * patience, Mix: []chaos.Shot{
		{Weight: 4, Method: "GET", Path: "/product/"},
		{Weight: 1, Method: "POST", Path: "/order/", BodySize: 512},
	}}
}

// awaitTarget waits until the pointer is somewhere and returns when it came there.
func (g *rig) awaitTarget(r failover.Role) time.Time {
	g.t.Helper()
	chaos.Await(g.t, 2*patience, "pointer to "+r.String(), func() bool { return g.pointer.Pointer().Target == r })
	return g.pointer.Pointer().Since
}

// servedSome waits until a load has got n more answers from an origin.
func servedSome(t testing.TB, run *chaos.Run, origin string, n int) {
	t.Helper()
	n += run.Ledger().From(origin)
	chaos.Await(t, 2*patience, "answers from "+origin, func() bool { return run.Ledger().From(origin) >= n })
}

// Not parallel: the load needs the machine.
func TestUnpluggedPrimaryCostsNoRequest(t *testing.T) {
	stalls := measureLost(t)
	var log journal
	g := startRig(t, defaults, log.logged, permits(bulkhead.Config{MaxConcurrent: 256}),
		points(failover.PointerConfig{FailbackAfter: 500 * time.Millisecond, MinHold: time.Second}),
		checked(health.Config{}))
	run := shopping(g, 400).Start(context.Background())
	servedSome(t, run, "eu", 200)

	down := time.Now()
	g.eu.Down()
	isDown := time.Now()
	flipped := g.awaitTarget(failover.RoleSecondary)
	if took, limit := flipped.Sub(down), stalls.allow(1500*time.Millisecond); took > limit {
		t.Errorf("the pointer left the primary after %v, want less than %v", took, limit)
	}
	servedSome(t, run, "us", 200)

	if err := g.eu.Up(); err != nil {
		t.Fatal(err)
	}
	back := g.awaitTarget(failover.RolePrimary)
	if held := back.Sub(flipped); held < time.Second {
		t.Errorf("the pointer came back after %v, min_hold is 1s", held)
	}
	servedSome(t, run, "eu", 100)
	ledger := run.Stop()

	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	stalls.skipIfStarved(t)
	// A POST that was on its way when the plug was pulled can't be saved.
	for _, r := range ledger.Unserved() {
		rec := log.find(t, r.ID)
		if r.Method == "POST" && r.Status == 502 && r.Start.Before(isDown) && rec.classes() == "eu reset" {
			continue
		}
		t.Errorf("failed: %v %q: %+v", r, r.Text, rec)
	}
	gets := ledger.Select(func(r *chaos.Result) bool { return r.Method == "GET" })
	if q, limit := chaos.Quantile(gets, 0.99), stalls.allow(300*time.Millisecond); q > limit {
		t.Errorf("p99 of the GETs is %v, want less than %v", q, limit)
	}
	posts := ledger.Select(func(r *chaos.Result) bool { return r.Method == "POST" })
	if q, limit := chaos.Quantile(posts, 1), stalls.allow(2*time.Second); q > limit {
		t.Errorf("a POST took %v, want less than %v", q, limit)
	}
	if g.stats().Parked == 0 {
		t.Error("no POST was parked")
	}
	for _, a := range g.us.AllArrivals() {
		if a.Method == "POST" && a.Time.Before(flipped) {
			t.Errorf("%s %s reached the secondary %v before the pointer did", a.Method, a.Target, flipped.Sub(a.Time))
		}
	}
	g.noneAfterFlip(ledger, flipped, back)
}

// noneAfterFlip asserts that what came to the proxy between a flip and the way
// back never saw the old target.
func (g *rig) noneAfterFlip(ledger *chaos.Ledger, flipped, back time.Time) {
	g.t.Helper()
	for _, r := range ledger.Results() {
		if r.Start.After(flipped) && r.Start.Add(r.Latency).Before(back) && len(g.eu.Arrivals(r.ID)) > 0 {
			g.t.Errorf("came %v after the flip and went to the old target: %v", r.Start.Sub(flipped), r)
		}
	}
}

// Parallel only with each other.
func TestBrokenPrimaryCostsNoCoveredRequest(t *testing.T) {
	quick := func(_ *rig, cfg *Config) { cfg.Origins[0].ResponseHeaderTimeout = 200 * time.Millisecond }
	for _, tt := range []struct {
		give  chaos.Behaviour
		setup setup
	}{
		{chaos.Status(503), defaults},
		{chaos.CloseBeforeHead(), defaults},
		{chaos.Garbage(), defaults},
		{chaos.Hang(), quick},
	} {
		t.Run(tt.give.Name(), func(t *testing.T) {
			t.Parallel()
			stalls := measureLost(t)
			g := startRig(t, defaults, tt.setup, permits(bulkhead.Config{MaxConcurrent: 256}),
				points(failover.PointerConfig{FailbackAfter: time.Minute}),
				checked(health.Config{Timeout: 300 * time.Millisecond}))
			run := shopping(g, 100).Start(context.Background())
			servedSome(t, run, "eu", 50)
			g.eu.Set(tt.give)
			flipped := g.awaitTarget(failover.RoleSecondary)
			servedSome(t, run, "us", 60)
			ledger := run.Stop()
			if err := chaos.Check(ledger, g.eu, g.us); err != nil {
				t.Error(err)
			}
			stalls.skipIfStarved(t)
			for _, r := range ledger.Unserved() {
				if r.Covered {
					t.Errorf("covered, yet failed: %v %q", r, r.Text)
				} else if r.Start.After(flipped) {
					t.Errorf("failed %v after the flip: %v %q", r.Start.Sub(flipped), r, r.Text)
				} else if r.Kind != chaos.Refused {
					t.Errorf("neither served nor told why: %v", r)
				}
			}
			g.noneAfterFlip(ledger, flipped, time.Now().Add(time.Hour))
		})
	}
}

func TestFailFastAnswersAtOnceWhileBothAreDown(t *testing.T) {
	t.Parallel()
	g := startRig(t, points(failover.PointerConfig{BothDown: failover.BothDownFailFast}))
	g.pointer.Verdict(failover.RolePrimary, false)
	g.pointer.Verdict(failover.RoleSecondary, false)
	for _, method := range []string{"GET", "POST"} {
		r := g.ask(chaos.Request{Method: method})
		wantStatus(t, r, 503, "")
		wantRetryAfter(t, r)
		g.judge(r)
	}
	if n := g.eu.Accepted() + g.us.Accepted(); n != 0 {
		t.Errorf("%d connections to origins", n)
	}
	g.pointer.Verdict(failover.RoleSecondary, true)
	wantServed(t, g.ask(chaos.Request{}), "us")
}

func TestRequestsAreStillTriedWhileBothAreDown(t *testing.T) {
	for _, tt := range []struct {
		give failover.BothDown
		want string
	}{
		{failover.BothDownFailOpen, "eu"},
		{failover.BothDownStay, "us"},
	} {
		t.Run(tt.give.String(), func(t *testing.T) {
			t.Parallel()
			g := startRig(t, points(failover.PointerConfig{BothDown: tt.give}))
			g.pointer.Verdict(failover.RolePrimary, false)
			g.pointer.Verdict(failover.RoleSecondary, false)
			for _, method := range []string{"GET", "POST"} {
				wantServed(t, g.ask(chaos.Request{Method: method}), tt.want)
			}
		})
	}
}
