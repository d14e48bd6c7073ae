package proxy

import (
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// judgeAll asserts the invariants over more origins than the rig's own.
func judgeAll(t testing.TB, origins []*chaos.Origin, results ...chaos.Result) {
	t.Helper()
	ledger := &chaos.Ledger{}
	ledger.Add(results...)
	if err := chaos.Check(ledger, origins...); err != nil {
		t.Error(err)
	}
}

func TestAParkedRequestGoesToTheOriginsNewURL(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, patient, breaks(1, time.Minute))
	ap, _ := another(t, &l.cfg, "ap")
	g.eu.Down()
	first := g.post(1, chaos.Request{BodySize: 10})
	second := g.post(2, chaos.Request{BodySize: 100_000})
	l.route(t, func(r *Route) { r.MaxBodyBytes = 1 << 30 }) // wakes them for nothing
	g.awaitStats("both parked again", func(s RouteStats) bool {
		n := uint64(0)
		for _, c := range g.srv.Legs()[0].Attempts {
			n += c.Count
		}
		return n == 4 && s.ParkedNow == 2
	})
	if n := g.stats().Parked; n != 2 {
		t.Errorf("%d requests were parked, want each counted once", n)
	}
	l.reload(t, func(cfg *Config) { cfg.Origins[0].URL = ap.URL() })
	var results []chaos.Result
	for _, answer := range []<-chan chaos.Result{first, second} {
		r := <-answer
		wantServed(t, r, "ap")
		if n := len(ap.Arrivals(r.ID)); n != 1 {
			t.Errorf("%v arrived %d times, want once", r, n)
		}
		results = append(results, r)
	}
	judgeAll(t, []*chaos.Origin{g.eu, g.us, ap}, results...)
}

// The group gets another pointer, which nothing will ever tell the old one's
// waiters of.
func TestAParkedRequestGoesWhereTheGroupsNewPointerPoints(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, patient)
	g.eu.Down()
	answer := g.post(1, chaos.Request{BodySize: 10})
	other := failover.NewGroup(failover.GroupConfig{Name: "shop", PointerConfig: failover.PointerConfig{HasSecondary: true}})
	other.Verdict(failover.RolePrimary, false)
	l.reload(t, func(cfg *Config) { cfg.Groups[0].Pointer = other })
	r := <-answer
	wantServed(t, r, "us")
	g.judge(r)
}

func TestAQueuedRequestGoesWhereItsGroupPointsNow(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 2}))
	release, answers := g.hold(1)
	queued := make(chan chaos.Result, 2)
	for n, method := range []string{"GET", "POST"} {
		go func() { queued <- g.ask(chaos.Request{Method: method}) }()
		g.awaitStats("queue", func(s RouteStats) bool { return s.Queued == n+1 })
	}
	l.reload(t, func(cfg *Config) { cfg.Groups[0].Primary, cfg.Groups[0].Secondary = "us", "eu" })
	release()
	held := <-answers
	wantServed(t, held, "eu")
	results := []chaos.Result{held}
	for range 2 {
		r := <-queued
		wantServed(t, r, "us")
		results = append(results, r)
	}
	g.judge(results...)
}

// awaitTotals waits until the totals of a removed route are in the log, once.
func awaitTotals(t testing.TB, logs *observer.ObservedLogs, route string) map[string]any {
	t.Helper()
	var all []observer.LoggedEntry
	chaos.Await(t, patience, "totals of "+route, func() bool {
		all = totalsOf(logs, route)
		return len(all) > 0
	})
	if len(all) > 1 {
		t.Errorf("%d totals of route %s", len(all), route)
	}
	return all[0].ContextMap()
}

func totalsOf(logs *observer.ObservedLogs, route string) []observer.LoggedEntry {
	return logs.Filter(func(e observer.LoggedEntry) bool {
		f := e.ContextMap()
		return e.Message == "route totals" && f["route"] == route && f["removed"] == true
	}).All()
}

func TestRequestsOfARemovedRouteFinishAndAreAccountedFor(t *testing.T) {
	t.Parallel()
	var logs *observer.ObservedLogs
	g, l := startLive(t, observed(&logs), withFast, permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 1}))
	release, answers := g.hold(1)
	queued := make(chan chaos.Result, 1)
	go func() { queued <- g.ask(chaos.Request{Method: "POST", BodySize: 10}) }()
	g.awaitStats("queue", func(s RouteStats) bool { return s.Queued == 1 })
	l.reload(t, func(cfg *Config) { cfg.Routes = cfg.Routes[1:] })
	gone := g.ask(chaos.Request{})
	wantStatus(t, gone, 404, "")
	if len(totalsOf(logs, "all")) > 0 {
		t.Error("the totals were logged before the end")
	}
	release()
	held, later := <-answers, <-queued
	wantServed(t, held, "eu")
	wantServed(t, later, "eu")
	g.judge(held, later, gone)
	if f := awaitTotals(t, logs, "all"); f["accepted"] != uint64(2) || f["served"] != uint64(2) {
		t.Errorf("totals %v", f)
	}
	chaos.Await(t, patience, "end of the route's connection", func() bool { return g.eu.OpenConns() == 0 })
}

// A route of the same name that comes later is another one: requests of the
// first one, which still wait, don't count in it.
func TestARouteThatComesBackIsAnotherOne(t *testing.T) {
	t.Parallel()
	var logs *observer.ObservedLogs
	g, l := startLive(t, observed(&logs), permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 1}))
	release, answers := g.hold(1)
	queued := make(chan chaos.Result, 1)
	go func() { queued <- g.ask(chaos.Request{}) }()
	g.awaitStats("queue", func(s RouteStats) bool { return s.Queued == 1 })
	whole := l.cfg
	l.reload(t, func(cfg *Config) { cfg.Routes = nil })
	l.reload(t, func(cfg *Config) { *cfg = whole })
	wantServed(t, g.ask(chaos.Request{}), "eu") // it has permits of its own
	release()
	wantServed(t, <-answers, "eu")
	wantServed(t, <-queued, "eu")
	if f := awaitTotals(t, logs, "all"); f["accepted"] != uint64(2) || f["served"] != uint64(2) {
		t.Errorf("totals of the first %v", f)
	}
	if s := g.stats(); s.Accepted != 1 || s.Served != 1 {
		t.Errorf("counters of the second %+v", s)
	}
}

// The sweeper may not come by again before the end.
func TestTotalsOfARemovedRouteAreLoggedAtTheEndAtTheLatest(t *testing.T) {
	t.Parallel()
	for range 3 {
		var logs *observer.ObservedLogs
		g, l := startLive(t, observed(&logs))
		release, answers := g.hold(1)
		l.reload(t, func(cfg *Config) { cfg.Routes = nil })
		g.cancel()
		release()
		wantServed(t, <-answers, "eu")
		g.drained(patience)
		if f := awaitTotals(t, logs, "all"); f["served"] != uint64(1) {
			t.Errorf("totals %v", f)
		}
	}
}

// A request that is under way when its origin's URL changes finishes where it is,
// and its connection is used by nobody after it.
func TestARequestUnderWayStaysWithItsOrigin(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	ap, _ := another(t, &l.cfg, "ap")
	release, answers := g.hold(1)
	l.reload(t, func(cfg *Config) { cfg.Origins[0].URL = ap.URL() })
	next := g.ask(chaos.Request{Method: "POST", BodySize: 10})
	wantServed(t, next, "ap")
	release()
	held := <-answers
	wantServed(t, held, "eu")
	chaos.Await(t, patience, "end of the old connection", func() bool { return g.eu.OpenConns() == 0 })
	judgeAll(t, []*chaos.Origin{g.eu, g.us, ap}, held, next)
}
