package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// variant is one of a hundred configurations: each changes something that costs
// no request under way anything, or is broken.
func variant(n int, taken string) (change func(cfg *Config), broken bool) {
	switch n % 10 {
	case 0:
		return func(cfg *Config) { cfg.Routes[0].Bulkhead.MaxConcurrent = 32 + n }, false
	case 1:
		return func(cfg *Config) { cfg.Routes[0].Group = "nowhere" }, true
	case 2:
		return func(cfg *Config) {
			cfg.ProxyStatus, cfg.MaxHeaderBytes, cfg.IdleTimeout = n%4 == 0, 10_000+n, time.Hour
		}, false
	case 3:
		return func(cfg *Config) { cfg.Routes[0].Match = "/{" }, true
	case 4:
		return func(cfg *Config) { cfg.Listen = append(cfg.Listen, secondAddress) }, false
	case 5:
		return func(cfg *Config) { cfg.Listen = append(cfg.Listen, thirdAddress, taken) }, true
	case 6:
		return func(cfg *Config) { // a route and an origin that come and go
			spare := cfg.Origins[0]
			spare.Name = fmt.Sprint("spare", n)
			cfg.Origins = append(cfg.Origins, spare)
			cfg.Groups = append(cfg.Groups, Group{Name: "spare", Primary: spare.Name, Pointer: cfg.Groups[0].Pointer})
			cfg.Routes = append(cfg.Routes, Route{Name: spare.Name, Match: "/spare/", Group: "spare", Bulkhead: bulkhead.Config{MaxConcurrent: 1}})
		}, false
	case 7:
		return func(cfg *Config) { cfg.Origins[0].URL = "gopher://a" }, true
	case 8:
		return func(cfg *Config) {
			cfg.Routes[0].Timeout, cfg.Routes[0].Breaker = time.Minute, BreakerConfig{ConsecutiveFailures: 1 + n, OpenFor: time.Minute}
			cfg.Origins[0].MaxConnections, cfg.Origins[0].ResponseHeaderTimeout = 100+n, time.Minute
			cfg.Groups[0].Primary, cfg.Groups[0].Secondary = "eu", "us"
		}, false
	default:
		return func(cfg *Config) {
			cfg.TLSListen, cfg.TLS = append(cfg.TLSListen, thirdAddress), cfg.TLS.Clone()
		}, false
	}
}

func TestAHundredReloadsUnderLoadLoseNoRequest(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, withHTTP2)
	const clients = 8
	release, answers := g.hold(clients)
	release()
	held := make([]chaos.Result, 0, clients)
	for range clients {
		held = append(held, <-answers)
	}
	pooled := g.eu.Accepted() // one for each client that may have a request

	load := chaos.Load{Address: g.addr, Conns: clients - 2, Mix: []chaos.Shot{
		{Weight: 6}, {Weight: 4, Method: "POST", BodySize: 100}, {Method: "POST", BodySize: 20_000}, {Method: "PUT", BodySize: 5000, Chunked: true},
	}}.Start(context.Background())
	idle, http2 := g.dial(), g.http2Client()
	var past []weak.Pointer[snapshot]
	for n := range 100 {
		if n%7 == 0 { // clients at rest, each of which has known one of the configurations
			r, err := idle.Do(get)
			wantKept(t, r, err)
			if resp, err := http2.Get("https://a/"); err != nil || resp.ProtoMajor != 2 || resp.Body.Close() != nil {
				t.Fatalf("HTTP/2: %v", err)
			}
		}
		before := g.srv.current()
		change, broken := variant(n, g.eu.Addr())
		err := g.srv.Reload(l.with(change))
		if (err != nil) != broken || broken != (g.srv.current() == before) {
			t.Errorf("reload %d: %v, want an error %v; the configuration is another one: %v", n, err, broken, g.srv.current() != before)
		}
		past = append(past, weak.Make(before))
		for sent := load.Ledger().Len(); load.Ledger().Len() < sent+2; time.Sleep(time.Millisecond) {
		}
	}
	l.reload(t, func(*Config) {})
	ledger := load.Stop()
	for _, r := range ledger.Unserved() {
		t.Errorf("lost: %v %s", r, r.Text)
	}
	for _, r := range append(held, ledger.Results()...) {
		if r.Origin != "eu" {
			t.Errorf("served by another origin: %v", r)
		}
	}
	ledger.Add(held...)
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	if n := g.eu.Accepted(); n > pooled {
		t.Errorf("the origin has accepted %d connections, want the %d that were there before the first reload", n, pooled)
	}
	chaos.Await(t, patience, "old configurations to be collected", func() bool {
		runtime.GC()
		for _, p := range past {
			if s := p.Value(); s != nil && s != g.srv.current() {
				return false
			}
		}
		return true
	})
	r, err := idle.Do(get)
	wantKept(t, r, err)
}

// Each change is broken by itself, and comes with another one that is not.
func TestAFailedReloadChangesNothing(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, permits(bulkhead.Config{MaxConcurrent: 5}))
	taken := "unix:" + g.socket()
	first := dialTo(t, g.addr)
	r, err := first.Do(get)
	wantKept(t, r, err)
	before := g.srv.current()
	addresses, _ := g.srv.Sockets()
	tests := []struct {
		name, want string
		change     func(cfg *Config)
	}{
		{"unknown group", `no group "nowhere"`, func(cfg *Config) { cfg.Routes[0].Group = "nowhere" }},
		{"unknown origin", `no origin "nowhere"`, func(cfg *Config) { cfg.Groups[0].Secondary = "nowhere" }},
		{"no pointer", "no pointer", func(cfg *Config) { cfg.Groups[0].Pointer = nil }},
		{"bad pattern", "/{", func(cfg *Config) { cfg.Routes[0].Match = "/{" }},
		{"bad URL", "gopher", func(cfg *Config) { cfg.Origins[1].URL = "gopher://a" }},
		{"no permits", "permit", func(cfg *Config) { cfg.Routes[0].Bulkhead.MaxConcurrent = 0 }},
		{"no TLS", "needs TLS", func(cfg *Config) { cfg.TLSListen = []string{secondAddress} }},
		{"address in use", "listen on " + g.eu.Addr(), func(cfg *Config) { cfg.Listen = append(cfg.Listen, g.eu.Addr()) }},
	}
	for _, tt := range tests {
		err := g.srv.Reload(l.with(func(cfg *Config) {
			cfg.Listen = append(cfg.Listen, taken) // can be bound, and must not stay so
			cfg.MaxConnections = 1
			tt.change(cfg)
		}))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
		if !refuses("unix", taken[len("unix:"):]) {
			t.Errorf("%s: a listener stays", tt.name)
		}
		if now, _ := g.srv.Sockets(); g.srv.current() != before || len(now) != len(addresses) {
			t.Errorf("%s: the configuration is another one, with listeners %q", tt.name, now)
		}
		r, err := first.Do(get)
		wantKept(t, r, err)
		r, err = dialTo(t, g.addr).Do(get)
		wantKept(t, r, err)
	}
	if n := g.eu.Accepted(); n != 1 {
		t.Errorf("%d connections to the origin, want the first one only", n)
	}
}

func TestWhatIsTheSameStays(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, permits(bulkhead.Config{MaxConcurrent: 2, MaxQueue: 1}), breaks(1, time.Minute))
	g.eu.SetPath("/broken", chaos.Status(503))
	results := []chaos.Result{g.ask(chaos.Request{Path: "/broken"})} // opens the breaker towards eu
	g.awaitBreaker(failover.RolePrimary, "open")
	g.pointer.Verdict(failover.RolePrimary, false)
	ready := make(chan struct{})
	g.us.SetPath("/hold", chaos.OK(10).When(ready))
	answers := make(chan chaos.Result, 3)
	for n := range 3 {
		go func() { answers <- g.ask(chaos.Request{Path: "/hold"}) }()
		g.awaitStats("one more", func(s RouteStats) bool { return s.InUse+s.Queued == n+1 })
	}
	chaos.Await(t, patience, "held permits", func() bool { return g.us.Arrived() == 3 })
	before, eu, us := g.stats(), g.eu.Accepted(), g.us.Accepted()
	bulk := g.srv.current().table.routes[0].bulk

	l.reload(t, func(cfg *Config) { // nothing that any of it hangs on
		cfg.ProxyStatus = false
		cfg.Routes[0].Match, cfg.Routes[0].Timeout = "/{rest...}", time.Minute
		cfg.Origins[0].ResponseHeaderTimeout = time.Minute
		cfg.Groups[0].Policy.Statuses = []int{503}
	})
	if now := g.stats(); now != before {
		t.Errorf("the counters went from %+v to %+v", before, now)
	}
	if g.srv.current().table.routes[0].bulk != bulk {
		t.Error("the permits are others")
	}
	g.awaitBreaker(failover.RolePrimary, "open")
	shed := g.ask(chaos.Request{})
	wantStatus(t, shed, 503, "") // two hold a permit and one waits, as before
	close(ready)
	for range 3 {
		r := <-answers
		wantServed(t, r, "us")
		results = append(results, r)
	}
	r := g.ask(chaos.Request{})
	wantServed(t, r, "us") // where the pointer points
	if g.eu.Accepted() != eu || g.us.Accepted() != us {
		t.Errorf("connections to the origins: %d and %d, want %d and %d still", g.eu.Accepted(), g.us.Accepted(), eu, us)
	}
	g.awaitStats("all counted", func(s RouteStats) bool { return s.Accepted == before.Accepted+2 && atRest(s) })
	g.judge(append(results, shed, r)...)
}

// A primary and a secondary that change places take their connections and
// breakers with them.
func TestOriginsThatChangePlacesKeepTheirConnections(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, breaks(1, time.Minute))
	g.us.SetPath("/broken", chaos.Status(503))
	wantServed(t, g.ask(chaos.Request{}), "eu")
	l.reload(t, func(cfg *Config) { cfg.Groups[0].Primary, cfg.Groups[0].Secondary = "us", "eu" })
	wantServed(t, g.ask(chaos.Request{Path: "/broken"}), "eu")
	g.awaitBreaker(failover.RolePrimary, "open")
	l.reload(t, func(cfg *Config) { cfg.Groups[0].Primary, cfg.Groups[0].Secondary = "eu", "us" })
	g.awaitBreaker(failover.RoleSecondary, "open")
	wantServed(t, g.ask(chaos.Request{}), "eu")
	if n := g.eu.Accepted(); n != 1 {
		t.Errorf("%d connections to eu, want 1", n)
	}
	l.route(t, func(r *Route) { r.Breaker.ConsecutiveFailures = 2 })
	g.awaitBreaker(failover.RoleSecondary, "closed") // another breaker
}

func TestConnectionsOfWhatIsGoneAreClosed(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, withFast)
	for _, path := range []string{"/", "/fast/"} {
		wantServed(t, g.ask(chaos.Request{Path: path}), "eu")
	}
	if n := g.eu.OpenConns(); n != 2 {
		t.Fatalf("%d connections to eu, want 2", n)
	}
	l.reload(t, func(cfg *Config) { cfg.Routes = cfg.Routes[:1] })
	chaos.Await(t, patience, "end of the route's connection", func() bool { return g.eu.OpenConns() == 1 })
	l.reload(t, func(cfg *Config) { cfg.Origins[0].URL = cfg.Origins[1].URL })
	chaos.Await(t, patience, "end of the origin's connection", func() bool { return g.eu.OpenConns() == 0 })
}

// The group's pointer is another one: what it says counts from the next request on.
func TestAnotherPointerCountsAtOnce(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	wantServed(t, g.ask(chaos.Request{}), "eu")
	other := failover.NewGroup(failover.GroupConfig{Name: "shop", PointerConfig: failover.PointerConfig{HasSecondary: true}})
	other.Verdict(failover.RolePrimary, false)
	l.reload(t, func(cfg *Config) { cfg.Groups[0].Pointer = other })
	wantServed(t, g.ask(chaos.Request{}), "us")
}

func TestReloadsAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	var reloads sync.WaitGroup
	for n := range 8 {
		reloads.Go(func() {
			for range 5 {
				err := g.srv.Reload(l.with(func(cfg *Config) {
					cfg.Routes[0].Bulkhead.MaxConcurrent = 100 + n
					if n%2 == 1 {
						cfg.Listen = append(cfg.Listen, secondAddress)
					}
				}))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	reloads.Wait()
	now := g.srv.current()
	addresses, _ := g.srv.Sockets()
	odd := now.table.routes[0].limits.bulkhead.MaxConcurrent%2 == 1
	if len(addresses) != len(now.cfg.Listen) || odd != (len(addresses) == 2) {
		t.Errorf("listeners %q with the configuration of number %d", addresses, now.table.routes[0].limits.bulkhead.MaxConcurrent-100)
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

// resolveToLoopback resolves every name.
func resolveToLoopback(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// Nobody but New says how names are resolved.
func TestResolveStaysWhatItWasInNew(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, withServer(func(cfg *Config) { cfg.Resolve = resolveToLoopback }))
	l.reload(t, func(cfg *Config) {
		cfg.Resolve = nil
		cfg.Origins[0].URL = strings.Replace(cfg.Origins[0].URL, "127.0.0.1", "eu.test", 1)
	})
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

func TestReloadOfAServerThatStopsIsRefused(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	answer := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(answer))
	c := g.dial()
	if err := c.Send(get); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	g.cancel()
	chaos.Await(t, patience, "drain", g.draining)
	socket := g.socket()
	during := g.srv.Reload(l.with(func(cfg *Config) { cfg.Listen = []string{"unix:" + socket} }))
	close(answer)
	r, err := c.ReadResponse("GET")
	wantOK(t, r, err)
	c.Close()
	g.drained(patience)
	after := g.srv.Reload(l.cfg)
	if !errors.Is(during, ErrStopped) || !errors.Is(after, ErrStopped) {
		t.Errorf("got %v during the drain and %v after it, want ErrStopped", during, after)
	}
	if !refuses("unix", socket) {
		t.Error("a listener was bound")
	}
}
