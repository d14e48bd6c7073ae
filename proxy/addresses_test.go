package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// names is a resolver whose answers a test changes.
type names struct {
	mu    sync.Mutex
	addrs map[string][]netip.Addr
	err   error
}

func (n *names) set(host string, ips ...string) (addrs []netip.Addr) {
	for _, ip := range ips {
		addrs = append(addrs, netip.MustParseAddr(ip))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addrs == nil {
		n.addrs = make(map[string][]netip.Addr)
	}
	n.addrs[host] = addrs
	return addrs
}

func (n *names) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addrs[host], n.err
}

// named gives eu and us names in place of addresses, and both eu's port.
func (n *names) named(g *rig, cfg *Config) {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(cfg.Origins[0].URL, "http://"))
	cfg.Origins[0].URL = "http://eu.test:" + port
	cfg.Origins[1].URL = "http://us.test:" + port
	cfg.Resolve = n.resolve
}

// neighbour opens an origin at the port of another server and a further
// loopback address.
func neighbour(t testing.TB, name, ip, url string) *chaos.Origin {
	t.Helper()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	o, err := chaos.Listen(name, "tcp", net.JoinHostPort(ip, port))
	if err != nil {
		t.Skipf("this machine has no address %s, or its port is taken: %v", ip, err)
	}
	t.Cleanup(o.Close)
	return o
}

func TestConnectionsFollowAnOriginsAddresses(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	half, change := make(chan struct{}), make(chan struct{})
	old := script(t, func(_ int, p *peer) {
		open.Add(1)
		defer open.Add(-1)
		for {
			head, ok := p.head()
			switch {
			case !ok:
				return
			case strings.HasPrefix(head, "GET /download "):
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
				close(half)
				<-change
				p.send("56789")
			default:
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
			}
		}
	})
	moved := neighbour(t, "moved", "127.0.0.2", old)
	var dns names
	dns.set("eu.test", "127.0.0.1")
	g := startRig(t, withOrigin(old), dns.named)
	client, downloader := g.dial(), g.dial()
	if err := downloader.Send("GET /download HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-half
	if resp, err := client.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil || resp.Body != "old" {
		t.Fatalf("got %q, %v, want the old server", resp.Body, err)
	}

	g.srv.AddressesChanged("EU.test.", dns.set("eu.test", "127.0.0.2"))
	chaos.Await(t, patience, "the idle connection's end", func() bool { return open.Load() == 1 })
	wantServed(t, g.ask(chaos.Request{}), "moved")
	close(change)
	if resp, err := downloader.ReadResponse("GET"); err != nil || resp.Body != "0123456789" {
		t.Errorf("the download ended with %q, %v", resp.Body, err)
	}
	chaos.Await(t, patience, "the busy connection's end", func() bool { return open.Load() == 0 })
	wantServed(t, g.ask(chaos.Request{}), "moved")
	if n := moved.Accepted(); n != 1 {
		t.Errorf("%d connections to the new server, want the first to be kept", n)
	}
}

func TestANameThatDoesNotResolveFailsOver(t *testing.T) {
	t.Parallel()
	var log journal
	dns := names{err: errors.New("server failure")}
	g := startRig(t, log.logged, dns.named, func(g *rig, cfg *Config) { cfg.Origins[1].URL = g.us.URL() })
	r := g.ask(chaos.Request{})
	wantServed(t, r, "us")
	if rec := log.find(t, r.ID); rec.classes() != "eu dns, us ok" {
		t.Errorf("attempts %s, want eu dns, us ok", rec.classes())
	}
	g.judge(r)
}

// Two origins may share some of their addresses: the second attempt goes to
// one where the first has not been.
func TestTheSecondAttemptGoesToAnotherEndpoint(t *testing.T) {
	t.Parallel()
	var dns names
	var log journal
	g := startRig(t, log.logged, dns.named)
	other := neighbour(t, "other", "127.0.0.2", g.eu.URL())
	dns.set("eu.test", "127.0.0.1")
	dns.set("us.test", "127.0.0.1")
	pin := func(r failover.Role) {
		t.Helper()
		if err := g.pointer.Pin(r, 0); err != nil {
			t.Fatal(err)
		}
	}
	pin(failover.RoleSecondary)
	wantServed(t, g.ask(chaos.Request{}), "eu") // the way to us now has an idle connection to the shared endpoint
	pin(failover.RolePrimary)
	dns.set("us.test", "127.0.0.1", "127.0.0.2")
	g.eu.Set(chaos.Status(503))
	for range 6 {
		r := g.ask(chaos.Request{})
		wantServed(t, r, "other")
		if n := len(g.eu.Arrivals(r.ID)); n != 1 {
			t.Errorf("it reached the shared endpoint %d times, want once", n)
		}
	}
	if n := other.Accepted(); n != 1 {
		t.Errorf("%d connections to the other endpoint, want the first to be kept", n)
	}

	other.Close()
	r := g.ask(chaos.Request{})
	wantStatus(t, r, 503, "eu")
	if rec := log.find(t, r.ID); rec.classes() != "eu status:503, us connect_refused" {
		t.Errorf("attempts %s", rec.classes())
	}
	dns.set("us.test", "127.0.0.1")
	r = g.ask(chaos.Request{})
	wantStatus(t, r, 503, "eu")
	if rec := log.find(t, r.ID); rec.WhyNot != "same_endpoint" {
		t.Errorf("why_not is %q, want same_endpoint", rec.WhyNot)
	}
	if n := len(g.eu.Arrivals(r.ID)); n != 1 {
		t.Errorf("it reached the shared endpoint %d times, want once", n)
	}
}

// An attempt whose pooled connection died may have been at two endpoints.
func TestTheSecondAttemptAvoidsTheEndpointOfADeadConnectionToo(t *testing.T) {
	t.Parallel()
	var dns names
	var log journal
	g := startRig(t, log.logged, dns.named)
	second := neighbour(t, "second", "127.0.0.2", g.eu.URL())
	neighbour(t, "third", "127.0.0.3", g.eu.URL())
	for _, tt := range []struct {
		us     []string
		status int
		origin string
	}{
		{[]string{"127.0.0.1", "127.0.0.2"}, 503, "second"},
		{[]string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, 200, "third"},
	} {
		dns.set("us.test", tt.us...)
		g.eu.Set(chaos.CloseOnReuse())
		second.Set(chaos.Status(503))
		dns.set("eu.test", "127.0.0.1")
		wantServed(t, g.ask(chaos.Request{}), "eu")
		dns.set("eu.test", "127.0.0.2")
		r := g.ask(chaos.Request{}) // over the idle connection, which dies, and then over a fresh one
		wantStatus(t, r, tt.status, tt.origin)
		if a, b := len(g.eu.Arrivals(r.ID)), len(second.Arrivals(r.ID)); a != 1 || b != 1 {
			t.Errorf("it reached the first endpoint %d times and the second %d times, want once each", a, b)
		}
		g.srv.AddressesChanged("eu.test", dns.set("eu.test", "127.0.0.1")) // no idle connection stays
	}
}

func TestAProbeConnectsAsARequestWould(t *testing.T) {
	t.Parallel()
	var dns names
	g := startRig(t, dns.named)
	dns.set("eu.test", "127.0.0.1")
	c, err := g.srv.ConnectOrigin(t.Context(), "eu")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != g.eu.Addr() {
		t.Errorf("connected to %s, want %s", got, g.eu.Addr())
	}
	if n := g.leg(failover.RolePrimary).origin.upstream.Open(); n != 0 {
		t.Errorf("%d connections are counted, want none", n)
	}
	if _, err := g.srv.ConnectOrigin(t.Context(), "moon"); err == nil {
		t.Error("connected to an origin that there is not")
	}
}
