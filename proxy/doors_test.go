package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// doors are the ways to come in. Each sets the proxy up, and gives a client that
// comes by it.
var doors = []struct {
	name   string
	setup  setup
	client func(g *rig) *http.Client
	// webSocket opens a WebSocket at a path, with a client written by hand.
	webSocket func(t *testing.T, g *rig, path string) io.ReadWriter
}{
	{"HTTP/1.1", func(*rig, *Config) {}, (*rig).plainClient, plainWebSocket},
	{"HTTP/1.1 over TLS", withTLS, (*rig).tlsClient, tlsWebSocket},
	{"HTTP/2 over TLS", withHTTP2, (*rig).http2Client, http2WebSocket},
}

func (g *rig) plainClient() *http.Client {
	tr := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", g.addr)
	}}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: rescheme{tr}, Timeout: patience}
}

// rescheme sends what is meant for https in plain.
type rescheme struct{ *http.Transport }

func (r rescheme) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme = "http"
	return r.Transport.RoundTrip(req)
}

func (g *rig) tlsClient() *http.Client {
	tr := &http.Transport{TLSClientConfig: clientTLS(), DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", g.tlsAddr())
	}}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// opener starts a proxy and a client that comes by the door under test.
type opener func(t *testing.T, setups ...setup) (*rig, *http.Client)

// behaviours are what a client relies on, whatever door it comes by.
var behaviours = []struct {
	name string
	run  func(t *testing.T, open opener)
}{
	{"a GET, a HEAD and a 304", plainAnswers},
	{"a POST of each kind arrives once and whole", uploadsArrive},
	{"an event stream comes as it is sent", eventsFlow},
	{"a download of 3 MB", downloads},
	{"trailers travel both ways", trailersTravel},
	{"interim responses come first", interimComes},
	{"a refused primary fails over", refusedFailsOver},
	{"a 503 fails over", statusFailsOver},
	{"a POST waits for the pointer", postIsParked},
	{"a POST that reached the origin is not repeated", postIsSentOnce},
	{"a body that breaks off is an error", brokenIsAnError},
	{"too large a body is 413", tooLargeIsRefused},
	{"an early answer is heard during the upload", earlyAnswerIsHeard},
	{"no route is 404, with a JSON body for who wants it", noRouteIs404},
	{"a client that leaves is nobody's failure", leavingIsNobodysFailure},
}

// TestEveryDoorBehavesTheSame is one table of behaviours over all doors.
func TestEveryDoorBehavesTheSame(t *testing.T) {
	t.Parallel()
	for _, door := range doors {
		open := func(t *testing.T, setups ...setup) (*rig, *http.Client) {
			g := startRig(t, append([]setup{door.setup}, setups...)...)
			return g, door.client(g)
		}
		for _, b := range behaviours {
			t.Run(door.name+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				b.run(t, open)
			})
		}
		t.Run(door.name+"/a WebSocket carries bytes both ways", func(t *testing.T) {
			t.Parallel()
			webSocketEchoes(t, door.setup, door.webSocket)
		})
	}
}

// answer is what a request got.
type answer struct {
	*http.Response
	body string
	id   string
}

// must sends a request and reads all of its answer.
func must(t *testing.T, c *http.Client, method, path string, body io.Reader, fields ...string) answer {
	t.Helper()
	a, err := try(t, c, method, path, body, fields...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func try(t *testing.T, c *http.Client, method, path string, body io.Reader, fields ...string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://a"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	id := chaos.NewID()
	req.Header.Set("Chaos-Id", id)
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{id: id}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b), id}, err
}

func plainAnswers(t *testing.T, open opener) {
	g, c := open(t)
	a := must(t, c, "GET", "/", nil, "Chaos-Size", "1000")
	if a.StatusCode != 200 || a.body != string(chaos.Body("eu", a.id, 1000)) || a.ContentLength != 1000 {
		t.Errorf("GET: %d, %d bytes of %d", a.StatusCode, len(a.body), a.ContentLength)
	}
	a = must(t, c, "HEAD", "/", nil, "Chaos-Size", "1000")
	if a.StatusCode != 200 || a.body != "" || a.ContentLength != 1000 {
		t.Errorf("HEAD: %d, %d bytes of %d", a.StatusCode, len(a.body), a.ContentLength)
	}
	g.eu.Set(chaos.Bytes("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"))
	if a = must(t, c, "GET", "/", nil); a.StatusCode != 304 || a.body != "" || a.Header.Get("ETag") != `"x"` {
		t.Errorf("304: %d %q", a.StatusCode, a.body)
	}
}

func uploadsArrive(t *testing.T, open opener) {
	g, c := open(t)
	for _, size := range []int{0, 10, 3000, 300_000} {
		for _, known := range []bool{true, false} {
			content := bytes.Repeat([]byte{'x'}, size)
			var body io.Reader = bytes.NewReader(content)
			if !known {
				body = io.MultiReader(body)
			}
			a := must(t, c, "POST", "/", body)
			arrived := g.eu.Arrivals(a.id)
			if a.StatusCode != 200 || len(arrived) != 1 || arrived[0].BodyLen != int64(size) || arrived[0].BodyHash != sha256.Sum256(content) {
				t.Errorf("%d bytes, length known %v: %d, arrived %d times", size, known, a.StatusCode, len(arrived))
			}
		}
	}
}

// Each event is there before the origin sends the next one, which it does only
// when the client has seen it.
func eventsFlow(t *testing.T, open opener) {
	seen := make(chan struct{})
	_, c := open(t, alone, withOrigin(script(t, func(_ int, p *peer) {
		if _, ok := p.head(); !ok {
			return
		}
		p.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for i := range 3 {
			event := fmt.Sprintf("data: %d\n\n", i)
			p.send(fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
			<-seen
		}
		p.send("0\r\n\r\n")
	})))
	resp, err := c.Get("https://a/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		_, _ = lines.ReadString('\n')
		seen <- struct{}{}
	}
	if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
		t.Errorf("after the last event: %q, %v", rest, err)
	}
}

func downloads(t *testing.T, open opener) {
	_, c := open(t)
	a := must(t, c, "GET", "/", nil, "Chaos-Size", "3000000")
	if a.body != string(chaos.Body("eu", a.id, 3_000_000)) {
		t.Errorf("%d bytes, and not the right ones", len(a.body))
	}
}

func trailersTravel(t *testing.T, open opener) {
	got := make(chan string, 1)
	_, c := open(t, alone, withOrigin(script(t, func(_ int, p *peer) {
		if _, ok := p.head(); !ok {
			return
		}
		var all string
		for !strings.HasSuffix(all, "\r\n\r\n") {
			s := p.read(1)
			if s == "" {
				return
			}
			all += s
		}
		got <- all
		p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")
	})))
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://a/", io.MultiReader(strings.NewReader("body")))
	req.Trailer = http.Header{"X-Up": {"9"}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hi" || resp.Trailer.Get("X-Sum") != "7" {
		t.Errorf("%q, %v, trailers %v", b, err, resp.Trailer)
	}
	if all := <-got; !strings.Contains(strings.ToLower(all), "\r\nx-up: 9\r\n") {
		t.Errorf("the origin was sent %q", all)
	}
}

func interimComes(t *testing.T, open opener) {
	_, c := open(t, alone, withOrigin(script(t, func(_ int, p *peer) {
		if _, ok := p.head(); ok {
			p.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		}
	})))
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, " ", h.Get("Link")))
		return nil
	}})
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://a/", nil)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if string(b) != "hi" || len(hints) != 1 || hints[0] != "103 </a.css>; rel=preload" {
		t.Errorf("%q after %q", b, hints)
	}
}

func refusedFailsOver(t *testing.T, open opener) {
	g, c := open(t)
	g.eu.Down()
	a := must(t, c, "GET", "/", nil)
	if a.StatusCode != 200 || !strings.Contains(a.Header.Get("Proxy-Status"), `next-hop="us"; details="failover after connect_refused"`) {
		t.Errorf("%d, %s", a.StatusCode, a.Header.Get("Proxy-Status"))
	}
	if arrived := g.us.Arrivals(a.id); len(arrived) != 1 || arrived[0].Get("Failover-Attempt") != "2" {
		t.Errorf("arrived %v", arrived)
	}
}

func statusFailsOver(t *testing.T, open opener) {
	g, c := open(t)
	g.eu.Set(chaos.Status(503))
	if a := must(t, c, "GET", "/", nil); a.StatusCode != 200 || len(g.eu.Arrivals(a.id)) != 1 || len(g.us.Arrivals(a.id)) != 1 {
		t.Errorf("%d", a.StatusCode)
	}
}

func postIsParked(t *testing.T, open opener) {
	g, c := open(t, policy(func(p *failover.PolicyConfig) { p.Unsafe, p.ParkTimeout = failover.UnsafePark, patience }))
	g.eu.Down()
	go func() {
		g.awaitStats("parked", func(s RouteStats) bool { return s.ParkedNow == 1 })
		g.pointer.Verdict(failover.RolePrimary, false)
	}()
	if a := must(t, c, "POST", "/", strings.NewReader("body")); a.StatusCode != 200 || len(g.us.Arrivals(a.id)) != 1 {
		t.Errorf("%d", a.StatusCode)
	}
}

func postIsSentOnce(t *testing.T, open opener) {
	g, c := open(t)
	g.eu.Set(chaos.ResetBeforeHead())
	if a := must(t, c, "POST", "/", strings.NewReader("body")); a.StatusCode != 502 || len(g.eu.Arrivals(a.id)) != 1 || len(g.us.Arrivals(a.id)) != 0 {
		t.Errorf("%d, arrived %d and %d times", a.StatusCode, len(g.eu.Arrivals(a.id)), len(g.us.Arrivals(a.id)))
	}
}

func brokenIsAnError(t *testing.T, open opener) {
	g, c := open(t)
	for _, b := range []chaos.Behaviour{chaos.Truncate(), chaos.TruncateChunked(), chaos.ResetMidBody(), chaos.BadChunk()} {
		g.eu.Set(b)
		if a, err := try(t, c, "GET", "/", nil); err == nil {
			t.Errorf("%s: %d with %d bytes, and no error", b.Name(), a.StatusCode, len(a.body))
		}
	}
}

func tooLargeIsRefused(t *testing.T, open opener) {
	g, c := open(t, withRoute(func(r *Route) { r.MaxBodyBytes = 1000 }))
	for _, body := range []io.Reader{bytes.NewReader(make([]byte, 1001)), io.MultiReader(bytes.NewReader(make([]byte, 1001)))} {
		a, err := try(t, c, "POST", "/", body)
		if err != nil || a.StatusCode != 413 {
			t.Errorf("%v, %v", a.Response, err)
		}
		for _, arrival := range g.eu.Arrivals(a.id) {
			if arrival.BodyWhole {
				t.Error("it arrived whole")
			}
		}
	}
}

func earlyAnswerIsHeard(t *testing.T, open opener) {
	_, c := open(t, alone, withOrigin(script(t, func(_ int, p *peer) {
		if _, ok := p.head(); ok {
			p.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
			p.rest()
		}
	})))
	upload, stop := io.Pipe()
	defer stop.Close()
	go func() { _, _ = stop.Write(make([]byte, 10_000)) }() // and no more
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://a/", upload)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || string(b) != "no" {
		t.Errorf("%d %q", resp.StatusCode, b)
	}
}

func noRouteIs404(t *testing.T, open opener) {
	_, c := open(t, withRoute(func(r *Route) { r.Match = "/only" }))
	a := must(t, c, "GET", "/other", nil, "Accept", "application/json")
	if a.StatusCode != 404 || a.Header.Get("Content-Type") != "application/json" || !strings.Contains(a.body, `"status":404`) {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

func leavingIsNobodysFailure(t *testing.T, open opener) {
	g, c := open(t)
	g.eu.Set(chaos.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		g.awaitStats("in flight", func(s RouteStats) bool { return s.InUse == 1 })
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://a/", nil)
	if _, err := c.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	g.awaitStats("left", func(s RouteStats) bool { return s.Left == 1 && s.Failed == 0 && atRest(s) })
}

func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + webSocketMagic))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// webSocketEchoes opens a WebSocket to an origin that echoes, and ends it.
func webSocketEchoes(t *testing.T, door setup, dial func(t *testing.T, g *rig, path string) io.ReadWriter) {
	g := startRig(t, door, alone, withOrigin(script(t, func(_ int, p *peer) {
		head, ok := p.head()
		if !ok {
			return
		}
		_, after, _ := strings.Cut(head, "Sec-WebSocket-Key: ")
		key, _, _ := strings.Cut(after, "\r\n")
		p.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + acceptOf(key) + "\r\n\r\n")
		_, _ = io.Copy(p.Conn, p.br)
	})))
	ws := dial(t, g, "/chat")
	for _, text := range []string{"hello", strings.Repeat("0123456789", 20_000)} {
		go func() { _, _ = io.WriteString(ws, text) }()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(ws, got); err != nil || string(got) != text {
			t.Fatalf("of %d bytes: %v", len(text), err)
		}
	}
	if s := g.stats(); s.InUse != 1 {
		t.Errorf("%d permits in use", s.InUse)
	}
}

func plainWebSocket(t *testing.T, g *rig, path string) io.ReadWriter {
	return upgraded(t, g.dial().Conn(), path)
}

func tlsWebSocket(t *testing.T, g *rig, path string) io.ReadWriter {
	nc, err := tls.Dial("tcp", g.tlsAddr(), clientTLS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return upgraded(t, nc, path)
}

// upgraded opens a WebSocket over HTTP/1.1.
func upgraded(t *testing.T, nc net.Conn, path string) io.ReadWriter {
	t.Helper()
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	_, _ = fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", path, key)
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != acceptOf(key) {
		t.Fatalf("%v, %v", resp, err)
	}
	return struct {
		io.Reader
		io.Writer
	}{br, nc}
}

// http2WebSocket opens a WebSocket over HTTP/2 (RFC 8441).
func http2WebSocket(t *testing.T, g *rig, path string) io.ReadWriter {
	f := dialFrames(t, g)
	f.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", path, "sec-websocket-version", "13")
	if _, head := f.await(1); f.status(head) != "200" {
		t.Fatalf("status %s", f.status(head))
	}
	return &framesStream{f: f}
}

// framesStream is stream 1 of a client that writes frames by hand.
type framesStream struct {
	f    *frames
	rest []byte
}

func (s *framesStream) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(n+8<<10, len(p))]
		s.f.data(1, false, string(piece))
		n += len(piece)
	}
	return n, nil
}

func (s *framesStream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		typ, data := s.f.await(1)
		if typ == frameWindow2 {
			continue
		}
		if typ != frameData2 {
			return 0, fmt.Errorf("a frame of type %d: %x", typ, data)
		}
		s.rest = data
		s.f.grant(0, len(data))
		s.f.grant(1, len(data))
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
