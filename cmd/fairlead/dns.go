package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/nameserver"
	"github.com/fairlead/fairlead/internal/resolver"
)

// names is a service's part in DNS: what it looks up, what it answers, and whom
// it follows. All of that can change while run is at work, see prepare; the
// resolver and the nameserver of the moment are read without a lock.
type names struct {
	w       watcher
	inherit inheritFunc
	drained func(origin string) bool // by hand; nil: none is. Set before run

	resolver atomic.Pointer[resolver.Resolver] // nil: there is nothing to ask
	server   atomic.Pointer[nameserver.Server] // nil: nothing is answered
	// lastSerial is where the serial of a nameserver begins that is made new: after
	// that of the one before it.
	lastSerial atomic.Uint32

	// telling is held while changed is called: the last call tells the latest.
	telling sync.Mutex
	changed func(host string, addrs []netip.Addr) // guarded by telling; nil before run

	mu        sync.Mutex            // held while members come and go; guards the rest
	lookups   config.Resolver       // what the resolver was made of
	hosts     []string              // of origins, to be kept known
	watches   map[string]func()     // what ends the watch of a host, of those that are watched
	followers map[string]*following // by the group's name
	listens   string                // the nameserver's address as configured
	running   context.Context       // of run; nil before it
	mute      context.CancelFunc    // ends the nameserver; nil: it isn't at work
	silent    <-chan struct{}       // closed when the nameserver that mute ends has closed its sockets
	leaving   []<-chan struct{}     // the same of nameservers that were replaced
	ended     bool                  // run is over, or about to be
	work      sync.WaitGroup        // the members' goroutines
}

// inheritFunc gives sockets that were open before this process and are meant for
// an address as the configuration writes it. Where it gives none, they are
// opened.
type inheritFunc func(address string) (net.Listener, net.PacketConn, error)

// newNames makes what the configuration needs of DNS. The pointers are the
// groups', in the configuration's order. A nil inherit means that there is
// nothing to inherit. Close what it returns.
func newNames(cfg *config.Config, pointers []*failover.Group, w watcher, inherit inheritFunc) (*names, error) {
	n := &names{w: w, inherit: inherit}
	c, err := n.change(cfg, pointers)
	if err != nil {
		return nil, err
	}
	c.commit()
	return n, nil
}

// dnsHosts are the names of origins, each once.
func dnsHosts(cfg *config.Config) (hosts []string) {
	for i := range cfg.Origins {
		if host := dnsHost(&cfg.Origins[i]); host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// dnsHost is the name that an origin's addresses are looked up by, in lower
// case, or "".
func dnsHost(o *config.Origin) string {
	if o.Network != "tcp" {
		return ""
	}
	host, _, err := net.SplitHostPort(o.Address)
	if _, literal := netip.ParseAddr(host); err != nil || literal == nil {
		return ""
	}
	return strings.ToLower(host)
}

func resolverConfig(c *config.Resolver, onEvent func(resolver.Event)) resolver.Config {
	rc := resolver.Config{
		Timeout: c.Timeout, MinTTL: c.MinTTL, MaxTTL: c.MaxTTL, StaleMax: c.StaleMax, OnEvent: onEvent,
	}
	if c.StaleMax == 0 {
		rc.StaleMax = -1 // there, zero is the default
	}
	for _, s := range c.Servers {
		rc.Servers = append(rc.Servers, s.String())
	}
	return rc
}

func sameResolver(a, b *config.Resolver) bool {
	return slices.Equal(a.Servers, b.Servers) && a.Timeout == b.Timeout &&
		a.MinTTL == b.MinTTL && a.MaxTTL == b.MaxTTL && a.StaleMax == b.StaleMax
}

// errNoResolver is what a lookup gets that nobody foresaw: no origin of the
// configuration has a name.
var errNoResolver = errors.New("no resolver is at work")

// lookup gives a host's addresses, by the resolver of the moment. One that was
// replaced while it was asked is no reason for an error.
func (n *names) lookup(ctx context.Context, host string) (addrs []netip.Addr, err error) {
	err = n.ask(host, func(r *resolver.Resolver) error {
		addrs, err = r.Lookup(ctx, host)
		return err
	})
	return addrs, err
}

// text asks a nameserver for the TXT records of a name, likewise.
func (n *names) text(ctx context.Context, server, name string) (texts []string, ttl time.Duration, err error) {
	err = n.ask(name, func(r *resolver.Resolver) error {
		texts, ttl, err = r.Text(ctx, server, name)
		return err
	})
	return texts, ttl, err
}

func (n *names) ask(host string, with func(*resolver.Resolver) error) error {
	for r := n.resolver.Load(); r != nil; {
		err := with(r)
		now := n.resolver.Load()
		if err == nil || now == r {
			return err
		}
		r = now
	}
	return &resolver.Error{Host: host, Kind: resolver.Closed, Err: errNoResolver}
}

// peek gives the addresses of a host that are known.
func (n *names) peek(host string) ([]netip.Addr, time.Duration, bool) {
	r := n.resolver.Load()
	if r == nil {
		return nil, 0, false
	}
	a, ok := r.Peek(host)
	return a.Addrs, a.Left, ok && len(a.Addrs) > 0
}

// update lets the nameserver's next answers show what has changed.
func (n *names) update() {
	if s := n.server.Load(); s != nil {
		s.Update()
	}
}

// watch keeps a host known to r, and returns what ends that.
func (n *names) watch(r *resolver.Resolver, host string) (stop func()) {
	return r.Watch(host, func([]netip.Addr) { n.tell(r, host) })
}

// tell says which addresses a host has now, if r is the one to know: not before
// it is put to use, and not once another one has been.
func (n *names) tell(r *resolver.Resolver, host string) {
	n.telling.Lock()
	defer n.telling.Unlock()
	if n.resolver.Load() != r {
		return
	}
	if n.changed != nil {
		addrs, _, _ := n.peek(host)
		n.changed(host, addrs)
	}
	n.update()
}

// listen opens the nameserver's sockets. The address is nil without one.
func (n *names) listen() (net.Addr, error) {
	s := n.server.Load()
	if s == nil {
		return nil, nil
	}
	return n.open(s, n.listens)
}

// unlisten closes what listen opened, where run isn't going to be called.
func (n *names) unlisten() {
	if s := n.server.Load(); s != nil {
		_ = s.Close()
	}
}

// run looks up, answers and follows until ctx ends. Changed is told of each
// host whose addresses are new, one call at a time. It is called once.
func (n *names) run(ctx context.Context, changed func(host string, addrs []netip.Addr)) {
	n.telling.Lock()
	n.changed = changed
	n.telling.Unlock()

	n.mu.Lock()
	n.running = ctx
	for _, host := range n.hosts {
		if n.watches[host] == nil {
			n.watches[host] = n.watch(n.resolver.Load(), host)
		}
	}
	for _, f := range n.followers {
		n.begin(f)
	}
	if s := n.server.Load(); s != nil {
		n.answer(s)
	}
	n.mu.Unlock()

	<-ctx.Done()
	n.mu.Lock()
	n.ended = true // no member comes any more
	watches := n.watches
	n.mu.Unlock()
	for _, stop := range watches {
		stop()
	}
	n.work.Wait()
}

// close ends what newNames began. Call it after run, or instead.
func (n *names) close() {
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	if r := n.resolver.Load(); r != nil {
		r.Close()
	}
}
