package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/internal/chaos"
)

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

// Browsers refuse a switch that names its protocol twice (RFC 6455, section 4.1).
func TestAWebSocketOverHTTP2HasEachFieldOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, before, after string }{
		{"the answer to the key is first", "", "Sec-WebSocket-Protocol: chat\r\nX-Last: 1\r\n"},
		{"in between", "Sec-WebSocket-Protocol: chat\r\n", "X-Last: 1\r\n"},
		{"last", "Sec-WebSocket-Protocol: chat\r\nX-Last: 1\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, withHTTP2, alone, withOrigin(script(t, func(_ int, p *peer) {
				head, _ := p.head()
				_, after, _ := strings.Cut(head, "Sec-WebSocket-Key: ")
				key, _, _ := strings.Cut(after, "\r\n")
				p.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
					tt.before + "Sec-WebSocket-Accept: " + acceptOf(key) + "\r\n" + tt.after + "\r\n")
			})))
			f := dialFrames(t, g)
			f.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/chat",
				"sec-websocket-version", "13", "sec-websocket-protocol", "chat")
			_, head := f.await(1)
			got := map[string]int{}
			for _, h := range f.fields(head) {
				got[h.Name]++
			}
			for name, n := range map[string]int{":status": 1, "sec-websocket-protocol": 1, "x-last": 1, "sec-websocket-accept": 0} {
				if got[name] != n {
					t.Errorf("%s is there %d times, want %d", name, got[name], n)
				}
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
		{"a giant target", "414", []string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/" + strings.Repeat("y", 40_000)}},
		{"a giant head behind a large target", "431", []string{":method", "GET", ":scheme", "https", ":authority", "a",
			":path", "/" + strings.Repeat("y", 20_000), "x", strings.Repeat("y", 20_000)}},
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
