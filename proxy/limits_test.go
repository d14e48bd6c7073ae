package proxy

import (
	"net"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Up to the limit, connections are left alone.
func TestConnectionsUpToTheLimitAreKept(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withServer(func(c *Config) { c.MaxConnections = 3 }))
	conns := []*chaos.Raw{g.dial(), g.dial(), g.dial()}
	for range 3 {
		for _, c := range conns {
			r, err := c.Do(get)
			wantOK(t, r, err)
		}
		time.Sleep(2 * sweepEvery) // nothing must happen in it
	}
}

// At the limit the connection that has waited the longest makes room.
func TestAtTheLimitTheLongestIdleConnectionIsEvicted(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{time.Minute, 0} { // idle_timeout, which may be none
		t.Run(limit.String(), func(t *testing.T) {
			t.Parallel()
			evictLongestIdle(t, limit)
		})
	}
}

func evictLongestIdle(t *testing.T, limit time.Duration) {
	g := startRig(t, alone, withServer(func(c *Config) { c.MaxConnections, c.IdleTimeout = 3, limit }))
	var conns []*chaos.Raw
	for range 3 {
		c := g.dial()
		r, err := c.Do(get)
		wantOK(t, r, err)
		conns = append(conns, c)
		time.Sleep(3 * sweepEvery) // idle times are as exact as the sweep
	}
	r, err := conns[0].Do(get) // now the second has waited the longest
	wantOK(t, r, err)
	late := g.dial()
	r, err = late.Do(get)
	wantOK(t, r, err)
	if !conns[1].Closed() {
		t.Error("the longest idle connection was kept")
	}
	for _, c := range []*chaos.Raw{conns[0], conns[2], late} {
		r, err := c.Do(get)
		wantOK(t, r, err)
	}
}

// Connections that are busy are never taken away: the new one waits.
func TestAtTheLimitANewConnectionWaitsForABusyOne(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	g := startRig(t, alone, withServer(func(c *Config) { c.MaxConnections = 2 }))
	g.eu.SetPath("/slow", chaos.OK(10).When(answer))
	busy := []*chaos.Raw{g.dial(), g.dial()}
	for _, c := range busy {
		if err := c.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	g.awaitStats("permits", func(s RouteStats) bool { return s.InUse == 2 })
	late := g.dial()
	if err := late.Send(get); err != nil {
		t.Fatal(err)
	}
	late.Timeout = 4 * sweepEvery
	if _, err := late.Read(1); err == nil {
		t.Error("served over the limit")
	}
	close(answer)
	for _, c := range busy {
		r, err := c.ReadResponse("GET")
		wantOK(t, r, err)
	}
	late.Timeout = patience
	r, err := late.ReadResponse("GET")
	wantOK(t, r, err)
}

// A drain while a connection waits for its place ends at once.
func TestADrainAtTheConnectionLimitEnds(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	g := startRig(t, alone, withServer(func(c *Config) { c.MaxConnections = 1 }))
	g.eu.Set(chaos.OK(10).When(answer))
	busy := g.dial()
	if err := busy.Send(get); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	late, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	g.cancel()
	chaos.Await(t, patience, "drain", g.draining)
	close(answer)
	r, err := busy.ReadResponse("GET")
	wantOK(t, r, err)
	busy.Close()
	g.drained(patience / 2)
}
