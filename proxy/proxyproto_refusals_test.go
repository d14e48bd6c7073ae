package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Whatever a trusted peer sends instead of a header, it gets no answer, and
// nothing of it reaches an origin.
func TestATrustedPeerThatSendsNoHeaderIsNotServed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, give string
		missing    bool
	}{
		{"a request", get, true},
		{"a handshake", string(helloBytes(t)), true},
		{"HTTP/2", h2cHead + "SM\r\n\r\n", true},
		{"empty lines", "\r\n\r\n" + get, true},
		{"a header too late", "\r\n" + headerV1, true},
		{"a method", "PROXY / HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"a bad address", "PROXY TCP4 192.0.2.07 198.51.100.1 51000 443\r\n" + get, false},
		{"a bad port", "PROXY TCP4 192.0.2.7 198.51.100.1 051000 443\r\n" + get, false},
		{"108 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n" + get, false},
		{"a length of 65535", signatureV2 + "\x21\x11\xff\xff", false},
		{"a length of 4081", signatureV2 + "\x21\x11\x0f\xf1", false},
		{"another version", signatureV2 + "\x31\x11\x00\x00", false},
	}
	for _, secure := range []bool{false, true} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, TLS %v", tt.name, secure), func(t *testing.T) {
				t.Parallel()
				core, logs := observer.New(zap.WarnLevel)
				g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.H2C, c.Log = true, zap.New(core) }))
				addr := g.addr
				if secure {
					addr = g.tlsAddr()
				}
				c := chaos.Dial(t, "tcp", addr)
				c.Timeout = patience
				_ = c.Send(tt.give)
				if got, err := c.ReadAll(); got != "" || errors.Is(err, errTimeout(err)) {
					t.Errorf("got %q, %v", got, err)
				}
				want := ProxyProtocolStats{Broken: 1}
				message := "PROXY header that can't be read"
				if tt.missing {
					want, message = ProxyProtocolStats{Missing: 1}, "no PROXY header from a peer that is in trusted_proxies"
				}
				g.awaitHeaders(want)
				chaos.Await(t, patience, "a record", func() bool { return logs.FilterMessageSnippet(message).Len() == 1 })
				if s := g.stats(); s.Accepted != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// Who leaves without a word is a check of the port, and no fault.
func TestAPortCheckIsNoFault(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	g := startRig(t, proxied, alone, withServer(func(c *Config) { c.Log = zap.New(core) }))
	for _, leave := range []func(*chaos.Raw){(*chaos.Raw).Close, (*chaos.Raw).Reset, (*chaos.Raw).CloseWrite} {
		c := g.dial()
		leave(c)
	}
	chaos.Await(t, patience, "end", func() bool { return g.srv.conns.size() == 0 })
	r, err := g.dial().Do(headerV1 + get)
	wantOK(t, r, err)
	g.awaitHeaders(ProxyProtocolStats{Believed: 1})
	if logs.Len() > 0 {
		t.Errorf("logged %v", logs.All())
	}
	half := g.dial()
	_ = half.Send(headerV1[:10])
	half.Close()
	g.awaitHeaders(ProxyProtocolStats{Believed: 1, Broken: 1})
}

// A peer that is not trusted is served as it is, and so are methods and empty
// lines that look like the beginning of a header.
func TestStrangersNeedNoHeader(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxiedToAll, withHTTP2, alone)
	for _, request := range []string{get, "\r\n" + get, "\r\n\r\n" + get, "PROXY / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXYING / HTTP/1.1\r\nHost: a\r\n\r\n", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"} {
		for range 2 {
			wantFields(t, sent(t, g, request), map[string]string{"X-Forwarded-For": "127.0.0.1"})
		}
		c := g.dial()
		_ = c.SendSlowly(request, 100*time.Microsecond)
		r, err := c.ReadResponse("GET")
		wantOK(t, r, err)
		r, err = c.Do(get) // and the connection goes on
		wantOK(t, r, err)
	}
	if status, _ := g.mustDialTLS().do(t, get, "GET"); status != 200 {
		t.Errorf("over TLS: %d", status)
	}
	tlsClient := g.mustDialTLS()
	if status, body := tlsClient.do(t, headerV1+get, "GET"); status != 400 || strings.Contains(body, "PROXY header") {
		t.Errorf("a header inside TLS: %d %q", status, body)
	}
	if resp, _, err := ask2(t, g.http2Client(), "GET", "/", nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("over HTTP/2: %v, %v", resp, err)
	}
	if s := g.srv.ProxyProtocol(); s != (ProxyProtocolStats{}) {
		t.Errorf("counted %+v", s)
	}
}

// A stranger that begins like a header and stops has the time of a head.
func TestAStrangersHalfHeaderIsALateHead(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxiedToAll, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = 200 * time.Millisecond }))
	for _, text := range []string{"P", "PROXY TCP", signatureV2[:11]} {
		c := g.dial()
		_ = c.Send(text)
		if r, err := c.ReadResponse("GET"); r.Status != 408 {
			t.Errorf("%q: %d, %v", text, r.Status, err)
		}
	}
}

// A header from a peer that is not trusted is refused, in whatever pieces it
// comes, and says nothing about anybody.
func TestAStrangersHeaderIsRefused(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	g := startRig(t, proxiedToAll, withTLS, alone, withServer(func(c *Config) { c.Log = zap.New(core) }))
	n := uint64(0)
	for _, addr := range []string{g.addr, g.tlsAddr()} {
		for _, slowly := range []time.Duration{0, 100 * time.Microsecond} {
			for _, tt := range []struct{ give, want string }{
				{headerV1 + get, "HTTP/1.1 400 "},
				{headerV1, "HTTP/1.1 400 "},
				{"PROXY UNKNOWN\r\n" + get, "HTTP/1.1 400 "},
				{headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", "") + get, ""},
				{headerV2(0, 0, "", "", ""), ""},
			} {
				c := chaos.Dial(t, "tcp", addr)
				c.Timeout = patience
				if slowly > 0 {
					go func() { _ = c.SendSlowly(tt.give, slowly) }()
				} else {
					_ = c.Send(tt.give)
				}
				got, err := c.ReadAll()
				if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, "PROXY header, which is not accepted from this address") {
					t.Errorf("%q: got %q, %v", tt.give, got, err)
				}
				n++
				g.awaitHeaders(ProxyProtocolStats{Untrusted: n})
			}
		}
	}
	if logged := logs.FilterMessageSnippet("PROXY header from a peer that is not in trusted_proxies").Len(); logged == 0 || uint64(logged) == n {
		t.Errorf("%d records of %d headers", logged, n)
	}
	if s := g.stats(); s.Accepted != 0 {
		t.Errorf("%+v", s)
	}
}

// Elsewhere a header is a malformed request, as it was before.
func TestAHeaderOnAnotherListenerIsAMalformedRequest(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withServer(loopback))
	r, err := g.dial().Do(headerV1 + get)
	if r.Status != 400 || strings.Contains(r.Body, "PROXY") {
		t.Errorf("%d %q, %v", r.Status, r.Body, err)
	}
	if s := g.srv.ProxyProtocol(); s != (ProxyProtocolStats{}) {
		t.Errorf("counted %+v", s)
	}
}

// A header counts once, at the beginning: inside TLS, and after a request, it is
// nobody's.
func TestASecondHeaderIsAMalformedRequest(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone)
	for _, first := range []string{headerV1, headerV1 + get} {
		c := g.dial()
		_ = c.Send(first + headerV1 + get)
		for range strings.Count(first, "GET") {
			r, err := c.ReadResponse("GET")
			wantOK(t, r, err)
		}
		if r, err := c.ReadResponse("GET"); r.Status != 400 {
			t.Errorf("%d, %v", r.Status, err)
		}
	}
	c := chaos.Dial(t, "tcp", g.tlsAddr())
	nc := tls.Client(&balanced{Conn: c.Conn(), header: headerV1}, clientTLS())
	_, _ = io.WriteString(nc, headerV1+get)
	if status, _, err := readingEnd(nc).response("GET"); status != 400 {
		t.Errorf("inside TLS: %d, %v", status, err)
	}
}

func TestListenersOfTheProxyProtocolMustBeListenersAndTrustSomebody(t *testing.T) {
	somebody := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	for _, tt := range []struct {
		give Config
		want string
	}{
		{Config{Listen: []string{":1"}, ProxyProtocol: []string{":2"}, TrustedProxies: somebody}, "ProxyProtocol: :2 is neither in Listen nor in TLSListen"},
		{Config{Listen: []string{":1"}, ProxyProtocol: []string{":1"}}, "ProxyProtocol: on :1 no header would be believed without TrustedProxies"},
		{Config{Listen: []string{":1"}, ProxyProtocol: []string{":1"}, TrustedProxies: somebody}, ""},
		{Config{TLSListen: []string{":1"}, TLS: serverTLS(), ProxyProtocol: []string{":1"}, TrustedProxies: somebody}, ""},
		{Config{Listen: []string{"unix:/s"}, ProxyProtocol: []string{"unix:/s"}}, ""},
	} {
		_, err := New(tt.give)
		if got := fmt.Sprint(err); got != tt.want && (tt.want != "" || err != nil) {
			t.Errorf("%+v: %v, want %q", tt.give, err, tt.want)
		}
	}
}
