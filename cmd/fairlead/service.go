package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/certs"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/resolver"
	"github.com/fairlead/fairlead/proxy"
)

// service is a configuration at work: the proxy, a pointer for each group, a
// checker for each origin that has a health table, and both ends of DNS. A
// reload puts another configuration in its place.
type service struct {
	proxy   *proxy.Server
	names   *names
	certs   *certs.Store // nil without TLS listeners
	keeper  *keeper
	logs    *logs
	watcher watcher
	crew    crew

	operator *operator     // nil: nobody can ask
	admin    *admin.Server // nil without the table; guarded by reloading once run was called
	handed   inherited     // sockets of another process; nil: none

	// working is plan, for those who only look.
	working atomic.Pointer[plan]
	// steering is held during a change by hand, and a reload.
	steering sync.Mutex
	// handing says that another process takes over, or has: a change by hand would
	// be lost, since that one has been told the state already. Guarded by steering.
	handing bool
	begun   chan struct{} // closed by run, once there is something to reload
	// drained are the origins out of service by hand. A set is replaced, with
	// judging held, and never changed: those who are told of a flip look at it.
	drained atomic.Pointer[map[string]bool]

	reloading sync.Mutex
	plan      *plan // what is at work; guarded by reloading once run was called

	// serving are the pointers of the plan at work. The flips of others are told
	// to nobody.
	serving atomic.Pointer[map[*failover.Group]bool]
	// hurry finds the checker that a failed request is to hurry.
	hurry atomic.Pointer[map[string]*check]
	// judging is held while a verdict goes to the groups, so that a reload that
	// changes the seats misses none.
	judging sync.Mutex
	judged  *plan // whose checks and seats count; guarded by judging
}

// watcher is told what happens to groups and origins. Its functions are called
// on the goroutines that found out, so they must return soon.
type watcher struct {
	flip       func(g *config.Group, from, to failover.State)
	breaker    func(route, origin, from, to string)
	health     func(health.Event)
	dns        func(resolver.Event)
	follow     func(group string, e follower.Event)
	nameserver func(error)
	certs      func(certs.Event)
	asked      func(admin.Change)
	drill      func(proxy.DrillStatus)
	admin      func(error)
}

// inherited are the sockets that another process has handed over.
type inherited interface {
	// Listener and Packet give the socket for an address of the configuration,
	// or nil if there is none.
	Listener(address string) (net.Listener, error)
	Packet(address string) (net.PacketConn, error)
}

// newService wires everything and opens nothing yet. The configuration must
// come from the config package, which has checked it. Close the service, also
// when it never ran. Sockets may be nil.
func newService(cfg *config.Config, l *logs, k *keeper, w watcher, sockets inherited, o *operator) (*service, error) {
	s := &service{operator: o, handed: sockets, keeper: k, logs: l, watcher: w, begun: make(chan struct{})}
	s.drained.Store(&map[string]bool{})
	var err error
	if s.plan, err = s.newPlan(cfg); err != nil {
		return nil, err
	}
	s.adopt(s.plan)
	s.plan.tell(l.events)
	k.setGroups(cfg, s.plan.pointers)
	if s.names, err = newNames(cfg, s.plan.pointers, w, inheritNames(sockets)); err != nil {
		return nil, err
	}
	s.names.drained = s.isDrained
	if s.certs, err = newCertificates(&cfg.Server, w.certs); err != nil {
		s.close()
		return nil, err
	}
	pc := s.proxyConfig(s.plan, s.certs)
	pc.Log, pc.Resolve, pc.OnBreaker, pc.OnDrill = l.events, s.names.lookup, w.breaker, w.drill
	if sockets != nil {
		pc.Inherit = sockets.Listener
	}
	if s.proxy, err = proxy.New(pc); err != nil {
		s.close()
		return nil, err
	}
	s.working.Store(s.plan)
	if o != nil {
		o.service = s
	}
	for _, origin := range k.drained() {
		if cfg.Origin(origin) == nil {
			continue // one that is gone is nobody's any more
		}
		if err := s.setDrained(s.plan, origin, true); err != nil {
			s.close()
			return nil, err
		}
	}
	s.forgetDrains(cfg)
	return s, nil
}

// inheritNames takes the nameserver's two sockets.
func inheritNames(sockets inherited) func(address string) (net.Listener, net.PacketConn, error) {
	if sockets == nil {
		return nil
	}
	return func(address string) (net.Listener, net.PacketConn, error) {
		tcp, err := sockets.Listener(address)
		if err != nil {
			return nil, nil, err
		}
		udp, err := sockets.Packet(address)
		return tcp, udp, err
	}
}

// proxyConfig is the proxy's whole configuration, but for what no reload changes.
func (s *service) proxyConfig(p *plan, store *certs.Store) proxy.Config {
	pc := proxyConfig(p.cfg, p.tls)
	pc.Groups = p.groups
	pc.Remember = p.cfg.Admin != nil
	if p.cfg.Log.Access {
		pc.AccessLog = s.logs.events
	}
	if store != nil {
		pc.TLS = store.TLSConfig()
	}
	pc.OnFailure = func(origin string, _ failover.Outcome) {
		if c := (*s.hurry.Load())[origin]; c != nil {
			c.checker.Hurry()
		}
	}
	return pc
}

// close ends what newService began. Call it after run, or instead.
func (s *service) close() { s.names.close() }

// now is the plan that is at work, for those who only look.
func (s *service) now() *plan { return s.working.Load() }

// listen opens all sockets. The nameserver's address is nil if there is none.
func (s *service) listen() (clients []net.Addr, dns net.Addr, err error) {
	if s.admin, err = s.newAdmin(s.plan.cfg.Admin); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil && s.admin != nil {
			_ = s.admin.Close()
		}
	}()
	if dns, err = s.names.listen(); err != nil {
		return nil, nil, err
	}
	if clients, err = s.proxy.Listen(); err != nil {
		s.names.unlisten()
		return nil, nil, err
	}
	return clients, dns, nil
}

// run serves until ctx ends or the proxy was told to leave, and the drain is
// over, which force shortens.
func (s *service) run(ctx context.Context, force <-chan struct{}) error {
	// What moves the pointers outlives ctx: while the proxy drains, parked
	// requests still wait for a flip.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.reloading.Lock()
	s.crew.begin(work)
	s.employ(s.plan, nil)
	s.employCertificates(s.certs)
	s.employAdmin()
	if s.operator != nil {
		s.crew.employ(s.operator, s.operator.sample)
	}
	s.reloading.Unlock()
	close(s.begun)
	var helpers sync.WaitGroup
	helpers.Go(func() { s.names.run(work, s.proxy.AddressesChanged) })
	helpers.Go(func() { s.keeper.run(work) })
	helpers.Go(func() {
		select {
		case <-force:
			s.proxy.Close()
		case <-work.Done():
		}
	})
	err := s.proxy.Run(ctx)
	stop()
	s.reloading.Lock() // a reload that is under way ends first
	s.crew.over = true
	s.reloading.Unlock()
	s.crew.wait()
	helpers.Wait()
	return err
}

// crew are goroutines that work until they are dismissed, or all at once.
type crew struct {
	work    context.Context // of all of them; nil before begin
	members map[any]context.CancelFunc
	over    bool // nobody is employed any more
	wg      sync.WaitGroup
}

// begin says until when the crew works. It is called once, and before employ.
func (c *crew) begin(work context.Context) {
	c.work, c.members = work, make(map[any]context.CancelFunc)
}

// employ runs a member in a goroutine, unless all is over.
func (c *crew) employ(who any, run func(context.Context)) {
	if c.over {
		return // its wait may be over, too
	}
	ctx, dismiss := context.WithCancel(c.work)
	c.members[who] = dismiss
	c.wg.Go(func() { run(ctx) })
}

// dismiss tells a member to stop, if there is such a one.
func (c *crew) dismiss(who any) {
	if stop := c.members[who]; stop != nil {
		stop()
		delete(c.members, who)
	}
}

// wait waits for all of them, when their work is over. Over must be set before.
func (c *crew) wait() { c.wg.Wait() }
