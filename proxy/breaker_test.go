package proxy

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// awaitBreaker waits for a state of the breaker towards an origin.
func (g *rig) awaitBreaker(r failover.Role, state string) {
	g.t.Helper()
	chaos.Await(g.t, patience, state+" breaker", func() bool { return g.leg(r).breakerState() == state })
}

func TestOpenBreakerLetsCoveredRequestsSkipThePrimary(t *testing.T) {
	t.Parallel()
	var log journal
	var told failures
	g := startRig(t, log.logged, told.counted, breaks(3, time.Minute))
	g.eu.Set(chaos.CloseBeforeHead())
	for range 3 {
		wantServed(t, g.ask(chaos.Request{}), "us")
	}
	accepted, arrived := g.eu.Accepted(), g.eu.Arrived()
	for range 5 {
		r := g.ask(chaos.Request{})
		wantServed(t, r, "us")
		if rec := log.find(t, r.ID); rec.classes() != "eu breaker_open, us ok" || rec.Decision != "failed_over" {
			t.Errorf("record %+v", rec)
		}
	}
	if g.eu.Accepted() != accepted || g.eu.Arrived() != arrived {
		t.Error("the primary was touched while its breaker was open")
	}
	if n := told.n.Load(); n != 8 {
		t.Errorf("OnFailure was called %d times, want once for each of 3 failures and 5 refusals", n)
	}
}

func TestOnlyConsecutiveFailuresOpenTheBreaker(t *testing.T) {
	t.Parallel()
	g := startRig(t, breaks(3, time.Minute))
	g.eu.Set(chaos.InTurn(chaos.Status(503), chaos.Status(503), chaos.OK(10)))
	for range 12 {
		g.ask(chaos.Request{})
	}
	if n := g.eu.Arrived(); n != 12 {
		t.Errorf("%d of 12 requests reached the primary", n)
	}
}

func TestOpenBreakerWithoutAnotherOriginRefuses(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, breaks(2, 90*time.Second))
	g.eu.Set(chaos.Status(503))
	for range 2 {
		wantStatus(t, g.ask(chaos.Request{}), 503, "eu")
	}
	accepted := g.eu.Accepted()
	for range 3 {
		r := g.ask(chaos.Request{})
		wantStatus(t, r, 503, "")
		if got := r.Head.Get("Retry-After"); got != "90" {
			t.Errorf("Retry-After %q, want the 90 s that the breaker stays open", got)
		}
		if n := len(g.eu.Arrivals(r.ID)); n != 0 {
			t.Errorf("it reached the origin %d times", n)
		}
	}
	if g.eu.Accepted() != accepted {
		t.Error("the origin was touched while its breaker was open")
	}
}

func TestWithoutABreakerEveryRequestIsTried(t *testing.T) {
	t.Parallel()
	g := startRig(t, breaks(0, time.Minute))
	g.eu.Set(chaos.Status(503))
	for range 20 {
		wantServed(t, g.ask(chaos.Request{}), "us")
	}
	if n := g.eu.Arrived(); n != 20 {
		t.Errorf("%d of 20 requests were tried at the primary", n)
	}
}

func TestTrialOfAHalfOpenBreakerEndsByItsDeadline(t *testing.T) {
	t.Parallel()
	g := startRig(t, breaks(1, 50*time.Millisecond), primary(func(o *Origin) { o.ResponseHeaderTimeout = 300 * time.Millisecond }))
	g.eu.Set(chaos.Hang())
	wantServed(t, g.ask(chaos.Request{}), "us")
	g.awaitBreaker(failover.RolePrimary, "half-open")

	trial := make(chan chaos.Result)
	go func() { trial <- g.ask(chaos.Request{}) }()
	chaos.Await(t, patience, "trial", func() bool { return g.eu.Arrived() == 2 })
	r := g.ask(chaos.Request{}) // beside the trial
	wantServed(t, r, "us")
	if n := len(g.eu.Arrivals(r.ID)); n != 0 {
		t.Error("a second trial was let through")
	}
	wantServed(t, <-trial, "us")

	g.eu.Set(chaos.OK(10))
	g.awaitBreaker(failover.RolePrimary, "half-open")
	wantServed(t, g.ask(chaos.Request{}), "eu")
	if s := g.leg(failover.RolePrimary).breakerState(); s != "closed" {
		t.Errorf("after a trial that succeeded the breaker is %s", s)
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

// leave sends a request and goes away when it has reached the primary.
func (g *rig) leave(q chaos.Request) {
	g.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	gone := make(chan chaos.Result)
	arrived, left := g.eu.Arrived(), g.stats().Left
	go func() {
		c := &chaos.Client{Address: g.addr}
		defer c.Close()
		gone <- c.Do(ctx, q)
	}()
	chaos.Await(g.t, patience, "arrival", func() bool { return g.eu.Arrived() > arrived })
	cancel()
	if r := <-gone; r.Kind != chaos.Left {
		g.t.Errorf("got %v, want it left", r)
	}
	g.awaitStats("departure", func(s RouteStats) bool { return s.Left == left+1 && s.InUse == 0 })
}

func TestClientThatLeavesIsNobodysFailure(t *testing.T) {
	t.Parallel()
	var told failures
	g := startRig(t, told.counted, breaks(2, 50*time.Millisecond))
	g.eu.Set(chaos.Hang())
	for range 3 {
		g.leave(chaos.Request{})
		g.leave(chaos.Request{Method: "POST", BodySize: 10})
	}
	if s := g.leg(failover.RolePrimary).breakerState(); s != "closed" {
		t.Errorf("breaker is %s", s)
	}
	if n := told.n.Load(); n != 0 {
		t.Errorf("OnFailure was called %d times", n)
	}
	if n := g.us.Arrived(); n != 0 {
		t.Errorf("%d requests of clients that left went to the secondary", n)
	}

	// Nor does it use up a trial.
	g.eu.Set(chaos.CloseBeforeHead())
	for range 2 {
		wantServed(t, g.ask(chaos.Request{}), "us")
	}
	g.awaitBreaker(failover.RolePrimary, "half-open")
	g.eu.Set(chaos.Hang())
	for range 3 {
		g.leave(chaos.Request{})
	}
	g.eu.Set(chaos.OK(10))
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

func TestClientThatStopsItsUploadIsNobodysFailure(t *testing.T) {
	t.Parallel()
	var told failures
	g := startRig(t, told.counted, breaks(2, time.Minute), withRoute(func(r *Route) { r.Timeout = 150 * time.Millisecond }))
	for range 3 {
		resp, err := g.dial().Do("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this")
		if err != nil || resp.Status != 504 {
			t.Errorf("got %d, %v, want 504", resp.Status, err)
		}
	}
	if s := g.leg(failover.RolePrimary).breakerState(); s != "closed" {
		t.Errorf("breaker is %s", s)
	}
	if n := told.n.Load(); n != 0 {
		t.Errorf("OnFailure was called %d times", n)
	}
}

func TestOurOwnConnectionLimitIsNobodysFailure(t *testing.T) {
	t.Parallel()
	var told failures
	g := startRig(t, told.counted, breaks(1, time.Minute), primary(func(o *Origin) {
		o.MaxConnections, o.ConnectTimeout = 1, 100*time.Millisecond
	}))
	release := make(chan struct{})
	g.eu.SetPath("/hold", chaos.OK(10).When(release))
	held := make(chan chaos.Result)
	go func() { held <- g.ask(chaos.Request{Path: "/hold"}) }()
	chaos.Await(t, patience, "arrival", func() bool { return g.eu.Arrived() == 1 })
	for _, method := range []string{"GET", "POST"} {
		r := g.ask(chaos.Request{Method: method})
		wantStatus(t, r, 503, "")
		wantRetryAfter(t, r)
	}
	close(release)
	wantServed(t, <-held, "eu")
	if n := g.us.Accepted(); n != 0 {
		t.Errorf("the secondary got %d connections", n)
	}
	g.awaitStats("two that were shed", func(s RouteStats) bool { return s.Shed == 2 && atRest(s) })
	if n := told.n.Load(); n != 0 {
		t.Errorf("OnFailure was called %d times", n)
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

func TestBreakersOfRoutesAreTheirOwn(t *testing.T) {
	t.Parallel()
	g := startRig(t, breaks(1, time.Minute), func(_ *rig, cfg *Config) {
		other := cfg.Routes[0]
		other.Name, other.Match = "other", "/other/"
		cfg.Routes = append(cfg.Routes, other)
	})
	g.eu.SetPath("/broken", chaos.Status(503))
	wantServed(t, g.ask(chaos.Request{Path: "/broken"}), "us")
	wantServed(t, g.ask(chaos.Request{}), "us")
	wantServed(t, g.ask(chaos.Request{Path: "/other/x"}), "eu")
}

// An attempt that ended for nobody's fault is no verdict on the next request
// of the same connection, even if that one's attempt is refused by a breaker.
func TestHaltedAttemptIsForgottenByTheNextRequest(t *testing.T) {
	t.Parallel()
	g := startRig(t, breaks(1, time.Minute), points(failover.PointerConfig{}),
		primary(func(o *Origin) { o.ConnectTimeout = 100 * time.Millisecond; o.MaxConnections = 1 }))
	c := &chaos.Client{Address: g.addr}
	defer c.Close()
	// The primary's only connection is taken, so the next request is shed.
	held := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(held))
	busy := make(chan chaos.Result, 1)
	go func() {
		other := &chaos.Client{Address: g.addr}
		defer other.Close()
		busy <- other.Do(t.Context(), chaos.Request{})
	}()
	chaos.Await(t, patience, "the connection is taken", func() bool { return g.eu.Arrived() == 1 })
	wantStatus(t, c.Do(t.Context(), chaos.Request{}), 503, "")
	close(held)
	<-busy
	// Somebody else's failure opens the breaker; then it refuses the next
	// request of the first connection, which the secondary serves.
	g.eu.Down()
	wantServed(t, g.ask(chaos.Request{}), "us")
	wantServed(t, c.Do(t.Context(), chaos.Request{}), "us")
}
