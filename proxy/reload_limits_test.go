package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// Every change meets the next request on a connection that was there before.
func TestNewLimitsApplyToTheNextRequest(t *testing.T) {
	t.Parallel()
	field := func(size int) string {
		return "GET / HTTP/1.1\r\nHost: a\r\nX-Fill: " + strings.Repeat("x", size) + "\r\n\r\n"
	}
	post := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
	slow := "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
	broken := "GET /broken HTTP/1.1\r\nHost: a\r\n\r\n"
	tests := []struct {
		name          string
		request       string
		change        func(cfg *Config)
		before, after int
		origin        string // of the response after it; "": nobody's
	}{
		{"smaller max_header_bytes", field(2000), func(cfg *Config) { cfg.MaxHeaderBytes = 1000 }, 200, 431, ""},
		{"larger max_header_bytes", field(40_000), func(cfg *Config) { cfg.MaxHeaderBytes = 50_000 }, 431, 200, "eu"},
		{"smaller max_body_bytes", post, func(cfg *Config) { cfg.Routes[0].MaxBodyBytes = 9 }, 200, 413, ""},
		{"timeout", slow, func(cfg *Config) { cfg.Routes[0].Timeout = time.Millisecond }, 200, 504, ""},
		{"response_header_timeout", slow, func(cfg *Config) { cfg.Origins[0].ResponseHeaderTimeout = time.Millisecond }, 200, 200, "us"},
		{"failover_statuses", broken, func(cfg *Config) { cfg.Groups[0].Policy.Statuses = []int{500} }, 200, 503, "eu"},
		{"failover_methods", broken, func(cfg *Config) { cfg.Groups[0].Policy.Methods = []string{"HEAD"} }, 200, 503, "eu"},
		{"no secondary", broken, func(cfg *Config) { cfg.Groups[0].Secondary = "" }, 200, 503, "eu"},
		{"match", get, func(cfg *Config) { cfg.Routes[0].Match = "/elsewhere/" }, 200, 404, ""},
		{"https_redirect", get, func(cfg *Config) { cfg.HTTPSRedirect = true }, 200, 308, ""},
		{"encoded_slash", "GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", func(cfg *Config) { cfg.KeepEncodedSlash = true }, 400, 200, "eu"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, l := startDirect(t)
			g.eu.SetPath("/slow", chaos.OK(10).After(4*sweepEvery))
			g.eu.SetPath("/broken", chaos.Status(503))
			c := g.dial()
			r, err := c.Do(tt.request)
			if err != nil || r.Status != tt.before {
				t.Fatalf("before: %d, %v, want %d", r.Status, err, tt.before)
			}
			if tt.before >= 400 { // it has ended the connection
				c = g.dial()
				r, err := c.Do(get)
				wantKept(t, r, err)
			}
			l.reload(t, tt.change)
			r, err = c.Do(tt.request)
			if err != nil || r.Status != tt.after || r.Head.Get(chaos.FieldOrigin) != tt.origin {
				t.Errorf("after: %d from %q, %v, want %d from %q", r.Status, r.Head.Get(chaos.FieldOrigin), err, tt.after, tt.origin)
			}
		})
	}
}

func TestProxyStatusIsTurnedOffAndOn(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	c := g.dial()
	for _, on := range []bool{true, false, true} {
		l.reload(t, func(cfg *Config) { cfg.ProxyStatus = on })
		r, err := c.Do(get)
		if err != nil || (r.Get("Proxy-Status") != "") != on {
			t.Errorf("ProxyStatus %v: %v, %q", on, err, r.Raw)
		}
	}
}

// A peer whose trust was withdrawn is a stranger with its next request, on
// whatever connection.
func TestTrustedProxiesAreThoseOfTheNextRequest(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, withHTTP2)
	one, many := g.dial(), g.http2Client()
	for i, trusted := range []bool{false, true, false} {
		l.reload(t, func(cfg *Config) {
			cfg.TrustedProxies = nil
			if trusted {
				cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}
		})
		r, err := one.Do("GET /one HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")
		wantKept(t, r, err)
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://a/many", nil)
		req.Header.Set("X-Forwarded-For", "203.0.113.7")
		resp, err := many.Do(req)
		if err != nil || resp.ProtoMajor != 2 || resp.Body.Close() != nil {
			t.Fatalf("HTTP/2: %v", err)
		}
		all := g.eu.AllArrivals()
		for _, a := range all[2*i:] {
			if believed := strings.Contains(a.Get("X-Forwarded-For"), "203.0.113.7"); believed != trusted {
				t.Errorf("%s after reload %d: X-Forwarded-For is %q, trusted %v", a.Target, i, a.Get("X-Forwarded-For"), trusted)
			}
		}
	}
	if n := g.srv.conns.size(); n != 2 {
		t.Errorf("%d connections, want the first two", n)
	}
}

func TestMorePermitsLetTheQueueIn(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 5}))
	ready := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(ready))
	answers := make(chan chaos.Result, 4)
	for n := range 4 {
		go func() { answers <- g.ask(chaos.Request{Method: []string{"GET", "POST"}[n%2]}) }()
		g.awaitStats("one more", func(s RouteStats) bool { return s.InUse+s.Queued == n+1 })
	}
	l.route(t, func(r *Route) { r.Bulkhead.MaxConcurrent = 3 })
	chaos.Await(t, patience, "two of the queue", func() bool { return g.eu.Arrived() == 3 })
	if s := g.stats(); s.InUse != 3 || s.Queued != 1 {
		t.Errorf("%d permits in use and %d waiting, want 3 and 1", s.InUse, s.Queued)
	}
	close(ready)
	var results []chaos.Result
	for range 4 {
		r := <-answers
		wantServed(t, r, "eu")
		results = append(results, r)
	}
	g.judge(results...)
}

// Those in flight count, whichever configuration let them in.
func TestFewerPermitsCountWhoIsInFlight(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, permits(bulkhead.Config{MaxConcurrent: 3}))
	release, answers := g.hold(2)
	l.route(t, func(r *Route) { r.Bulkhead.MaxConcurrent = 1 })
	wantStatus(t, g.ask(chaos.Request{}), 503, "")
	l.route(t, func(r *Route) { r.Bulkhead.MaxConcurrent = 3 })
	wantServed(t, g.ask(chaos.Request{}), "eu")
	l.route(t, func(r *Route) { r.Bulkhead.MaxConcurrent = 2 })
	wantStatus(t, g.ask(chaos.Request{}), 503, "")
	release()
	for range 2 {
		wantServed(t, <-answers, "eu")
	}
	wantServed(t, g.ask(chaos.Request{}), "eu")
}

// Who waits for a seat gets the one that a larger max_connections makes, and a
// smaller one sends nobody away but counts who is there.
func TestMaxConnectionsOfTheServerFollow(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, withServer(func(cfg *Config) { cfg.MaxConnections = 1 }))
	answer := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(answer))
	var conns []*chaos.Raw
	for n := range 3 {
		c := g.dial()
		if err := c.Send(get); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if n < 2 {
			l.reload(t, func(cfg *Config) { cfg.MaxConnections = n + 1 })
			g.awaitStats("one more", func(s RouteStats) bool { return s.InUse == n+1 })
		}
	}
	l.reload(t, func(cfg *Config) { cfg.MaxConnections = 1 })
	time.Sleep(2 * sweepEvery) // nothing must happen in it
	if s := g.stats(); s.InUse != 2 {
		t.Errorf("%d requests in flight, want the two that were there", s.InUse)
	}
	close(answer)
	for i, c := range conns { // the third one's turn comes when both of the others make room
		r, err := c.ReadResponse("GET")
		if err != nil || r.Status != 200 {
			t.Errorf("client %d: %d, %v", i, r.Status, err)
		}
	}
	if n := g.srv.conns.size(); n > 1 {
		t.Errorf("%d connections over a limit of 1", n)
	}
}

func TestMaxConnectionsOfAnOriginFollow(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, primary(func(o *Origin) { o.MaxConnections = 1 }))
	ready := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(ready))
	answers := make(chan chaos.Result, 2)
	for n := range 2 {
		go func() { answers <- g.ask(chaos.Request{}) }()
		g.awaitStats("one more", func(s RouteStats) bool { return s.InUse == n+1 })
		chaos.Await(t, patience, "the first at the origin", func() bool { return g.eu.Arrived() == 1 })
	}
	l.reload(t, func(cfg *Config) { cfg.Origins[0].MaxConnections = 2 })
	chaos.Await(t, patience, "the second at the origin", func() bool { return g.eu.Arrived() == 2 })
	l.reload(t, func(cfg *Config) { cfg.Origins[0].MaxConnections = 1 })
	close(ready)
	for range 2 {
		wantServed(t, <-answers, "eu")
	}
	// None is left where both were put back at the same time.
	chaos.Await(t, patience, "no more than one connection to the origin", func() bool { return g.eu.OpenConns() <= 1 })
}

// A head that has begun under a larger limit is refused by the smaller one, and
// nothing of the connection's breaks.
func TestALimitBelowAHeadThatHasBegunRefusesIt(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	c := g.dial()
	head := "GET / HTTP/1.1\r\nHost: a\r\nX-Fill: " + strings.Repeat("x", 20_000)
	if err := c.Send(head); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, patience, "the head's beginning", func() bool {
		all := g.srv.conns.all()
		return len(all) == 1 && phase(all[0].x.mark.Load()&phaseBits) == phaseHead
	})
	l.reload(t, func(cfg *Config) { cfg.MaxHeaderBytes = 1000 })
	if err := c.Send("x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if r, err := c.ReadResponse("GET"); err != nil || r.Status != 431 {
		t.Errorf("got %d, %v, want 431", r.Status, err)
	}
}

// A reload may come between a look at what is here and the making of room for more.
func TestThereIsRoomWhateverTheLimitHasBecome(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	client, ours := net.Pipe()
	defer client.Close()
	defer ours.Close()
	c := newConn(g.srv, g.srv.listeners[0], ours)
	for len(c.space()) > 0 && c.w < 20_000 {
		c.w = len(c.bufs.in)
	}
	l.reload(t, func(cfg *Config) { cfg.MaxHeaderBytes = 1000 })
	if c.w = len(c.bufs.in); len(c.space()) == 0 {
		t.Error("there is no room")
	}
	c.dropBuffers()
}

// Which policy and timeout a request that fails meets are those that it began with.
func TestARequestUnderWayKeepsItsPolicy(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	answer := make(chan struct{})
	g.eu.Set(chaos.Status(503).When(answer))
	result := make(chan chaos.Result, 1)
	go func() { result <- g.ask(chaos.Request{}) }()
	chaos.Await(t, patience, "arrival", func() bool { return g.eu.Arrived() == 1 })
	l.reload(t, func(cfg *Config) {
		cfg.Groups[0].Policy = failover.PolicyConfig{Methods: []string{"HEAD"}}
		cfg.Groups[0].Secondary = ""
		cfg.Routes[0].Timeout = time.Millisecond
	})
	close(answer)
	r := <-result
	wantServed(t, r, "us")
	g.judge(r)
}
