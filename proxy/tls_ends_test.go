package proxy

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

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
