package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/certs"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/resolver"
	"github.com/fairlead/fairlead/internal/route"
	"github.com/fairlead/fairlead/proxy"
)

// service is a configuration at work: the proxy, a pointer for each group, a
// checker for each origin that has a health table, and both ends of DNS.
type service struct {
	proxy    *proxy.Server
	names    *names
	certs    *certs.Store // nil without TLS listeners
	groups   []*failover.Group
	checkers []*health.Checker
}

// watcher is told what happens to groups and origins. Its functions are called
// on the goroutines that found out, so they must return soon.
type watcher struct {
	flip       func(group string, from, to failover.State)
	health     func(health.Event)
	dns        func(resolver.Event)
	follow     func(group string, e follower.Event)
	nameserver func(error)
	certs      func(certs.Event)
}

// seat is an origin's place in one group.
type seat struct {
	group *failover.Group
	role  failover.Role
}

// newService wires everything and opens nothing yet. The configuration must
// come from the config package, which has checked it. Close the service, also
// when it never ran.
func newService(cfg *config.Config, l *logs, w watcher) (*service, error) {
	s := &service{}
	pc := proxyConfig(cfg)
	pc.Log, pc.AccessLog = l.events, l.access
	seats := make(map[string][]seat)
	flip := func(group string, from, to failover.State) {
		s.names.update()
		w.flip(group, from, to)
	}
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		pointer, err := newPointer(g, flip)
		if err != nil {
			return nil, err
		}
		policy, err := newPolicy(g)
		if err != nil {
			return nil, err
		}
		s.groups = append(s.groups, pointer)
		seats[g.Primary] = append(seats[g.Primary], seat{pointer, failover.RolePrimary})
		if g.Secondary != "" {
			seats[g.Secondary] = append(seats[g.Secondary], seat{pointer, failover.RoleSecondary})
		}
		pc.Groups = append(pc.Groups, proxy.Group{
			Name: g.Name, Primary: g.Primary, Secondary: g.Secondary, Pointer: pointer, Policy: policy,
		})
	}
	var err error
	if s.names, err = newNames(cfg, s.groups, w); err != nil {
		return nil, err
	}
	if s.names.resolver != nil {
		pc.Resolve = s.names.resolver.Lookup
	}
	if s.certs, err = newCertificates(&cfg.Server, w.certs); err != nil {
		s.close()
		return nil, err
	}
	if s.certs != nil {
		pc.TLS = s.certs.TLSConfig()
	}
	// The map is complete before the first request, so that requests may read
	// it without a lock.
	hurry := make(map[string]*health.Checker)
	pc.OnFailure = func(origin string, _ failover.Outcome) {
		if c := hurry[origin]; c != nil {
			c.Hurry()
		}
	}
	if s.proxy, err = proxy.New(pc); err != nil {
		s.close()
		return nil, err
	}
	for i := range cfg.Origins {
		o := &cfg.Origins[i]
		if o.Health == nil {
			continue
		}
		checker, err := newChecker(o, s.connect(o.Name), seats[o.Name], w.health)
		if err != nil {
			s.close()
			return nil, err
		}
		s.checkers = append(s.checkers, checker)
		hurry[o.Name] = checker
	}
	return s, nil
}

// connect opens connections to an origin for its probes, the way its requests
// do.
func (s *service) connect(origin string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.proxy.ConnectOrigin(ctx, origin) }
}

// close ends what newService began. Call it after run, or instead.
func (s *service) close() { s.names.close() }

// listen opens all sockets. The nameserver's address is nil if there is none.
func (s *service) listen() (clients []net.Addr, dns net.Addr, err error) {
	if dns, err = s.names.listen(); err != nil {
		return nil, nil, err
	}
	if clients, err = s.proxy.Listen(); err != nil {
		s.names.unlisten()
		return nil, nil, err
	}
	return clients, dns, nil
}

// run serves until ctx ends and the drain is over, which force shortens.
func (s *service) run(ctx context.Context, force <-chan struct{}) error {
	// What moves the pointers outlives ctx: while the proxy drains, parked
	// requests still wait for a flip.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var helpers sync.WaitGroup
	for _, g := range s.groups {
		helpers.Go(func() { _ = g.Run(work) })
	}
	for _, c := range s.checkers {
		helpers.Go(func() { _ = c.Run(work) })
	}
	helpers.Go(func() { s.names.run(work, s.proxy.AddressesChanged) })
	if s.certs != nil {
		helpers.Go(func() { s.certs.Watch(work, 0) })
	}
	helpers.Go(func() {
		select {
		case <-force:
			s.proxy.Close()
		case <-work.Done():
		}
	})
	err := s.proxy.Run(ctx)
	stop()
	helpers.Wait()
	return err
}

// newPointer makes a group's pointer.
func newPointer(g *config.Group, flip func(string, failover.State, failover.State)) (*failover.Group, error) {
	failback, err1 := failover.ParseFailback(string(g.Failback))
	bothDown, err2 := failover.ParseBothDown(string(g.BothDown))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return failover.NewGroup(failover.GroupConfig{
		Name: g.Name,
		PointerConfig: failover.PointerConfig{
			HasSecondary:  g.Secondary != "",
			Failback:      failback,
			BothDown:      bothDown,
			FailbackAfter: g.FailbackAfter,
			MinHold:       g.MinHold,
		},
		OnFlip: func(from, to failover.State) { flip(g.Name, from, to) },
	}), nil
}

// newPolicy says what may fail over in a group.
func newPolicy(g *config.Group) (failover.PolicyConfig, error) {
	unsafe, err := failover.ParseUnsafe(string(g.Unsafe))
	return failover.PolicyConfig{
		Methods:      g.FailoverMethods,
		Statuses:     g.FailoverStatuses,
		Unsafe:       unsafe,
		ParkTimeout:  g.ParkTimeout,
		HasSecondary: g.Secondary != "",
	}, err
}

// newChecker makes the checker of an origin, whose verdicts go to every group
// that it has a seat in.
func newChecker(o *config.Origin, dial func(context.Context, string, string) (net.Conn, error), seats []seat, watch func(health.Event)) (*health.Checker, error) {
	h := o.Health
	hc := health.Config{
		Origin:       o.Name,
		URL:          &url.URL{Scheme: o.Scheme, Host: o.Authority},
		Network:      o.Network,
		Address:      o.Address,
		Path:         h.Path,
		Interval:     h.Interval,
		Timeout:      h.Timeout,
		FastInterval: h.FastInterval,
		Fall:         h.Fall,
		Rise:         h.Rise,
		ExpectBody:   h.ExpectBody,
		TLS:          originTLS(o),
		Dial:         dial,
	}
	if mode, literal := hostMode(o.Host); mode == proxy.HostLiteral {
		hc.Host = literal
	}
	for _, r := range h.ExpectStatus {
		hc.ExpectStatus = append(hc.ExpectStatus, health.StatusRange{From: r.Min, To: r.Max})
	}
	return health.NewChecker(hc, func(e health.Event) {
		watch(e)
		if e.Kind != health.VerdictChanged {
			return
		}
		for _, s := range seats {
			s.group.Verdict(s.role, e.To != health.Down)
		}
	})
}

// proxyConfig is all of the proxy's configuration but what is shared with
// others: pointers, loggers and checkers.
func proxyConfig(cfg *config.Config) proxy.Config {
	pc := proxy.Config{
		Listen:               cfg.Server.Listen,
		TLSListen:            cfg.Server.TLSListen,
		HTTPSRedirect:        cfg.Server.HTTPSRedirect,
		H2C:                  cfg.Server.H2C,
		RequestHeaderTimeout: cfg.Server.RequestHeaderTimeout,
		IdleTimeout:          cfg.Server.IdleTimeout,
		BodyIdleTimeout:      cfg.Server.BodyIdleTimeout,
		DrainTimeout:         cfg.Server.DrainTimeout,
		MaxHeaderBytes:       cfg.Server.MaxHeaderBytes,
		MaxConnections:       cfg.Server.MaxConnections,
		TrustedProxies:       cfg.Server.TrustedProxies,
		ProxyStatus:          cfg.Server.ProxyStatus,
		KeepEncodedSlash:     cfg.Server.EncodedSlash == config.EncodedSlashKeep,
	}
	for i := range cfg.Origins {
		pc.Origins = append(pc.Origins, proxyOrigin(&cfg.Origins[i]))
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		pc.Routes = append(pc.Routes, proxy.Route{
			Name:         r.Name,
			Match:        r.Match,
			Group:        r.Group,
			MaxBodyBytes: r.MaxBodyBytes,
			Timeout:      r.Timeout,
			Bulkhead: bulkhead.Config{
				MaxConcurrent: r.Bulkhead.MaxConcurrent,
				MaxQueue:      r.Bulkhead.MaxQueue,
				QueueTimeout:  r.Bulkhead.QueueTimeout,
			},
			Breaker: proxy.BreakerConfig{
				ConsecutiveFailures: r.Breaker.ConsecutiveFailures,
				OpenFor:             r.Breaker.OpenFor,
				HalfOpenTrials:      r.Breaker.HalfOpenTrials,
			},
		})
	}
	return pc
}

func proxyOrigin(o *config.Origin) proxy.Origin {
	mode, literal := hostMode(o.Host)
	po := proxy.Origin{
		Name: o.Name,
		// Put together from the parts, so that a port that goes without
		// saying is in no Host field.
		URL:                   o.Scheme + "://" + o.Authority,
		Host:                  mode,
		HostLiteral:           literal,
		TLS:                   originTLS(o),
		ConnectTimeout:        o.ConnectTimeout,
		ResponseHeaderTimeout: o.ResponseHeaderTimeout,
		MaxConnections:        o.MaxConnections,
	}
	if o.Network == "unix" {
		po.URL = "unix:" + o.Address
	}
	return po
}

// hostMode turns the word or literal of the configuration into the proxy's mode.
func hostMode(host string) (mode proxy.HostMode, literal string) {
	switch host {
	case config.HostClient:
		return proxy.HostClient, ""
	case config.HostOrigin:
		return proxy.HostOrigin, ""
	}
	return proxy.HostLiteral, host
}

// originTLS is nil for an origin without TLS.
func originTLS(o *config.Origin) *tls.Config {
	if o.Scheme != "https" {
		return nil
	}
	return &tls.Config{ServerName: o.ServerName, RootCAs: o.RootCAs}
}

// checkPatterns tells the config package, which knows no routes' syntax, what
// is wrong with patterns.
func checkPatterns(patterns []string) []config.PatternProblem {
	_, err := route.NewTable(patterns)
	if err == nil {
		return nil
	}
	var problems []config.PatternProblem
	for _, e := range flatten(err) {
		if pe, ok := errors.AsType[*route.PatternError](e); ok {
			problems = append(problems, config.PatternProblem{Index: pe.Index, Other: pe.Other, Msg: pe.Msg})
		}
	}
	return problems
}

// flatten returns the errors that were joined into err.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
