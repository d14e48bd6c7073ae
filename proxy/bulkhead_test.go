package proxy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/internal/chaos"
)

// withFast adds a route beside the first, to the same origins.
func withFast(_ *rig, cfg *Config) {
	fast := cfg.Routes[0]
	fast.Name, fast.Match = "fast", "/fast/"
	fast.Bulkhead = bulkhead.Config{MaxConcurrent: 64}
	cfg.Routes = append(cfg.Routes, fast)
}

// Not parallel: it compares latencies.
func TestFloodedRouteDoesNotSlowAnotherOneOnTheSameOrigin(t *testing.T) {
	stalls := measureLost(t)
	g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 10}), withFast)
	g.eu.SetPath("/slow/", chaos.Delay(time.Second))
	fast := chaos.Load{Address: g.addr, Conns: 4, Count: 400, Mix: []chaos.Shot{{Path: "/fast/"}}}
	baseline := fast.Do(context.Background())

	flood := chaos.Load{Address: g.addr, Rate: 150, Mix: []chaos.Shot{{Path: "/slow/"}, {Path: "/slow/", Method: "POST", BodySize: 100}}}.Start(context.Background())
	g.awaitStats("full bulkhead", func(s RouteStats) bool { return s.InUse == 10 && s.Shed > 10 })
	beside := fast.Do(context.Background())
	flooded := flood.Stop()

	if err := chaos.Check(chaos.Merge(baseline, beside, flooded), g.eu, g.us); err != nil {
		t.Error(err)
	}
	for _, r := range append(baseline.Unserved(), beside.Unserved()...) {
		t.Errorf("on the fast route: %v", r)
	}
	alone, crowded := chaos.Quantile(baseline.Results(), 0.99), chaos.Quantile(beside.Results(), 0.99)
	if limit := stalls.allow(10*alone + 100*time.Millisecond); crowded > limit {
		t.Errorf("p99 of the fast route went from %v to %v, want less than %v", alone, crowded, limit)
	}
	shed := flooded.Unserved()
	for _, r := range shed {
		if r.Status != 503 || r.Origin != "" || r.Head.Get("Retry-After") == "" {
			t.Errorf("shed with %v: %q", r, r.Head.Raw)
		}
		if len(g.eu.Arrivals(r.ID))+len(g.us.Arrivals(r.ID)) != 0 {
			t.Errorf("shed, yet it touched an origin: %v", r)
		}
	}
	if q, limit := chaos.Quantile(shed, 0.5), stalls.allow(50*time.Millisecond); q > limit {
		t.Errorf("half of those that were shed waited for %v or more", q)
	}
	if n := g.us.Accepted(); n != 0 {
		t.Errorf("a full bulkhead made %d connections to the secondary", n)
	}
}

// hold takes n permits with requests that the primary answers when release is
// called.
func (g *rig) hold(n int) (release func(), answers <-chan chaos.Result) {
	g.t.Helper()
	ready := make(chan struct{})
	g.eu.SetPath("/hold", chaos.OK(10).When(ready))
	results := make(chan chaos.Result, n)
	for range n {
		go func() { results <- g.ask(chaos.Request{Path: "/hold"}) }()
	}
	chaos.Await(g.t, patience, "held permits", func() bool { return g.eu.Arrived() == n })
	return sync.OnceFunc(func() { close(ready) }), results
}

func TestFullBulkheadShedsAndNeverFailsOver(t *testing.T) {
	t.Parallel()
	var told failures
	g := startRig(t, told.counted, breaks(1, time.Minute), permits(bulkhead.Config{MaxConcurrent: 2}))
	release, answers := g.hold(2)
	accepted := g.eu.Accepted()
	for _, q := range []chaos.Request{{}, {Method: "HEAD"}, {Method: "POST", BodySize: 10}, {Method: "POST", BodySize: 1 << 20}} {
		r := g.ask(q)
		if r.Kind == chaos.Aborted && q.BodySize > 4096 {
			continue // whoever sends much without listening may miss the answer
		}
		wantStatus(t, r, 503, "")
		wantRetryAfter(t, r)
	}
	if g.eu.Accepted() != accepted || g.us.Accepted() != 0 || told.n.Load() != 0 {
		t.Errorf("a shed request touched an origin: eu %d to %d, us %d, told %d", accepted, g.eu.Accepted(), g.us.Accepted(), told.n.Load())
	}
	release()
	for range 2 {
		wantServed(t, <-answers, "eu")
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
	g.awaitStats("four that were shed", func(s RouteStats) bool { return s.Shed == 4 && atRest(s) })
}

func TestShedRequestLeavesItsConnectionUsable(t *testing.T) {
	t.Parallel()
	g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1}))
	release, answers := g.hold(1)
	c := &chaos.Client{Address: g.addr}
	defer c.Close()
	for i := range 3 {
		r := c.Do(context.Background(), chaos.Request{})
		wantStatus(t, r, 503, "")
		if r.Reused != (i > 0) {
			t.Errorf("request %d: reused is %v", i, r.Reused)
		}
	}
	release()
	wantServed(t, <-answers, "eu")
}

func TestQueueIsFirstInFirstOutAndSkipsThoseWhoLeft(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged, permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 6}))
	release, _ := g.hold(1)
	answers := make(chan chaos.Result, 6)
	var ids []string
	leave := make([]context.CancelFunc, 6)
	for i := range 6 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		leave[i] = cancel
		q := chaos.Request{ID: chaos.NewID()}
		if i%2 == 1 {
			q.Method, q.BodySize = "POST", 10
		}
		ids = append(ids, q.ID)
		go func() {
			c := &chaos.Client{Address: g.addr}
			defer c.Close()
			answers <- c.Do(ctx, q)
		}()
		g.awaitStats("queue", func(s RouteStats) bool { return s.Queued == i+1 })
	}
	r := g.ask(chaos.Request{})
	wantStatus(t, r, 503, "") // the seventh
	for i, gone := range []int{0, 3, 4} {
		leave[gone]()
		g.awaitStats("departure", func(s RouteStats) bool { return s.Left == uint64(i+1) && s.Queued == 5-i })
	}
	release()
	want := []string{ids[1], ids[2], ids[5]}
	for range 6 {
		r := <-answers
		if slices.Contains(want, r.ID) {
			wantServed(t, r, "eu")
		} else if r.Kind != chaos.Left {
			t.Errorf("got %v, want it left", r)
		}
	}
	var got []string
	for _, a := range g.eu.AllArrivals() {
		if a.Path() != "/hold" {
			got = append(got, a.ID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("arrived in the order %v, want %v", got, want)
	}
	if rec := log.find(t, ids[5]); rec.QueueMS <= 0 || rec.Decision != "served" {
		t.Errorf("record %+v", rec)
	}
	if rec := log.find(t, ids[3]); rec.Decision != "left" || len(rec.Attempts) != 0 {
		t.Errorf("record %+v", rec)
	}
	if rec := log.find(t, r.ID); rec.Decision != "shed" || rec.Status != 503 || len(rec.Attempts) != 0 {
		t.Errorf("record %+v", rec)
	}
}

func TestQueueTimeoutSheds(t *testing.T) {
	t.Parallel()
	g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 5, QueueTimeout: 100 * time.Millisecond}))
	release, answers := g.hold(1)
	r := g.ask(chaos.Request{})
	wantStatus(t, r, 503, "")
	wantRetryAfter(t, r)
	if r.Latency < 100*time.Millisecond {
		t.Errorf("shed after %v, before queue_timeout", r.Latency)
	}
	g.awaitStats("one that was shed", func(s RouteStats) bool { return s.Shed == 1 && s.Queued == 0 })
	release()
	wantServed(t, <-answers, "eu")
}

// A permit is free again before its client has seen the end of the response,
// so that as many clients as there are permits can never be in each other's way.
func TestAsManyClientsAsPermitsAreNeverShed(t *testing.T) {
	const clients, each = 4, 20
	answers := map[string]chaos.Behaviour{
		"length":      chaos.OK(1000),
		"empty":       chaos.OK(0),
		"no content":  chaos.Status(204),
		"large":       chaos.OK(280 << 10),
		"chunked":     chaos.Chunked(40 << 10),
		"until close": chaos.UntilClose(40 << 10),
		"4xx":         chaos.Status(404),
		"both fail":   chaos.Status(503),
		"broken":      chaos.Garbage(),
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, permits(bulkhead.Config{MaxConcurrent: clients}))
			g.eu.Set(answer)
			g.us.Set(chaos.Status(503))
			var working sync.WaitGroup
			for i := range clients {
				working.Go(func() {
					method := "GET"
					if i%2 == 1 {
						method = "POST"
					}
					for range each {
						r := g.ask(chaos.Request{Method: method, BodySize: int64(i % 2 * 100)})
						if r.Kind != chaos.Served && r.Kind != chaos.Refused || r.Head.Get("Retry-After") != "" {
							t.Errorf("got %v %q", r, r.Text)
							return
						}
					}
				})
			}
			working.Wait()
			if s := g.stats(); s.Shed != 0 {
				t.Errorf("%d of %d were shed", s.Shed, clients*each)
			}
		})
	}
}

// The client that does not read its responses is found in a write that is the
// last of a response: by then nothing of the origin's is held for it.
func TestClientThatDoesNotReadItsLastBytesHoldsNoPermit(t *testing.T) {
	t.Parallel()
	g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1}))
	g.eu.Set(chaos.OK(8 << 10))
	c := g.dial()
	request := strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200)
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		for c.Send(request) == nil {
		}
	}()
	for before := -1; g.eu.Arrivals("") == nil || before != len(g.eu.Arrivals("")); time.Sleep(3 * sweepEvery) {
		before = len(g.eu.Arrivals(""))
	}
	if s := g.stats(); s.InUse != 0 {
		t.Errorf("while the client does not read: %+v", s)
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
	c.Close()
	<-sending
	g.awaitStats("rest", atRest)
}

func TestPermitLastsAsLongAsTheBody(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"
	ends := map[string]struct {
		client func(c *chaos.Raw)
		origin func(p *peer)
	}{
		"it ends":           {nil, func(p *peer) { p.send("56789") }},
		"the origin closes": {nil, func(p *peer) {}},
		"the origin resets": {nil, (*peer).reset},
		"the client closes": {(*chaos.Raw).Close, nil},
		"the client resets": {(*chaos.Raw).Reset, nil},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := make(chan struct{})
			url := script(t, func(_ int, p *peer) {
				if _, ok := p.head(); !ok || !p.send(head) {
					return
				}
				if end.origin == nil {
					// Go on sending: the proxy has to notice by writing.
					for p.send("5") {
						time.Sleep(time.Millisecond)
					}
					return
				}
				<-now
				end.origin(p)
			})
			g := startRig(t, withOrigin(url), permits(bulkhead.Config{MaxConcurrent: 1}))
			c := g.dial()
			if err := c.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if end.client == nil {
				chaos.Await(t, patience, "half a body", func() bool { return g.stats().InUse == 1 })
				wantStatus(t, g.ask(chaos.Request{}), 503, "")
				close(now)
			} else {
				end.client(c)
			}
			g.awaitStats("free permit", func(s RouteStats) bool { return s.Accepted >= 1 && atRest(s) })
			if end.client == nil {
				_, err := c.ReadResponse("GET")
				if whole := err == nil; whole != (name == "it ends") {
					t.Errorf("the response is whole: %v", whole)
				}
			}
		})
	}
}

func TestPermitLastsAsLongAsTheTunnel(t *testing.T) {
	for name, end := range map[string]func(g *rig, c *chaos.Raw){
		"the client closes": func(_ *rig, c *chaos.Raw) { c.Close() },
		"the client resets": func(_ *rig, c *chaos.Raw) { c.Reset() },
		"the origin resets": func(g *rig, _ *chaos.Raw) { g.eu.ResetConns() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1}))
			g.eu.Set(chaos.Upgrade())
			c := g.dial()
			resp, err := c.Do("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			if err != nil || resp.Status != 101 {
				t.Fatalf("got %d, %v", resp.Status, err)
			}
			for i := range 3 {
				text := fmt.Sprintf("message %d", i)
				if err := c.Send(text); err != nil {
					t.Fatal(err)
				}
				if got, err := c.Read(len(text)); got != text {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			wantStatus(t, g.ask(chaos.Request{}), 503, "")
			end(g, c)
			g.awaitStats("free permit", atRest)
			wantServed(t, g.ask(chaos.Request{}), "eu")
		})
	}
}

// The writer of a response is not the only one who may notice that its client
// has gone: nothing is written while an origin is silent in the middle of a body.
func TestClientThatLeavesASilentBodyIsNoticedInTheEnd(t *testing.T) {
	t.Parallel()
	g := startRig(t, withServer(func(cfg *Config) { cfg.BodyIdleTimeout = 200 * time.Millisecond }))
	g.eu.Set(chaos.StallMidBody())
	c := g.dial()
	if err := c.Send("GET / HTTP/1.1\r\nHost: a\r\nChaos-Size: 100\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit in use", func(s RouteStats) bool { return s.InUse == 1 })
	c.Close()
	g.awaitStats("free permit", atRest)
}
