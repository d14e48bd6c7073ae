package main

import (
	"context"
	"crypto/tls"
	"net"
	"reflect"
	"slices"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/proxy"
)

// plan is a configuration as it is wired. What is the same in the one that is at
// work, it takes over. Nothing works by it before adopt.
type plan struct {
	cfg      *config.Config
	tls      map[string]*tls.Config // of https origins, by name
	checks   map[string]*check      // by origin
	origins  map[string]*config.Origin
	routes   map[string]*config.Route
	pointers []*failover.Group // in the order of cfg.Groups
	configs  []failover.PointerConfig
	groups   []proxy.Group
	seats    map[string][]seat // by origin
	replaces []replaced
	notes    []note
}

// replaced is a pointer at work in whose place the plan has a new one, and the
// state that this one goes on from.
type replaced struct {
	pointer *failover.Group
	was     failover.State
}

// note is a warning that is written when the plan is put to work.
type note struct {
	text   string
	fields []zap.Field
}

// tell writes the notes.
func (p *plan) tell(log *zap.Logger) {
	for _, n := range p.notes {
		log.Warn(n.text, n.fields...)
	}
}

// stale reports whether a pointer has changed since the plan took up its state.
func (p *plan) stale() bool {
	return slices.ContainsFunc(p.replaces, func(r replaced) bool { return *r.pointer.Pointer() != r.was })
}

// check is an origin's checker.
type check struct {
	origin  *config.Origin
	checker *health.Checker
}

// seat is an origin's place in one group.
type seat struct {
	group *failover.Group
	role  failover.Role
}

// newPlan wires cfg.
func (s *service) newPlan(cfg *config.Config) (*plan, error) {
	p := &plan{cfg: cfg, tls: make(map[string]*tls.Config), checks: make(map[string]*check), seats: make(map[string][]seat),
		origins: make(map[string]*config.Origin, len(cfg.Origins)), routes: make(map[string]*config.Route, len(cfg.Routes))}
	for i := range cfg.Routes {
		p.routes[cfg.Routes[i].Name] = &cfg.Routes[i]
	}
	for i := range cfg.Origins {
		p.origins[cfg.Origins[i].Name] = &cfg.Origins[i]
		if err := s.planOrigin(p, &cfg.Origins[i]); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Groups {
		if err := s.planGroup(p, &cfg.Groups[i]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// planOrigin gives an origin its TLS and its checker: the ones it has, if it is
// the same.
func (s *service) planOrigin(p *plan, o *config.Origin) error {
	was := s.origin(o.Name)
	same := was != nil && sameServer(was, o)
	if o.Scheme == "https" {
		if p.tls[o.Name] = &(tls.Config{ServerName: o.ServerName, RootCAs: o.RootCAs}); same {
			p.tls[o.Name] = s.plan.tls[o.Name]
		}
	}
	if o.Health == nil {
		return nil
	}
	if same && was.Host == o.Host && was.Health != nil && reflect.DeepEqual(was.Health, o.Health) {
		p.checks[o.Name] = s.plan.checks[o.Name]
		return nil
	}
	c := &check{origin: o}
	hc := healthConfig(o, p.tls[o.Name])
	hc.Dial = s.dial(o.Name)
	var err error
	c.checker, err = health.NewChecker(hc, func(e health.Event) { s.verdict(c, e) })
	p.checks[o.Name] = c
	return err
}

// origin is the origin of that name in the plan that is at work, or nil.
func (s *service) origin(name string) *config.Origin {
	if s.plan == nil {
		return nil
	}
	return s.plan.cfg.Origin(name)
}

// sameServer reports whether two origins are the same server, spoken to in the
// same way: connections to one are connections to the other.
func sameServer(a, b *config.Origin) bool {
	return a.Scheme == b.Scheme && a.Network == b.Network && a.Address == b.Address && a.Authority == b.Authority &&
		a.ServerName == b.ServerName && (a.RootCAs == nil) == (b.RootCAs == nil) && a.RootCAs.Equal(b.RootCAs)
}

// dial opens connections to an origin for its probes, the way its requests do.
func (s *service) dial(origin string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.proxy.ConnectOrigin(ctx, origin) }
}

// planGroup gives a group its pointer: the one it has, if its origins have the
// same names.
func (s *service) planGroup(p *plan, g *config.Group) error {
	pc, err := pointerConfig(g)
	if err != nil {
		return err
	}
	policy, err := policyConfig(g)
	if err != nil {
		return err
	}
	pointer := s.pointer(g)
	if pointer == nil {
		if old := s.predecessor(g); old != nil {
			p.replaces = append(p.replaces, replaced{old, *old.Pointer()}) // before it is looked at for initial
		}
		p.notes = append(p.notes, s.keeper.lost(g)...)
		pointer = failover.NewGroup(failover.GroupConfig{
			Name:          g.Name,
			PointerConfig: pc,
			Initial:       s.keeper.initial(p.cfg, g),
			OnFlip:        func(from, to failover.State) { s.flip(pointer, g, from, to) },
			OnChange:      s.keeper.changed,
		})
	}
	p.pointers, p.configs = append(p.pointers, pointer), append(p.configs, pc)
	p.groups = append(p.groups, proxy.Group{Name: g.Name, Primary: g.Primary, Secondary: g.Secondary, Pointer: pointer, Policy: policy})
	p.seats[g.Primary] = append(p.seats[g.Primary], seat{pointer, failover.RolePrimary})
	if g.Secondary != "" {
		p.seats[g.Secondary] = append(p.seats[g.Secondary], seat{pointer, failover.RoleSecondary})
	}
	return nil
}

// pointer is the one that is at work for a group with these origins, or nil.
func (s *service) pointer(g *config.Group) *failover.Group {
	if s.plan == nil {
		return nil
	}
	for i := range s.plan.groups {
		if was := &s.plan.groups[i]; was.Name == g.Name && was.Primary == g.Primary && was.Secondary == g.Secondary {
			return was.Pointer
		}
	}
	return nil
}

// predecessor is the pointer that is at work for a group of this name, or nil.
func (s *service) predecessor(g *config.Group) *failover.Group {
	if s.plan == nil {
		return nil
	}
	for i := range s.plan.groups {
		if s.plan.groups[i].Name == g.Name {
			return s.plan.groups[i].Pointer
		}
	}
	return nil
}

// flip is told of each pointer that moves. One that a reload has taken out of
// service may still do so, by a verdict that was on its way.
func (s *service) flip(pointer *failover.Group, g *config.Group, from, to failover.State) {
	if !(*s.serving.Load())[pointer] {
		return
	}
	s.names.update()
	s.watcher.flip(g, from, to)
}

// verdict is told what a checker finds out. Verdicts go to every group that the
// origin has a seat in.
func (s *service) verdict(c *check, e health.Event) {
	s.watcher.health(e)
	if e.Kind != health.VerdictChanged {
		return
	}
	s.judging.Lock()
	defer s.judging.Unlock()
	if s.judged.checks[e.Origin] != c {
		return // a reload has put another one in its place
	}
	for _, at := range s.judged.seats[e.Origin] {
		at.group.Verdict(at.role, e.To != health.Down && !s.isDrained(e.Origin))
	}
}

// adopt lets the verdicts of p's checkers go to p's groups, and tells those what
// is known of their origins already. An origin without a check, and one that
// is another server now, counts as healthy. Of one that is probed in another
// way the last verdict stays until there is a new one, and holds for new groups
// too. A drained origin counts as down in any case.
func (s *service) adopt(p *plan) {
	checks := p.checks
	s.hurry.Store(&checks)
	serving := make(map[*failover.Group]bool, len(p.pointers))
	for _, g := range p.pointers {
		serving[g] = true
	}
	s.serving.Store(&serving)
	s.judging.Lock()
	defer s.judging.Unlock()
	before := s.judged
	s.judged = p
	if before == nil {
		return // the groups begin with what the keeper knows
	}
	for i, g := range p.pointers {
		g.Reconfigure(p.configs[i])
	}
	for origin, seats := range p.seats {
		healthy, known := !s.isDrained(origin), true
		if c := p.checks[origin]; c != nil && healthy {
			verdict := c.checker.Verdict()
			healthy = verdict != health.Down
			if was := before.cfg.Origin(origin); verdict == health.Unknown && was != nil && sameServer(was, c.origin) {
				healthy, known = !before.down(origin), false
			}
		}
		for _, at := range seats {
			if known || !slices.Contains(before.pointers, at.group) {
				at.group.Verdict(at.role, healthy)
			}
		}
	}
}

// down reports whether an origin counts as down in the plan's groups, or would.
func (p *plan) down(origin string) bool {
	if c := p.checks[origin]; c != nil && c.checker.Verdict() != health.Unknown {
		return c.checker.Verdict() == health.Down
	}
	return slices.ContainsFunc(p.seats[origin], func(at seat) bool {
		s := at.group.Pointer()
		return at.role == failover.RolePrimary && s.Primary.Down || at.role == failover.RoleSecondary && s.Secondary.Down
	})
}

// employ sets to work what is in p and not in old, which may be nil, and
// dismisses what is only in old.
func (s *service) employ(p, old *plan) {
	stays := make(map[any]bool)
	for _, g := range p.pointers {
		stays[g] = true
	}
	for _, c := range p.checks {
		stays[c] = true
	}
	if old != nil {
		for _, g := range old.pointers {
			if !stays[g] {
				s.crew.dismiss(g)
			}
		}
		for _, c := range old.checks {
			if !stays[c] {
				s.crew.dismiss(c)
			}
		}
	}
	for _, g := range p.pointers {
		if s.crew.members[g] == nil {
			s.crew.employ(g, func(ctx context.Context) { _ = g.Run(ctx) })
		}
	}
	for _, c := range p.checks {
		if s.crew.members[c] == nil {
			s.crew.employ(c, func(ctx context.Context) { _ = c.checker.Run(ctx) })
		}
	}
}
