package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/nameserver"
	"github.com/fairlead/fairlead/internal/resolver"
)

// forever is how long the addresses hold that stand in the file.
const forever = 10 * 365 * 24 * time.Hour

// names is a service's part in DNS: what it looks up, what it answers, and whom
// it follows.
type names struct {
	resolver   *resolver.Resolver // nil: there is nothing to ask
	hosts      []string           // of origins, to be kept known
	followers  []*follower.Follower
	nameserver *nameserver.Server // nil: nothing is answered
}

// newNames makes what the configuration needs of DNS. The pointers are the
// groups', in the configuration's order.
func newNames(cfg *config.Config, pointers []*failover.Group, w watcher) (*names, error) {
	n := &names{}
	for i := range cfg.Origins {
		if host := dnsHost(&cfg.Origins[i]); host != "" && !slices.Contains(n.hosts, host) {
			n.hosts = append(n.hosts, host)
		}
	}
	follows := slices.ContainsFunc(cfg.Groups, func(g config.Group) bool { return g.Follow != nil })
	if len(n.hosts) > 0 || follows {
		r, err := resolver.New(resolverConfig(&cfg.Resolver, w.dns))
		if err != nil {
			return nil, err
		}
		n.resolver = r
	}
	following := make([]*follower.Follower, len(cfg.Groups)) // nil where a group follows nobody
	for i := range cfg.Groups {
		if g := &cfg.Groups[i]; g.Follow != nil {
			following[i] = n.follow(g, pointers[i], w)
			n.followers = append(n.followers, following[i])
		}
	}
	if cfg.Nameserver == nil {
		return n, nil
	}
	var err error
	if n.nameserver, err = nameserver.New(n.zone(cfg, pointers, following, w)); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
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

// follow makes a group's pointer go along with another one.
func (n *names) follow(g *config.Group, pointer *failover.Group, w watcher) *follower.Follower {
	fc := follower.Config{
		Server: g.Follow.Server.String(),
		Name:   g.Follow.Name,
		ID:     randomID(),
		Text:   n.resolver.Text,
		Lead: func(origin string) {
			role := failover.RoleNone
			switch origin {
			case g.Primary:
				role = failover.RolePrimary
			case g.Secondary:
				role = failover.RoleSecondary
			}
			pointer.Follow(role)
		},
		OnVia:   n.update,
		OnEvent: func(e follower.Event) { w.follow(g.Name, e) },
		Origins: []string{g.Primary},
	}
	if g.Secondary != "" {
		fc.Origins = append(fc.Origins, g.Secondary)
	}
	return follower.New(fc)
}

// randomID tells followers apart over all processes.
func randomID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// zone is what the nameserver answers.
func (n *names) zone(cfg *config.Config, pointers []*failover.Group, following []*follower.Follower, w watcher) nameserver.Config {
	c := cfg.Nameserver
	nc := nameserver.Config{
		Listen: c.Listen, Zone: c.Zone, NS: c.NS, NSAddresses: c.NSAddresses, Admin: c.Admin,
		RateLimit: c.RateLimit, OnError: w.nameserver,
	}
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		if g.DNSName == "" {
			continue
		}
		ng := nameserver.Group{
			Name: g.DNSName, TTL: g.TTL, CNAME: g.DNSAnswer == config.DNSAnswerCNAME,
			Pointer: func() nameserver.Pointer {
				s := pointers[i].Pointer()
				p := nameserver.Pointer{Generation: s.Generation, Since: s.Since, Reason: s.Reason.String()}
				if s.Target != failover.RoleNone {
					p.Target = originIn(g, s.Target)
				}
				if following[i] != nil {
					p.Via = following[i].Via()
				}
				return p
			},
		}
		for _, name := range []string{g.Primary, g.Secondary} {
			if name != "" {
				ng.Origins = append(ng.Origins, n.origin(cfg.Origin(name)))
			}
		}
		nc.Groups = append(nc.Groups, ng)
	}
	return nc
}

// origin is an origin as the nameserver sees it.
func (n *names) origin(o *config.Origin) nameserver.Origin {
	no := nameserver.Origin{Name: o.Name, Host: dnsHost(o)}
	if no.Host != "" {
		no.Addresses = func() ([]netip.Addr, time.Duration, bool) {
			a, ok := n.resolver.Peek(no.Host)
			return a.Addrs, a.Left, ok && len(a.Addrs) > 0
		}
		return no
	}
	var literal []netip.Addr // none for a socket
	if o.Network == "tcp" {
		host, _, _ := net.SplitHostPort(o.Address)
		literal = []netip.Addr{netip.MustParseAddr(host)}
	}
	no.Addresses = func() ([]netip.Addr, time.Duration, bool) { return literal, forever, true }
	return no
}

// update lets the nameserver's next answers show what has changed.
func (n *names) update() {
	if n.nameserver != nil {
		n.nameserver.Update()
	}
}

// listen opens the nameserver's sockets. The address is nil without one.
func (n *names) listen() (net.Addr, error) {
	if n.nameserver == nil {
		return nil, nil
	}
	return n.nameserver.Listen()
}

// unlisten closes what listen opened, where run isn't going to be called.
func (n *names) unlisten() {
	if n.nameserver != nil {
		_ = n.nameserver.Close()
	}
}

// run looks up, answers and follows until ctx ends. Changed is told of each
// host whose addresses are new.
func (n *names) run(ctx context.Context, changed func(host string, addrs []netip.Addr)) {
	var all sync.WaitGroup
	var stops []func()
	for _, host := range n.hosts {
		stops = append(stops, n.resolver.Watch(host, func(addrs []netip.Addr) {
			changed(host, addrs)
			n.update()
		}))
	}
	for _, f := range n.followers {
		all.Go(func() { _ = f.Run(ctx) })
	}
	if n.nameserver != nil {
		all.Go(func() { _ = n.nameserver.Run(ctx) })
	}
	<-ctx.Done()
	for _, stop := range stops {
		stop()
	}
	all.Wait()
}

// close ends what newNames began.
func (n *names) close() {
	if n.resolver != nil {
		n.resolver.Close()
	}
}
