package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, give := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.Listen = "0.0.0.0:9900" }, "token_file"},
		{func(c *Config) { c.Listen = ":9900" }, "token_file"},
		{func(c *Config) { c.Listen = "[::]:9900" }, "token_file"},
		{func(c *Config) { c.Listen = "10.0.0.1:9900" }, "token_file"},
		{func(c *Config) { c.Listen = "ops.internal:9900" }, "token_file"},
		{func(c *Config) { c.Listen = "127.0.0.1" }, "host:port"},
		{func(c *Config) { c.Listen = "127.0.0.1:" }, "host:port"},
		{func(c *Config) { c.Listen = "unix:" }, "path"},
		{func(c *Config) { c.Token = "short" }, "openssl"},
		{func(c *Config) { c.Token = token + " " }, "visible"},
		{func(c *Config) { c.Hosts = []string{"http://x"} }, "hosts"},
		{func(c *Config) { c.Hosts = []string{"x:80"} }, "hosts"},
		{func(c *Config) { c.Backend = nil }, "Backend"},
		{func(c *Config) { c.Events = nil }, "Journal"},
	} {
		cfg := Config{Listen: "127.0.0.1:0", Backend: &fake{}, Events: NewJournal(time.Now())}
		give.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), give.says) || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v", give.says, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "127.9.9.9:1", "unix:/x"} {
		if _, err := New(Config{Listen: address, Backend: &fake{}, Events: NewJournal(time.Now())}); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestASocketThatOthersReachNeedsATokenHoweverItCame(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Listen: "localhost:0", Backend: &fake{}, Events: NewJournal(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ListenOn(l); err == nil || !strings.Contains(err.Error(), "token_file") {
		t.Errorf("%v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is open: %v", err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("Run without a listener is no error")
	}
}

func TestASocketIsHandedOver(t *testing.T) {
	first := newRig(t, nil)
	address, l := first.server.Socket()
	if address != "127.0.0.1:0" || l == nil || l.Addr().String() != first.address {
		t.Fatalf("%s %v", address, l)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Skipf("this system gives no file for a socket: %v", err)
	}
	first.run()
	passed, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(first.server.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.ListenOn(passed); err != nil {
		t.Fatal(err)
	}
	first.server.Leave()
	first.await(first.done, "Run to return")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = second.Run(ctx) })
	first.client.CloseIdleConnections()
	if g := first.ask("GET", "/v1/status", ""); g.status != 200 {
		t.Errorf("%d", g.status)
	}
	first.client.CloseIdleConnections()
	cancel()
	running.Wait()
}

// next is the rig's configuration with something else.
func (r *rig) next(change func(*Config)) Config {
	cfg := r.server.cfg
	change(&cfg)
	return cfg
}

func TestAReloadMovesToAnotherAddress(t *testing.T) {
	r := start(t, nil)
	stream := r.stream("/v1/live")
	stream.any()
	// The request that asks for the reload is answered where it came by.
	r.backend.set(func(f *fake) {
		f.onReload = func(context.Context) {
			commit, _, err := r.server.Prepare(r.next(func(c *Config) { c.Listen = "localhost:0" }))
			if err != nil {
				t.Error(err)
				return
			}
			commit()
			commit() // a second time is nothing
		}
	})
	if g := r.ask("POST", "/v1/reload", "{}"); g.status != 200 {
		t.Errorf("%d %s", g.status, g.body)
	}
	stream.wantEnd("its listener is gone")
	old := r.address
	address, l := r.server.Socket()
	if r.address = l.Addr().String(); address != "localhost:0" || r.address == old {
		t.Errorf("%s at %s", address, r.address)
	}
	if g := r.ask("GET", "/v1/status", ""); g.status != 200 {
		t.Errorf("at the new address: %d", g.status)
	}
	if c, err := net.Dial("tcp", old); err == nil {
		c.Close()
		t.Error("the old address accepts")
	}
}

func TestAReloadThatIsAbortedChangesNothing(t *testing.T) {
	r := start(t, guarded)
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := probe.Addr().String()
	if _, _, err := r.server.Prepare(r.next(func(c *Config) { c.Listen = taken })); err == nil {
		t.Error("an address that is taken is no error")
	}
	probe.Close()
	commit, abort, err := r.server.Prepare(r.next(func(c *Config) { c.Listen, c.Token = taken, strings.Repeat("n", 20) }))
	if err != nil {
		t.Fatal(err)
	}
	abort()
	commit() // too late
	if l, err := net.Listen("tcp", taken); err != nil {
		t.Errorf("the new address is still bound: %v", err)
	} else {
		l.Close()
	}
	if g := r.ask("GET", "/v1/status", "", "Authorization: Bearer "+token); g.status != 200 {
		t.Errorf("by the old token: %d", g.status)
	}
	if _, _, err := r.server.Prepare(r.next(func(c *Config) { c.Listen, c.Token = ":0", "" })); err == nil {
		t.Error("an open address without a token is no error")
	}
}

func TestAnotherTokenEndsSessionsAndStreams(t *testing.T) {
	r := start(t, guarded)
	c := signIn(r)
	cookie := "Cookie: " + c.Name + "=" + c.Value
	stream := r.stream("/v1/live", cookie)
	same, _, err := r.server.Prepare(r.next(func(*Config) {}))
	if err != nil {
		t.Fatal(err)
	}
	same()
	if g := r.ask("GET", "/v1/status", "", cookie); g.status != 200 {
		t.Errorf("a reload that changes nothing here ended the session: %d", g.status)
	}
	other := strings.Repeat("n", 20)
	commit, _, err := r.server.Prepare(r.next(func(c *Config) { c.Token = other }))
	if err != nil {
		t.Fatal(err)
	}
	commit()
	stream.wantEnd("the token is another")
	if g := r.ask("GET", "/v1/status", "", cookie); g.status != http.StatusUnauthorized {
		t.Errorf("by the old session: %d", g.status)
	}
	if g := r.ask("GET", "/v1/status", "", "Authorization: Bearer "+token); g.status != http.StatusUnauthorized {
		t.Errorf("by the old token: %d", g.status)
	}
	if g := r.ask("GET", "/v1/status", "", "Authorization: Bearer "+other); g.status != 200 {
		t.Errorf("by the new token: %d", g.status)
	}
}

func TestCloseBeforeRunGivesTheAddressBack(t *testing.T) {
	r := newRig(t, nil)
	if err := r.server.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := r.server.Run(t.Context()); err == nil {
		t.Error("Run after Close is no error")
	}
	if _, _, err := r.server.Prepare(r.server.cfg); err == nil {
		t.Error("Prepare after Close is no error")
	}
}

func TestARequestUnderWayIsFinishedAtTheEnd(t *testing.T) {
	r := start(t, nil)
	begun, finish := make(chan struct{}), make(chan struct{})
	r.backend.set(func(f *fake) { f.onReload = func(context.Context) { close(begun); <-finish } })
	answered := make(chan got, 1)
	go func() {
		g, _ := r.try("POST", "/v1/reload", "{}")
		answered <- g
	}()
	r.await(begun, "the reload")
	r.cancel()
	eventually(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", r.address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(finish)
	if g := <-answered; g.status != 200 {
		t.Errorf("%d %s", g.status, g.body)
	}
}

// TestAThousandClientsAreAllServed opens more connections than there are seats,
// each kept open by its client.
func TestAThousandClientsAreAllServed(t *testing.T) {
	r := newRig(t, nil)
	r.server.seats.idle, r.server.seats.unasked = 5*time.Millisecond, long
	r.run()
	var served atomic.Int64
	var clients sync.WaitGroup
	defer clients.Wait()               // also when this test gives up
	asking := make(chan struct{}, 200) // a full queue of the kernel would make each wait for seconds
	for range 1000 {
		clients.Go(func() {
			asking <- struct{}{}
			free := sync.OnceFunc(func() { <-asking })
			defer free()
			c, err := net.Dial("tcp", r.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(long))
			io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			served.Add(1)
			free()
			if n := r.server.Stats().Connections; n > mostConnections {
				t.Errorf("%d connections", n)
			}
			var b [1]byte
			_, _ = c.Read(b[:]) // until it has to make room, or the test ends
		})
	}
	eventually(t, "all clients to be served", func() bool { return served.Load() == 1000 || t.Failed() })
	if g := r.ask("GET", "/healthz", ""); g.status != 200 {
		t.Errorf("beside them: %d", g.status)
	}
	r.stop()
	clients.Wait()
}

// TestThoseWhoNeverAskMakeRoom fills all seats with clients that send half a head.
func TestThoseWhoNeverAskMakeRoom(t *testing.T) {
	r := newRig(t, nil)
	r.server.seats.limit, r.server.seats.unasked = 4, 100*time.Millisecond
	r.run()
	for range 12 {
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /v1/status HT")
	}
	if g := r.ask("GET", "/v1/status", ""); g.status != 200 {
		t.Errorf("%d", g.status)
	}
	if n := r.server.Stats().Connections; n > 4 {
		t.Errorf("%d connections", n)
	}
}

func TestHeadsAreBounded(t *testing.T) {
	r := start(t, nil)
	g, err := r.try("GET", "/v1/status", "", "X: "+strings.Repeat("x", 32<<10))
	if err == nil && g.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", g.status)
	}
	if g := r.ask("GET", "/v1/status", "", "X: "+strings.Repeat("x", 12<<10)); g.status != 200 {
		t.Errorf("%d", g.status)
	}
}

func TestEachTimeoutIsSet(t *testing.T) {
	r := newRig(t, nil)
	defer r.server.Close()
	s := r.server.door.http
	for name, d := range map[string]time.Duration{"head": s.ReadHeaderTimeout, "read": s.ReadTimeout, "write": s.WriteTimeout, "idle": s.IdleTimeout} {
		if d <= 0 || d > time.Minute {
			t.Errorf("%s: %v", name, d)
		}
	}
}

// TestAStreamOutlivesTheTimeoutsOfRequests has them end soon.
func TestAStreamOutlivesTheTimeoutsOfRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.server.door.http.ReadTimeout, r.server.door.http.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	r.run()
	s := r.stream("/v1/live")
	for range 3 {
		for s.any().event != "status" { // a second each
		}
	}
	e := r.journal.Add(adminapi.Event{Text: "still there"})
	s.wantEvent(e)
}

func TestWhatNetHTTPSaysReachesOnError(t *testing.T) {
	r := newRig(t, nil)
	defer r.server.Close()
	fmt.Fprintln(errorWriter{r.server}, "http: Accept error")
	if err := <-r.errs; err.Error() != "http: Accept error" {
		t.Errorf("%q", err)
	}
}
