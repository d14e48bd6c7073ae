package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/route"
	"github.com/fairlead/fairlead/internal/upstream"
)

// table is the routes as they run, with everything that a request touches
// bound when it is built: nothing is looked up by name later. It is immutable.
type table struct {
	router  *route.Table
	routes  []*routeState
	named   map[string]*routeState  // by name; for requests that a reload overtakes
	origins map[string]*originState // by name; for what is outside of requests
	listed  []*originState          // in the order of the configuration
	pools   []*upstream.Pool        // of all legs
	seats   map[string]*drillSeat   // by the name of their group
}

// routeState is a route: what it allows and where it leads.
type routeState struct {
	name        string
	group       string
	pointer     *failover.Group
	policy      *failover.Policy
	legs        [3]*leg // by failover.Role; nil where the group has no origin
	maxBody     int64
	timeout     time.Duration
	openSeconds int // of the breakers, for Retry-After
	limits      limits

	// These stay through reloads.
	bulk   *bulkhead.Bulkhead
	stats  *routeStats
	memory *memory
	drills *groupDrills // those of the group
}

// limits are what a route asks of objects that stay through reloads.
type limits struct {
	bulkhead bulkhead.Config
	breaker  BreakerConfig
}

// leg is the way from one route to one origin: its own connections and its own
// breaker.
type leg struct {
	role   failover.Role
	origin *originState
	gate   *gate

	// These stay through reloads.
	pool     *upstream.Pool
	breaker  *breaker
	refusing *atomic.Bool // the last failure was one to connect
	stats    *legStats
}

// originState is an origin as all routes share it.
type originState struct {
	name          string
	cfg           Origin
	host          []byte // nil: the client's
	urlHost       []byte
	hostname      string // of the URL; empty for a unix socket
	headerTimeout time.Duration
	status        []byte // Proxy-Status of a response of this origin

	// These stay through reloads.
	upstream *upstream.Origin
	gate     *gate
	knocker  *upstream.Pool
	drained  *atomic.Bool // an operator has taken it out of service
}

// knock reports whether the origin accepts a connection, and may.
func (l *leg) knock(ctx context.Context) error {
	if l.drained() {
		return errDrained
	}
	c, err := l.origin.knocker.Dial(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

// newTable binds the routes of cfg, or reports all that is wrong with it. From
// old, which may be nil, it takes over what is the same. That is changed only
// by replace.
func newTable(cfg *Config, old *table, moves chan<- breakerMove, budget *upstream.Budget) (*table, error) {
	if old == nil {
		old = &table{}
	}
	b := tableBuilder{cfg: cfg, old: old, moves: moves, budget: budget, groups: make(map[string]*Group, len(cfg.Groups))}
	t := &table{origins: make(map[string]*originState, len(cfg.Origins)), named: make(map[string]*routeState, len(cfg.Routes)),
		seats: make(map[string]*drillSeat, len(cfg.Groups))}
	b.table = t
	var errs []error
	for i := range cfg.Origins {
		o, err := b.origin(&cfg.Origins[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.origins[o.name] = o
		t.listed = append(t.listed, o)
	}
	for i := range cfg.Groups {
		b.groups[cfg.Groups[i].Name] = &cfg.Groups[i]
		t.seats[cfg.Groups[i].Name] = b.seat(&cfg.Groups[i])
	}
	patterns := make([]string, len(cfg.Routes))
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		patterns[i] = r.Match
		rs, err := b.route(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", r.Name, err))
			continue
		}
		t.routes = append(t.routes, rs)
		t.named[rs.name] = rs
	}
	var err error
	if t.router, err = route.NewTable(patterns); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		b.discard()
		return nil, err
	}
	return t, nil
}

// tableBuilder is a table under construction.
type tableBuilder struct {
	cfg    *Config
	old    *table
	table  *table
	groups map[string]*Group
	moves  chan<- breakerMove
	budget *upstream.Budget
	made   []*upstream.Pool // of this table alone
}

// discard takes back what old origins hold of a table that is not going to be.
func (b *tableBuilder) discard() {
	for _, p := range b.made {
		p.Close()
	}
}

func (b *tableBuilder) pool(o *upstream.Origin, maxIdle int) *upstream.Pool {
	p := o.NewPool(maxIdle)
	b.made = append(b.made, p)
	return p
}

func (b *tableBuilder) route(r *Route) (*routeState, error) {
	g := b.groups[r.Group]
	switch {
	case g == nil:
		return nil, fmt.Errorf("no group %q", r.Group)
	case g.Pointer == nil:
		return nil, fmt.Errorf("group %s has no pointer", g.Name)
	case r.Bulkhead.MaxConcurrent < 1:
		return nil, errors.New("its bulkhead must have at least one permit")
	}
	pc := g.Policy
	pc.HasSecondary = g.Secondary != ""
	policy, err := failover.NewPolicy(pc)
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", g.Name, err)
	}
	rs := &routeState{
		name:        r.Name,
		group:       g.Name,
		pointer:     g.Pointer,
		policy:      policy,
		maxBody:     r.MaxBodyBytes,
		timeout:     r.Timeout,
		openSeconds: int((r.Breaker.OpenFor + time.Second - 1) / time.Second),
		limits:      limits{r.Bulkhead, r.Breaker},
		drills:      b.table.seats[g.Name].drills,
	}
	before := b.old.named[r.Name]
	if before != nil {
		rs.bulk, rs.stats, rs.memory = before.bulk, before.stats, before.memory
	} else {
		rs.bulk, rs.stats, rs.memory = bulkhead.New(r.Bulkhead), &routeStats{}, &memory{}
	}
	for role, name := range map[failover.Role]string{failover.RolePrimary: g.Primary, failover.RoleSecondary: g.Secondary} {
		if name == "" && role == failover.RoleSecondary {
			continue
		}
		o := b.table.origins[name]
		if o == nil {
			return nil, fmt.Errorf("group %s: no origin %q", g.Name, name)
		}
		rs.legs[role] = b.leg(r, role, o, before)
	}
	return rs, nil
}

// leg makes the way from a route to an origin, or goes on with the one there is.
func (b *tableBuilder) leg(r *Route, role failover.Role, o *originState, before *routeState) *leg {
	l := &leg{role: role, origin: o, gate: o.gate}
	was := before.legTo(o)
	if was != nil {
		l.pool, l.refusing = was.pool, was.refusing
	} else {
		l.pool, l.refusing = b.pool(o.upstream, r.Bulkhead.MaxConcurrent), new(atomic.Bool)
	}
	b.table.pools = append(b.table.pools, l.pool)
	if l.stats = before.statsOf(o.name, role); l.stats == nil {
		l.stats = &legStats{}
	}
	if was != nil && before.limits.breaker == r.Breaker {
		l.breaker = was.breaker
	} else {
		l.breaker = newBreaker(r.Breaker, r.Name, o.name, b.moves)
	}
	return l
}

// legTo is the route's leg to the server that o is, or nil.
func (r *routeState) legTo(o *originState) *leg {
	if r == nil {
		return nil
	}
	for _, l := range r.legs {
		if l != nil && l.origin.upstream == o.upstream {
			return l
		}
	}
	return nil
}

// statsOf are the counters of the route's leg to the origin of a name, or nil.
// They go on whatever server it is now. A group of one origin in both roles has
// two legs to it, so the role is looked at first.
func (r *routeState) statsOf(origin string, role failover.Role) *legStats {
	if r == nil {
		return nil
	}
	for _, l := range []*leg{r.legs[role], r.legs[role.Other()]} {
		if l != nil && l.origin.name == origin {
			return l.stats
		}
	}
	return nil
}

// origin makes an origin, or goes on with the server there is.
func (b *tableBuilder) origin(o *Origin) (*originState, error) {
	at, err := locate(o)
	if err != nil {
		return nil, err
	}
	s := &originState{
		name:          o.Name,
		cfg:           *o,
		urlHost:       []byte(at.urlHost),
		hostname:      at.hostname,
		headerTimeout: o.ResponseHeaderTimeout,
		status:        appendString([]byte("fairlead; next-hop="), o.Name),
	}
	switch o.Host {
	case HostOrigin:
		s.host = s.urlHost
	case HostLiteral:
		s.host = []byte(o.HostLiteral)
	}
	was := b.old.origins[o.Name]
	if was != nil {
		s.drained = was.drained // also if it is another server now: nobody has put it back into service
	} else {
		s.drained = &atomic.Bool{}
	}
	if was != nil && was.cfg.URL == o.URL && was.cfg.TLS == o.TLS {
		s.upstream, s.gate, s.knocker = was.upstream, was.gate, was.knocker
		return s, nil
	}
	s.upstream = upstream.New(upstream.Config{
		Name:           o.Name,
		Network:        at.network,
		Address:        at.address,
		TLS:            at.tls,
		ConnectTimeout: o.ConnectTimeout,
		MaxConnections: o.MaxConnections,
		Resolve:        b.cfg.Resolve,
		Budget:         b.budget,
	})
	s.gate, s.knocker = &gate{}, s.upstream.NewPool(0)
	return s, nil
}

// location is where an origin is, out of its URL.
type location struct {
	network, address  string
	urlHost, hostname string
	tls               *tls.Config
}

// locate takes an origin's URL apart.
func locate(o *Origin) (location, error) {
	if path, ok := strings.CutPrefix(o.URL, "unix:"); ok {
		return location{network: "unix", address: path, urlHost: "localhost"}, nil
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Hostname() == "" {
		return location{}, fmt.Errorf("origin %s: bad URL %q", o.Name, o.URL)
	}
	at := location{network: "tcp", urlHost: u.Host, hostname: u.Hostname()}
	port := u.Port()
	switch u.Scheme {
	case "http":
		port = orElse(port, "80")
	case "https":
		port = orElse(port, "443")
		if at.tls = o.TLS; at.tls == nil {
			at.tls = &tls.Config{}
		}
	default:
		return location{}, fmt.Errorf("origin %s: the scheme of %q is neither http nor https", o.Name, o.URL)
	}
	at.address = net.JoinHostPort(u.Hostname(), port)
	return at, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// prune closes connections to origins that have been idle for too long.
func (t *table) prune(now time.Time) {
	for _, p := range t.pools {
		p.Prune(now)
	}
}

// close closes the idle connections to origins.
func (t *table) close() {
	for _, p := range t.pools {
		p.Close()
	}
}

// replace sets the limits of what the table has taken over from old, now that
// it is at work, closes what of old is not in use any more, and returns the
// routes that are gone.
func (t *table) replace(old *table) (gone []*routeState) {
	used := make(map[*upstream.Pool]bool)
	for _, o := range t.origins {
		o.upstream.SetLimits(o.cfg.ConnectTimeout, o.cfg.MaxConnections)
		used[o.knocker] = true
	}
	for _, r := range t.routes {
		r.bulk.Resize(r.limits.bulkhead)
		for _, l := range r.legs {
			if l != nil {
				l.keepIdle(r)
				used[l.pool] = true
			}
		}
	}
	for _, o := range old.origins {
		if !used[o.knocker] {
			o.knocker.Close()
		}
	}
	for _, p := range old.pools {
		if !used[p] {
			p.Close()
		}
	}
	for _, r := range old.routes {
		if t.named[r.name] == nil {
			gone = append(gone, r)
		}
	}
	return gone
}
