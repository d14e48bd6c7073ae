package proxy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// An origin's keep-alive may end just as a request is written on it.
func TestDeadPooledConnectionIsReplacedOnlyForWhatMayBeSentTwice(t *testing.T) {
	key := []chaos.Field{{Name: "Idempotency-Key", Value: "k"}, {Name: "X-Idempotency-Key", Value: "k"}}
	tests := []struct {
		give     chaos.Request
		replaced bool
	}{
		{chaos.Request{Method: "GET"}, true},
		{chaos.Request{Method: "HEAD"}, true},
		{chaos.Request{Method: "OPTIONS"}, true},
		{chaos.Request{Method: "GET", BodySize: 10}, false},
		{chaos.Request{Method: "POST"}, false},
		{chaos.Request{Method: "POST", BodySize: 10, Fields: key}, false},
		{chaos.Request{Method: "POST", BodySize: 100_000, Chunked: true}, false},
		{chaos.Request{Method: "PUT", BodySize: 10}, false},
		{chaos.Request{Method: "DELETE", Fields: key}, false},
		{chaos.Request{Method: "PATCH", BodySize: 10}, false},
		{chaos.Request{Method: "PROPFIND"}, false},
	}
	for _, fault := range []chaos.Behaviour{chaos.CloseOnReuse(), chaos.ResetOnReuse()} {
		for _, tt := range tests {
			t.Run(fmt.Sprint(fault.Name(), " ", tt.give.Method, " ", tt.give.BodySize), func(t *testing.T) {
				t.Parallel()
				var log journal
				var told failures
				g := startRig(t, log.logged, told.counted)
				g.eu.Set(fault)
				first := g.ask(chaos.Request{})
				wantServed(t, first, "eu")
				r := g.ask(tt.give)
				rec := log.find(t, r.ID)
				if tt.replaced {
					wantServed(t, r, "eu")
					if s := g.stats(); s.ConnRetry != 1 {
						t.Errorf("%d replaced connections are counted", s.ConnRetry)
					}
					if len(rec.Attempts) != 1 || !rec.Attempts[0].ConnRetry || rec.Decision != "served" || told.n.Load() != 0 {
						t.Errorf("%d failures told, record %+v", told.n.Load(), rec)
					}
				} else {
					wantStatus(t, r, 502, "")
					g.arrivedOnce(r.ID)
					if s := g.stats(); s.ConnRetry != 0 {
						t.Errorf("%d replaced connections are counted", s.ConnRetry)
					}
				}
				if n := g.us.Arrived(); n != 0 {
					t.Errorf("%d requests reached the secondary", n)
				}
				g.judge(first, r)
			})
		}
	}
}

func TestReplacementThatFailsTooIsAFailure(t *testing.T) {
	t.Parallel()
	var told failures
	g := startRig(t, told.counted)
	first := g.ask(chaos.Request{})
	g.eu.Set(chaos.CloseBeforeHead())
	r := g.ask(chaos.Request{})
	wantServed(t, r, "us")
	if n := len(g.eu.Arrivals(r.ID)); n != 2 {
		t.Errorf("it reached the primary %d times, want the pooled connection and one fresh", n)
	}
	if n := told.n.Load(); n != 1 {
		t.Errorf("%d failures told, want 1", n)
	}
	g.judge(first, r)
}

func TestDeadPooledConnectionIsFoundBeforeAnUncoveredRequest(t *testing.T) {
	for name, kill := range map[string]func(o *chaos.Origin){
		"closed":    func(*chaos.Origin) {},
		"reset":     (*chaos.Origin).ResetConns,
		"restarted": func(o *chaos.Origin) { o.Down(); _ = o.Up() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t)
			if name == "closed" {
				g.eu.Set(chaos.SilentClose())
			}
			var results []chaos.Result
			for i := range 5 {
				q := chaos.Request{}
				if i > 0 {
					q = chaos.Request{Method: "POST", BodySize: int64(i * 3000)}
				}
				r := g.ask(q)
				wantServed(t, r, "eu")
				g.arrivedOnce(r.ID)
				results = append(results, r)
				kill(g.eu)
				chaos.Await(t, patience, "closed connections", func() bool { return g.eu.OpenConns() == 0 })
			}
			g.judge(results...)
		})
	}
}

func TestUnaskedResponseIsNobodys(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.eu.Set(chaos.ExtraResponse())
	var results []chaos.Result
	for i := range 10 {
		q := chaos.Request{}
		if i%2 == 1 {
			q = chaos.Request{Method: "POST", BodySize: 10}
		}
		r := g.ask(q)
		wantServed(t, r, "eu")
		results = append(results, r)
	}
	g.judge(results...)
}

// What an origin says beyond the end of a large response, which is not read
// into a buffer of ours, must not be taken for the next one.
func TestUnaskedResponseBehindALargeBodyIsNobodys(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.eu.Set(chaos.ExtraResponse())
	ledger := chaos.Load{Address: g.addr, Conns: 2, Count: 40, Mix: []chaos.Shot{{WantSize: 300_000}, {}}}.Do(t.Context())
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	if n := len(ledger.Unserved()); n != 0 {
		t.Errorf("%v", ledger)
	}
}

// Some origins send a body where there must be none, a moment after the head.
func TestBodyWhereThereIsNoneIsNobodysResponse(t *testing.T) {
	const forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	for name, tt := range map[string]struct{ method, head string }{
		"HEAD":         {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"},
		"not modified": {"GET", "HTTP/1.1 304 Not Modified\r\n\r\n"},
		"no content":   {"GET", "HTTP/1.1 204 No Content\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, said := make(chan struct{}), make(chan struct{})
			url := script(t, func(n int, p *peer) {
				for i := 0; ; i++ {
					if _, ok := p.head(); !ok {
						return
					}
					if n > 1 || i > 0 {
						p.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
						continue
					}
					p.send(tt.head)
					<-seen // the proxy has taken the response for complete
					p.send(forged)
					close(said)
				}
			})
			g := startRig(t, withOrigin(url))
			c := g.dial()
			if _, err := c.Do(tt.method + " / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			close(seen)
			<-said
			resp, err := c.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if err != nil || resp.Body != "true" {
				t.Errorf("got %q, %v, want the response to this request", resp.Body, err)
			}
		})
	}
}

// An origin that hangs up on whoever connects, or speaks first, is not dialled
// again and again by one request.
func TestOriginThatSpokeFirstIsDialledOnce(t *testing.T) {
	for name, first := range map[string]string{"hangs up": "", "greets": "220 mail.example ESMTP\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var accepted atomic.Int64
			url := script(t, func(_ int, p *peer) {
				accepted.Add(1)
				if first != "" && p.send(first) {
					p.rest()
				}
			})
			g := startRig(t, withOrigin(url), policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeNever }))
			const n = 60
			for i := range n {
				if i%2 == 0 {
					wantServed(t, g.ask(chaos.Request{}), "us")
				} else {
					wantStatus(t, g.ask(chaos.Request{Method: "POST", BodySize: 10}), 502, "")
				}
			}
			if got := accepted.Load(); got > n {
				t.Errorf("%d connections for %d requests", got, n)
			}
		})
	}
}

func TestOriginsConnectionLimitHoldsOverAllRoutes(t *testing.T) {
	t.Parallel()
	const limit = 2
	var now, most atomic.Int64
	url := script(t, func(_ int, p *peer) {
		for {
			if _, ok := p.head(); !ok {
				return
			}
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
			if !p.send("HTTP/1.1 204 No Content\r\n\r\n") {
				return
			}
		}
	})
	g := startRig(t, withOrigin(url), withFast, primary(func(o *Origin) { o.MaxConnections = limit }))
	var working sync.WaitGroup
	for i := range 8 {
		working.Go(func() {
			c := g.dial()
			for range 20 {
				resp, err := c.Do([]string{"GET", "POST"}[i/4] + []string{" /fast/x", " /x"}[i%2] + " HTTP/1.1\r\nHost: a\r\n\r\n")
				if err != nil || resp.Status != 204 {
					t.Errorf("got %d, %v: %q", resp.Status, err, resp.Body)
					return
				}
				if n := g.leg(failover.RolePrimary).origin.upstream.Open(); n > limit {
					t.Errorf("%d connections are open", n)
				}
			}
		})
	}
	working.Wait()
	if n := most.Load(); n > limit {
		t.Errorf("the origin served %d requests at once", n)
	}
}

func TestConnectionsOfARouteAreItsOwn(t *testing.T) {
	t.Parallel()
	g := startRig(t, withFast)
	wantServed(t, g.ask(chaos.Request{}), "eu")
	wantServed(t, g.ask(chaos.Request{Path: "/fast/x"}), "eu")
	wantServed(t, g.ask(chaos.Request{}), "eu")
	wantServed(t, g.ask(chaos.Request{Path: "/fast/x"}), "eu")
	if n := g.eu.Accepted(); n != 2 {
		t.Errorf("%d connections for two routes", n)
	}
}

func TestKeptAliveConnectionsAreReused(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	ledger := chaos.Load{Address: g.addr, Conns: 3, Count: 200, Mix: []chaos.Shot{{}, {Method: "POST", BodySize: 10}}}.Do(context.Background())
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	if n := len(ledger.Unserved()); n != 0 {
		t.Errorf("%v", ledger)
	}
	if n := g.eu.Accepted(); n > 3 {
		t.Errorf("%d connections to the origin for 3 clients", n)
	}
}

// A time-out of a route ends a request, not its connection, nor the requests
// that follow on it.
func TestConnectionSurvivesATimeOut(t *testing.T) {
	t.Parallel()
	g := startRig(t, withFast, withRoute(func(r *Route) { r.Timeout = 100 * time.Millisecond }))
	g.eu.Set(chaos.Hang())
	g.eu.SetPath("/fast/", chaos.Delay(refuseWithin+300*time.Millisecond))
	c := &chaos.Client{Address: g.addr}
	defer c.Close()
	r := c.Do(context.Background(), chaos.Request{})
	wantStatus(t, r, 504, "")
	r = c.Do(context.Background(), chaos.Request{Path: "/fast/x"})
	wantServed(t, r, "eu")
	if !r.Reused {
		t.Error("the connection ended with the time-out")
	}
}

func TestOneOriginInBothRolesIsOneEndpoint(t *testing.T) {
	t.Parallel()
	g := startRig(t, func(_ *rig, cfg *Config) { cfg.Groups[0].Secondary = "eu" }, permits(bulkhead.Config{MaxConcurrent: 4}))
	g.eu.Set(chaos.Status(503))
	r := g.ask(chaos.Request{})
	wantStatus(t, r, 503, "eu")
	g.arrivedOnce(r.ID)
	if s := r.Head.Get("Proxy-Status"); strings.Contains(s, "after") {
		t.Errorf("Proxy-Status %q", s)
	}
}
