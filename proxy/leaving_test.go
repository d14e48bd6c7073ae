package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/internal/chaos"
)

// departures are the ways in which a client goes.
var departures = []struct {
	name  string
	leave func(c *chaos.Raw)
}{
	{"closes", (*chaos.Raw).Close},
	{"resets", (*chaos.Raw).Reset},
	{"ends its side", (*chaos.Raw).CloseWrite},
}

// noticed bounds the wait for what the proxy promises within 250 ms, on a
// machine that may stall.
const noticed = 3 * time.Second

// awaitLeft waits for the one request that was made to be counted as left.
func (g *rig) awaitLeft(want uint64) {
	g.t.Helper()
	chaos.Await(g.t, noticed, "departure", func() bool { s := g.stats(); return s.Left == want && atRest(s) })
}

const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"

func TestAClientThatLeavesCancelsItsAttempt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300_000)
	points := []struct {
		name   string
		send   string
		origin chaos.Behaviour
		head   bool // wait for the response's head
	}{
		{"waiting for the origin", get, chaos.Hang(), false},
		{"waiting, with the next request sent", get + get, chaos.Hang(), false},
		{"waiting after an upload", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", chaos.Hang(), false},
		{"in the middle of an upload", post + "abc", chaos.Hang(), false},
		{"in the middle of a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", chaos.Hang(), false},
		{"in the middle of a spliced upload", post + long, chaos.Hang(), false},
		{"after an interim response", get, chaos.Interim(1).When(nil), false},
		{"before 100 (Continue)", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", chaos.Hang(), false},
		{"in a quiet response", get, chaos.StallMidBody(), true},
	}
	for _, p := range points {
		for _, d := range departures {
			t.Run(d.name+" "+p.name, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, alone)
				g.eu.Set(p.origin)
				c := g.dial()
				if err := c.Send(p.send); err != nil {
					t.Fatal(err)
				}
				chaos.Await(t, patience, "request", func() bool { return len(g.eu.AllArrivals()) == 1 })
				if p.head {
					readHead(t, c)
				}
				d.leave(c)
				g.awaitLeft(1)
				chaos.Await(t, noticed, "end of the attempt", func() bool { return g.eu.OpenConns() == 0 })
			})
		}
	}
}

// A large upload fills the origin's side; then neither the proxy nor the
// client can go on. The client sends no more than reaches the proxy, or its FIN
// would not get there either.
func TestAClientThatLeavesAnOriginThatDoesNotReadIsNoticed(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 100000000", "Transfer-Encoding: chunked"} {
		for _, d := range departures {
			t.Run(d.name+" "+framing, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, alone)
				g.eu.Set(chaos.Unread())
				c := g.dial()
				if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
				piece := strings.Repeat("x", 64<<10)
				if strings.HasPrefix(framing, "T") {
					piece = "10000\r\n" + piece + "\r\n"
				}
				taken := &g.srv.conns.all()[0].x.body.sent
				for stuck := false; !stuck; {
					before := taken.Load()
					if err := c.Send(piece); err != nil {
						t.Fatal(err)
					}
					stuck = !within(300*time.Millisecond, func() bool { return taken.Load() >= before+64<<10 })
				}
				d.leave(c)
				g.awaitLeft(1)
			})
		}
	}
}

// within polls; false means that it did not become true in time.
func within(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func TestAClientThatLeavesTheQueueIsNoticed(t *testing.T) {
	t.Parallel()
	for _, send := range []string{get, post + "abc"} {
		for _, d := range departures {
			t.Run(d.name+" "+send[:4], func(t *testing.T) {
				t.Parallel()
				answer := make(chan struct{})
				g := startRig(t, alone, withRoute(func(r *Route) {
					r.Bulkhead = bulkhead.Config{MaxConcurrent: 1, MaxQueue: 10, QueueTimeout: time.Minute}
				}))
				g.eu.Set(chaos.OK(10).When(answer))
				first := g.dial()
				if err := first.Send(get); err != nil {
					t.Fatal(err)
				}
				g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
				c := g.dial()
				if err := c.Send(send); err != nil {
					t.Fatal(err)
				}
				g.awaitStats("queue", func(s RouteStats) bool { return s.Queued == 1 })
				d.leave(c)
				chaos.Await(t, noticed, "departure", func() bool { return g.stats().Left == 1 && g.stats().Queued == 0 })
				close(answer)
				r, err := first.ReadResponse("GET")
				wantOK(t, r, err)
				g.awaitStats("rest", atRest)
				if n := len(g.eu.AllArrivals()); n != 1 {
					t.Errorf("%d requests reached the origin, want 1", n)
				}
			})
		}
	}
}

func TestAParkedClientThatLeavesIsNoticed(t *testing.T) {
	t.Parallel()
	for _, send := range []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", post + "abc"} {
		for _, d := range departures {
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, alone, func(_ *rig, cfg *Config) { cfg.Groups[0].Policy.ParkTimeout = time.Minute })
				g.eu.Down()
				c := g.dial()
				if err := c.Send(send); err != nil {
					t.Fatal(err)
				}
				g.awaitStats("parking", func(s RouteStats) bool { return s.ParkedNow == 1 })
				d.leave(c)
				g.awaitLeft(1)
			})
		}
	}
}

func TestAClientThatLeavesWhileBytesMoveEndsTheExchange(t *testing.T) {
	t.Parallel()
	endless := map[string]string{
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n",
		"chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"until close": "HTTP/1.1 200 OK\r\n\r\n",
	}
	for name, head := range endless {
		for _, d := range departures[:2] { // whoever ends only its side may still read
			t.Run(d.name+" "+name, func(t *testing.T) {
				t.Parallel()
				ended := make(chan struct{})
				url := script(t, func(_ int, p *peer) {
					defer close(ended)
					p.head()
					p.send(head)
					for piece := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"; p.send(piece); {
					}
				})
				g := startRig(t, alone, withOrigin(url))
				c := g.dial()
				if err := c.Send(get); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(1 << 20); err != nil {
					t.Fatal(err)
				}
				d.leave(c)
				g.awaitLeft(1)
				select {
				case <-ended:
				case <-time.After(patience):
					t.Error("the origin still sends")
				}
			})
		}
	}
}

// A part of a head is no request: nobody is asked and nothing is counted.
func TestAClientThatLeavesInTheMiddleOfAHeadIsForgotten(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	for _, d := range departures {
		for _, part := range []string{"", "G", "GET / HTTP/1.1\r\n", get[:len(get)-1]} {
			c := g.dial()
			if err := c.Send(part); err != nil {
				t.Fatal(err)
			}
			d.leave(c)
			chaos.Await(t, patience, "end of "+d.name+part, func() bool { return g.srv.conns.size() == 0 })
		}
	}
	if s := g.stats(); s.Accepted != 0 || len(g.eu.AllArrivals()) != 0 {
		t.Errorf("something was made of it: %+v", s)
	}
}

// What a client has sent before its FIN is served, as long as the answer does
// not take longer than a departure may go unnoticed. On a busy machine it may,
// so a connection that was cut for that reason proves nothing.
func TestRequestsBeforeAFinAreAnswered(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	requests := []string{get, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"}
	all := strings.Join(requests, "")
	for at := 0; at < len(all); at += 7 {
		before := g.stats().Left
		c := g.dial()
		for _, part := range []string{all[:at], all[at:]} {
			if err := c.Send(part); err != nil {
				t.Fatal(err)
			}
		}
		c.CloseWrite()
		for range requests {
			r, err := c.ReadResponse("GET")
			if err != nil && within(patience, func() bool { return g.stats().Left > before }) {
				break
			}
			wantOK(t, r, err)
		}
		if !c.Closed() {
			t.Error("the connection stays open")
		}
	}
}
