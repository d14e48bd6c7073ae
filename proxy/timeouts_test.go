package proxy

import (
	"fmt"
	"strings"
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
