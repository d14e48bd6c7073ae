package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/nameserver"
	"github.com/fairlead/fairlead/internal/resolver"
)

// warmUp bounds how long a change waits for the hosts that are new to a
// resolver.
const warmUp = 2 * time.Second

// namesChange is another configuration of names, ready to be put to use. Commit
// or abort ends it.
type namesChange struct {
	n *names

	lookups   config.Resolver
	resolver  *resolver.Resolver // nil: there is nothing to ask
	fresh     bool               // resolver is another one than before
	hosts     []string
	watches   map[string]func() // of hosts that resolver didn't watch before
	followers map[string]*following
	serving   map[*failover.Group]bool // the groups' pointers
	listens   string
	server    *nameserver.Server // nil: nothing is answered
	moved     bool               // server is another one than before
	zone      func()             // gives the server that stays its new zone; nil otherwise

	// listening is where a new nameserver listens; nil: there is none, or it is
	// where it was.
	listening net.Addr
}

// prepare makes everything that another configuration needs of DNS beside what
// runs: a new resolver has looked up all hosts that it can in two seconds, a new
// address is listened at. What it returns is put to use by commit, which can't
// fail, or given up by abort. On an error nothing has changed. The pointers are the
// groups', in the configuration's order; a group that goes on with the same one goes on
// following. One change at a time.
func (n *names) prepare(ctx context.Context, cfg *config.Config, pointers []*failover.Group) (*namesChange, error) {
	c, err := n.change(cfg, pointers)
	if err != nil {
		return nil, err
	}
	if err := c.listen(ctx); err != nil {
		c.abort()
		return nil, err
	}
	c.warm(ctx)
	if ctx.Err() != nil {
		c.abort()
		return nil, context.Cause(ctx)
	}
	return c, nil
}

// change makes what is new. It asks nobody and opens nothing.
func (n *names) change(cfg *config.Config, pointers []*failover.Group) (*namesChange, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &namesChange{
		n: n, lookups: cfg.Resolver, resolver: n.resolver.Load(), hosts: dnsHosts(cfg), watches: make(map[string]func()),
		followers: n.followersFor(cfg, pointers), serving: make(map[*failover.Group]bool),
	}
	for _, p := range pointers {
		c.serving[p] = true
	}
	needed := c.resolver != nil || len(c.hosts) > 0 || len(c.followers) > 0
	if needed && (c.resolver == nil || !sameResolver(&n.lookups, &c.lookups)) {
		r, err := resolver.New(resolverConfig(&c.lookups, n.w.dns))
		if err != nil {
			return nil, err
		}
		c.resolver, c.fresh = r, true
	}
	if cfg.Nameserver == nil {
		return c, nil
	}
	if err := c.plan(n.zone(cfg, pointers, c.followers)); err != nil {
		c.abort()
		return nil, err
	}
	return c, nil
}

// plan settles which nameserver there will be.
func (c *namesChange) plan(nc nameserver.Config) (err error) {
	c.listens = nc.Listen
	c.server = c.n.server.Load()
	if c.server != nil && c.n.listens == c.listens {
		c.zone, err = c.server.Prepare(nc)
		return err
	}
	c.moved = true
	c.server, err = nameserver.New(nc)
	return err
}

// listen opens the sockets of a new nameserver.
func (c *namesChange) listen(ctx context.Context) (err error) {
	if !c.moved {
		return nil
	}
	if err := c.n.awaitSilence(ctx); err != nil {
		return err
	}
	c.listening, err = c.n.open(c.server, c.listens)
	if errors.Is(err, syscall.EADDRINUSE) && c.n.server.Load() != nil {
		return fmt.Errorf("%w (the nameserver is at %s now; where the two overlap, only a restart can move it)", err, c.n.listens)
	}
	return err
}

// warm has the resolver look up what it doesn't know yet, so that no request has to
// wait for that. Whatever can't be looked up is none the worse for it: a new
// resolver begins with what the old one knows.
func (c *namesChange) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmUp)
	defer cancel()
	var all sync.WaitGroup
	old := c.n.resolver.Load()
	for _, host := range c.hosts {
		if !c.fresh && c.n.watched(host) {
			continue
		}
		if c.fresh && old != nil {
			c.resolver.Adopt(old, host)
		}
		c.watches[host] = c.n.watch(c.resolver, host)
		all.Go(func() { c.resolver.Settle(ctx, host) })
	}
	all.Wait()
}

func (n *names) watched(host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.watches[host] != nil
}

// commit puts the change to use. It waits for nobody. When run is over, it gives it
// up instead.
func (c *namesChange) commit() {
	for _, p := range c.commitMembers() {
		p.Follow(failover.RoleNone) // which may flip, so without a lock
	}
}

// commitMembers puts everybody in place. It returns the pointers that nobody
// leads any more.
func (c *namesChange) commitMembers() (alone []*failover.Group) {
	n := c.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		c.abort()
		return nil
	}
	c.commitResolver()
	alone = c.commitFollowers()
	c.commitServer()
	return alone
}

func (c *namesChange) commitResolver() {
	n := c.n
	old, watches := n.resolver.Swap(c.resolver), n.watches
	n.lookups, n.hosts, n.watches = c.lookups, c.hosts, c.watches
	if !c.fresh {
		for host, stop := range watches {
			if slices.Contains(c.hosts, host) {
				n.watches[host] = stop
			} else {
				n.retire(stop)
			}
		}
		return
	}
	for _, host := range c.hosts {
		n.tell(c.resolver, host)
	}
	if old != nil {
		n.retire(old.Close) // with all its watches
	}
}

// commitFollowers ends the followers that are not needed any more and begins the
// new ones. A pointer that goes on with another follower stays led: if that one
// hears the same, nothing moves. One that is out of service is left alone. The
// others, which follow nobody now, are returned.
func (c *namesChange) commitFollowers() (alone []*failover.Group) {
	n := c.n
	before := n.followers
	n.followers = c.followers
	for name, f := range before {
		next := c.followers[name]
		if next == f {
			continue
		}
		f.dismiss()
		if p := f.terms.pointer; c.serving[p] && next == nil {
			alone = append(alone, p)
		}
	}
	for name, f := range c.followers {
		if n.running != nil && before[name] != f {
			n.begin(f)
		}
	}
	return alone
}

func (c *namesChange) commitServer() {
	n := c.n
	if c.zone != nil {
		c.zone()
		return
	}
	old := n.server.Swap(c.server)
	n.listens = c.listens
	if old != nil {
		n.silence(old)
	}
	if n.running != nil && c.server != nil {
		n.answer(c.server)
	}
}

// abort gives up what was made for the change.
func (c *namesChange) abort() {
	for _, stop := range c.watches {
		stop()
	}
	if c.fresh {
		c.resolver.Close()
	}
	if c.moved && c.server != nil {
		_ = c.server.Close()
	}
}

// retire ends a member that may take a moment for it, with n.mu held.
func (n *names) retire(end func()) {
	if n.running == nil {
		end()
		return
	}
	n.work.Go(end)
}
