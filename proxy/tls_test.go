package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/internal/chaos"
)

// The plain engine runs over both versions of TLS, and says https to origins.
func TestRequestsAreServedOverTLS(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := clientTLS()
		cfg.MinVersion, cfg.MaxVersion, cfg.NextProtos = version, version, []string{"h2", "http/1.1"}
		c, err := g.dialTLS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
			t.Errorf("agreed on %q", p)
		}
		for range 3 {
			if status, _ := c.do(t, get, "GET"); status != 200 {
				t.Errorf("%s: %d", tls.VersionName(version), status)
			}
		}
	}
	for _, a := range g.eu.AllArrivals() {
		if a.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("the origin was told %q", a.Get("X-Forwarded-Proto"))
		}
	}
	if h := g.srv.Handshakes(); h != (HandshakeStats{Done: 2}) {
		t.Errorf("counted %+v", h)
	}
	cfg := clientTLS()
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := g.dialTLS(cfg); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	chaos.Await(t, patience, "count", func() bool { return g.srv.Handshakes().Failed == 1 })
}

// All listeners share the keys of session tickets.
func TestASessionIsResumedAtAnotherListener(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.TLSListen = append(c.TLSListen, "127.0.0.1:0") }))
	cfg := clientTLS()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i, l := range g.srv.listeners[1:] {
		c, err := tls.Dial("tcp", l.Addr().String(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, get)
		if status, _, err := readingEnd(c).response("GET"); status != 200 || c.ConnectionState().DidResume != (i == 1) {
			t.Errorf("listener %d: %d, resumed: %v, %v", i, status, c.ConnectionState().DidResume, err)
		}
		c.Close()
	}
	if h := g.srv.Handshakes(); h.Done != 2 || h.Resumed != 1 {
		t.Errorf("counted %+v", h)
	}
}

func TestTLSListensOnUnixSocketsToo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.TLSListen = []string{"unix:" + path} }))
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Skip(err)
	}
	defer nc.Close()
	c := tls.Client(nc, clientTLS())
	io.WriteString(c, get)
	if status, _, err := readingEnd(c).response("GET"); status != 200 {
		t.Errorf("%d, %v", status, err)
	}
	c.Close()
	g.awaitIdle(0)
}

func TestTLSListenWithoutTLSIsRefused(t *testing.T) {
	if _, err := New(Config{TLSListen: []string{"127.0.0.1:0"}}); err == nil {
		t.Error("accepted")
	}
}

// Requests that come together are answered in order, however they are cut into
// records and segments.
func TestPipelinedRequestsOverTLSAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	var all strings.Builder
	const n = 150
	for i := range n {
		fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\nChaos-Id: p-%d\r\nX-Fill: %s\r\n\r\n", i, i, strings.Repeat("f", i))
	}
	for _, piece := range []int{1 << 20, 16 << 10, 4096, 1000, 77} {
		g.eu.Forget()
		c := g.mustDialTLS()
		go func() {
			for text := all.String(); text != ""; text = text[min(piece, len(text)):] {
				if _, err := io.WriteString(c, text[:min(piece, len(text))]); err != nil {
					return
				}
			}
		}()
		for i := range n {
			if status, body, err := c.response("GET"); status != 200 || err != nil || len(body) == 0 {
				t.Fatalf("pieces of %d, response %d: %d, %v", piece, i, status, err)
			}
		}
		for i, a := range g.eu.AllArrivals() {
			if a.Path() != fmt.Sprintf("/%d", i) {
				t.Fatalf("pieces of %d: %s arrived as number %d", piece, a.Path(), i)
			}
		}
	}
}

// Bodies of all sizes go through whole, both ways.
func TestBodiesGoBothWaysOverTLS(t *testing.T) {
	t.Parallel()
	g := startRig(t, overTLS)
	ledger := chaos.Load{Address: g.addr, Conns: 4, Count: 80, Mix: []chaos.Shot{
		{Weight: 4}, {WantSize: 70_000}, {WantSize: 3_000_000}, {Method: "POST", BodySize: 100}, {Method: "POST", BodySize: 16 << 10},
		{Method: "PUT", BodySize: 1_000_000, WantSize: 500_000}, {Method: "POST", BodySize: 300_000, Chunked: true}, {Method: "HEAD"},
	}}.Do(t.Context())
	if err := chaos.Check(ledger, g.eu, g.us); err != nil || ledger.Count(chaos.Served) != 80 {
		t.Errorf("%v, %v", ledger, err)
	}
}

func TestATunnelRunsOverTLS(t *testing.T) {
	t.Parallel()
	url := script(t, func(_ int, p *peer) {
		p.head()
		p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome")
		p.send(p.read(100_000))
		p.send(" and " + p.rest())
	})
	g := startRig(t, alone, withTLS, withOrigin(url))
	c := g.mustDialTLS()
	io.WriteString(c, upgrade)
	r, err := http.ReadResponse(c.br, nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789", 10_000)
	go io.WriteString(c, text+"bye")
	got := make([]byte, len("welcome")+len(text))
	if _, err := io.ReadFull(c.br, got); err != nil || string(got) != "welcome"+text {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	c.CloseWrite() // the other direction stays open
	rest, err := io.ReadAll(c.br)
	if string(rest) != " and bye" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	g.awaitStats("the end", func(s RouteStats) bool { return s.InUse == 0 && s.Served == 1 })
}

// What is no TLS ends soon; what is HTTP is told so.
func TestWhatIsNoTLSIsSentAway(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	hello := helloBytes(t)
	tests := []struct {
		name, give, want string
		fin              bool // the client ends its side
	}{
		{"plain HTTP", get, "HTTP/1.1 400 Bad Request\r\n", false},
		{"plain HTTP with a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), "HTTP/1.1 400 ", false},
		{"HTTP/2 in plain", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 ", false},
		{"noise", "\x00\x01\x02\x03\x04\x05\x06\x07", "", false},
		{"a record that is too long", "\x16\x03\x01\xff\xff\x01", "", false},
		{"data first", "\x17\x03\x03\x00\x05hello", "", false},
		{"SSL 2", "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", "", false},
		{"a hello that is noise", "\x16\x03\x01\x00\x08\x01\x00\x00\x04abcd", "", false},
		{"half a hello", string(hello[:len(hello)/2]), "", true},
		{"an alert", "\x15\x03\x01\x00\x02\x02\x28", "", false},
		{"nothing", "", "", true},
	}
	for _, tt := range tests {
		c := chaos.Dial(t, "tcp", g.tlsAddr())
		c.Timeout = patience
		_ = c.Send(tt.give)
		if tt.fin {
			c.CloseWrite()
		}
		got, err := c.ReadAll()
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Errorf("%s: the connection was left open", tt.name)
		}
	}
	chaos.Await(t, patience, "count", func() bool { return g.srv.Handshakes().Failed == uint64(len(tests)) })
	c := chaos.Dial(t, "tcp", g.addr)
	r, err := c.Do(string(hello))
	if r.Status != 400 || !c.Closed() {
		t.Errorf("TLS to the plain port: %d, %v", r.Status, err)
	}
}
