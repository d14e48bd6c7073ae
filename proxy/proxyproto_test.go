package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
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

func TestARedirectComesAfterTheHeader(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, redirecting, alone)
	r, err := g.dial().Do(headerV1 + "GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n")
	if r.Status != 308 || !strings.HasPrefix(r.Get("Location"), "https://a:") {
		t.Errorf("%d to %q, %v", r.Status, r.Get("Location"), err)
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
