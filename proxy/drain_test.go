package proxy

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// drained waits until Run has returned.
func (g *rig) drained(limit time.Duration) {
	g.t.Helper()
	select {
	case <-g.done:
	case <-time.After(limit):
		g.t.Fatalf("still draining after %v", limit)
	}
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func wantOK(t *testing.T, r chaos.Response, err error) {
	t.Helper()
	if err != nil || r.Status != 200 {
		t.Errorf("got %d %q, %v", r.Status, r.Raw, err)
	}
}

func TestADrainClosesIdleConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	used, fresh := g.dial(), g.dial()
	r, err := used.Do(get)
	wantOK(t, r, err)
	chaos.Await(t, patience, "both connections", func() bool { return g.srv.conns.size() == 2 })
	g.cancel()
	if !used.Closed() || !fresh.Closed() {
		t.Error("idle connections were left open")
	}
	g.drained(patience / 2)
	if c, err := net.Dial("tcp", g.addr); err == nil {
		_ = c.Close()
		t.Error("a drained proxy accepts connections")
	}
}

// The rig's drain lasts longer than a test, so a connection that a drain
// overlooks shows as a hang. Connections come at every moment of its start.
func TestADrainOverlooksNoNewConnection(t *testing.T) {
	t.Parallel()
	for range 20 {
		g := startRig(t, alone)
		var conns []net.Conn
		begun := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 100 {
				nc, err := net.Dial("tcp", g.addr)
				if i == 10 {
					close(begun)
				}
				if err != nil {
					return
				}
				conns = append(conns, nc)
			}
		}()
		<-begun
		g.cancel()
		g.drained(patience / 2)
		<-done
		for _, nc := range conns {
			_ = nc.Close()
		}
	}
}

func TestADrainFinishesWhatIsInFlightAndSaysClose(t *testing.T) {
	t.Parallel()
	upload := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
	tests := []struct {
		name           string
		before, during string // what the client sends before and after the drain began
		origin         func(answer <-chan struct{}) chaos.Behaviour
	}{
		{"waiting for the origin", get, "", func(a <-chan struct{}) chaos.Behaviour { return chaos.OK(10).When(a) }},
		{"waiting for chunks", get, "", func(a <-chan struct{}) chaos.Behaviour { return chaos.Chunked(10).When(a) }},
		{"sent whole", upload + "0123456789", "", func(a <-chan struct{}) chaos.Behaviour { return chaos.OK(10).When(a) }},
		{"in the middle of an upload", upload + "01234", "56789", func(a <-chan struct{}) chaos.Behaviour { return chaos.OK(10).When(a) }},
		{"refused", "GET /refused HTTP/1.1\r\nHost: a\r\n\r\n", "", func(a <-chan struct{}) chaos.Behaviour { return chaos.Garbage().When(a) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answer := make(chan struct{})
			g := startRig(t, alone)
			g.eu.Set(tt.origin(answer))
			c := g.dial()
			if err := c.Send(tt.before); err != nil {
				t.Fatal(err)
			}
			g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
			chaos.Await(t, patience, "request", func() bool { return len(g.eu.AllArrivals()) == 1 })
			g.cancel()
			chaos.Await(t, patience, "drain", g.draining)
			if err := c.Send(tt.during); err != nil {
				t.Fatal(err)
			}
			close(answer)
			r, err := c.ReadResponse("GET")
			if err != nil || r.Status == 0 {
				t.Fatalf("%v after %q", err, r.Raw)
			}
			if r.Get("Connection") != "close" {
				t.Errorf("it does not say so: %q", r.Raw)
			}
			if !c.Closed() {
				t.Error("the connection stays open")
			}
			c.Close() // or the proxy would wait a moment for what may come
			g.drained(patience / 2)
		})
	}
}

// The head has left before the drain began, so it can't announce the end. What
// the client sends meanwhile is served all the same.
func TestARequestThatCrossesTheDrainIsServed(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	url := script(t, func(_ int, p *peer) {
		for {
			head, ok := p.head()
			if !ok {
				return
			}
			if strings.HasPrefix(head, "GET /slow") {
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
				<-finish
				p.send("56789")
				continue
			}
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	for _, name := range []string{"while the response is under way", "together with its end"} {
		t.Run(name, func(t *testing.T) {
			g := startRig(t, alone, withOrigin(url))
			c := g.dial()
			if err := c.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			readHead(t, c)
			g.cancel()
			chaos.Await(t, patience, "drain", g.draining)
			if err := c.Send(get); err != nil {
				t.Fatal(err)
			}
			finish <- struct{}{}
			if got, err := c.Read(10); got != "0123456789" {
				t.Fatalf("got %q, %v", got, err)
			}
			r, err := c.ReadResponse("GET")
			wantOK(t, r, err)
			if r.Get("Connection") != "close" {
				t.Errorf("it does not say so: %q", r.Raw)
			}
			c.Close()
			g.drained(patience / 2)
		})
	}
}

// An upload runs outside of the wait in which the other requests are served,
// so the drain has to find its connection elsewhere.
func TestADrainThatBeginsInTheMiddleOfAStreamedExchangeEnds(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	url := script(t, func(_ int, p *peer) {
		p.head()
		p.read(10)
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
		<-finish
		p.send("56789")
		p.rest()
	})
	g := startRig(t, alone, withOrigin(url))
	c := g.dial()
	if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	if err := c.Send("0123456789"); err != nil {
		t.Fatal(err)
	}
	readHead(t, c)
	g.cancel()
	chaos.Await(t, patience, "drain", g.draining)
	close(finish)
	if got, err := c.Read(10); got != "0123456789" {
		t.Fatalf("got %q, %v", got, err)
	}
	c.Close()
	g.drained(patience / 2)
}

func TestADrainIsForcedWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	states := []struct {
		name, send string
		origin     chaos.Behaviour
		queue      bool
	}{
		{"waiting for the origin", get, chaos.Hang(), false},
		{"in the middle of a response", get, chaos.StallMidBody(), false},
		{"in the middle of a head", "GET / HTTP/1.1\r\nHos", chaos.OK(1), false},
		{"in the middle of an upload", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0", chaos.OK(1), false},
		{"in a tunnel", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n", chaos.Upgrade(), false},
		{"an origin that does not read", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 1<<20), chaos.Unread(), false},
	}
	for _, tt := range states {
		for _, how := range []string{"DrainTimeout", "Close"} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				t.Parallel()
				limit := patience
				if how == "DrainTimeout" {
					limit = 100 * time.Millisecond
				}
				g := startRig(t, alone, withServer(func(c *Config) { c.DrainTimeout = limit }))
				g.forced = true
				g.eu.Set(tt.origin)
				c := g.dial()
				if err := c.Send(tt.send); err != nil {
					t.Fatal(err)
				}
				if tt.name == "in the middle of a head" {
					chaos.Await(t, patience, "connection", func() bool {
						all := g.srv.conns.all()
						return len(all) == 1 && phase(all[0].x.mark.Load()&phaseBits) == phaseHead
					})
				} else {
					chaos.Await(t, patience, "request", func() bool { return len(g.eu.AllArrivals()) == 1 })
				}
				go func() {
					_, _ = c.ReadAll() // there may be an error to read
					c.Close()
				}()
				g.cancel()
				chaos.Await(t, patience, "drain", g.draining)
				if how == "Close" {
					g.srv.Close()
				}
				g.drained(patience / 2)
				if !errors.Is(g.err, ErrForced) {
					t.Errorf("Run: %v, want ErrForced", g.err)
				}
			})
		}
	}
}
