package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// briefly is a drain whose end a test awaits.
func briefly(d time.Duration) setup { return withServer(func(cfg *Config) { cfg.DrainTimeout = d }) }

func listensOn(addresses ...string) setup {
	return withServer(func(cfg *Config) { cfg.Listen = addresses })
}

func TestAListenerIsAddedAndRemovedBesideAnother(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	stays := g.dial()
	r, err := stays.Do(get)
	wantKept(t, r, err)
	l.reload(t, func(cfg *Config) { cfg.Listen = []string{secondAddress, firstAddress} })
	second := g.bound(secondAddress)
	if g.bound(firstAddress) != g.addr {
		t.Fatal("the first listener was bound anew")
	}
	answer := make(chan struct{})
	g.eu.SetPath("/slow", chaos.OK(10).When(answer))
	idle, busy, fresh := dialTo(t, second), dialTo(t, second), dialTo(t, second)
	r, err = idle.Do(get)
	wantKept(t, r, err)
	if err := busy.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	chaos.Await(t, patience, "all connections", func() bool { return g.srv.conns.size() == 4 })
	l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress} })
	if !refuses("tcp", second) {
		t.Error("the removed listener accepts connections")
	}
	for _, c := range []*chaos.Raw{idle, fresh} { // nobody hurries them
		r, err := c.Do("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		wantClose(t, c, r, err)
	}
	close(answer)
	r, err = busy.ReadResponse("GET")
	wantClose(t, busy, r, err)
	for range 2 {
		r, err := stays.Do(get)
		wantKept(t, r, err)
	}
	l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress, secondAddress} }) // back again
	r, err = dialTo(t, g.bound(secondAddress)).Do(get)
	wantKept(t, r, err)
}

func TestConnectionsThatOnlyWaitOnARemovedListenerEnd(t *testing.T) {
	t.Parallel()
	const limit = 400 * time.Millisecond
	g, l := startDirect(t, listensOn(firstAddress, secondAddress), briefly(limit))
	stays, idle := g.dial(), dialTo(t, g.bound(secondAddress))
	r, err := idle.Do(get)
	wantKept(t, r, err)
	from := time.Now()
	l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress} })
	if !idle.Closed() {
		t.Error("it stays open")
	}
	if took := time.Since(from); took < limit/2 {
		t.Errorf("it ended after %v, want half of drain_timeout, %v, at least", took, limit/2)
	}
	r, err = stays.Do(get)
	wantKept(t, r, err)
	chaos.Await(t, patience, "the farewell", func() bool {
		g.srv.reloading.Lock()
		defer g.srv.reloading.Unlock()
		return len(g.srv.departing) == 0
	})
}

func TestAStuckRequestOnARemovedListenerIsInterrupted(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, listensOn(firstAddress, secondAddress), briefly(100*time.Millisecond))
	g.eu.SetPath("/stuck", chaos.Hang())
	stuck := dialTo(t, g.bound(secondAddress))
	stays := g.dial()
	g.eu.SetPath("/also", chaos.OK(10).After(500*time.Millisecond))
	if err := errors.Join(stuck.Send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n"), stays.Send("GET /also HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permits", func(s RouteStats) bool { return s.InUse == 2 })
	chaos.Await(t, patience, "arrivals", func() bool { return len(g.eu.AllArrivals()) == 2 })
	l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress} })
	r, err := stuck.ReadResponse("GET")
	if err != nil || r.Status != 503 {
		t.Errorf("stuck: got %d, %v, want 503", r.Status, err)
	}
	r, err = stays.ReadResponse("GET") // takes much longer than the drain
	wantKept(t, r, err)
}

func TestHTTP2OnARemovedListenerGoesAway(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, withHTTP2, withServer(func(cfg *Config) { cfg.TLSListen = []string{secondAddress, thirdAddress} }))
	answer := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(answer))
	f := dialFramesTo(t, g.bound(thirdAddress))
	f.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	l.reload(t, func(cfg *Config) { cfg.TLSListen = []string{secondAddress} })
	f.await(0)
	close(answer)
	typ, p := f.await(1)
	if typ != frameHeaders2 || f.status(p) != "200" {
		t.Errorf("a frame of type %d, want the response", typ)
	}
	resp, body, err := ask2(t, g.http2Client(), "GET", "/", nil)
	if err != nil || resp.StatusCode != 200 || len(body) != 10 {
		t.Errorf("on the listener that stays: %v", err)
	}
}

// The socket is the same; only what comes to it from now on is spoken to otherwise.
func TestAnAddressChangesBetweenPlainAndTLS(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	plain := func() (chaos.Response, error) { return dialTo(t, g.addr).Do(get) }
	secure := func() {
		nc, err := tls.Dial("tcp", g.addr, clientTLS())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		_, _ = nc.Write([]byte(get))
		if status, _, err := readingEnd(nc).response("GET"); status != 200 {
			t.Errorf("over TLS: %d, %v", status, err)
		}
	}
	_, before := g.srv.Sockets()
	old := g.dial()
	r, err := old.Do(get)
	wantKept(t, r, err)
	cfg := serverTLS()
	for range 3 {
		l.reload(t, func(c *Config) { c.Listen, c.TLSListen, c.TLS = nil, []string{firstAddress}, cfg })
		secure()
		if r, err := plain(); err != nil || r.Status != 400 {
			t.Errorf("plain to TLS: %d, %v, want 400", r.Status, err)
		}
		l.reload(t, func(c *Config) { c.Listen, c.TLSListen, c.TLS = []string{firstAddress}, nil, nil })
		r, err := plain()
		wantKept(t, r, err)
	}
	if _, now := g.srv.Sockets(); len(now) != 1 || now[0] != before[0] {
		t.Error("the address was bound anew")
	}
	if port := g.srv.httpsPort.Load(); port != 0 {
		t.Errorf("a redirect would go to port %d", port)
	}
}

func TestSessionsAreResumedAcrossAReload(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, withTLS)
	cfg := clientTLS()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 2 {
		c, err := g.dialTLS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := c.do(t, get, "GET"); status != 200 {
			t.Errorf("got %d", status)
		}
		l.reload(t, func(c *Config) { c.ProxyStatus = !c.ProxyStatus })
	}
	if h := g.srv.Handshakes(); h.Resumed != 1 {
		t.Errorf("counted %+v, want the second one resumed", h)
	}
}

func TestUnixSocketsComeAndGo(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t)
	path := g.socket()
	for range 3 {
		l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress, "unix:" + path} })
		c := dialTo(t, "unix:"+path)
		r, err := c.Do(get)
		wantKept(t, r, err)
		l.reload(t, func(cfg *Config) { cfg.Listen = []string{"unix:" + path, firstAddress} })
		r, err = c.Do(get)
		wantKept(t, r, err)
		l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress} })
		if !refuses("unix", path) {
			t.Error("the removed socket accepts connections")
		}
		r, err = c.Do(get)
		wantClose(t, c, r, err)
	}
}

// A listener that is removed while its connection waits for a seat serves it.
func TestAConnectionThatWaitsForASeatOfARemovedListenerIsServed(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, listensOn(firstAddress, secondAddress), withServer(func(cfg *Config) { cfg.MaxConnections = 1 }))
	answer := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(answer))
	busy := g.dial()
	if err := busy.Send(get); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	late := dialTo(t, g.bound(secondAddress))
	if err := late.Send(get); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * sweepEvery) // it is accepted by then, or the listener's end refuses it
	l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress} })
	close(answer)
	r, err := busy.ReadResponse("GET")
	wantKept(t, r, err)
	r, err = late.ReadResponse("GET")
	wantClose(t, late, r, err)
}

func TestAReloadBeforeRun(t *testing.T) {
	t.Parallel()
	l := &live{}
	startRig(t, l.kept) // for its configuration
	for _, bound := range []bool{false, true} {
		srv, err := New(l.cfg)
		if err != nil {
			t.Fatal(err)
		}
		var was []net.Addr
		if bound {
			if was, err = srv.Listen(); err != nil {
				t.Fatal(err)
			}
		}
		if err := srv.Reload(l.with(func(cfg *Config) { cfg.Listen = []string{secondAddress} })); err != nil {
			t.Fatal(err)
		}
		if bound && !refuses("tcp", was[0].String()) {
			t.Error("a listener that was removed before Run stays bound")
		}
		_, before := srv.Sockets()
		now, err := srv.Listen()
		if err != nil || len(now) != 1 {
			t.Fatalf("Listen after Reload: %v, %v", now, err)
		}
		if _, after := srv.Sockets(); after[0] != before[0] {
			t.Error("what Reload has bound was bound again")
		}
		g := &rig{t: t, srv: srv, done: make(chan struct{})}
		g.run()
		r, err := dialTo(t, now[0].String()).Do(get)
		wantKept(t, r, err)
		g.stop()
	}
}

// The end of Run takes the listeners that are still saying goodbye along, and in
// a hurry, whatever their own drain had in mind.
func TestSIGTERMDuringAFarewell(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]time.Duration{"in time": patience, "forced": 200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, l := startDirect(t, listensOn(firstAddress, secondAddress), briefly(time.Hour))
			answer := make(chan struct{})
			g.eu.Set(chaos.OK(10).When(answer))
			idle, busy := dialTo(t, g.bound(secondAddress)), dialTo(t, g.bound(secondAddress))
			if err := busy.Send(get); err != nil {
				t.Fatal(err)
			}
			g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
			chaos.Await(t, patience, "both connections", func() bool { return g.srv.conns.size() == 2 })
			l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress} })
			l.reload(t, func(cfg *Config) { cfg.DrainTimeout = limit })
			g.cancel()
			if !idle.Closed() {
				t.Error("a connection that waits stays open")
			}
			if name == "in time" {
				close(answer)
			} else {
				g.forced = true
			}
			r, err := busy.ReadResponse("GET")
			if want := map[string]int{"in time": 200, "forced": 503}[name]; err != nil || r.Status != want {
				t.Errorf("in flight: %d, %v, want %d", r.Status, err, want)
			}
			busy.Close()
			g.drained(patience / 2)
			if g.forced != errors.Is(g.err, ErrForced) {
				t.Errorf("Run: %v", g.err)
			}
		})
	}
}

// A farewell that begins late takes no hurry back.
func TestAListenerOnlyLeavesFaster(t *testing.T) {
	l := &listener{}
	for _, step := range []struct {
		give, want leaving
	}{{staying, staying}, {unhurried, unhurried}, {hurried, hurried}, {unhurried, hurried}, {staying, hurried}} {
		l.retire(step.give)
		if got := leaving(l.leaving.Load()); got != step.want {
			t.Errorf("after %d it is %d, want %d", step.give, got, step.want)
		}
	}
}

// A token that an end of long ago left must cost nobody a connection: while one
// makes room, no other is chosen.
func TestOneNewConnectionEvictsOneOnly(t *testing.T) {
	t.Parallel()
	g, _ := startDirect(t, withServer(func(cfg *Config) { cfg.MaxConnections = 20 }))
	for range 20 {
		r, err := g.dial().Do(get)
		wantKept(t, r, err)
	}
	for range 30 {
		g.srv.seats.wake()
		r, err := g.dial().Do(get)
		wantKept(t, r, err)
		if n := g.srv.conns.size(); n != 20 {
			t.Fatalf("%d connections are left, want 20", n)
		}
	}
}

// What a farewell interrupts while Run ends was in flight when Run ended.
func TestRunTellsOfAFarewellThatWasCutShort(t *testing.T) {
	t.Parallel()
	g, l := startDirect(t, listensOn(firstAddress, secondAddress), briefly(300*time.Millisecond))
	g.eu.Set(chaos.Hang())
	stuck := dialTo(t, g.bound(secondAddress))
	if err := stuck.Send(get); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, patience, "request", func() bool { return len(g.eu.AllArrivals()) == 1 })
	l.reload(t, func(cfg *Config) { cfg.Listen = []string{firstAddress} })
	l.reload(t, func(cfg *Config) { cfg.DrainTimeout = time.Hour }) // too late for the listener that is gone
	g.forced = true
	g.cancel()
	if r, err := stuck.ReadResponse("GET"); err != nil || r.Status != 503 {
		t.Errorf("got %d, %v, want 503", r.Status, err)
	}
	stuck.Close()
	g.drained(patience / 2)
	if !errors.Is(g.err, ErrForced) {
		t.Errorf("Run: %v, want ErrForced", g.err)
	}
}
