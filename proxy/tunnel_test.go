package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/internal/chaos"
)

const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// opened asks for a tunnel and reads the answer.
func opened(t *testing.T, c *chaos.Raw, request string) {
	t.Helper()
	r, err := c.Do(request)
	if err != nil || r.Status != 101 || r.Get("Upgrade") != "echo" || !strings.EqualFold(r.Get("Connection"), "upgrade") {
		t.Fatalf("%v: %q", err, r.Raw)
	}
}

func exchangeBytes(t *testing.T, c *chaos.Raw, text string) {
	t.Helper()
	go c.Send(text)
	if got, err := c.Read(len(text)); got != text || err != nil {
		t.Fatalf("got %d of %d bytes, %v", len(got), len(text), err)
	}
}

func TestATunnelCarriesBytesBothWaysUnderItsPermit(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withRoute(func(r *Route) { r.Bulkhead = bulkhead.Config{MaxConcurrent: 1}; r.Timeout = 300 * time.Millisecond }))
	g.eu.Set(chaos.Upgrade())
	c := g.dial()
	opened(t, c, upgrade)
	exchangeBytes(t, c, "hello")
	exchangeBytes(t, c, strings.Repeat("0123456789abcdef", 100_000))
	if s := g.stats(); s.InUse != 1 {
		t.Errorf("%d permits in use", s.InUse)
	}
	r, err := g.dial().Do(get)
	if r.Status != 503 {
		t.Errorf("a second request beside the tunnel: %d, %v", r.Status, err)
	}
	time.Sleep(400 * time.Millisecond) // the route's timeout ends with the head
	exchangeBytes(t, c, "still there")
	a := g.eu.AllArrivals()[0]
	if a.Get("Upgrade") != "echo" || a.Get("Connection") != "Upgrade" {
		t.Errorf("the origin was asked %q", a.Raw)
	}
	c.CloseWrite() // the echo ends, and then the tunnel does
	if rest, err := c.ReadAll(); rest != "" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	g.awaitStats("permit back", func(s RouteStats) bool { return s.InUse == 0 && s.Served == 1 })
	chaos.Await(t, patience, "end at the origin", func() bool { return g.eu.OpenConns() == 0 })
}

// A client need not wait for the 101 before it speaks, nor an origin for its
// last byte to be taken.
func TestEarlyBytesAreCarriedThroughATunnel(t *testing.T) {
	t.Parallel()
	url := script(t, func(_ int, p *peer) {
		p.head()
		p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome")
		p.send(" " + p.read(5))
		p.send(" " + p.rest())
	})
	g := startRig(t, alone, withOrigin(url))
	c := g.dial()
	opened(t, c, upgrade+"early")
	if got, err := c.Read(len("welcome early")); got != "welcome early" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := c.Send("late"); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite() // half closed: what comes back still comes
	if got, err := c.ReadAll(); got != " late" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// The origin ends its side first.
func TestATunnelIsHalfClosedByTheOriginToo(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	url := script(t, func(_ int, p *peer) {
		p.head()
		p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nbye")
		_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		got <- p.rest()
	})
	g := startRig(t, alone, withOrigin(url))
	c := g.dial()
	opened(t, c, upgrade)
	if text, err := c.ReadAll(); text != "bye" || err != nil {
		t.Fatalf("got %q, %v", text, err)
	}
	time.Sleep(3 * sweepEvery) // it is half closed, not gone
	if err := c.Send("still talking"); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	if text := <-got; text != "still talking" {
		t.Errorf("the origin got %q", text)
	}
}

// Half closed by the client, quiet for longer than a departure goes unnoticed.
func TestAHalfClosedTunnelIsNotADeparture(t *testing.T) {
	t.Parallel()
	url := script(t, func(_ int, p *peer) {
		p.head()
		p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		asked := p.rest()
		time.Sleep(5 * sweepEvery)
		p.send("answer to " + asked)
	})
	g := startRig(t, alone, withOrigin(url))
	c := g.dial()
	opened(t, c, upgrade)
	if err := c.Send("question"); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	if got, err := c.ReadAll(); got != "answer to question" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnIdleTunnelIsClosed(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withServer(func(c *Config) { c.BodyIdleTimeout = time.Second }))
	g.eu.Set(chaos.Upgrade())
	c := g.dial()
	opened(t, c, upgrade)
	for range 12 { // as long as bytes move, it stays
		exchangeBytes(t, c, "x")
		time.Sleep(100 * time.Millisecond)
	}
	if !c.Closed() {
		t.Error("it stays open")
	}
	g.awaitStats("permit back", func(s RouteStats) bool { return s.InUse == 0 })
	chaos.Await(t, patience, "end at the origin", func() bool { return g.eu.OpenConns() == 0 })
}

func TestEitherEndThatBreaksEndsTheTunnel(t *testing.T) {
	t.Parallel()
	for _, d := range departures[:2] {
		t.Run("a client that "+d.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone)
			g.eu.Set(chaos.Upgrade())
			c := g.dial()
			opened(t, c, upgrade)
			exchangeBytes(t, c, "x")
			d.leave(c)
			g.awaitStats("rest", atRest)
			chaos.Await(t, patience, "end at the origin", func() bool { return g.eu.OpenConns() == 0 })
			if s := g.stats(); s.Failed != 0 {
				t.Errorf("counted as failed: %+v", s)
			}
		})
	}
	t.Run("an origin that resets", func(t *testing.T) {
		t.Parallel()
		g := startRig(t, alone)
		g.eu.Set(chaos.Upgrade())
		c := g.dial()
		opened(t, c, upgrade)
		exchangeBytes(t, c, "x")
		g.eu.ResetConns()
		if !c.Closed() {
			t.Error("the client's side stays open")
		}
		g.awaitStats("rest", atRest)
	})
}

// An origin may refuse to switch; the connection goes on.
func TestARefusedUpgradeIsAnOrdinaryResponse(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	c := g.dial()
	if err := c.Send(upgrade + get + upgrade); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r, err := c.ReadResponse("GET")
		wantOK(t, r, err)
	}
}

// Towards an origin the client is waiting for its 100, or it is not.
func TestExpectationsAreTheOriginsToMeet(t *testing.T) {
	t.Parallel()
	expect := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	t.Run("met", func(t *testing.T) {
		t.Parallel()
		g := startRig(t, alone)
		c := g.dial()
		for range 3 {
			g.eu.Forget()
			if err := c.Send(expect); err != nil {
				t.Fatal(err)
			}
			if head := readHead(t, c); head != "HTTP/1.1 100 Continue\r\n\r\n" {
				t.Fatalf("got %q", head)
			}
			if err := c.Send("hello"); err != nil {
				t.Fatal(err)
			}
			r, err := c.ReadResponse("POST")
			wantOK(t, r, err)
			if a := g.eu.AllArrivals(); len(a) != 1 || a[0].BodyLen != 5 || a[0].Get("Expect") != "100-continue" {
				t.Errorf("the origin got %+v", a)
			}
			if r.Get("Connection") == "close" {
				t.Error("the connection is not kept")
			}
		}
	})
	t.Run("not met", func(t *testing.T) {
		t.Parallel()
		got := make(chan string, 1)
		url := script(t, func(_ int, p *peer) {
			p.head()
			p.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
			got <- p.rest()
		})
		g := startRig(t, alone, withOrigin(url))
		c := g.dial()
		r, err := c.Do(expect)
		if err != nil || r.Status != 401 || r.Body != "no" || r.Get("Connection") != "close" || len(r.Interim) != 0 {
			t.Errorf("%v: %q", err, r.Raw)
		}
		if !c.Closed() {
			t.Error("the connection stays open, though nobody knows whether a body comes")
		}
		if body := <-got; body != "" {
			t.Errorf("the origin got %q", body)
		}
	})
	t.Run("by a client that does not wait", func(t *testing.T) {
		t.Parallel()
		g := startRig(t, alone)
		c := g.dial()
		for range 3 {
			r, err := c.Do(expect + "hello")
			wantOK(t, r, err)
		}
	})
	t.Run("of HTTP/1.0", func(t *testing.T) {
		t.Parallel()
		g := startRig(t, alone)
		r, err := g.dial().Do("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
		wantOK(t, r, err)
		if a := g.eu.AllArrivals(); len(a) != 1 || a[0].Get("Expect") != "" || len(r.Interim) != 0 {
			t.Errorf("%+v, %v", a, r.Interim)
		}
	})
	t.Run("refused by ourselves", func(t *testing.T) {
		t.Parallel()
		g := startRig(t, alone, withRoute(func(r *Route) { r.MaxBodyBytes = 4 }))
		c := g.dial()
		r, err := c.Do(expect)
		if err != nil || r.Status != 413 || len(r.Interim) != 0 || !c.Closed() {
			t.Errorf("%v: %q", err, r.Raw)
		}
	})
}

func TestOptionsOfTheServerAreAnsweredByIt(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	c := g.dial()
	for _, request := range []string{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"} {
		r, err := c.Do(request)
		if err != nil || r.Status != 204 || !strings.Contains(r.Get("Allow"), "GET") || r.Get("Date") == "" || r.Get("Content-Length") != "" {
			t.Errorf("%v: %q", err, r.Raw)
		}
	}
	if n := len(g.eu.AllArrivals()); n != 0 {
		t.Errorf("%d requests reached the origin", n)
	}
	r, err := c.Do("OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n")
	wantOK(t, r, err)
	if r, err := c.Do("GET * HTTP/1.1\r\nHost: a\r\n\r\n"); r.Status != 400 {
		t.Errorf("GET *: %d, %v", r.Status, err)
	}
}
