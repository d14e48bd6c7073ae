package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

// patience bounds every wait for what must happen. It is long, since the
// machine may be busy; a test that meets it has failed.
const patience = 10 * time.Second

// TestMain holds the whole package to the invariant that no single test of a
// parallel run can see: goroutines and file descriptors return to where they were.
func TestMain(m *testing.M) {
	testrun.Abreast(4 * runtime.GOMAXPROCS(0))
	baseline := chaos.Rest()
	code := m.Run()
	if err := baseline.Wait(patience); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// rig is a proxy under test with its two origins.
type rig struct {
	t       testing.TB
	srv     *Server
	addr    string // of the first listener
	eu, us  *chaos.Origin
	pointer *failover.Group
	cancel  context.CancelFunc
	done    chan struct{}                                   // closed when Run has returned
	err     error                                           // of Run, once done is closed
	forced  bool                                            // the test forces the drain
	bridged bool                                            // clients come by TLS
	door    func(t testing.TB, target string) (addr string) // what they come by instead; nil: they don't
}

// setup is what a test wants otherwise than startRig would have it. It runs
// after the origins are there and before the proxy is.
type setup func(g *rig, cfg *Config)

// startRig runs a proxy in front of eu and us, with one group and one route
// that takes everything. When the test ends it is stopped and the invariants
// of a proxy at rest are asserted. Connect clients after it, so that they are
// gone by then. With FAIRLEAD_TEST_DOOR=tls in the environment all of them come
// by TLS: a way to hold that door to the whole suite, but for tests of what a
// bridge can't carry.
func startRig(t testing.TB, setups ...setup) *rig {
	t.Helper()
	g := &rig{t: t, eu: chaos.NewOrigin(t, "eu"), us: chaos.NewOrigin(t, "us"), done: make(chan struct{})}
	g.pointer = failover.NewGroup(failover.GroupConfig{Name: "shop", PointerConfig: failover.PointerConfig{HasSecondary: true}})
	cfg := Config{
		Listen:               []string{"127.0.0.1:0"},
		RequestHeaderTimeout: patience,
		IdleTimeout:          time.Minute,
		BodyIdleTimeout:      time.Minute,
		DrainTimeout:         patience,
		ProxyStatus:          true,
		Origins: []Origin{
			{Name: "eu", URL: g.eu.URL(), ConnectTimeout: 5 * time.Second, ResponseHeaderTimeout: patience},
			{Name: "us", URL: g.us.URL(), ConnectTimeout: 5 * time.Second, ResponseHeaderTimeout: patience},
		},
		Groups: []Group{{Name: "shop", Primary: "eu", Secondary: "us", Pointer: g.pointer,
			Policy: failover.PolicyConfig{Methods: []string{"GET", "HEAD", "OPTIONS"}, Statuses: []int{500, 502, 503, 504}}}},
		Routes: []Route{{Name: "all", Match: "/", Group: "shop", Timeout: 30 * time.Second, Bulkhead: bulkhead.Config{MaxConcurrent: 64}}},
	}
	if os.Getenv("FAIRLEAD_TEST_DOOR") == "tls" {
		setups = append([]setup{overTLS}, setups...)
	}
	for _, s := range setups {
		s(g, &cfg)
	}
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	g.srv, g.addr = srv, addrs[0].String()
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go g.pointer.Run(ctx)
	go func() {
		defer close(g.done)
		g.err = srv.Run(ctx)
	}()
	t.Cleanup(g.stop)
	switch {
	case g.door != nil:
		g.addr = g.door(t, g.tlsAddr())
	case g.bridged:
		g.addr = bridge(t, g.tlsAddr())
	}
	return g
}

// stop drains the proxy and asserts what holds at rest.
func (g *rig) stop() {
	g.t.Helper()
	g.cancel()
	select {
	case <-g.done:
	case <-time.After(2 * patience):
		g.t.Errorf("the proxy did not stop")
		return
	}
	if g.err != nil && !(g.forced && errors.Is(g.err, ErrForced)) {
		g.t.Errorf("Run: %v", g.err)
	}
	for _, s := range g.srv.Stats() {
		if s.InUse != 0 || s.Queued != 0 || s.ParkedNow != 0 {
			g.t.Errorf("not at rest: %+v", s)
		}
		if s.Accepted != s.Served+s.FailedOver+s.Shed+s.Failed+s.Left {
			g.t.Errorf("the counters don't add up: %+v", s)
		}
	}
}

// stats are those of the first route.
// draining reports whether the proxy has begun to end what waits.
func (g *rig) draining() bool {
	_, now := g.srv.listeners[0].leaves()
	return now
}

func (g *rig) stats() RouteStats { return g.srv.Stats()[0] }

// awaitStats waits until the first route's counters are as ok wants them.
func (g *rig) awaitStats(what string, ok func(s RouteStats) bool) {
	g.t.Helper()
	chaos.Await(g.t, patience, what, func() bool { return ok(g.stats()) })
}

// atRest reports whether nothing is in flight.
func atRest(s RouteStats) bool {
	return s.InUse == 0 && s.Queued == 0 && s.ParkedNow == 0 &&
		s.Accepted == s.Served+s.FailedOver+s.Shed+s.Failed+s.Left
}

// dial connects a client.
func (g *rig) dial() *chaos.Raw {
	g.t.Helper()
	r := chaos.Dial(g.t, "tcp", g.addr)
	r.Timeout = patience
	return r
}

// alone leaves the group with its primary only.
func alone(_ *rig, cfg *Config) { cfg.Groups[0].Secondary = "" }

// withOrigin puts an origin of the test's own in the place of eu.
func withOrigin(url string) setup {
	return func(_ *rig, cfg *Config) { cfg.Origins[0].URL = url }
}

// withRoute changes the one route.
func withRoute(change func(r *Route)) setup {
	return func(_ *rig, cfg *Config) { change(&cfg.Routes[0]) }
}

// withServer changes what is not an origin, a group or a route.
func withServer(change func(cfg *Config)) setup {
	return func(_ *rig, cfg *Config) { change(cfg) }
}

// script is an origin that does what a test writes down: the function is called
// for each connection with its number, from 1, and the connection is closed when
// it returns. When the test ends, what is still open is closed.
func script(t testing.TB, act func(n int, p *peer)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 1; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			serving.Go(func() {
				defer nc.Close()
				act(n, &peer{Conn: nc, br: bufio.NewReader(nc)})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return "http://" + l.Addr().String()
}

// peer is the origin's end of a connection of a script.
type peer struct {
	net.Conn
	br *bufio.Reader
}

// head reads a request's head with its empty line; false when there is none.
func (p *peer) head() (head string, ok bool) {
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := p.br.ReadString('\n')
		if err != nil {
			return head, false
		}
		head += line
	}
	return head, true
}

// read reads n bytes, or fewer when the connection ends.
func (p *peer) read(n int) string {
	b := make([]byte, n)
	n, _ = io.ReadFull(p.br, b)
	return string(b[:n])
}

// rest reads until the proxy closes.
func (p *peer) rest() string {
	b, _ := io.ReadAll(p.br)
	return string(b)
}

// send writes; false when the proxy has gone.
func (p *peer) send(text string) bool {
	_, err := io.WriteString(p.Conn, text)
	return err == nil
}

// reset ends the connection with a reset.
func (p *peer) reset() {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	_ = p.Conn.Close()
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 64<<10) }

// pattern is an endless stream in which no two pieces that a proxy might take
// for each other are alike.
func pattern() io.Reader { return &patternReader{} }

// tile is what the pattern repeats. Its length is prime, so that no buffer's is
// a multiple of it.
var tile = func() []byte {
	b := make([]byte, 1048573)
	for i := range b {
		b[i] = byte((uint64(i) * 0x9e3779b97f4a7c15) >> 56)
	}
	return b
}()

type patternReader struct{ at int }

func (r *patternReader) Read(p []byte) (int, error) {
	n := copy(p, tile[r.at:])
	r.at = (r.at + n) % len(tile)
	return n, nil
}

// shrink makes a client's receive buffer as small as it can be, so that what it
// does not read soon fills the proxy's side.
func shrink(t testing.TB, c *chaos.Raw) {
	t.Helper()
	if err := c.Conn().(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
}

// reading reads responses where there is no *testing.T to make a chaos.Raw with.
type reading struct{ br *bufio.Reader }

func readingEnd(r io.Reader) reading { return reading{newReader(r)} }

// response reads one response with net/http's parser, interim ones before it included.
func (c reading) response(method string) (status int, body string, err error) {
	for {
		r, err := http.ReadResponse(c.br, &http.Request{Method: method})
		if err != nil {
			return 0, "", err
		}
		if r.StatusCode < 200 {
			continue
		}
		b, err := io.ReadAll(r.Body)
		return r.StatusCode, string(b), err
	}
}
