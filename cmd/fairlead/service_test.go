package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/resolver"
	"github.com/fairlead/fairlead/proxy"
)

// unusual has no value that is a default.
const unusual = `
[server]
listen = ["127.0.0.1:1", "unix:/run/fairlead.sock"]
request_header_timeout = "1s"
idle_timeout = "2s"
body_idle_timeout = "3s"
max_header_bytes = 4096
max_connections = 5
trusted_proxies = ["10.0.0.0/8"]
drain_timeout = "6s"
proxy_status = false
encoded_slash = "keep"
tls_listen = ["127.0.0.1:2"]
https_redirect = true
h2c = true
proxy_protocol = ["127.0.0.1:2"]
[[server.certificates]]
cert = "site.pem"
key = "site.key"
[origins.eu]
url = "https://eu.example:443"
host = "www.example"
sni = "sni.example"
connect_timeout = "700ms"
response_header_timeout = "8s"
max_connections = 9
[origins.us]
url = "unix:/run/us.sock"
host = "origin"
[groups.shop]
primary = "eu"
secondary = "us"
failover_methods = ["GET"]
failover_statuses = [503]
unsafe = "never"
park_timeout = "11s"
[[routes]]
name = "product"
match = "GET /product/{id}"
group = "shop"
max_body_bytes = 12
timeout = "29s"
[routes.bulkhead]
max_concurrent = 13
max_queue = 14
queue_timeout = "15s"
[routes.breaker]
consecutive_failures = 16
open_for = "17s"
half_open_trials = 18
`

func TestEveryValueReachesTheProxy(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir)
	cfg, err := config.Parse(filepath.Join(dir, "test.toml"), []byte(unusual), config.Options{Patterns: checkPatterns})
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&service{keeper: newKeeper("", zap.NewNop())}).newPlan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := proxyConfig(cfg, p.tls)
	if tls := got.Origins[0].TLS; tls == nil || tls.ServerName != "sni.example" || tls.RootCAs != nil {
		t.Errorf("TLS of the https origin is %+v", tls)
	}
	got.Origins[0].TLS = nil
	want := proxy.Config{
		Listen:               []string{"127.0.0.1:1", "unix:/run/fairlead.sock"},
		TLSListen:            []string{"127.0.0.1:2"},
		ProxyProtocol:        []string{"127.0.0.1:2"},
		HTTPSRedirect:        true,
		H2C:                  true,
		RequestHeaderTimeout: time.Second,
		IdleTimeout:          2 * time.Second,
		BodyIdleTimeout:      3 * time.Second,
		DrainTimeout:         6 * time.Second,
		MaxHeaderBytes:       4096,
		MaxConnections:       5,
		TrustedProxies:       []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		KeepEncodedSlash:     true,
		Origins: []proxy.Origin{
			{
				Name: "eu", URL: "https://eu.example", Host: proxy.HostLiteral, HostLiteral: "www.example",
				ConnectTimeout: 700 * time.Millisecond, ResponseHeaderTimeout: 8 * time.Second, MaxConnections: 9,
			},
			{Name: "us", URL: "unix:/run/us.sock", Host: proxy.HostOrigin, ConnectTimeout: time.Second, ResponseHeaderTimeout: 10 * time.Second},
		},
		Routes: []proxy.Route{{
			Name: "product", Match: "GET /product/{id}", Group: "shop", MaxBodyBytes: 12, Timeout: 29 * time.Second,
			Bulkhead: bulkhead.Config{MaxConcurrent: 13, MaxQueue: 14, QueueTimeout: 15 * time.Second},
			Breaker:  proxy.BreakerConfig{ConsecutiveFailures: 16, OpenFor: 17 * time.Second, HalfOpenTrials: 18},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	policy, err := policyConfig(&cfg.Groups[0])
	wantPolicy := failover.PolicyConfig{
		Methods: []string{"GET"}, Statuses: []int{503}, Unsafe: failover.UnsafeNever, ParkTimeout: 11 * time.Second, HasSecondary: true,
	}
	if err != nil || !reflect.DeepEqual(policy, wantPolicy) {
		t.Errorf("policy is %+v (%v), want %+v", policy, err, wantPolicy)
	}
}

// A reload that ends the following also says what is known of the origins now. The
// pointer goes by that, not by what was known of them before.
func TestAPointerThatIsLetGoGoesByTheNewVerdicts(t *testing.T) {
	leader := runNames(t, literal(1, "127.0.0.1:0"), nil) // at eu
	const url = "http://127.0.0.1:1"
	unprobed := func(more string) *config.Config {
		return readConfig(t, strings.ReplaceAll(shopOf(url, url, more), `health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }`, ""))
	}
	var flips atomic.Int64
	s, ctx := runService(t, unprobed(fmt.Sprintf("follow = \"dns://%s/shop.failover.example.\"", leader.address())), watcher{
		flip:   func(*config.Group, failover.State, failover.State) { flips.Add(1) },
		follow: func(string, follower.Event) {},
		dns:    func(resolver.Event) {},
	})
	shop := s.plan.pointers[0]
	if !eventually(func() bool { return shop.Pointer().Lead == failover.RolePrimary }) {
		t.Fatal("the pointer is not led")
	}
	shop.Verdict(failover.RolePrimary, false) // of a checker that the reload does away with
	if err := s.reload(ctx, unprobed("")); err != nil {
		t.Fatal(err)
	}
	if p := shop.Pointer(); p.Lead != failover.RoleNone || p.Target != failover.RolePrimary || flips.Load() != 0 {
		t.Errorf("after %d flips the pointer is at %+v", flips.Load(), p)
	}
}

// runService runs a service without clients, and ends it with the test.
func runService(t *testing.T, cfg *config.Config, w watcher) (*service, context.Context) {
	t.Helper()
	l, err := openLogs(cfg.Log, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(cfg, l, newKeeper("", l.events), w, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
		s.close()
		l.close()
	})
	<-s.begun
	return s, ctx
}

// Of a pointer that a reload has taken out of service nobody is told, whatever
// becomes of it. The one in its place is heard from the first moment on.
func TestFlipsOfAPointerOutOfServiceAreToldToNobody(t *testing.T) {
	const url = "http://127.0.0.1:1"
	text := strings.ReplaceAll(shopOf(url, url, `failback = "manual"`), `health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }`, "")
	swapped := strings.NewReplacer(`primary = "eu"`, `primary = "us"`, `secondary = "us"`, `secondary = "eu"`).Replace(text)
	var told []string // flips come on the goroutine that makes them, which is this one
	s, ctx := runService(t, readConfig(t, text), watcher{flip: func(g *config.Group, from, to failover.State) {
		told = append(told, originIn(g, from.Target)+" to "+originIn(g, to.Target))
	}})
	old := s.plan.pointers[0]
	if err := s.reload(ctx, readConfig(t, swapped)); err != nil {
		t.Fatal(err)
	}
	fresh := s.plan.pointers[0]
	if fresh == old || fresh.Pointer().Target != failover.RoleSecondary {
		t.Fatalf("with swapped roles the pointer is at %+v", fresh.Pointer())
	}
	_ = old.Pin(failover.RoleSecondary, 0)
	old.Verdict(failover.RoleSecondary, false)
	old.Unpin()
	_ = fresh.Pin(failover.RolePrimary, 0)
	if want := []string{"eu to us"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestEveryHealthTableGetsACheckerAndEveryGroupAPointer(t *testing.T) {
	cfg, err := config.Load(filepath.Join("..", "..", "testdata", "shop.toml"), config.Options{Patterns: checkPatterns})
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLogs(cfg.Log, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	s, err := newService(cfg, l, newKeeper("", l.events), watcher{
		flip:   func(*config.Group, failover.State, failover.State) {},
		health: func(health.Event) {},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.plan.pointers) != len(cfg.Groups) || len(s.plan.checks) != len(cfg.Origins) {
		t.Errorf("%d pointers and %d checkers, want %d and %d", len(s.plan.pointers), len(s.plan.checks), len(cfg.Groups), len(cfg.Origins))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.run(ctx, nil); err != nil {
		t.Errorf("a service that never listened ended with %v", err)
	}
}
