package proxy

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// The route's time can run out while the client still uploads. That is no
// failure of the origin, which has been waiting too.
func TestASlowUploadIsHeldAgainstNobody(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{
		"length":  "Content-Length: 10\r\n\r\n01234",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
		"spliced": "Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withRoute(func(r *Route) {
				r.Timeout = 300 * time.Millisecond
				r.Breaker = BreakerConfig{ConsecutiveFailures: 1, OpenFor: time.Minute}
			}))
			c := g.dial()
			r, err := c.Do("POST / HTTP/1.1\r\nHost: a\r\n" + start)
			if err != nil || r.Status != 504 || r.Get("Connection") != "close" {
				t.Errorf("%v: %q", err, r.Raw)
			}
			r, err = g.dial().Do(get)
			wantOK(t, r, err)
		})
	}
}

// An origin that has the whole request and does not answer is at fault.
func TestASilentOriginTimesOut(t *testing.T) {
	t.Parallel()
	for _, request := range []string{get,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n%20000d", 1)} {
		g := startRig(t, alone, func(_ *rig, c *Config) {
			c.Origins[0].ResponseHeaderTimeout = 200 * time.Millisecond
			c.Routes[0].Breaker = BreakerConfig{ConsecutiveFailures: 1, OpenFor: time.Minute}
		})
		g.eu.Set(chaos.Hang())
		c := g.dial()
		r, err := c.Do(request)
		if err != nil || r.Status != 504 || r.Get("Connection") != "" {
			t.Errorf("%v: %q", err, r.Raw)
		}
		r, err = c.Do(get) // the connection is kept, and the breaker open
		if err != nil || r.Status != 503 || r.Get("Retry-After") == "" {
			t.Errorf("%v: %q", err, r.Raw)
		}
	}
}

// A client that sends requests and reads no answers is given up, whatever it
// is that fills its side.
func TestAClientThatReadsNoAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]setup{
		"responses": withRoute(func(*Route) {}),
		"refusals":  withRoute(func(r *Route) { r.Match = "/elsewhere" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// With both buffers full TCP may stop in the other direction, too, and
			// then it is a head that does not come.
			g := startRig(t, alone, setup, withServer(func(c *Config) {
				c.BodyIdleTimeout, c.RequestHeaderTimeout, c.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
			}))
			g.eu.Set(chaos.OK(20_000))
			c := g.dial()
			shrink(t, c)
			chaos.Await(t, patience, "connection", func() bool { return g.srv.conns.size() == 1 })
			many := strings.Repeat(get, 1000)
			go func() {
				for c.Send(many) == nil {
				}
			}()
			chaos.Await(t, patience, "end of the connection", func() bool { return g.srv.conns.size() == 0 })
			g.awaitStats("rest", atRest)
		})
	}
}

func TestRequestHeadsUpToTheLimitPass(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{200, 4000, inSize, 5000, defaultMaxHead, 100_000} {
		for _, over := range []int{0, 1} {
			for _, before := range []string{"", get, "\r\n"} {
				name := fmt.Sprintf("%d+%d after %d", limit, over, len(before))
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					g := startRig(t, alone, withServer(func(c *Config) { c.MaxHeaderBytes = limit }))
					head := "GET / HTTP/1.1\r\nHost: a\r\nX-A: "
					head += strings.Repeat("x", limit+over-len(head)-4) + "\r\n\r\n"
					c := g.dial()
					if err := c.Send(before + head + get); err != nil {
						t.Fatal(err)
					}
					if before == get {
						r, err := c.ReadResponse("GET")
						wantOK(t, r, err)
					}
					want := 200
					if over > 0 {
						want = 431
					}
					r, err := c.ReadResponse("GET")
					if err != nil || r.Status != want {
						t.Fatalf("%v: %q, want %d", err, r.Raw, want)
					}
					if over == 0 {
						r, err := c.ReadResponse("GET")
						wantOK(t, r, err)
					} else if !c.Closed() {
						t.Error("the connection stays open")
					}
				})
			}
		}
	}
}

func TestTimeOutsOfTheClientsSide(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, send string
		want       int // 0: closed without a word
	}{
		{"nothing at all", "", 0},
		{"empty lines", "\r\n\r\n", 0},
		{"a part of a head", "GET / HTTP/1.1\r\nHost", 408},
		{"a part of a head after an empty line", "\r\nGET", 408},
		{"a part of a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234", 408},
		{"a part of a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n012", 408},
		{"a part of a spliced body", post + strings.Repeat("x", 200_000), 408},
	}
	for _, tt := range tests {
		for _, again := range []string{"", "a request and then "} {
			t.Run(again+tt.name, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, alone, withServer(func(c *Config) {
					c.IdleTimeout, c.RequestHeaderTimeout, c.BodyIdleTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
				}))
				c := g.dial()
				if again != "" {
					r, err := c.Do(get)
					wantOK(t, r, err)
				}
				begun := time.Now()
				if err := c.Send(tt.send); err != nil {
					t.Fatal(err)
				}
				r, err := c.ReadResponse("GET")
				if r.Status != tt.want || tt.want != 0 && err != nil {
					t.Errorf("status %d, %v: %q", r.Status, err, r.Raw)
				}
				if tt.want != 0 && r.Get("Connection") != "close" {
					t.Errorf("Connection: %q", r.Get("Connection"))
				}
				if !c.Closed() {
					t.Error("the connection stays open")
				}
				if took := time.Since(begun); took < 200*time.Millisecond {
					t.Errorf("after %v already", took)
				}
			})
		}
	}
}

// The limit is on the whole head, however steadily its bytes come.
func TestASlowHeadDoesNotBuyTimeByTrickling(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = 300 * time.Millisecond }))
	c := g.dial()
	go c.SendSlowly(strings.Repeat("x", 1000), 20*time.Millisecond)
	r, err := c.ReadResponse("GET")
	if r.Status != 408 {
		t.Errorf("%v: %q", err, r.Raw)
	}
}

// Bytes that move buy time: the limits are on idleness. The bytes come often
// enough for that unless the machine stalls, and then nothing is proved.
func TestASlowBodyBothWaysIsNoReasonToStop(t *testing.T) {
	t.Parallel()
	const limit, step, steps = 600 * time.Millisecond, 50 * time.Millisecond, 20
	var gap atomic.Int64 // the longest between two bytes
	trickle := func(send func() bool) {
		for last := time.Now(); ; {
			time.Sleep(step)
			gap.Store(max(gap.Load(), int64(time.Since(last))))
			if last = time.Now(); !send() {
				return
			}
		}
	}
	url := script(t, func(_ int, p *peer) {
		p.head()
		p.read(steps)
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", steps))
		n := 0
		trickle(func() bool { n++; return p.send("x") && n < steps })
	})
	g := startRig(t, alone, withOrigin(url), withServer(func(c *Config) { c.BodyIdleTimeout = limit }))
	for range 5 {
		gap.Store(0)
		c := g.dial()
		if err := c.Send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", steps)); err != nil {
			t.Fatal(err)
		}
		n := 0
		trickle(func() bool { n++; return c.Send("x") == nil && n < steps })
		r, err := c.ReadResponse("POST")
		if (err != nil || r.Status != 200) && time.Duration(gap.Load()) > limit/2 {
			continue
		}
		wantOK(t, r, err)
		return
	}
	t.Skip("the machine stalls all the time")
}

// A response that stops is broken off, and does not look whole.
func TestAResponseThatStopsIsBrokenOff(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
		"large":       "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n01234",
		"chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
		"until close": "HTTP/1.1 200 OK\r\n\r\n01234",
	} {
		for _, version := range []string{"1.0", "1.1"} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				url := script(t, func(_ int, p *peer) {
					p.head()
					p.send(start)
					p.rest()
				})
				g := startRig(t, alone, withOrigin(url), withServer(func(c *Config) { c.BodyIdleTimeout = 200 * time.Millisecond }))
				c := g.dial()
				r, err := c.Do("GET / HTTP/" + version + "\r\nHost: a\r\n\r\n")
				if err == nil || r.Status != 200 || r.Body != "01234" {
					t.Errorf("looks whole: %v, %q %q", err, r.Raw, r.Body)
				}
				g.awaitStats("rest", atRest)
				if s := g.stats(); s.Failed != 1 {
					t.Errorf("not counted as failed: %+v", s)
				}
			})
		}
	}
}

// An origin that takes no more of an upload is the one that failed.
func TestAnOriginThatDoesNotTakeABodyIsNotTheClientsFault(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 100000000", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			// Long enough for a client that the machine stalls.
			g := startRig(t, alone, withServer(func(c *Config) { c.BodyIdleTimeout = time.Second }))
			g.eu.Set(chaos.Unread())
			c := g.dial()
			piece := strings.Repeat("x", 1<<20)
			if strings.HasPrefix(framing, "T") {
				piece = "100000\r\n" + piece + "\r\n"
			}
			go func() {
				if c.Send("POST / HTTP/1.1\r\nHost: a\r\n"+framing+"\r\n\r\n") != nil {
					return
				}
				for range 99 {
					if c.Send(piece) != nil {
						return
					}
				}
			}()
			r, err := c.ReadResponse("POST")
			if r.Status != 504 {
				t.Errorf("%v: %q %q", err, r.Raw, r.Body)
			}
			g.awaitStats("rest", atRest)
			if s := g.stats(); s.Failed != 1 {
				t.Errorf("not counted as failed: %+v", s)
			}
		})
	}
}
