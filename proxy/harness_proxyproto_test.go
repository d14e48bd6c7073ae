package proxy

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/netx"
)

const (
	headerV1    = "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n"
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// headerV2 is a header of version 2; fields come after the addresses.
func headerV2(command, family byte, source, destination, fields string) string {
	var payload []byte
	if source != "" {
		payload = append(netip.MustParseAddr(source).AsSlice(), netip.MustParseAddr(destination).AsSlice()...)
		payload = append(payload, 0xc7, 0x38, 0x01, 0xbb)
	}
	payload = append(payload, fields...)
	head := binary.BigEndian.AppendUint16(append([]byte(signatureV2), 0x20|command, family), uint16(len(payload)))
	return string(append(head, payload...))
}

// proxied makes every listener one of the PROXY protocol. Whoever comes from
// this machine is trusted, but not the clients of its headers.
func proxied(_ *rig, cfg *Config) {
	loopback(cfg)
	cfg.ProxyProtocol = []string{"127.0.0.1:0"}
}

// proxiedToAll is proxied with nobody trusted who could connect.
func proxiedToAll(_ *rig, cfg *Config) {
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	cfg.ProxyProtocol = []string{"127.0.0.1:0"}
}

// balanced is a balancer's connection: a header leaves with the first bytes
// that are written.
type balanced struct {
	net.Conn
	mu     sync.Mutex
	header string // guarded by mu
	first  int    // how much of those bytes leaves with it; 0: all
	then   func() // comes before the rest of them
}

func (b *balanced) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	header := b.header
	b.header = ""
	if header == "" {
		return b.Conn.Write(p)
	}
	first := len(p)
	if b.first > 0 {
		first = min(first, b.first)
	}
	if n, err := b.Conn.Write(append([]byte(header), p[:first]...)); err != nil || first == len(p) {
		return max(n-len(header), 0), err
	}
	b.then()
	n, err := b.Conn.Write(p[first:])
	return first + n, err
}

// through is a client whose connections go to an address behind a header.
func through(t testing.TB, base http.RoundTripper, addr, header string) *http.Client {
	t.Helper()
	tr := base.(*http.Transport)
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return &balanced{Conn: nc, header: header}, nil
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// proxiedDoors are the doors of a listener of the PROXY protocol.
var proxiedDoors = []struct {
	name   string
	setup  setup
	client func(g *rig, header string) *http.Client
}{
	{"HTTP/1.1", proxied, func(g *rig, header string) *http.Client {
		c := through(g.t, &http.Transport{DisableCompression: true}, g.addr, header)
		c.Transport = rescheme{c.Transport.(*http.Transport)}
		return c
	}},
	{"HTTP/1.1 over TLS", both(proxied, withTLS), func(g *rig, header string) *http.Client {
		return through(g.t, &http.Transport{TLSClientConfig: clientTLS(), DisableCompression: true}, g.tlsAddr(), header)
	}},
	{"HTTP/2 in plain", both(proxied, func(_ *rig, cfg *Config) { cfg.H2C = true }), func(g *rig, header string) *http.Client {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		c := through(g.t, &http.Transport{Protocols: protocols, DisableCompression: true}, g.addr, header)
		c.Transport = rescheme{c.Transport.(*http.Transport)}
		return c
	}},
	{"HTTP/2 over TLS", both(proxied, withHTTP2), func(g *rig, header string) *http.Client {
		return through(g.t, transportTo(g.t, g.tlsAddr()), g.tlsAddr(), header)
	}},
}

// both is two setups.
func both(a, b setup) setup {
	return func(g *rig, cfg *Config) {
		a(g, cfg)
		b(g, cfg)
	}
}

// awaitHeaders waits for the counters.
func (g *rig) awaitHeaders(want ProxyProtocolStats) {
	g.t.Helper()
	defer func() {
		if g.t.Failed() {
			g.t.Logf("counted %+v, want %+v", g.srv.ProxyProtocol(), want)
		}
	}()
	chaos.Await(g.t, patience, "headers to be counted", func() bool { return g.srv.ProxyProtocol() == want })
}

// fromNetwork makes one end of a pipe look like a connection of this machine's
// network: it can't be waited for without a buffer, and each write is one read.
type fromNetwork struct{ net.Conn }

func (fromNetwork) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:50000"))
}

// piped serves a connection over a pipe, until ended is closed.
func (g *rig) piped(secure bool) (client net.Conn, ended chan struct{}) {
	g.t.Helper()
	client, ours := net.Pipe()
	_ = client.SetDeadline(time.Now().Add(patience))
	ended = make(chan struct{})
	door := g.listener(secure)
	g.srv.seats.take()
	door.work.Go(func() {
		defer close(ended)
		g.srv.serve(door, fromNetwork{ours})
	})
	g.t.Cleanup(func() { client.Close() })
	return client, ended
}

// inPieces writes each byte of the header by itself, and what follows with the
// last one. Where a write is a read, that is every split there is.
func inPieces(w io.Writer, header, after string) error {
	for i := range len(header) - 1 {
		if _, err := io.WriteString(w, header[i:i+1]); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, header[len(header)-1:]+after)
	return err
}

// errTimeout is err if it is a time-out of the test's own.
func errTimeout(err error) error {
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		return err
	}
	return errNoGoodbye
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
