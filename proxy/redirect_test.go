package proxy

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/internal/chaos"
)

func redirecting(_ *rig, cfg *Config) { cfg.HTTPSRedirect = true }

// What comes in plain is sent to the same place by https, whatever it is.
func TestPlainRequestsAreRedirected(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, redirecting)
	_, port, _ := net.SplitHostPort(g.tlsAddr())
	tests := []struct{ name, give, want string }{
		{"a path", "GET /a%20b//c?x=1&y=%20 HTTP/1.1\r\nHost: shop.example\r\n\r\n", "https://shop.example:PORT/a%20b//c?x=1&y=%20"},
		{"an empty query", "GET /? HTTP/1.1\r\nHost: shop.example\r\n\r\n", "https://shop.example:PORT/?"},
		{"a port", "GET / HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n", "https://shop.example:PORT/"},
		{"an address", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "https://[::1]:PORT/"},
		{"an address without a port", "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "https://[::1]:PORT/"},
		{"the whole URL", "GET http://other.example:80/p?q HTTP/1.1\r\nHost: shop.example\r\n\r\n", "https://other.example:PORT/p?q"},
		{"the whole URL without a path", "GET http://other.example HTTP/1.1\r\nHost: other.example\r\n\r\n", "https://other.example:PORT/"},
		{"HEAD", "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n", "https://a:PORT/h"},
		{"POST", "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "https://a:PORT/p"},
		{"a body on its way", "PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc", "https://a:PORT/p"},
		{"a method of nobody's", "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "https://a:PORT/pot"},
		{"a stranger's word", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n", "https://a:PORT/"},
		{"HTTP/1.0 with a host", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "https://a:PORT/"},
	}
	for _, tt := range tests {
		r, err := g.dial().Do(tt.give)
		want := strings.ReplaceAll(tt.want, "PORT", port)
		if err != nil || r.Status != 308 || r.Get("Location") != want {
			t.Errorf("%s: %v: %d to %q, want %q", tt.name, err, r.Status, r.Get("Location"), want)
		}
	}
	chaos.Await(t, patience, "every redirect to be counted", func() bool { return g.srv.refused.Load() == uint64(len(tests)) })
	if s := g.stats(); s.Accepted != 0 {
		t.Errorf("%d accepted", s.Accepted)
	}
	if status, _ := g.mustDialTLS().do(t, get, "GET"); status != 200 {
		t.Errorf("over TLS: %d", status)
	}
}

// The connection goes on, so a client may follow several at once.
func TestARedirectKeepsTheConnection(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, redirecting)
	c := g.dial()
	_ = c.Send(get + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get)
	for range 3 {
		if r, err := c.ReadResponse("GET"); r.Status != 308 || r.Get("Connection") != "" {
			t.Errorf("%v: %q", err, r.Raw)
		}
	}
}

func TestWhatCannotBeRedirectedIsAnsweredOtherwise(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, redirecting)
	for request, want := range map[string]int{
		"GET / HTTP/1.0\r\n\r\n":                          400,
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                 400,
		"GET /../etc HTTP/1.1\r\nHost: a\r\n\r\n":         400,
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n":           204,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":    400,
		"GET / HTTP/1.1\r\nHost: a\r\nBad Name: \r\n\r\n": 400,
	} {
		r, err := g.dial().Do(request)
		if r.Status != want || r.Get("Location") != "" {
			t.Errorf("%q: %d to %q, %v", request, r.Status, r.Get("Location"), err)
		}
	}
}

// A proxy in front that took the request by https has done what a redirect is for.
func TestATrustedProxysHTTPSIsNotRedirected(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, redirecting, withServer(func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}))
	for proto, want := range map[string]int{"https": 200, "HTTPS": 200, "http": 308, "": 308} {
		r, err := g.dial().Do("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: " + proto + "\r\n\r\n")
		if r.Status != want {
			t.Errorf("%q: %d, %v", proto, r.Status, err)
		}
	}
}

// Without a TLS listener of a port the default one is meant.
func TestARedirectWithoutAPortGoesToTheDefaultOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for name, more := range map[string]setup{
		"no TLS listener": alone,
		"a unix socket":   withServer(func(c *Config) { c.TLSListen, c.TLS = []string{"unix:" + path}, serverTLS() }),
	} {
		g := startRig(t, alone, redirecting, more)
		r, err := g.dial().Do("GET /x HTTP/1.1\r\nHost: a:8080\r\n\r\n")
		if r.Status != 308 || r.Get("Location") != "https://a/x" {
			t.Errorf("%s: %d to %q, %v", name, r.Status, r.Get("Location"), err)
		}
	}
}
