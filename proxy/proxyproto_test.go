package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/netx"
)

// forged is what a client behind a layer-4 balancer writes of itself.
var forged = []string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "gopher", "X-Real-Ip", "6.6.6.6", "Forwarded", "for=6.6.6.6", "Failover-Attempt", "2"}

// The address in the header is the client's, to origins and in the log, by
// every door; and it is the one that trust is judged by.
func TestTheHeadersAddressIsTheClients(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, header, client string }{
		{"v1 over IPv4", headerV1, "192.0.2.7"},
		{"v1 over IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n", "2001:db8::7"},
		{"v1 with IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 51000 443\r\n", "192.0.2.7"},
		{"v2 over IPv4", headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", ""), "192.0.2.7"},
		{"v2 over IPv6", headerV2(1, 0x21, "2001:db8::7", "2001:db8::1", ""), "2001:db8::7"},
		{"v2 with IPv4 as IPv6", headerV2(1, 0x21, "::ffff:192.0.2.7", "2001:db8::1", ""), "192.0.2.7"},
		{"v2 with fields", headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", "\x01\x00\x02h2\x02\x00\x0cshop.example"), "192.0.2.7"},
		{"v2 of 4096 bytes", headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", "\x04\x0f\xe1"+strings.Repeat("x", 4065)), "192.0.2.7"},
	}
	for _, door := range proxiedDoors {
		t.Run(door.name, func(t *testing.T) {
			t.Parallel()
			var log journal
			g := startRig(t, door.setup, alone, log.logged)
			proto := "http"
			if strings.Contains(door.name, "TLS") {
				proto = "https"
			}
			for _, tt := range tests {
				path := "/" + chaos.NewID()
				a := must(t, door.client(g, tt.header), "GET", path, nil, forged...)
				all := g.eu.Arrivals(a.id)
				if a.StatusCode != 200 || len(all) != 1 {
					t.Errorf("%s: %d, arrived %d times", tt.name, a.StatusCode, len(all))
					continue
				}
				wantFields(t, all[0], map[string]string{"X-Forwarded-For": tt.client, "X-Real-IP": tt.client, "X-Forwarded-Proto": proto, "Failover-Attempt": ""})
				if rec := log.find(t, path); rec.Client != tt.client {
					t.Errorf("%s: in the log it is %q", tt.name, rec.Client)
				}
			}
			g.awaitHeaders(ProxyProtocolStats{Believed: uint64(len(tests))})
		})
	}
}

// A proxy behind the balancer that is trusted itself has its fields believed.
func TestAClientThatIsTrustedIsBelieved(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone, withServer(func(c *Config) {
		c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix("192.0.2.0/24"))
	}))
	a := sent(t, g, headerV1+"GET / HTTP/1.1\r\nHost: a\r\n"+identity+"\r\n")
	wantFields(t, a, map[string]string{"X-Forwarded-For": "6.6.6.6, 7.7.7.7, 192.0.2.7", "X-Forwarded-Proto": "https", "X-Real-IP": "6.6.6.6"})
}

// Where the header names nobody the balancer is the client. It is not believed
// what it does not know: its own clients may have written it.
func TestAHeaderThatNamesNobodyLeavesTheBalancersAddress(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone)
	headers := []string{"PROXY UNKNOWN\r\n", "PROXY UNKNOWN 192.0.2.7 and so on\r\n", headerV2(0, 0, "", "", ""), headerV2(0, 0x11, "192.0.2.7", "198.51.100.1", ""), headerV2(1, 0, "", "", "\x04\x00\x00")}
	for _, header := range headers {
		a := sent(t, g, header+"GET / HTTP/1.1\r\nHost: a\r\n"+identity+"\r\n")
		wantFields(t, a, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Real-IP": "127.0.0.1"})
	}
	g.awaitHeaders(ProxyProtocolStats{Local: uint64(len(headers))})
	a := sent(t, g, headerV2(1, 0x31, "", "", strings.Repeat("\x00", 216))+"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
	wantFields(t, a, map[string]string{"X-Forwarded-For": ""})
	g.awaitHeaders(ProxyProtocolStats{Local: uint64(len(headers)), Believed: 1})
}

// Whoever reaches a unix socket may send headers, and must.
func TestAUnixSocketsPeerIsTrustedToSendHeaders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	g := startRig(t, alone, withServer(func(c *Config) { c.Listen, c.ProxyProtocol = []string{"unix:" + path}, []string{"unix:" + path} }))
	r, err := chaos.Dial(t, "unix", path).Do(headerV1 + "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
	wantOK(t, r, err)
	wantFields(t, g.eu.AllArrivals()[0], map[string]string{"X-Forwarded-For": "192.0.2.7"})
	c := chaos.Dial(t, "unix", path)
	_ = c.Send(get)
	if !c.Closed() {
		t.Error("served without a header")
	}
	g.awaitHeaders(ProxyProtocolStats{Believed: 1, Missing: 1})
}

// Whatever clients rely on is the same behind a header.
func TestBehindAHeaderEveryDoorBehavesTheSame(t *testing.T) {
	t.Parallel()
	for _, door := range proxiedDoors {
		for i, header := range []string{headerV1, headerV2(1, 0x21, "2001:db8::7", "2001:db8::1", "")} {
			for _, b := range behaviours {
				t.Run(fmt.Sprintf("%s/v%d/%s", door.name, i+1, b.name), func(t *testing.T) {
					t.Parallel()
					b.run(t, func(t *testing.T, setups ...setup) (*rig, *http.Client) {
						g := startRig(t, append([]setup{door.setup}, setups...)...)
						return g, door.client(g, header)
					})
				})
			}
		}
	}
}

// However header and request are cut, each has its own bytes: all splits where
// a write is a read, and some where it is the network's choice.
func TestAHeaderMayComeInPieces(t *testing.T) {
	t.Parallel()
	headers := map[string]string{"v1": headerV1, "v2": headerV2(1, 0x21, "2001:db8::7", "2001:db8::1", "\x04\x00\x03abc")}
	for name, header := range headers {
		for _, after := range []struct{ name, now, later string }{
			{"the request with its last byte", get, ""},
			{"half a request with its last byte", get[:20], get[20:]},
			{"the request later", "", get},
			{"two requests and a half", get + get + get[:9], get[9:]},
		} {
			t.Run(name+", "+after.name, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, proxied, alone)
				pipe, ended := g.piped(false)
				socket, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer socket.Close()
				_ = socket.SetDeadline(time.Now().Add(patience))
				for _, nc := range []net.Conn{pipe, socket} {
					go func() {
						_ = inPieces(nc, header, after.now)
						_, _ = io.WriteString(nc, after.later)
					}()
					in := readingEnd(nc)
					for range strings.Count(after.now+after.later, "GET") {
						if status, _, err := in.response("GET"); status != 200 {
							t.Errorf("%d, %v", status, err)
						}
					}
					nc.Close()
				}
				<-ended
				g.awaitHeaders(ProxyProtocolStats{Believed: 2})
			})
		}
		t.Run(name+" before TLS", func(t *testing.T) {
			t.Parallel()
			g := startRig(t, proxied, withTLS, alone)
			pipe, ended := g.piped(true)
			socket, err := net.Dial("tcp", g.tlsAddr())
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			_ = socket.SetDeadline(time.Now().Add(patience))
			for _, nc := range []net.Conn{pipe, socket} {
				if err := inPieces(nc, header[:len(header)-1], ""); err != nil {
					t.Fatal(err)
				}
				c := tls.Client(&balanced{Conn: nc, header: header[len(header)-1:]}, clientTLS())
				in := readingEnd(c)
				for range 2 {
					go func() { _, _ = io.WriteString(c, get) }()
					if status, _, err := in.response("GET"); status != 200 {
						t.Fatalf("%d, %v", status, err)
					}
				}
				nc.Close()
			}
			<-ended
			g.awaitHeaders(ProxyProtocolStats{Believed: 2})
		})
	}
}

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

// errTimeout is err if it is a time-out of the test's own.
func errTimeout(err error) error {
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		return err
	}
	return errNoGoodbye
}

// A header that does not come is not waited for any longer than a request's
// head is, or a handshake; nor one that comes in drops.
func TestAHeaderThatStopsIsCutOff(t *testing.T) {
	t.Parallel()
	v2 := headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", strings.Repeat("\x04\x00\x01x", 500))
	for _, secure := range []bool{false, true} {
		for _, tt := range []struct {
			name, give string
			drops      bool
			want       ProxyProtocolStats
		}{
			{"nothing", "", false, ProxyProtocolStats{Missing: 1}},
			{"one byte", headerV1[:1], false, ProxyProtocolStats{Broken: 1}},
			{"all but one byte", headerV1[:len(headerV1)-1], false, ProxyProtocolStats{Broken: 1}},
			{"half of version 2", v2[:100], false, ProxyProtocolStats{Broken: 1}},
			{"drops", v2, true, ProxyProtocolStats{Broken: 1}},
		} {
			t.Run(fmt.Sprintf("%s, TLS %v", tt.name, secure), func(t *testing.T) {
				t.Parallel()
				g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) {
					c.RequestHeaderTimeout, c.HandshakeTimeout = 200*time.Millisecond, time.Minute
					if secure {
						c.RequestHeaderTimeout, c.HandshakeTimeout = time.Minute, 200*time.Millisecond
					}
				}))
				addr := g.addr
				if secure {
					addr = g.tlsAddr()
				}
				c := chaos.Dial(t, "tcp", addr)
				c.Timeout = patience
				if tt.drops {
					// 2 s for all of it, if it were taken.
					go func() { _ = c.SendSlowly(tt.give, time.Millisecond) }()
				} else {
					_ = c.Send(tt.give)
				}
				if !c.Closed() {
					t.Error("the connection was left open")
				}
				g.awaitHeaders(tt.want)
			})
		}
	}
}

// The header's time is part of the handshake's.
func TestAHeaderAndItsHandshakeShareTheirTime(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.HandshakeTimeout = 300 * time.Millisecond }))
	hello := string(helloBytes(t))
	for _, text := range []string{headerV1, headerV1 + hello[:100], headerV1 + hello} {
		c := chaos.Dial(t, "tcp", g.tlsAddr())
		c.Timeout = patience
		_ = c.Send(text)
		_, err := c.ReadAll()
		if errors.Is(err, errTimeout(err)) {
			t.Error("the connection was left open")
		}
	}
	chaos.Await(t, patience, "count", func() bool { return g.srv.Handshakes() == HandshakeStats{TimedOut: 3} })
	g.awaitHeaders(ProxyProtocolStats{Believed: 3})
}

// Once the header is there the connection is like any other: idle_timeout is
// its time, not the header's.
func TestAfterItsHeaderAConnectionMayIdle(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = 100 * time.Millisecond }))
	quiet, blank := g.dial(), g.dial()
	_ = quiet.Send(headerV1)
	_ = blank.Send(headerV1 + "\r\n")
	g.awaitHeaders(ProxyProtocolStats{Believed: 2})
	g.awaitIdle(2)
	time.Sleep(100*time.Millisecond + 4*sweepEvery) // nothing must happen in it
	for _, c := range []*chaos.Raw{quiet, blank} {
		r, err := c.Do(get)
		wantOK(t, r, err)
	}
}

// A head that begins together with the header has a head's time, in plain and
// over TLS.
func TestAHeadBehindAHeaderIsCutOffLikeAnyOther(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = 200 * time.Millisecond }))
	c := g.dial()
	c.Timeout = patience
	if r, err := c.Do(headerV1 + get[:10]); r.Status != 408 {
		t.Errorf("%d, %v", r.Status, err)
	}
	c = chaos.Dial(t, "tcp", g.tlsAddr())
	_ = c.Conn().SetDeadline(time.Now().Add(patience))
	nc := tls.Client(&balanced{Conn: c.Conn(), header: headerV1}, clientTLS())
	_, _ = io.WriteString(nc, get[:10])
	if status, _, err := readingEnd(nc).response("GET"); status != 408 {
		t.Errorf("over TLS: %d, %v", status, err)
	}
}

// A handshake that came in part together with the header is read on as what it
// is: the boundaries of records are not lost.
func TestAHandshakeThatBeginsWithTheHeaderIsReadOn(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = 100 * time.Millisecond }))
	c := chaos.Dial(t, "tcp", g.tlsAddr())
	_ = c.Conn().SetDeadline(time.Now().Add(patience))
	nc := tls.Client(&balanced{Conn: c.Conn(), header: headerV1, first: 50, then: func() { g.awaitHeaders(ProxyProtocolStats{Believed: 1}) }}, clientTLS())
	in := readingEnd(nc)
	for range 2 {
		_, _ = io.WriteString(nc, get)
		if status, _, err := in.response("GET"); status != 200 {
			t.Errorf("%d, %v", status, err)
		}
		time.Sleep(100*time.Millisecond + 4*sweepEvery) // nothing must happen in it
	}
}

// A wait that was ended just as more of the header came goes on, but not beyond
// its time.
func TestAnEndedWaitForAHeaderHasNoMoreTime(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone)
	for _, late := range []bool{false, true} {
		client, c := halfHeader(t, g)
		c.awaitHeader()
		if late {
			c.headBy = g.srv.clock.now()
		}
		c.x.interrupt(causeIdle)
		if late {
			hung := time.AfterFunc(patience, func() {
				t.Error("late: it is waited for")
				client.Close()
			})
			if n := c.await(); n != nextClose {
				t.Errorf("late: %v", n)
			}
			hung.Stop()
			continue
		}
		by := at(phaseHandshake, c.headBy)
		go func() {
			chaos.Await(t, patience, "the old deadline", func() bool { return c.x.mark.Load() == by })
			client.Close()
		}()
		if n := c.await(); n != nextClose {
			t.Errorf("in time: %v", n)
		}
	}
}

// halfHeader is a connection on which a part of a header waits to be read.
func halfHeader(t *testing.T, g *rig) (client *chaos.Raw, c *conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client = chaos.Dial(t, "tcp", l.Addr().String())
	_ = client.Send(headerV1[:10])
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c = newConn(g.srv, g.listener(false), nc)
	if c.raw == nil {
		t.Skip("here a connection can't be waited for without a buffer")
	}
	chaos.Await(t, patience, "bytes", func() bool { return netx.Dead(c.raw) })
	return client, c
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

func TestARedirectComesAfterTheHeader(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, redirecting, alone)
	r, err := g.dial().Do(headerV1 + "GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n")
	if r.Status != 308 || !strings.HasPrefix(r.Get("Location"), "https://a:") {
		t.Errorf("%d to %q, %v", r.Status, r.Get("Location"), err)
	}
}

// Who has not sent its header waits as who has not sent a request does: a drain
// ends it, unless header and request are on their way.
func TestADrainEndsTheWaitForAHeader(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.RequestHeaderTimeout, c.HandshakeTimeout = time.Hour, time.Hour }))
	g.dial()
	_ = g.dial().Send(headerV1[:20])
	_ = chaos.Dial(t, "tcp", g.tlsAddr()).Send(headerV1[:20])
	_ = chaos.Dial(t, "tcp", g.tlsAddr()).Send(headerV1)
	chaos.Await(t, patience, "connections", func() bool { return g.srv.conns.size() == 4 })
	g.awaitHeaders(ProxyProtocolStats{Believed: 1})
	g.cancel()
	g.drained(patience / 2)
	if s := g.srv.ProxyProtocol(); s != (ProxyProtocolStats{Believed: 1}) {
		t.Errorf("the drain counts as a fault: %+v", s)
	}
}

// The wait for a header ends with a look at what is there: a header and a request
// that cross with a drain are served.
func TestAHeaderThatCrossesTheDrainIsServed(t *testing.T) {
	t.Parallel()
	for _, header := range []string{headerV1, headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", "")} {
		g := startRig(t, proxied, alone)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := chaos.Dial(t, "tcp", l.Addr().String())
		_ = client.Send(header + get)
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// Accepted before the drain, and looked at after it has begun.
		door := g.listener(false)
		door.retire(hurried)
		g.srv.seats.take()
		door.work.Go(func() { g.srv.serve(door, nc) })
		r, err := client.ReadResponse("GET")
		wantOK(t, r, err)
		if r.Get("Connection") != "close" {
			t.Errorf("it does not say so: %q", r.Raw)
		}
		client.Close()
		// Who has sent nothing by then is not waited for.
		silent := chaos.Dial(t, "tcp", l.Addr().String())
		silent.Timeout = patience / 2
		second, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		g.srv.seats.take()
		door.work.Go(func() { g.srv.serve(door, second) })
		if !silent.Closed() {
			t.Error("a connection without a header outlives the drain's beginning")
		}
	}
}

// At the limit the wait for a header is one like others: who has waited the
// longest makes room, by whichever of the waits.
func TestAtTheLimitTheWaitForAHeaderCountsLikeAnyOther(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"headerless", "idle"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, proxied, alone, withServer(func(c *Config) { c.MaxConnections = 2 }))
			silent := func() *chaos.Raw { return g.dial() }
			// One that was served would keep its place for a while.
			idle := func() *chaos.Raw {
				c := g.dial()
				believed := g.srv.ProxyProtocol().Believed
				_ = c.Send(headerV1)
				chaos.Await(t, patience, "header", func() bool { return g.srv.ProxyProtocol().Believed > believed })
				return c
			}
			opens := []func() *chaos.Raw{silent, idle}
			if first == "idle" {
				opens = []func() *chaos.Raw{idle, silent}
			}
			var conns []*chaos.Raw
			for i, open := range opens {
				conns = append(conns, open())
				chaos.Await(t, patience, "connection", func() bool { return g.srv.conns.size() == i+1 })
				time.Sleep(3 * sweepEvery) // waits are as exact as the sweep
			}
			idle()
			if !conns[0].Closed() {
				t.Error("the one that has waited the longest was kept")
			}
			request := get
			if first == "idle" {
				request = headerV1 + get
			}
			r, err := conns[1].Do(request)
			wantOK(t, r, err)
			if s := g.srv.ProxyProtocol(); s.Missing+s.Broken > 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// Nobody holds a buffer who waits: not before the header, and not after it.
func TestAWaitForAHeaderHoldsNoBuffer(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone)
	for _, secure := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := chaos.Dial(t, "tcp", l.Addr().String())
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := newConn(g.srv, g.listener(secure), nc)
		if c.raw == nil {
			t.Skip("here a connection can't be waited for without a buffer")
		}
		c.awaitHeader()
		// look ends the wait when what the client sent has been read.
		look := func(what, send string, seen func() bool) next {
			t.Helper()
			go func() {
				_ = client.Send(send)
				chaos.Await(t, patience, what, seen)
				c.wake()
			}()
			return c.await()
		}
		before := c.x.mark.Load()
		if n := look("nothing", "", func() bool { return true }); n != nextClose || c.bufs != nil || c.x.mark.Load() != before {
			t.Errorf("before the header: %v, a buffer: %v", n, c.bufs != nil)
		}
		c.revive()
		believed := g.srv.ProxyProtocol().Believed
		n := look("header", headerV1, func() bool { return g.srv.ProxyProtocol().Believed > believed })
		if secure {
			if n != nextHandshake {
				t.Fatalf("got %v", n)
			}
			c.startTLS()
			by := c.headBy
			client.Close()
			if c.handshake() || c.x.mark.Load() != at(phaseHandshake, by) {
				t.Error("the handshake has a time of its own")
			}
		}
		if c.bufs != nil || c.intro != nil {
			t.Errorf("after it: %v, a buffer: %v, an introduction: %v", n, c.bufs != nil, c.intro != nil)
		}
	}
}

func TestAConnectionThatBeginsWithAHeaderIsSpliced(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone)
	r, err := g.dial().Do(headerV1 + "GET / HTTP/1.1\r\nHost: a\r\nChaos-Size: 3000000\r\n\r\n")
	wantOK(t, r, err)
	if len(r.Body) != 3_000_000 {
		t.Errorf("%d bytes", len(r.Body))
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
