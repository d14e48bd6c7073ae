package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// attempts are those of the first route at an origin, as "class count".
func (g *rig) attempts(origin string) map[string]uint64 {
	g.t.Helper()
	for _, l := range g.srv.Legs() {
		if l.Origin != origin {
			continue
		}
		got := make(map[string]uint64)
		for _, c := range l.Attempts {
			if c.Count > 0 {
				got[c.Class] = c.Count
			}
		}
		return got
	}
	g.t.Fatalf("no leg to %s in %+v", origin, g.srv.Legs())
	return nil
}

// wantAttempts asserts the only class of attempts there were at an origin.
func (g *rig) wantAttempts(origin, class string, n uint64) {
	g.t.Helper()
	if got := g.attempts(origin); n == 0 && len(got) != 0 || n != 0 && (len(got) != 1 || got[class] != n) {
		g.t.Errorf("attempts at %s: %v, want %d of %s", origin, got, n, class)
	}
}

func TestEachResultHasItsDurations(t *testing.T) {
	t.Parallel()
	const slow = 60 * time.Millisecond
	g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1}))
	g.eu.SetPath("/broken", chaos.Status(503))
	g.eu.SetPath("/slow", chaos.Delay(slow))
	g.us.SetPath("/broken", chaos.OK(10).After(slow))
	g.us.SetPath("/broken/too", chaos.Status(503))
	g.eu.SetPath("/broken/too", chaos.Status(503))
	wantServed(t, g.ask(chaos.Request{Path: "/slow"}), "eu")
	wantServed(t, g.ask(chaos.Request{Path: "/broken"}), "us")
	wantStatus(t, g.ask(chaos.Request{Path: "/broken/too"}), 503, "us")
	release := make(chan struct{})
	g.eu.SetPath("/hold", chaos.OK(10).When(release))
	held := make(chan chaos.Result)
	go func() { held <- g.ask(chaos.Request{Path: "/hold"}) }()
	g.awaitStats("the permit is taken", func(s RouteStats) bool { return s.InUse == 1 && s.Accepted == 4 })
	wantStatus(t, g.ask(chaos.Request{}), 503, "")
	close(release)
	wantServed(t, <-held, "eu")
	g.awaitStats("rest", atRest)

	s := g.stats()
	for result, want := range map[string]uint64{"served": 2, "failed_over": 1, "shed": 1, "failed": 1, "left": 0} {
		h, ok := s.Duration(result)
		if !ok || h.Count() != want || (h.Sum > 0) != (want > 0) {
			t.Errorf("%s: %d took %v, want %d", result, h.Count(), h.Sum, want)
		}
	}
	if h, _ := s.Duration("failed_over"); h.Quantile(0) < slow*4/5 || h.Sum < slow {
		t.Errorf("a failover that took %v counts as %v", slow, h)
	}
	if _, ok := s.Duration("refused"); ok || !slices.Equal(Results(), []string{"served", "failed_over", "shed", "failed", "left"}) {
		t.Errorf("the results are %v", Results())
	}
	if s.Served != 2 || s.FailedOver != 1 || s.Shed != 1 || s.Failed != 1 || s.Left != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAttemptsAreCountedByClass(t *testing.T) {
	tests := []struct {
		name   string
		setups []setup
		do     func(g *rig)
		class  string
	}{
		{"ok", nil, func(*rig) {}, "ok"},
		{"an error that is no failure", nil, func(g *rig) { g.eu.Set(chaos.Status(404)) }, "ok"},
		{"connect_refused", nil, func(g *rig) { g.eu.Down() }, "connect_refused"},
		{"status", nil, func(g *rig) { g.eu.Set(chaos.Status(503)) }, "status"},
		{"reset", nil, func(g *rig) { g.eu.Set(chaos.CloseBeforeHead()) }, "reset"},
		{"malformed", nil, func(g *rig) { g.eu.Set(chaos.Garbage()) }, "malformed"},
		{"dns", []setup{primary(func(o *Origin) { o.URL = "http://nowhere.test" }), func(_ *rig, cfg *Config) { cfg.Resolve = (&names{}).resolve }},
			func(*rig) {}, "dns"},
		{"header_timeout", []setup{primary(func(o *Origin) { o.ResponseHeaderTimeout = 100 * time.Millisecond })},
			func(g *rig) { g.eu.Set(chaos.Hang()) }, "header_timeout"},
		{"breaker_open", []setup{breaks(1, time.Hour)}, func(g *rig) { g.trip(failover.RolePrimary) }, "breaker_open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, tt.setups...)
			tt.do(g)
			const n = 3
			for range n {
				g.ask(chaos.Request{})
			}
			g.awaitStats("rest", atRest)
			g.wantAttempts("eu", tt.class, n)
			s := g.stats()
			if tt.class == "ok" {
				g.wantAttempts("us", "", 0)
				if s.Saved != 0 || s.Served != n || s.SentPrimary != n || s.SentSecondary != 0 {
					t.Errorf("%+v", s)
				}
				return
			}
			g.wantAttempts("us", "ok", n)
			sent := uint64(n)
			if slices.Contains([]string{"connect_refused", "dns", "breaker_open"}, tt.class) {
				sent = 0
			}
			if s.FailedOver != n || s.Saved != n || s.SentPrimary != sent || s.SentSecondary != n {
				t.Errorf("%+v, want %d saved, %d sent to the primary", s, n, sent)
			}
		})
	}
}

// An attempt is counted once, also if its response fails twice: by its status and
// by its end.
func TestAResponseThatBreaksOffIsCountedOnce(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	g.eu.Set(chaos.Truncate())
	if r := g.ask(chaos.Request{WantSize: 100_000}); r.Kind != chaos.Aborted {
		t.Errorf("got %v", r)
	}
	g.awaitStats("rest", atRest)
	g.wantAttempts("eu", "reset", 1)
	broken := startRig(t, alone, withOrigin(script(t, func(_ int, p *peer) {
		p.head()
		p.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100000\r\n\r\nshort")
	})))
	_, _ = broken.dial().Do(get)
	broken.awaitStats("rest", func(s RouteStats) bool { return s.Failed == 1 && atRest(s) })
	broken.wantAttempts("eu", "status", 1)
}

// What is nobody's failure is no attempt of any class.
func TestAnAttemptOfAClientThatLeftIsNotCounted(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.eu.Set(chaos.Hang())
	g.leave(chaos.Request{})
	g.awaitStats("one that left", func(s RouteStats) bool { return s.Left == 1 && atRest(s) })
	g.wantAttempts("eu", "", 0)
	g.wantAttempts("us", "", 0)
}

func TestWhatBothOriginsFailIsNotSaved(t *testing.T) {
	t.Parallel()
	g := startRig(t, policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeUnsent }))
	g.eu.Down()
	g.us.SetPath("/broken", chaos.Status(503))
	wantStatus(t, g.ask(chaos.Request{Path: "/broken"}), 503, "us")
	wantStatus(t, g.ask(chaos.Request{Path: "/broken", Method: "POST"}), 503, "us") // an answer to it all the same
	g.awaitStats("rest", atRest)
	if s := g.stats(); s.Saved != 0 || s.Failed != 1 || s.FailedOver != 1 {
		t.Errorf("%+v", s)
	}
	wantServed(t, g.ask(chaos.Request{Method: "POST"}), "us")
	g.awaitStats("one that was saved", func(s RouteStats) bool { return s.Saved == 1 && s.FailedOver == 2 && atRest(s) })
}

func TestCountersSurviveReloads(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	g.eu.Set(chaos.Status(503))
	wantServed(t, g.ask(chaos.Request{}), "us")
	g.awaitStats("rest", atRest)
	before, legs := g.stats(), g.srv.Legs()
	spare := chaos.NewOrigin(t, "eu")
	l.reload(t, func(cfg *Config) {
		cfg.Origins[0].URL = spare.URL() // another server, of the same name
		cfg.Routes[0].Breaker.ConsecutiveFailures = 7
	})
	after := g.srv.Legs()
	if g.stats() != before || !slices.EqualFunc(legs[0].Attempts, after[0].Attempts, func(a, b ClassCount) bool { return a == b }) {
		t.Errorf("%+v and %+v, want %+v and %+v", g.stats(), after, before, legs)
	}
	l.reload(t, func(cfg *Config) { cfg.Groups[0].Primary, cfg.Groups[0].Secondary = "us", "eu" })
	if got := g.attempts("eu"); got["status"] != 1 || len(got) != 1 {
		t.Errorf("attempts at eu, which is the secondary now: %v", got)
	}
	if got := g.attempts("us"); got["ok"] != 1 || len(got) != 1 {
		t.Errorf("attempts at us, which is the primary now: %v", got)
	}
}

func TestLegsTellTheStateOfBreakersWithoutMovingThem(t *testing.T) {
	t.Parallel()
	g := startRig(t, breaks(1, 50*time.Millisecond))
	state := func() string { return g.srv.Legs()[0].Breaker }
	if s := state(); s != "closed" {
		t.Errorf("%s at first", s)
	}
	g.trip(failover.RolePrimary)
	chaos.Await(t, patience, "a half-open breaker", func() bool { return state() == "half-open" })
	b := g.leg(failover.RolePrimary).breaker
	if got := b.last.Load(); got != 2 { // gobreaker.StateOpen
		t.Errorf("looking at it moved the breaker to %d", got)
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
	if s := state(); s != "closed" {
		t.Errorf("%s after a trial that went well", s)
	}
	if legs := startRig(t).srv.Legs(); len(legs) != 2 || legs[0].Breaker != "off" || legs[0].Role != "primary" || legs[1].Role != "secondary" || legs[1].Route != "all" {
		t.Errorf("without breakers: %+v", legs)
	}
}

func TestOriginsTellTheirConnectionsAndAddresses(t *testing.T) {
	t.Parallel()
	dns := &names{}
	g := startRig(t, func(g *rig, cfg *Config) {
		cfg.Resolve = dns.resolve
		cfg.Origins[0].MaxConnections = 9
		cfg.Origins[1].URL = strings.Replace(g.us.URL(), "127.0.0.1", "us.test", 1)
	})
	port := netip.MustParseAddrPort(g.us.Addr()).Port()
	dns.set("us.test", "127.0.0.1", "127.0.0.2")
	c := g.dial()
	r, err := c.Do(get)
	wantOK(t, r, err)
	g.awaitStats("rest", atRest)
	got := g.srv.Origins()
	if len(got) != 2 || got[0].Origin != "eu" || got[0].Open != 1 || got[0].Limit != 9 || !slices.Equal(got[0].Addresses, []string{g.eu.Addr()}) || got[0].Drained {
		t.Errorf("got %+v", got)
	}
	want := []string{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port).String()}
	if us := got[1]; us.Origin != "us" || us.Open != 0 || us.Limit != 0 || !slices.Equal(us.Addresses, want) {
		t.Errorf("got %+v, want the addresses %q", us, want)
	}
	if legs := g.srv.Legs(); legs[0].Idle != 1 || legs[1].Idle != 0 {
		t.Errorf("got %+v", legs)
	}
	if open, limit := g.srv.Connections(); open != 1 || limit < 1 {
		t.Errorf("%d connections of %d", open, limit)
	}
	dns.set("us.test")
	if us := g.srv.Origins()[1]; len(us.Addresses) != 0 {
		t.Errorf("the name is gone, and the addresses are %q", us.Addresses)
	}
}

func TestRefusedCountsWhatNoRouteAccepted(t *testing.T) {
	t.Parallel()
	g := startRig(t, withRoute(func(r *Route) { r.Match, r.MaxBodyBytes = "/shop/", 10 }))
	for i, head := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /shop/.. HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /shop/ HTTP/1.1\r\n\r\n",
		"POST /shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
	} {
		_, _ = g.dial().Do(head)
		chaos.Await(t, patience, "the refusal to be counted", func() bool { return g.srv.Refused() == uint64(i)+1 })
	}
	if s := g.stats(); s.Accepted != 0 {
		t.Errorf("%+v", s)
	}
}

// trip opens the breaker towards an origin by a failure.
func (g *rig) trip(r failover.Role) {
	g.leg(r).breaker.run(func() (struct{}, error) { return struct{}{}, errFailed })
}
