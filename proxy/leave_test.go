package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// heir is a second Server that accepts from copies of g's sockets, as another
// process would.
func heir(t testing.TB, l *live) *rig {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("sockets can't be handed over here")
	}
	addresses, sockets := l.g.srv.Sockets()
	given := make(map[string]net.Listener)
	for i, s := range sockets {
		file, err := s.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		given[addresses[i]], err = net.FileListener(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	srv, err := New(l.with(func(cfg *Config) {
		cfg.Inherit = func(address string) (net.Listener, error) {
			s := given[address]
			delete(given, address)
			return s, nil
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	if len(given) != 0 {
		t.Errorf("not taken over: %v", given)
	}
	h := &rig{t: t, srv: srv, eu: l.g.eu, us: l.g.us, addr: l.g.addr, done: make(chan struct{})}
	h.run()
	t.Cleanup(h.stop)
	return h
}

// Clients under load, whose connections are kept alive, go on to the heir and
// lose nothing: neither what crosses with the end nor what can't be sent twice.
func TestLeavingUnderLoadLosesNoRequest(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	load := chaos.Load{Address: g.addr, Conns: 8, Mix: []chaos.Shot{
		{Weight: 3}, {Weight: 3, Method: "POST", BodySize: 100}, {Method: "POST", BodySize: 20_000}, {Method: "PUT", BodySize: 5000, Chunked: true},
	}}.Start(context.Background())
	g.awaitStats("requests", func(s RouteStats) bool { return s.Served > 50 })
	h := heir(t, l)
	g.srv.Leave()
	g.drained(patience)
	h.awaitStats("requests", func(s RouteStats) bool { return s.Served > 50 })
	ledger := load.Stop()
	for _, r := range ledger.Unserved() {
		t.Errorf("lost: %v %s", r, r.Text)
	}
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
}

// Each connection is told of its end with a response, to a POST as to any other,
// and nobody has to find a closed one.
func TestLeavingTellsEachConnection(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, withHTTP2, withServer(func(cfg *Config) { cfg.TLSListen = []string{secondAddress} }))
	post := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	var conns []*chaos.Raw
	for range 20 {
		c := g.dial()
		r, err := c.Do(post)
		wantKept(t, r, err)
		conns = append(conns, c)
	}
	f := dialFrames(t, g)
	f.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	f.await(1)
	h := heir(t, l)
	g.srv.Leave()
	chaos.Await(t, patience, "the leave", func() bool { soon, _ := g.srv.listeners[0].leaves(); return soon })
	f.await(0) // GOAWAY
	_ = f.nc.Close()
	for _, c := range conns {
		r, err := c.Do(post)
		wantClose(t, c, r, err)
		c.Close()
		next := dialTo(t, g.addr)
		r, err = next.Do(post)
		wantKept(t, r, err)
	}
	g.drained(patience / 2) // nobody waits for half of drain_timeout
	if g.err != nil {
		t.Errorf("Run: %v", g.err)
	}
	h.awaitStats("twenty that the heir has served", func(s RouteStats) bool { return s.Served == 20 })
}

func TestLeavingEndsIdleConnectionsAfterHalfOfTheDrain(t *testing.T) {
	t.Parallel()
	const limit = 400 * time.Millisecond
	g, _ := startDirect(t, briefly(limit))
	used, fresh := g.dial(), g.dial()
	r, err := used.Do(get)
	wantKept(t, r, err)
	chaos.Await(t, patience, "both connections", func() bool { return g.srv.conns.size() == 2 })
	from := time.Now()
	g.srv.Leave()
	g.srv.Leave() // again is harmless
	if !used.Closed() || !fresh.Closed() {
		t.Error("idle connections were left open")
	}
	if took := time.Since(from); took < limit/2 {
		t.Errorf("they ended after %v, want half of drain_timeout, %v, at least", took, limit/2)
	}
	g.drained(patience)
	if g.err != nil {
		t.Errorf("Run: %v", g.err)
	}
}

func TestTheEndOfRunsContextHurriesALeave(t *testing.T) {
	t.Parallel()
	g, _ := startDirect(t, briefly(time.Hour))
	idle, busy := g.dial(), g.dial()
	answer := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(answer))
	if err := busy.Send(get); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	chaos.Await(t, patience, "both connections", func() bool { return g.srv.conns.size() == 2 })
	g.srv.Leave()
	chaos.Await(t, patience, "the leave", func() bool { soon, _ := g.srv.listeners[0].leaves(); return soon })
	if g.draining() {
		t.Error("it is in a hurry already")
	}
	g.cancel()
	if !idle.Closed() {
		t.Error("the idle connection stays open")
	}
	close(answer)
	r, err := busy.ReadResponse("GET")
	wantClose(t, busy, r, err)
	busy.Close()
	g.drained(patience / 2)
}

func TestALeaveIsForcedWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"DrainTimeout", "Close"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			limit := time.Hour
			if how == "DrainTimeout" {
				limit = 100 * time.Millisecond
			}
			g, _ := startDirect(t, briefly(limit))
			g.forced = true
			g.eu.Set(chaos.Hang())
			c := g.dial()
			if err := c.Send(get); err != nil {
				t.Fatal(err)
			}
			chaos.Await(t, patience, "request", func() bool { return len(g.eu.AllArrivals()) == 1 })
			g.srv.Leave()
			if how == "Close" {
				g.srv.Close()
			}
			if r, err := c.ReadResponse("GET"); err != nil || r.Status != 503 {
				t.Errorf("got %d, %v, want 503", r.Status, err)
			}
			c.Close()
			g.drained(patience / 2)
			if !errors.Is(g.err, ErrForced) {
				t.Errorf("Run: %v, want ErrForced", g.err)
			}
		})
	}
}

// The heir accepts from the same socket, whose file is the way to it.
func TestLeavingKeepsTheFileOfAUnixSocket(t *testing.T) {
	t.Parallel()
	var path string
	g, l := startDirect(t, func(g *rig, cfg *Config) {
		path = g.socket()
		cfg.Listen = []string{"unix:" + path}
	})
	heir(t, l)
	g.srv.Leave()
	g.drained(patience)
	r, err := dialTo(t, "unix:"+path).Do(get)
	wantKept(t, r, err)
}

func TestAnEndWithoutALeaveRemovesTheFileOfAUnixSocket(t *testing.T) {
	t.Parallel()
	var path string
	g, _ := startDirect(t, func(g *rig, cfg *Config) {
		path = g.socket()
		cfg.Listen = []string{"unix:" + path}
	})
	g.cancel()
	g.drained(patience)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v, want none", err)
	}
}

func TestAReloadOfAServerThatHasLeftIsRefused(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	g.srv.Leave()
	g.drained(patience)
	if err := g.srv.Reload(l.cfg); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
}

// Reloads, a leave and the end may come in any order and at any moment.
func TestReloadsLeaveAndTheEndAtOnce(t *testing.T) {
	t.Parallel()
	for n := range 20 {
		g, l := startDirect(t, briefly(time.Hour))
		c := g.dial()
		r, err := c.Do(get)
		wantKept(t, r, err)
		var all sync.WaitGroup
		for m := range 3 {
			all.Go(func() {
				err := g.srv.Reload(l.with(func(cfg *Config) {
					if (n+m)%2 == 0 {
						cfg.Listen = []string{secondAddress}
					}
				}))
				if err != nil && !errors.Is(err, ErrStopped) {
					t.Error(err)
				}
			})
		}
		all.Go(g.srv.Leave)
		all.Go(g.cancel)
		all.Wait()
		if !c.Closed() {
			t.Error("the idle connection stays open")
		}
		g.drained(patience / 2)
	}
}
