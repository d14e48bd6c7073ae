package proxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/internal/chaos"
)

// A request that is refused ends the connection, and nothing of it, nor of what
// is hidden behind it, reaches an origin.
func TestRefusedRequestsEndTheConnectionAndReachNobody(t *testing.T) {
	t.Parallel()
	field := func(lines ...string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	path := func(p string) string { return "GET " + p + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	tests := []struct {
		name, give string
		want       int
	}{
		{"both framings", field("Content-Length: 3", "Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
		{"both framings, the other way round", field("Transfer-Encoding: chunked", "Content-Length: 3") + "0\r\n\r\n", 400},
		{"another coding", field("Transfer-Encoding: gzip"), 501},
		{"a coding before chunked", field("Transfer-Encoding: gzip, chunked"), 501},
		{"chunked twice", field("Transfer-Encoding: chunked, chunked"), 501},
		{"two codings", field("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400},
		{"a disguised coding", field("Transfer-Encoding: \x0bchunked"), 400},
		{"a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"bad length", field("Content-Length: 3x"), 400},
		{"signed length", field("Content-Length: +3"), 400},
		{"negative length", field("Content-Length: -3"), 400},
		{"empty length", field("Content-Length: "), 400},
		{"hexadecimal length", field("Content-Length: 0x3"), 400},
		{"huge length", field("Content-Length: 99999999999999999999"), 400},
		{"list of lengths", field("Content-Length: 3, 3"), 400},
		{"repeated length", field("Content-Length: 3", "Content-Length: 3"), 400},
		{"folded line", field("X-A: b", " c"), 400},
		{"folded first line", "GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n", 400},
		{"space before colon", field("X-A : b"), 400},
		{"bare CR", field("X-A: b\rX-C: d"), 400},
		{"bare LF", field("X-A: b\nX-C: d"), 400},
		{"LF only", "GET / HTTP/1.1\nHost: a\n\n", 400},
		{"NUL", field("X-A: b\x00c"), 400},
		{"no name", field(": b"), 400},
		{"bad token", field("X(A: b"), 400},
		{"no colon", field("X-A"), 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
		{"bad Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"bad method", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"twin of Content-Length", field("Content_Length: 3"), 400},
		{"twin of Transfer-Encoding", field("Transfer_Encoding: chunked"), 400},
		{"twin of X-Forwarded-For", field("X_Forwarded_For: 1.2.3.4"), 400},
		{"twin of X-Real-IP", field("X-Real_IP: 1.2.3.4"), 400},
		{"twin of X-Request-Id", field("X_Request_Id: 1"), 400},
		{"unknown expectation", field("Expect: a-miracle"), 417},
		{"climbing", path("/a/../b"), 400},
		{"climbing, encoded", path("/a/%2e%2E/b"), 400},
		{"climbing at the end", path("/a/.."), 400},
		{"climbing with a parameter", path("/a/..;x/b"), 400},
		{"NUL in the path", path("/a%00"), 400},
		{"backslash", path("/a\\b"), 400},
		{"encoded slash", path("/a%2Fb"), 400},
		{"encoded backslash", path("/a%5cb"), 400},
		{"bad encoding", path("/a%zz"), 400},
		{"cut encoding", path("/a%2"), 400},
		{"fragment", path("/a#b"), 400},
		{"no slash", path("a"), 400},
		{"another scheme", path("ftp://a/"), 400},
		{"absolute with user information", path("http://u@a/"), 400},
		{"head over the limit", field("X-A: " + strings.Repeat("a", 40<<10)), 431},
		{"fields over the limit", field(strings.TrimSuffix(strings.Repeat("A: b\r\n", 300), "\r\n")), 431},
		{"target over the limit", path("/" + strings.Repeat("a", 40<<10)), 414},
		{"bad chunk size", field("Transfer-Encoding: chunked") + "zz\r\n", 400},
		{"endless chunk size", field("Transfer-Encoding: chunked") + strings.Repeat("0", 100), 400},
		{"overflowing chunk size", field("Transfer-Encoding: chunked") + "ffffffffffffffff\r\n", 400},
		{"chunk without its end", field("Transfer-Encoding: chunked") + "3\r\nabcd\r\n0\r\n\r\n", 400},
		{"endless chunk extension", field("Transfer-Encoding: chunked") + "3;" + strings.Repeat("a", 1000) + "\r\nabc\r\n0\r\n\r\n", 400},
		{"bad trailer", field("Transfer-Encoding: chunked") + "0\r\na b\r\n\r\n", 400},
	}
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	g := startRig(t, alone)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := g.dial()
			if err := c.Send(tt.give + smuggled); err != nil {
				t.Fatal(err)
			}
			r, err := c.ReadResponse("POST")
			if err != nil {
				t.Fatalf("%v after %q", err, r.Raw)
			}
			if r.Status != tt.want {
				t.Errorf("status %d, want %d: %s", r.Status, tt.want, r.Body)
			}
			if r.Get("Connection") != "close" {
				t.Errorf("Connection: %q", r.Get("Connection"))
			}
			if rest, err := c.ReadAll(); rest != "" || err != nil {
				t.Errorf("then came %q, %v", rest, err)
			}
		})
	}
	if all := g.eu.AllArrivals(); len(all) != 0 {
		t.Errorf("%q reached the origin", all[0].Raw)
	}
}

// The same heads, one byte at a time: the refusal may come early, but it comes.
func TestRefusalsDoNotDependOnHowTheBytesArrive(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	for _, give := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
	} {
		c := g.dial()
		for i := range len(give) {
			if c.Send(give[i:i+1]) != nil {
				break // refused already
			}
		}
		r, err := c.ReadResponse("GET")
		if r.Status != 400 {
			t.Errorf("%q: status %d, %v", give, r.Status, err)
		}
	}
	if n := len(g.eu.AllArrivals()); n != 0 {
		t.Errorf("%d requests reached the origin", n)
	}
}

func TestEncodedSlashesAreForwardedAsTheyAreWhereTheyAreKept(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withServer(func(c *Config) { c.KeepEncodedSlash = true }))
	c := g.dial()
	for _, p := range []string{"/a%2Fb", "/a%2fb%5C", "/a//b", "/%61?x=%2F..", "/a;b=c/./d", "/.../x", "/a%20b?"} {
		r, err := c.Do("GET " + p + " HTTP/1.1\r\nHost: a\r\n\r\n")
		wantOK(t, r, err)
		all := g.eu.AllArrivals()
		if got := all[len(all)-1].Target; got != p {
			t.Errorf("got %q, want %q", got, p)
		}
	}
	r, err := c.Do("GET /a%2F..%2Fb HTTP/1.1\r\nHost: a\r\n\r\n")
	if r.Status != 400 || err != nil {
		t.Errorf("climbing between kept slashes: %d, %v", r.Status, err)
	}
}

// A refusal that is nobody's bad behaviour leaves the connection open.
func TestARequestWithoutARouteCostsNoConnection(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withRoute(func(r *Route) { r.Match = "GET /here" }))
	c := g.dial()
	for _, request := range []string{
		"GET /there HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST /here HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HEAD /there HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /there HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	} {
		r, err := c.Do(request)
		if r.Status != 404 || err != nil {
			t.Fatalf("%q: %d, %v", request, r.Status, err)
		}
	}
	r, err := c.Do("GET /here HTTP/1.1\r\nHost: a\r\n\r\n")
	wantOK(t, r, err)
}

func TestErrorsAreTextOrJSONWithTheRequestID(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withRoute(func(r *Route) { r.Match = "/here" }))
	for _, tt := range []struct{ accept, want string }{
		{"", "text/plain; charset=utf-8"},
		{"Accept: text/html,application/json\r\n", "text/plain; charset=utf-8"},
		{"Accept: */*\r\n", "text/plain; charset=utf-8"},
		{"Accept: application/json\r\n", "application/json"},
	} {
		c := g.dial()
		r, err := c.Do("GET /there HTTP/1.1\r\nHost: a\r\n" + tt.accept + "\r\n")
		if err != nil || r.Get("Content-Type") != tt.want {
			t.Errorf("%q: %q, %v", tt.accept, r.Raw, err)
		}
		if r.Get("Date") == "" || !strings.HasPrefix(r.Get("Proxy-Status"), "fairlead; error=destination_not_found") {
			t.Errorf("Date or Proxy-Status is missing: %q", r.Raw)
		}
		if tt.want != "application/json" {
			if _, id, ok := strings.Cut(r.Body, "request id: "); !ok || len(strings.TrimSpace(id)) != 32 {
				t.Errorf("no request id in %q", r.Body)
			}
			continue
		}
		var body struct {
			Status    int
			Error     string
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil || body.Status != 404 || body.Error == "" || len(body.RequestID) != 32 {
			t.Errorf("%v: %q", err, r.Body)
		}
	}
}

func TestAFullBulkheadAnswersWithRetryAfter(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	g := startRig(t, alone, withRoute(func(r *Route) { r.Bulkhead = bulkhead.Config{MaxConcurrent: 1} }))
	g.eu.Set(chaos.OK(1).When(answer))
	first := g.dial()
	if err := first.Send(get); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	c := g.dial()
	for range 2 {
		r, err := c.Do(get)
		if err != nil || r.Status != 503 || r.Get("Retry-After") == "" || r.Get("Connection") == "close" {
			t.Errorf("%v: %q", err, r.Raw)
		}
	}
	close(answer)
	r, err := first.ReadResponse("GET")
	wantOK(t, r, err)
	r, err = c.Do(get)
	wantOK(t, r, err)
}
