package proxy

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

func TestEveryHeadFaultFailsOver(t *testing.T) {
	for _, fault := range chaos.HeadFaults() {
		t.Run(fault.Name(), func(t *testing.T) {
			t.Parallel()
			var log journal
			g := startRig(t, log.logged)
			g.eu.Set(fault)
			var results []chaos.Result
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				r := g.ask(chaos.Request{Method: method})
				wantServed(t, r, "us")
				if a := g.us.Arrivals(r.ID); len(a) != 1 || a[0].Get("Failover-Attempt") != "2" {
					t.Errorf("the secondary saw %+v", a)
				}
				rec := log.find(t, r.ID)
				if rec.Decision != "failed_over" || len(rec.Attempts) != 2 || rec.WhyNot != "" {
					t.Errorf("record %+v", rec)
				}
				results = append(results, r)
			}
			for _, fields := range [][]chaos.Field{nil, {{Name: "Idempotency-Key", Value: "k"}}} {
				r := g.ask(chaos.Request{Method: "POST", BodySize: 100, Fields: fields})
				wantStatus(t, r, 502, "")
				if n := len(g.us.Arrivals(r.ID)); n != 0 {
					t.Errorf("POST reached the secondary %d times", n)
				}
				results = append(results, r)
			}
			g.judge(results...)
			g.awaitStats("rest", atRest)
			if s := g.stats(); s.FailedOver != 3 || s.Failed != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// silent is an address that accepts connections and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestEachFailureClassFailsOverUnderItsName(t *testing.T) {
	tests := []struct {
		want  string
		setup setup
	}{
		{"dns", func(_ *rig, cfg *Config) { cfg.Origins[0].URL = "http://nowhere.invalid:80" }},
		{"connect_refused", func(g *rig, _ *Config) { g.eu.Down() }},
		{"connect_timeout", func(_ *rig, cfg *Config) {
			cfg.Origins[0].URL = "https://" + silent(t)
			cfg.Origins[0].ConnectTimeout = 50 * time.Millisecond
		}},
		{"tls", func(g *rig, cfg *Config) {
			g.eu.Set(chaos.CloseOnAccept())
			cfg.Origins[0].URL = strings.Replace(g.eu.URL(), "http:", "https:", 1)
		}},
		{"header_timeout", func(g *rig, cfg *Config) {
			g.eu.Set(chaos.Hang())
			cfg.Origins[0].ResponseHeaderTimeout = 50 * time.Millisecond
		}},
		{"reset", func(g *rig, _ *Config) { g.eu.Set(chaos.CloseBeforeHead()) }},
		{"malformed", func(g *rig, _ *Config) { g.eu.Set(chaos.Garbage()) }},
		{"status:503", func(g *rig, _ *Config) { g.eu.Set(chaos.Status(503)) }},
		{"status:500", func(g *rig, _ *Config) { g.eu.Set(chaos.Status(500)) }},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			var log journal
			var told failures
			g := startRig(t, log.logged, told.counted, tt.setup)
			r := g.ask(chaos.Request{})
			wantServed(t, r, "us")
			rec := log.find(t, r.ID)
			if got, want := rec.classes(), "eu "+tt.want+", us ok"; got != want {
				t.Errorf("attempts %s, want %s", got, want)
			}
			if got := r.Head.Get("Proxy-Status"); !strings.Contains(got, tt.want) {
				t.Errorf("Proxy-Status %q does not name %s", got, tt.want)
			}
			if n := told.n.Load(); n != 1 {
				t.Errorf("OnFailure was called %d times", n)
			}
			if tt.want != "tls" { // a handshake is no request
				g.judge(r)
			}
			if rec.Attempts[0].Address == "" && tt.want != "dns" {
				t.Error("the first attempt's address is not recorded")
			}
		})
	}
}

func TestUploadThatTheOriginDoesNotTakeIsAWriteFailure(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged)
	g.eu.Set(chaos.Unread())
	answer := make(chan chaos.Result, 1)
	id := chaos.NewID()
	go func() { answer <- g.ask(chaos.Request{ID: id, Method: "POST", BodySize: 64 << 20}) }()
	chaos.Await(t, patience, "arrival", func() bool { return g.eu.Arrived() == 1 })
	g.eu.ResetConns()
	r := <-answer
	wantStatus(t, r, 502, "")
	if rec := log.find(t, id); rec.classes() != "eu write" {
		t.Errorf("attempts %s, want eu write", rec.classes())
	}
	g.judge(r)
}

func TestWhatForbidsAFailoverIsRecorded(t *testing.T) {
	trust := withServer(func(cfg *Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	second := []chaos.Field{{Name: "Failover-Attempt", Value: "2"}}
	twin := func(_ *rig, cfg *Config) { cfg.Origins[1].URL = cfg.Origins[0].URL }
	tests := []struct {
		want   string
		setup  setup
		give   chaos.Request
		answer chaos.Behaviour
		status int
		origin string
	}{
		{"method", nil, chaos.Request{Method: "POST"}, chaos.Status(503), 503, "eu"},
		{"method", nil, chaos.Request{Method: "get"}, chaos.Status(503), 503, "eu"},
		{"method", nil, chaos.Request{Method: "DELETE"}, chaos.CloseBeforeHead(), 502, ""},
		{"body", nil, chaos.Request{BodySize: 10}, chaos.Status(503), 503, "eu"},
		{"body", nil, chaos.Request{BodySize: 10, Chunked: true}, chaos.Status(503), 503, "eu"},
		{"failover_attempt", trust, chaos.Request{Fields: second}, chaos.Status(503), 503, "eu"},
		{"no_secondary", alone, chaos.Request{}, chaos.Status(503), 503, "eu"},
		{"no_secondary", alone, chaos.Request{}, chaos.Garbage(), 502, ""},
		{"same_endpoint", twin, chaos.Request{}, chaos.Status(503), 503, "eu"},
		{"same_endpoint", twin, chaos.Request{}, chaos.CloseBeforeHead(), 502, ""},
		{"committed", nil, chaos.Request{}, chaos.Truncate(), 200, "eu"},
		{"committed", nil, chaos.Request{}, chaos.BadChunk(), 200, "eu"},
		{"timeout", withRoute(func(r *Route) { r.Timeout = 150 * time.Millisecond }), chaos.Request{}, chaos.Hang(), 504, ""},
		{"timeout", withRoute(func(r *Route) { r.Timeout = 90 * time.Millisecond }), chaos.Request{}, chaos.Status(503), 503, "eu"},
	}
	for _, tt := range tests {
		t.Run(tt.want+" "+tt.answer.Name(), func(t *testing.T) {
			t.Parallel()
			var log journal
			setups := []setup{log.logged}
			if tt.setup != nil {
				setups = append(setups, tt.setup)
			}
			g := startRig(t, setups...)
			g.eu.Set(tt.answer)
			r := g.ask(tt.give)
			if r.Status != tt.status || r.Origin != tt.origin {
				t.Errorf("got %v, want %d from %q", r, tt.status, tt.origin)
			}
			if n := len(g.us.Arrivals(r.ID)); n != 0 {
				t.Errorf("it reached the secondary")
			}
			if n := len(g.eu.Arrivals(r.ID)); n != 1 {
				t.Errorf("it reached the primary %d times", n)
			}
			if rec := log.find(t, r.ID); rec.WhyNot != tt.want {
				t.Errorf("why_not %q, want %q: %+v", rec.WhyNot, tt.want, rec)
			}
			g.judge(r)
		})
	}
}

func TestStrangersFailoverAttemptIsNotBelieved(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.eu.Set(chaos.Status(503))
	r := g.ask(chaos.Request{Fields: []chaos.Field{{Name: "Failover-Attempt", Value: "2"}}})
	wantServed(t, r, "us")
	if got := g.eu.Arrivals(r.ID)[0].Get("Failover-Attempt"); got != "" {
		t.Errorf("the primary was told of attempt %q", got)
	}
}

func TestOpenBreakerOfTheSecondaryIsWhyNot(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged, breaks(3, time.Minute), alone, func(_ *rig, cfg *Config) { cfg.Groups[0].Secondary = "us" })
	g.us.Set(chaos.Status(503))
	g.eu.Set(chaos.Status(503))
	for g.leg(failover.RoleSecondary).breakerState() != "open" {
		g.ask(chaos.Request{})
		// Keep the primary's breaker closed: it must be the one that answers.
		g.eu.Set(chaos.OK(10))
		g.ask(chaos.Request{})
		g.eu.Set(chaos.Status(503))
	}
	// A response that is much too large to be held is not lost: nothing is
	// given up before the other origin is known to be a candidate.
	for _, size := range []int64{64, 1 << 20} {
		r := g.ask(chaos.Request{WantSize: size})
		wantStatus(t, r, 503, "eu")
		if rec := log.find(t, r.ID); rec.WhyNot != "breaker_open" {
			t.Errorf("why_not %q, want breaker_open: %+v", rec.WhyNot, rec)
		}
		g.eu.Set(chaos.OK(10))
		g.ask(chaos.Request{})
		g.eu.Set(chaos.Status(503))
	}
	g.eu.Set(chaos.CloseBeforeHead())
	r := g.ask(chaos.Request{})
	wantStatus(t, r, 502, "")
	if rec := log.find(t, r.ID); rec.WhyNot != "breaker_open" {
		t.Errorf("why_not %q, want breaker_open: %+v", rec.WhyNot, rec)
	}
}

func TestOriginsOfOneAddressAreOneEndpoint(t *testing.T) {
	t.Parallel()
	g := startRig(t, func(_ *rig, cfg *Config) {
		cfg.Origins[1].URL = strings.Replace(cfg.Origins[0].URL, "127.0.0.1", "localhost", 1)
		cfg.Origins[1].Host = HostLiteral
		cfg.Origins[1].HostLiteral = "other.test"
	})
	g.eu.Set(chaos.CloseBeforeHead())
	var results []chaos.Result
	for range 3 {
		r := g.ask(chaos.Request{})
		wantStatus(t, r, 502, "")
		g.arrivedOnce(r.ID)
		results = append(results, r)
	}
	g.judge(results...)
}

func TestBothFail(t *testing.T) {
	const held = 64 << 10
	hang := func(_ *rig, cfg *Config) {
		for i := range cfg.Origins {
			cfg.Origins[i].ResponseHeaderTimeout = 50 * time.Millisecond
		}
	}
	tests := []struct {
		name       string
		first      chaos.Behaviour
		second     chaos.Behaviour
		size       int64
		wantStatus int
		wantOrigin string
	}{
		{"the second's response", chaos.Status(503), chaos.Status(500), 10, 500, "us"},
		{"the second's response after none", chaos.Garbage(), chaos.Status(500), 10, 500, "us"},
		{"the second's large response", chaos.Status(503), chaos.Status(500), 1 << 20, 500, "us"},
		{"the first's response", chaos.Status(503), chaos.CloseBeforeHead(), 100, 503, "eu"},
		{"the first's empty response", chaos.Status(503), chaos.Garbage(), -1, 503, "eu"},
		{"the first's response of the largest size", chaos.Status(503), chaos.Hang(), held, 503, "eu"},
		{"the first's response is too large to hold", chaos.Status(503), chaos.CloseBeforeHead(), held + 1, 502, ""},
		{"no response, the last in time", chaos.Hang(), chaos.CloseBeforeHead(), 0, 502, ""},
		{"no response, the last too late", chaos.CloseBeforeHead(), chaos.Hang(), 0, 504, ""},
		{"the first's response breaks off", chaos.Status(503), chaos.Garbage(), 0, 502, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, hang)
			first := tt.first
			if tt.size == 0 && tt.first.Name() == "Status 503" {
				first = chaos.Bytes("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf of it")
			}
			g.eu.Set(first)
			g.us.Set(tt.second)
			r := g.ask(chaos.Request{WantSize: tt.size})
			wantStatus(t, r, tt.wantStatus, tt.wantOrigin)
			if n, m := len(g.eu.Arrivals(r.ID)), len(g.us.Arrivals(r.ID)); n != 1 || m != 1 {
				t.Errorf("arrived %d times at eu and %d times at us", n, m)
			}
			g.judge(r)
		})
	}
}

func TestHeldResponseIsWholeHoweverItWasFramed(t *testing.T) {
	const fields = "HTTP/1.1 503 Service Unavailable\r\nX-Reason: maintenance\r\n"
	for name, give := range map[string]string{
		"length":      fields + "Content-Length: 10\r\n\r\n0123456789",
		"chunked":     fields + "Transfer-Encoding: chunked\r\n\r\n3\r\n012\r\n7\r\n3456789\r\n0\r\nX-End: yes\r\n\r\n",
		"until close": fields + "\r\n0123456789",
	} {
		for _, method := range []string{"GET", "OPTIONS"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				g := startRig(t)
				g.eu.Set(chaos.Bytes(give))
				g.us.Set(chaos.CloseBeforeHead())
				c := g.dial()
				for range 2 { // the connection goes on
					resp, err := c.Do(method + " / HTTP/1.1\r\nHost: a\r\n\r\n")
					if err != nil || resp.Status != 503 || resp.Body != "0123456789" || resp.Get("X-Reason") != "maintenance" {
						t.Errorf("got %d %q, %v", resp.Status, resp.Body, err)
					}
					if s := resp.Get("Proxy-Status"); !strings.Contains(s, "eu") || strings.Contains(s, "after") {
						t.Errorf("Proxy-Status %q, want that of eu's own answer", s)
					}
				}
			})
		}
	}
}

func TestHeldResponseToHeadHasNoBody(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	g.eu.Set(chaos.Status(503))
	g.us.Set(chaos.CloseBeforeHead())
	r := g.ask(chaos.Request{Method: "HEAD", WantSize: 12345})
	wantStatus(t, r, 503, "eu")
	if got := r.Head.Get("Content-Length"); got != "12345" {
		t.Errorf("Content-Length %q, want the 12345 that GET would have", got)
	}
	g.judge(r)
}

func TestSlowBodyOfAFailedResponseDoesNotHoldUpTheFailover(t *testing.T) {
	t.Parallel()
	stalls := measureLost(t)
	stuck := script(t, func(_ int, p *peer) {
		if _, ok := p.head(); ok && p.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nslowly") {
			p.rest()
		}
	})
	g := startRig(t, withOrigin(stuck))
	from := time.Now()
	r := g.ask(chaos.Request{})
	wantServed(t, r, "us")
	if took, limit := time.Since(from), stalls.allow(500*time.Millisecond); took > limit {
		t.Errorf("took %v, want less than %v", took, limit)
	}
}

func TestConfigured4xxFailsOverAndIsNobodysFault(t *testing.T) {
	t.Parallel()
	var told failures
	var log journal
	g := startRig(t, told.counted, log.logged, breaks(2, time.Minute),
		policy(func(p *failover.PolicyConfig) { p.Statuses = []int{404, 503} }))
	g.eu.Set(chaos.Status(404))
	for range 10 {
		r := g.ask(chaos.Request{})
		wantServed(t, r, "us")
		if rec := log.find(t, r.ID); rec.classes() != "eu status:404, us ok" {
			t.Errorf("attempts %s", rec.classes())
		}
	}
	g.us.Set(chaos.Status(404))
	for range 10 {
		wantStatus(t, g.ask(chaos.Request{}), 404, "us")
	}
	for _, role := range []failover.Role{failover.RolePrimary, failover.RoleSecondary} {
		if s := g.leg(role).breakerState(); s != "closed" {
			t.Errorf("breaker of the %v is %s", role, s)
		}
	}
	if n := told.n.Load(); n != 0 {
		t.Errorf("OnFailure was called %d times", n)
	}
}

func TestStatusThatIsNotListedIsAnAnswer(t *testing.T) {
	t.Parallel()
	var told failures
	g := startRig(t, told.counted, breaks(1, time.Minute), policy(func(p *failover.PolicyConfig) { p.Statuses = []int{502} }))
	for _, status := range []int{200, 404, 500, 503, 599} {
		g.eu.Set(chaos.Status(status))
		wantStatus(t, g.ask(chaos.Request{}), status, "eu")
	}
	if n := told.n.Load(); n != 0 {
		t.Errorf("OnFailure was called %d times", n)
	}
}

func TestFailoverGoesBothWays(t *testing.T) {
	t.Parallel()
	g := startRig(t)
	if err := g.pointer.Pin(failover.RoleSecondary, 0); err != nil {
		t.Fatal(err)
	}
	g.us.Set(chaos.Status(503))
	r := g.ask(chaos.Request{})
	wantServed(t, r, "eu")
	g.judge(r)
}

func TestAttemptsAreBuiltFromTheClientsFields(t *testing.T) {
	t.Parallel()
	g := startRig(t, func(_ *rig, cfg *Config) {
		cfg.Origins[0].Host, cfg.Origins[0].HostLiteral = HostLiteral, "eu.internal"
		cfg.Origins[1].Host = HostOrigin
	})
	g.eu.Set(chaos.Status(503))
	r := g.ask(chaos.Request{Fields: []chaos.Field{{Name: "Via", Value: "1.1 cdn"}, {Name: "X-Mark", Value: "m"}}})
	wantServed(t, r, "us")
	first, second := g.eu.Arrivals(r.ID)[0], g.us.Arrivals(r.ID)[0]
	if first.Get("Host") != "eu.internal" || second.Get("Host") != g.us.Addr() {
		t.Errorf("hosts %q and %q", first.Get("Host"), second.Get("Host"))
	}
	for _, name := range []string{"Via", "X-Forwarded-For", "X-Mark", "X-Request-Id", "CDN-Loop"} {
		if a, b := first.Values(name), second.Values(name); strings.Join(a, "|") != strings.Join(b, "|") {
			t.Errorf("%s is %q at first and then %q", name, a, b)
		}
	}
	if first.Get("Failover-Attempt") != "" || second.Get("Failover-Attempt") != "2" {
		t.Errorf("attempts are marked %q and %q", first.Get("Failover-Attempt"), second.Get("Failover-Attempt"))
	}
}

func TestAbandonedAttemptIsCancelledAtOnce(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	var once sync.Once
	url := script(t, func(_ int, p *peer) {
		if _, ok := p.head(); ok {
			p.rest() // until the proxy closes
			once.Do(func() { close(ended) })
		}
	})
	g := startRig(t, withOrigin(url), primary(func(o *Origin) { o.ResponseHeaderTimeout = 50 * time.Millisecond }))
	g.us.Set(chaos.OK(10).When(ended)) // answers only when the first attempt's connection is closed
	wantServed(t, g.ask(chaos.Request{}), "us")
}

// An attempt may end by itself in the moment in which its time runs out. The
// next attempt must not inherit that. OnFailure, which comes between the two,
// holds the moment still.
func TestTimeOfTheFirstAttemptIsNotTheSeconds(t *testing.T) {
	t.Parallel()
	g := startRig(t, primary(func(o *Origin) { o.ResponseHeaderTimeout = 60 * time.Millisecond }),
		withServer(func(cfg *Config) {
			cfg.OnFailure = func(string, failover.Outcome) { time.Sleep(60*time.Millisecond + 3*sweepEvery) }
		}))
	g.eu.Set(chaos.CloseBeforeHead())
	r := g.ask(chaos.Request{})
	wantServed(t, r, "us")
	g.eu.Set(chaos.Status(503))
	wantServed(t, g.ask(chaos.Request{}), "us")
}
