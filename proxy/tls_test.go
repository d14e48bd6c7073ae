package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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

// A record may come in pieces, several in one piece, and the end of one with the
// beginning of the next.
func TestRecordsAreReadHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	for _, size := range []int{1, 7, 100, 5000} {
		nc, err := net.Dial("tcp", g.tlsAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		cut := &cutter{Conn: nc, size: size}
		c := tls.Client(cut, clientTLS())
		in := readingEnd(c)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			cut.held = true
			io.WriteString(c, get)
			io.WriteString(c, get+get[:20])
			io.WriteString(c, get[20:])
			cut.release()
			for range 3 {
				if status, _, err := in.response("GET"); status != 200 {
					t.Fatalf("pieces of %d: %d, %v", size, status, err)
				}
			}
		}
	}
}

// cutter keeps what is written and sends it in pieces.
type cutter struct {
	net.Conn
	size int
	held bool
	kept []byte
}

func (c *cutter) Write(p []byte) (int, error) {
	if !c.held {
		return c.Conn.Write(p)
	}
	c.kept = append(c.kept, p...)
	return len(p), nil
}

func (c *cutter) release() {
	for piece := range slices.Chunk(c.kept, c.size) {
		c.Conn.Write(piece)
		if c.size < 100 {
			time.Sleep(50 * time.Microsecond) // so that some come alone
		}
	}
	c.held, c.kept = false, nil
}

// Head and body of a small response leave in one record.
func TestASmallResponseIsOneRecord(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	// In one write, so that it comes in one read, however busy the machine is.
	chunked := chaos.Bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n, you!\r\n0\r\n\r\n")
	for _, behaviour := range []chaos.Behaviour{chaos.OK(1024), chunked, chaos.OK(0)} {
		g.eu.Set(behaviour)
		nc, err := net.Dial("tcp", g.tlsAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		count := &counting{Conn: nc}
		c := tls.Client(count, clientTLS())
		in := readingEnd(c)
		for i := range 5 {
			before := count.records.whole
			io.WriteString(c, get)
			status, _, err := in.response("GET")
			if n := count.records.whole - before; status != 200 || i > 0 && n != 1 {
				t.Errorf("%s: %d in %d records, %v", behaviour.Name(), status, n, err)
			}
		}
	}
}

// counting counts the records that are read.
type counting struct {
	net.Conn
	records records
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.records.saw(p[:n])
	return n, err
}

// Records are found however they are cut.
func TestTheBoundariesOfRecordsAreFollowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]int{0: 0}
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 700), 1, 8).Draw(t, "records") {
			stream = append(stream, 23, 3, 3, byte(n>>8), byte(n))
			stream = append(stream, make([]byte, n)...)
			ends[len(stream)] = i + 1
		}
		var r records
		whole, at := 0, 0
		for at < len(stream) {
			n := min(rapid.IntRange(1, 400).Draw(t, "piece"), len(stream)-at)
			r.saw(stream[at : at+n])
			for i := at + 1; i <= at+n; i++ {
				whole = max(whole, ends[i])
			}
			at += n
			_, end := ends[at]
			if r.whole != whole || r.within() == end {
				t.Fatalf("at %d: %d records, within: %v; want %d, %v", at, r.whole, r.within(), whole, !end)
			}
		}
	})
}

// A connection that waits has no buffer of ours, whatever came before. The
// test is the connection's goroutine, and ends its waits.
func TestAnIdleTLSConnectionHoldsNoBuffer(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newConn(g.srv, g.srv.listeners[1], nc)
	if c.raw == nil {
		t.Skip("here a connection can't be waited for without a buffer")
	}
	client := tls.Client(theirs, clientTLS())
	in := readingEnd(client)
	during := func(what string, act func() error) {
		t.Helper()
		ended := make(chan error)
		go func() {
			err := act()
			c.wake()
			ended <- err
		}()
		for c.await() == nextServe {
			c.x.serve()
			c.turn()
		}
		if err := <-ended; err != nil || c.bufs != nil {
			t.Errorf("after %s: %v; it has a buffer: %v", what, err, c.bufs != nil)
		}
		c.revive()
	}
	request := func(text string) func() error {
		return func() error {
			io.WriteString(client, text)
			status, _, err := in.response("GET")
			if status != 200 {
				t.Errorf("got %d", status)
			}
			return err
		}
	}
	go client.Handshake()
	if !c.handshake() {
		t.Fatal("no handshake")
	}
	c.rest()
	during("nothing", func() error { return nil })
	during("a GET", request(get))
	during("an upload", request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100_000)))
	during("a part of a record", func() error {
		theirs.Write([]byte{23, 3, 3})
		chaos.Await(t, patience, "part of a head", func() bool { return phase(c.x.mark.Load()&phaseBits) == phaseHead })
		return nil
	})
}

// Who sends a record drop by drop has the time that a head has, and no buffer.
func TestAPartOfARecordIsTheBeginningOfAHead(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.RequestHeaderTimeout = 200 * time.Millisecond }))
	c := g.mustDialTLS()
	c.do(t, get, "GET")
	c.tcp.Write([]byte{23, 3, 3, 0, 100, 1})
	if status, _, err := c.response("GET"); status != 408 {
		t.Errorf("%d, %v", status, err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after it: %v", err)
	}
}

// A response that broke off must not look whole; one that is whole ends with a
// close_notify.
func TestAnAbortOverTLSIsUnmistakable(t *testing.T) {
	t.Parallel()
	const old = "GET / HTTP/1.0\r\nHost: a\r\n\r\n"
	tests := []struct {
		name    string
		origin  chaos.Behaviour
		request string
		whole   bool
	}{
		{"until close, whole", chaos.UntilClose(50_000), old, true},
		{"chunked, whole", chaos.Chunked(50_000), old, true},
		{"a length, whole", chaos.OK(50_000), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true},
		{"until close", chaos.ResetMidBody(), old, false},
		{"chunked to until close", chaos.TruncateChunked(), old, false},
		{"chunked", chaos.TruncateChunked(), get, false},
		{"a length", chaos.Truncate(), get, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withTLS)
			g.eu.Set(tt.origin)
			c := g.mustDialTLS()
			io.WriteString(c, tt.request)
			_, err := io.Copy(io.Discard, c.Conn)
			if (err == nil) != tt.whole {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// Whatever ends a connection that is in order, the client is told goodbye.
func TestAGoodEndSaysGoodbye(t *testing.T) {
	t.Parallel()
	ends := map[string]func(g *rig, c *secured){
		"idle":    func(*rig, *secured) {},
		"drained": func(g *rig, _ *secured) { g.awaitIdle(1); g.cancel() },
		"refused": func(_ *rig, c *secured) { io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") },
		"asked for": func(_ *rig, c *secured) {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withTLS, withServer(func(c *Config) {
				if name == "idle" {
					c.IdleTimeout = 100 * time.Millisecond
				}
			}))
			c := g.mustDialTLS()
			c.do(t, get, "GET")
			end(g, c)
			if _, err := io.Copy(io.Discard, c.Conn); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// A client may say goodbye as soon as it has asked, and still gets its answer.
func TestAGoodbyeThatComesEarlyDestroysNoResponse(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	g := startRig(t, alone, withTLS)
	for _, request := range []string{"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"} {
		g.eu.Set(chaos.OK(500_000).When(answer))
		c := g.mustDialTLS()
		io.WriteString(c, request)
		c.CloseWrite() // in TLS only
		g.awaitStats("request", func(s RouteStats) bool { return s.InUse == 1 })
		answer <- struct{}{}
		if n, err := io.Copy(io.Discard, c.Conn); n < 500_000 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

// A request that crosses the drain was sent in good faith.
func TestARequestThatCrossesTheDrainIsServedOverTLS(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	url := script(t, func(_ int, p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
		<-finish
		p.send("56789")
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	g := startRig(t, alone, withTLS, withOrigin(url))
	c := g.mustDialTLS()
	io.WriteString(c, get)
	head, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.cancel()
	chaos.Await(t, patience, "drain", g.draining)
	io.WriteString(c, get)
	finish <- struct{}{}
	if body, err := io.ReadAll(head.Body); string(body) != "0123456789" {
		t.Errorf("%q, %v", body, err)
	}
	if status, body, err := c.response("GET"); status != 200 || body != "ok" {
		t.Errorf("%d, %v", status, err)
	}
	g.drained(patience / 2)
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

// A client that takes nothing is given up, and its end waits for nobody.
func TestATLSClientThatNeverReadsIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, request := range []string{get, "GET / HTTP/1.0\r\nHost: a\r\n\r\n"} {
		g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.BodyIdleTimeout = 300 * time.Millisecond }))
		g.eu.Set(chaos.OK(50 << 20))
		c := g.mustDialTLS()
		c.tcp.SetReadBuffer(4096)
		io.WriteString(c, request)
		chaos.Await(t, patience, "end", func() bool { return g.srv.conns.size() == 0 })
		if s := g.stats(); s.Left+s.Failed != 1 {
			t.Errorf("counted %+v", s)
		}
	}
}

// A client that leaves is noticed, in the wait for an answer and in an upload
// that the origin does not take.
func TestATLSClientThatLeavesIsNoticed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		origin  chaos.Behaviour
		request string
	}{
		{chaos.Hang(), get},
		{chaos.Unread(), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"},
	} {
		for _, orderly := range []bool{true, false} {
			if orderly && tt.request != get {
				continue // the FIN waits behind what is not taken
			}
			g := startRig(t, alone, withTLS)
			g.eu.Set(tt.origin)
			c := g.mustDialTLS()
			io.WriteString(c, tt.request)
			g.awaitStats("request", func(s RouteStats) bool { return s.InUse == 1 })
			if tt.request != get {
				_ = c.tcp.SetDeadline(time.Now().Add(300 * time.Millisecond)) // until nothing more is taken
				for err := error(nil); err == nil; {
					_, err = c.Write(tile[:64<<10])
				}
				_ = c.tcp.SetDeadline(time.Now().Add(patience))
			}
			if !orderly {
				_ = c.tcp.SetLinger(0)
			}
			c.tcp.Close()
			g.awaitStats("departure", func(s RouteStats) bool { return s.InUse == 0 && s.Left == 1 })
		}
	}
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

// helloBytes is the first thing that a client says.
func helloBytes(t testing.TB) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = tls.Client(theirs, clientTLS()).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := ours.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
