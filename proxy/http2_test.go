package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// withHTTP2 adds a TLS listener that offers HTTP/2.
func withHTTP2(g *rig, cfg *Config) {
	withTLS(g, cfg)
	cfg.TLS = serverTLS()
	cfg.TLS.NextProtos = []string{"h2", "http/1.1"}
}

// overHTTP2 lets every client of a test come by HTTP/2, through a proxy of
// another make.
func overHTTP2(g *rig, cfg *Config) {
	withHTTP2(g, cfg)
	g.door = func(t testing.TB, target string) string {
		tr := transportTo(t, target)
		s := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "https", Host: target})
				r.Out.Host = r.In.Host
			},
			Transport: tr, FlushInterval: -1,
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
			ErrorLog:     quiet(),
		})
		s.Config.ErrorLog = quiet()
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
}

// transportTo is Go's own client of HTTP/2 alone, for whatever host.
func transportTo(t testing.TB, target string) *http.Transport {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	tr := &http.Transport{
		TLSClientConfig: clientTLS(), Protocols: protocols, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", target)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (g *rig) http2Client() *http.Client {
	return &http.Client{Transport: transportTo(g.t, g.tlsAddr()), Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// ask2 sends a request over HTTP/2 and reads its response.
func ask2(t testing.TB, c *http.Client, method, path string, body io.Reader) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://a"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Chaos-Id", chaos.NewID())
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestHTTP2IsServedAndSaysWhereItCameFrom(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 8)
	g := startRig(t, withHTTP2, alone, withOrigin(script(t, func(_ int, p *peer) {
		head, ok := p.head()
		if !ok {
			return
		}
		heads <- head
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Kept: 2\r\n\r\nhi")
	})))
	resp, body, err := ask2(t, g.http2Client(), "GET", "/a/b?c=d", nil)
	if err != nil || resp.ProtoMajor != 2 || body != "hi" || resp.ContentLength != 2 {
		t.Fatalf("%v, %q, %v", resp, body, err)
	}
	if resp.Header.Get("X-Kept") != "2" || resp.Header.Get("X-Hop") != "" || resp.Header.Get("Date") == "" || resp.Header.Get("Connection") != "" ||
		!strings.HasPrefix(resp.Header.Get("Proxy-Status"), "fairlead") {
		t.Errorf("fields: %v", resp.Header)
	}
	head := <-heads
	for _, want := range []string{"GET /a/b?c=d HTTP/1.1\r\n", "\r\nHost: a\r\n", "\r\nX-Forwarded-Proto: https\r\n", "\r\nX-Forwarded-For: 127.0.0.1\r\n",
		"\r\nVia: 1.1 fairlead\r\n", "\r\nX-Request-Id: "} {
		if !strings.Contains(head, want) {
			t.Errorf("the origin was sent no %q:\n%s", want, head)
		}
	}
}

func TestBodiesOfAnySizeGoBothWaysOverHTTP2(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2)
	c := g.http2Client()
	for _, size := range []int{0, 1, 100, 5_000, 70_000, 3_000_000} {
		for _, known := range []bool{true, false} {
			var body io.Reader = bytes.NewReader(make([]byte, size))
			if !known {
				body = io.MultiReader(body)
			}
			id := chaos.NewID()
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://a/", body)
			req.Header.Set("Chaos-Id", id)
			req.Header.Set("Chaos-Size", fmt.Sprint(size))
			resp, err := c.Do(req)
			if err != nil {
				t.Fatalf("%d, known %v: %v", size, known, err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%d, known %v: %d, %v", size, known, resp.StatusCode, err)
			}
			arrived := g.eu.Arrivals(id)
			if len(arrived) != 1 || arrived[0].BodyLen != int64(size) || !arrived[0].BodyWhole {
				t.Errorf("%d, known %v: arrived %+v, answered %d bytes", size, known, arrived, len(got))
			}
		}
	}
}

func TestTrailersTravelBothWaysOverHTTP2(t *testing.T) {
	t.Parallel()
	said := make(chan string, 1)
	g := startRig(t, withHTTP2, alone, withOrigin(script(t, func(_ int, p *peer) {
		if _, ok := p.head(); !ok {
			return
		}
		var all strings.Builder
		for !strings.Contains(all.String(), "\r\n\r\n") {
			s := p.read(1)
			if s == "" {
				return
			}
			all.WriteString(s)
		}
		said <- all.String()
		p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")
	})))
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://a/", io.MultiReader(strings.NewReader("body")))
	req.Trailer = http.Header{"X-Up": {"9"}}
	resp, err := g.http2Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hi" || resp.Trailer.Get("X-Sum") != "7" {
		t.Errorf("%q, %v, trailers %v", b, err, resp.Trailer)
	}
	if got := <-said; !strings.Contains(strings.ToLower(got), "x-up: 9\r\n") {
		t.Errorf("the origin was sent %q", got)
	}
}

// A body that an origin breaks off is a reset, never a short response.
func TestResponsesThatBreakOffAreResetOverHTTP2(t *testing.T) {
	t.Parallel()
	for _, b := range chaos.BodyFaults() {
		t.Run(b.Name(), func(t *testing.T) {
			t.Parallel()
			g := startRig(t, withHTTP2, func(_ *rig, cfg *Config) { cfg.BodyIdleTimeout = 300 * time.Millisecond })
			g.eu.Set(b)
			_, body, err := ask2(t, g.http2Client(), "GET", "/", nil)
			if err == nil {
				t.Errorf("the client got %d bytes and no error", len(body))
			}
		})
	}
}

func TestEveryHeadFaultFailsOverOverHTTP2(t *testing.T) {
	t.Parallel()
	for _, b := range chaos.HeadFaults() {
		t.Run(b.Name(), func(t *testing.T) {
			t.Parallel()
			g := startRig(t, withHTTP2)
			g.eu.Set(b)
			resp, _, err := ask2(t, g.http2Client(), "GET", "/", nil)
			if err != nil || resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Proxy-Status"), "us") {
				t.Errorf("%v, %v", resp, err)
			}
		})
	}
}

// One connection, many streams: permits count streams, and what is shed does
// not touch the others.
func TestStreamsOfOneConnectionTakePermitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	g := startRig(t, withHTTP2, permits(bulkhead.Config{MaxConcurrent: 5}))
	g.eu.Set(chaos.OK(100).When(release))
	c := g.http2Client()
	var all sync.WaitGroup
	statuses := make(chan int, 20)
	for range 20 {
		all.Go(func() {
			resp, _, err := ask2(t, c, "GET", "/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			statuses <- resp.StatusCode
		})
	}
	g.awaitStats("15 shed", func(s RouteStats) bool { return s.Shed == 15 && s.InUse == 5 })
	close(release)
	all.Wait()
	count := map[int]int{}
	for range 20 {
		count[<-statuses]++
	}
	if count[200] != 5 || count[503] != 15 {
		t.Errorf("statuses: %v", count)
	}
}

// A client that resets its stream leaves, and its origin's connection with it.
func TestAClientThatResetsItsStreamHasLeft(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2)
	g.eu.Set(chaos.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		g.awaitStats("one in flight", func(s RouteStats) bool { return s.InUse == 1 })
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://a/", nil)
	if _, err := g.http2Client().Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	g.awaitStats("left", func(s RouteStats) bool { return s.Left == 1 && atRest(s) })
}

func TestTimeOutsHoldOverHTTP2(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2, alone, func(_ *rig, cfg *Config) { cfg.Origins[0].ResponseHeaderTimeout = 100 * time.Millisecond })
	g.eu.Set(chaos.Hang())
	resp, body, err := ask2(t, g.http2Client(), "GET", "/", nil)
	if err != nil || resp.StatusCode != 504 || !strings.Contains(body, "in time") {
		t.Errorf("%v, %q, %v", resp, body, err)
	}
}

// A client that never opens its window is given up by the body's time-out, and
// others on its connection are not held up.
func TestAWindowThatStaysClosedIsGivenUp(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2, func(_ *rig, cfg *Config) { cfg.BodyIdleTimeout = 300 * time.Millisecond })
	g.eu.Set(chaos.OK(1 << 20))
	f := dialFrames(t, g)
	f.settings(0x4, 0) // SETTINGS_INITIAL_WINDOW_SIZE
	f.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	if typ, _ := f.await(1); typ != frameHeaders2 {
		t.Fatalf("frame of type %d, want a head", typ)
	}
	if typ, _ := f.await(1); typ != frameReset2 {
		t.Errorf("frame of type %d, want RST_STREAM", typ)
	}
	f.headers(3, true, ":method", "HEAD", ":scheme", "https", ":authority", "a", ":path", "/")
	if typ, _ := f.await(3); typ != frameHeaders2 {
		t.Errorf("frame of type %d, want a head", typ)
	}
	g.awaitStats("left", func(s RouteStats) bool { return s.Left == 1 && atRest(s) })
}

// RFC 8441: a CONNECT with a protocol becomes an upgrade at the origin.
func TestAWebSocketOverHTTP2BecomesAnUpgrade(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(key string) string
		status string
	}{
		{"accepted", func(key string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + acceptOf(key) + "\r\n\r\n"
		}, "200"},
		{"another key's answer", func(string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bad\r\n\r\n"
		}, "502"},
		{"not a switch", func(string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" }, "502"},
		{"refused", func(string) string { return "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" }, "403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, withHTTP2, alone, withOrigin(script(t, func(_ int, p *peer) {
				head, ok := p.head()
				if !ok {
					return
				}
				_, after, _ := strings.Cut(head, "Sec-WebSocket-Key: ")
				key, _, _ := strings.Cut(after, "\r\n")
				if !strings.HasPrefix(head, "GET /chat HTTP/1.1\r\n") || !strings.Contains(head, "\r\nUpgrade: websocket\r\n") || len(key) != 24 {
					p.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
					return
				}
				if p.send(tt.answer(key)) && tt.status == "200" {
					p.send("echo " + p.read(5))
				}
			})))
			f := dialFrames(t, g)
			f.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/chat",
				"sec-websocket-version", "13")
			_, head := f.await(1)
			if got := f.status(head); got != tt.status {
				t.Fatalf("status %q, want %s", got, tt.status)
			}
			if tt.status != "200" {
				return
			}
			f.data(1, true, "hello")
			var got string
			for !strings.Contains(got, "echo hello") {
				typ, p := f.await(1)
				if typ != frameData2 {
					t.Fatalf("frame of type %d after %q", typ, got)
				}
				got += string(p)
			}
		})
	}
}

func TestWhatHTTP2RefusesIsAnsweredAndCounted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, status string
		fields       []string
	}{
		{"CONNECT", "405", []string{":method", "CONNECT", ":authority", "a:443"}},
		{"TRACE", "405", []string{":method", "TRACE", ":scheme", "https", ":authority", "a", ":path", "/"}},
		{"an imitated framing field", "400", []string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "content_length", "5"}},
		{"a path that climbs", "400", []string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/a/%2e%2e/b"}},
		{"another protocol", "501", []string{":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "https", ":authority", "a", ":path", "/"}},
		{"a giant head", "431", []string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "x", strings.Repeat("y", 40_000)}},
		{"an unknown expectation", "417", []string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "expect", "the worst"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, withHTTP2)
			f := dialFrames(t, g)
			f.headers(1, true, tt.fields...)
			typ, head := f.await(1)
			if typ != frameHeaders2 || f.status(head) != tt.status {
				t.Fatalf("frame of type %d, status %q, want %s", typ, f.status(head), tt.status)
			}
			f.headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
			if _, head := f.await(3); f.status(head) != "200" {
				t.Errorf("the next request got %q", f.status(head))
			}
			chaos.Await(t, patience, "the refusal to be counted", func() bool { return g.srv.refused.Load() == 1 })
		})
	}
}

// A drain lets the streams that are under way finish, says GOAWAY, and ends.
func TestADrainFinishesStreams(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	g := startRig(t, withHTTP2)
	g.eu.Set(chaos.OK(100).When(release))
	c := g.http2Client()
	answered := make(chan error, 1)
	go func() {
		resp, _, err := ask2(t, c, "GET", "/", nil)
		if err == nil && resp.StatusCode != 200 {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		answered <- err
	}()
	idle := dialFrames(t, g)
	idle.headers(1, true, ":method", "OPTIONS", ":scheme", "https", ":authority", "a", ":path", "*")
	if _, head := idle.await(1); idle.status(head) != "204" { // its handshake is over, for the proxy too
		t.Errorf("OPTIONS * got %s", idle.status(head))
	}
	g.awaitStats("one in flight", func(s RouteStats) bool { return s.InUse == 1 })
	g.cancel()
	if typ, _ := idle.await(0); typ != frameGoAway2 {
		t.Errorf("frame of type %d, want GOAWAY", typ)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-g.done
}

// A forced drain answers what waits for an origin, and ends all the same with a
// client that takes nothing.
func TestAForcedDrainEndsStreams(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2, func(g *rig, _ *Config) { g.forced = true })
	g.eu.Set(chaos.Hang())
	c := g.http2Client()
	answered := make(chan int, 1)
	go func() {
		resp, _, err := ask2(t, c, "GET", "/", nil)
		if err != nil {
			answered <- 0
			return
		}
		answered <- resp.StatusCode
	}()
	g.awaitStats("one in flight", func(s RouteStats) bool { return s.InUse == 1 })
	g.cancel()
	g.srv.Close()
	if got := <-answered; got != 503 {
		t.Errorf("status %d, want 503", got)
	}
	<-g.done
}

func TestPriorKnowledgeOnAPlainListener(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		g := startRig(t, withServer(func(cfg *Config) { cfg.H2C = on }))
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		tr := &http.Transport{Protocols: protocols}
		t.Cleanup(tr.CloseIdleConnections)
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+g.addr+"/", nil)
		resp, err := tr.RoundTrip(req)
		if on && (err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2) {
			t.Errorf("h2c on: %v, %v", resp, err)
		}
		if !on && err == nil {
			t.Errorf("h2c off: %v", resp)
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		// HTTP/1.1 is spoken there all the same.
		if r, err := g.dial().Do("GET / HTTP/1.1\r\nHost: a\r\nChaos-Id: x\r\n\r\n"); err != nil || r.Status != 200 {
			t.Errorf("HTTP/1.1: %+v, %v", r, err)
		}
	}
}

// At the limit of connections an HTTP/2 connection without a stream makes room.
func TestARestingHTTP2ConnectionMakesRoom(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2, withServer(func(cfg *Config) { cfg.MaxConnections = 2 }))
	first := dialFrames(t, g)
	first.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	if _, head := first.await(1); first.status(head) != "200" {
		t.Fatal("the first connection is not served")
	}
	for range 3 {
		f := dialFrames(t, g)
		f.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
		if _, head := f.await(1); f.status(head) != "200" {
			t.Error("a later connection is not served")
		}
	}
}

func TestParkedRequestsOfHTTP2FollowThePointer(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2, policy(func(p *failover.PolicyConfig) { p.Unsafe, p.ParkTimeout = failover.UnsafePark, patience }))
	g.eu.Down()
	c := g.http2Client()
	answered := make(chan string, 1)
	go func() {
		resp, _, err := ask2(t, c, "POST", "/", strings.NewReader("body"))
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Proxy-Status"))
	}()
	g.awaitStats("parked", func(s RouteStats) bool { return s.ParkedNow == 1 })
	g.pointer.Verdict(failover.RolePrimary, false)
	if got := <-answered; !strings.HasPrefix(got, "200 ") || !strings.Contains(got, "us") {
		t.Errorf("got %s", got)
	}
}

// A load generator of another make gets every response, whole, over a few
// connections with many streams each.
func TestH2loadGetsEveryResponse(t *testing.T) {
	t.Parallel()
	h2load, err := exec.LookPath("h2load")
	if err != nil {
		t.Skip("h2load is not installed (Debian: nghttp2-client)")
	}
	g := startRig(t, withHTTP2, permits(bulkhead.Config{MaxConcurrent: 1000}))
	g.eu.Set(chaos.OK(5000))
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, h2load, "-n", "2000", "-c", "4", "-m", "25", "https://"+g.tlsAddr()+"/").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout") ||
		!strings.Contains(string(out), "status codes: 2000 2xx") {
		t.Errorf("%v\n%s", err, out)
	}
}

// However soon after its head a stream is reset, its request ends with it.
func TestNoRequestOutlivesItsStream(t *testing.T) {
	t.Parallel()
	g := startRig(t, withHTTP2, alone)
	g.eu.Set(chaos.Hang())
	for round := range 30 {
		f := dialFrames(t, g)
		var heads, resets []byte
		for i := range uint32(10) {
			heads = append(heads, frameOf(1, 5, 2*i+1, f.block("GET"))...)
			resets = append(resets, frameOf(3, 0, 2*i+1, []byte{0, 0, 0, 8})...)
		}
		_, _ = f.nc.Write(heads)
		time.Sleep(time.Duration(round) * 50 * time.Microsecond)
		if round%3 == 0 {
			f.nc.Close()
			continue
		}
		_, _ = f.nc.Write(resets)
	}
	g.awaitStats("every request to have ended", func(s RouteStats) bool { return atRest(s) && s.Failed == 0 })
}

// curl, which drops a response whose stream is reset before it has finished its
// upload, gets an early answer.
func TestCurlHearsAnEarlyAnswer(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	g := startRig(t, withHTTP2, withRoute(func(r *Route) { r.MaxBodyBytes = 1000 }))
	for _, size := range []int{30_000, 300_000} {
		for range 5 {
			cmd := exec.CommandContext(t.Context(), curl, "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
				"--data-binary", "@-", "https://"+g.tlsAddr()+"/")
			cmd.Stdin = bytes.NewReader(make([]byte, size))
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "option") {
				t.Skipf("this curl has no HTTP/2: %s", out)
			}
			if err != nil || string(out) != "2 413" {
				t.Errorf("%d bytes: curl says %q, %v", size, out, err)
			}
		}
	}
}

func TestCurlSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	g := startRig(t, withHTTP2)
	out, err := exec.CommandContext(t.Context(), curl, "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
		"https://"+g.tlsAddr()+"/").CombinedOutput()
	if strings.Contains(string(out), "option") {
		t.Skipf("this curl has no HTTP/2: %s", out)
	}
	if err != nil || string(out) != "2 200" {
		t.Errorf("curl says %q, %v", out, err)
	}
}

// Frame types (RFC 9113, 6).
const (
	frameData2    = 0
	frameHeaders2 = 1
	frameReset2   = 3
	frameGoAway2  = 7
	frameWindow2  = 8
)

// frames is a client that writes and reads frames by hand.
type frames struct {
	t   testing.TB
	nc  net.Conn
	enc *hpack.Encoder
	buf bytes.Buffer
	dec *hpack.Decoder
}

// dialFrames connects over TLS, agrees on h2, and sends the preface.
func dialFrames(t testing.TB, g *rig) *frames { return dialFramesTo(t, g.tlsAddr()) }

func dialFramesTo(t testing.TB, addr string) *frames {
	t.Helper()
	cfg := clientTLS()
	cfg.NextProtos = []string{"h2"}
	nc, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	f := &frames{t: t, nc: nc, dec: hpack.NewDecoder(4096, nil)}
	f.enc = hpack.NewEncoder(&f.buf)
	_, _ = io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f.write(4, 0, 0, nil)
	return f
}

func (f *frames) write(typ, flags byte, id uint32, p []byte) {
	f.t.Helper()
	head := []byte{byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p)), typ, flags}
	head = binary.BigEndian.AppendUint32(head, id)
	if _, err := f.nc.Write(append(head, p...)); err != nil {
		f.t.Errorf("write: %v", err)
	}
}

func (f *frames) settings(id uint16, v uint32) {
	f.write(4, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), v))
}

func (f *frames) headers(id uint32, end bool, fields ...string) {
	f.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	block := bytes.Clone(f.buf.Bytes())
	flags := byte(0)
	if end {
		flags = 1
	}
	first := block[:min(len(block), 16<<10)]
	block = block[len(first):]
	if len(block) == 0 {
		flags |= 4
	}
	f.write(1, flags, id, first)
	for len(block) > 0 {
		piece := block[:min(len(block), 16<<10)]
		block = block[len(piece):]
		last := byte(0)
		if len(block) == 0 {
			last = 4
		}
		f.write(9, last, id, piece)
	}
}

func (f *frames) data(id uint32, end bool, p string) {
	flags := byte(0)
	if end {
		flags = 1
	}
	f.write(0, flags, id, []byte(p))
}

// grant opens a window for n more bytes.
func (f *frames) grant(id uint32, n int) {
	f.write(8, 0, id, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

// await reads frames until one of that stream; of the connection's own only
// GOAWAY counts.
func (f *frames) await(id uint32) (typ byte, p []byte) {
	f.t.Helper()
	for {
		var head [9]byte
		if _, err := io.ReadFull(f.nc, head[:]); err != nil {
			f.t.Fatalf("no frame of stream %d: %v", id, err)
		}
		p := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(f.nc, p); err != nil {
			f.t.Fatalf("a frame is cut short: %v", err)
		}
		if binary.BigEndian.Uint32(head[5:]) == id && (id > 0 || head[3] == frameGoAway2) {
			return head[3], p
		}
	}
}

// status is that of a field block.
func (f *frames) status(block []byte) string {
	f.t.Helper()
	fields, err := f.dec.DecodeFull(block)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, h := range fields {
		if h.Name == ":status" {
			return h.Value
		}
	}
	return ""
}

// BenchmarkExchangeOverHTTP2 is a GET of 1 KiB on a stream of its own. The
// client, which is included, allocates nothing but what crypto/tls does.
func BenchmarkExchangeOverHTTP2(b *testing.B) {
	_, addr := benchProxy(b, 1<<10, true)
	f := dialFramesTo(b, addr)
	_ = f.nc.SetDeadline(time.Time{})
	f.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	request := append([]byte{0, 0, 0, 1, 5, 0, 0, 0, 0}, 0x82, 0x87, 0x84, 0x41, 1, 'a') // the static table's GET, https and /
	request[2] = byte(len(request) - 9)
	update := []byte{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 4, 0}
	br := newReader(f.nc)
	// next reads frames until the end of a stream.
	next := func() {
		for {
			head, err := br.Peek(9)
			if err != nil {
				b.Fatal(err)
			}
			n, typ, flags := int(head[1])<<8|int(head[2]), head[3], head[4]
			if _, err := br.Discard(9 + n); err != nil {
				b.Fatal(err)
			}
			switch {
			case typ == frameReset2 || typ == frameGoAway2:
				b.Fatalf("a frame of type %d", typ)
			case typ <= frameHeaders2 && flags&1 != 0:
				return
			}
		}
	}
	next()
	b.ReportAllocs()
	id := uint32(3)
	for b.Loop() {
		binary.BigEndian.PutUint32(request[5:], id)
		id += 2
		_, _ = f.nc.Write(request)
		_, _ = f.nc.Write(update)
		next()
	}
}
