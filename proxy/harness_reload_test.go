package proxy

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

// Three addresses that are written differently, each of a free port.
const (
	firstAddress  = "127.0.0.1:0"
	secondAddress = "127.0.0.1:00"
	thirdAddress  = "127.0.0.1:000"
)

// live is the configuration that a rig runs with.
type live struct {
	g   *rig
	cfg Config
}

// kept remembers what the rig starts with. It must be the last setup.
func (l *live) kept(g *rig, cfg *Config) { l.g, l.cfg = g, *cfg }

// startLive runs a rig whose configuration a test changes.
func startLive(t testing.TB, setups ...setup) (*rig, *live) {
	t.Helper()
	l := &live{}
	return startRig(t, append(slices.Clone(setups), l.kept)...), l
}

// startDirect is startLive for tests of listeners, which no bridge can stand in for.
func startDirect(t testing.TB, setups ...setup) (*rig, *live) {
	t.Helper()
	if os.Getenv("FAIRLEAD_TEST_DOOR") != "" {
		t.Skip("it is about listeners, and clients come by a bridge")
	}
	return startLive(t, setups...)
}

// with is the configuration with a change, which leaves the one at work alone.
func (l *live) with(change func(cfg *Config)) Config {
	c := l.cfg
	c.Listen, c.TLSListen = slices.Clone(c.Listen), slices.Clone(c.TLSListen)
	c.Origins, c.Groups, c.Routes = slices.Clone(c.Origins), slices.Clone(c.Groups), slices.Clone(c.Routes)
	change(&c)
	return c
}

// reload puts a change to work.
func (l *live) reload(t testing.TB, change func(cfg *Config)) {
	t.Helper()
	c := l.with(change)
	if err := l.g.srv.Reload(c); err != nil {
		t.Fatalf("Reload: %v", err)
	}
	l.cfg = c
}

// route changes the first route.
func (l *live) route(t testing.TB, change func(r *Route)) {
	t.Helper()
	l.reload(t, func(cfg *Config) { change(&cfg.Routes[0]) })
}

// bound is where a configured address is bound to.
func (g *rig) bound(address string) string {
	g.t.Helper()
	addresses, sockets := g.srv.Sockets()
	i := slices.Index(addresses, address)
	if i < 0 {
		g.t.Fatalf("%s is not among %q", address, addresses)
	}
	return sockets[i].Addr().String()
}

// dialTo connects a client to an address of its own.
func dialTo(t testing.TB, addr string) *chaos.Raw {
	t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	r := chaos.Dial(t, network, addr)
	r.Timeout = patience
	return r
}

// refuses reports whether nobody listens there.
func refuses(network, addr string) bool {
	nc, err := net.Dial(network, addr)
	if err != nil {
		return true
	}
	_ = nc.Close()
	return false
}

// another is one more origin, which is not in the configuration yet.
func another(t testing.TB, cfg *Config, name string) (*chaos.Origin, Origin) {
	o := chaos.NewOrigin(t, name)
	like := cfg.Origins[0]
	like.Name, like.URL = name, o.URL()
	return o, like
}

// observed gives the rig a log that the test reads.
func observed(logs **observer.ObservedLogs) setup {
	core, seen := observer.New(zap.InfoLevel)
	*logs = seen
	return withServer(func(cfg *Config) { cfg.Log = zap.New(core) })
}

// wantClose asserts a response that is its connection's last.
func wantClose(t testing.TB, c *chaos.Raw, r chaos.Response, err error) {
	t.Helper()
	if err != nil || r.Status != 200 || r.Get("Connection") != "close" {
		t.Errorf("got %d %q, %v, want 200 and Connection: close", r.Status, r.Raw, err)
	}
	if !c.Closed() {
		t.Error("the connection stays open")
	}
}

// wantKept asserts a response after which the connection goes on.
func wantKept(t testing.TB, r chaos.Response, err error) {
	t.Helper()
	if err != nil || r.Status != 200 || r.Get("Connection") != "" {
		t.Errorf("got %d %q, %v, want 200 and no Connection field", r.Status, r.Raw, err)
	}
}

// socket is a path for a unix socket, short enough for one.
func (g *rig) socket() string {
	g.t.Helper()
	return filepath.Join(testrun.ShortDir(g.t), "s")
}

// run serves with a Server that was made otherwise than by startRig.
func (g *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() {
		defer close(g.done)
		g.err = g.srv.Run(ctx)
	}()
}
