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
	origins map[string]*originState // by name; for what is outside of requests
}

// routeState is a route: what it allows and where it leads.
type routeState struct {
	name        string
	group       string
	pointer     *failover.Group
	policy      *failover.Policy
	bulk        *bulkhead.Bulkhead
	legs        [3]*leg // by failover.Role; nil where the group has no origin
	maxBody     int64
	timeout     time.Duration
	openSeconds int // of the breakers, for Retry-After
	stats       routeStats
}

// leg is the way from one route to one origin: its own connections and its own
// breaker.
type leg struct {
	role    failover.Role
	origin  *originState
	pool    *upstream.Pool
	breaker *breaker
	gate    *gate

	refusing atomic.Bool // the last failure was one to connect
}

// originState is an origin as all routes share it.
type originState struct {
	name          string
	upstream      *upstream.Origin
	host          []byte // nil: the client's
	urlHost       []byte
	hostname      string // of the URL; empty for a unix socket
	headerTimeout time.Duration
	status        []byte // Proxy-Status of a response of this origin
	gate          gate
	knocker       *upstream.Pool
}

// knock reports whether the origin accepts a connection.
func (l *leg) knock(ctx context.Context) error {
	c, err := l.origin.knocker.Dial(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

// newTable binds the routes of cfg, or reports all that is wrong with it.
func newTable(cfg *Config, moves chan<- breakerMove, budget *upstream.Budget) (*table, error) {
	var errs []error
	origins := make(map[string]*originState, len(cfg.Origins))
	for i := range cfg.Origins {
		o, err := newOrigin(&cfg.Origins[i], cfg.Resolve, budget)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		origins[o.name] = o
	}
	groups := make(map[string]*Group, len(cfg.Groups))
	for i := range cfg.Groups {
		groups[cfg.Groups[i].Name] = &cfg.Groups[i]
	}
	t := &table{origins: origins}
	patterns := make([]string, len(cfg.Routes))
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		patterns[i] = r.Match
		rs, err := newRoute(r, groups[r.Group], origins, moves)
		if err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", r.Name, err))
			continue
		}
		t.routes = append(t.routes, rs)
	}
	router, err := route.NewTable(patterns)
	if err != nil {
		errs = append(errs, err)
	}
	t.router = router
	return t, errors.Join(errs...)
}

func newRoute(r *Route, g *Group, origins map[string]*originState, moves chan<- breakerMove) (*routeState, error) {
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
		bulk:        bulkhead.New(r.Bulkhead),
		maxBody:     r.MaxBodyBytes,
		timeout:     r.Timeout,
		openSeconds: int((r.Breaker.OpenFor + time.Second - 1) / time.Second),
	}
	for role, name := range map[failover.Role]string{failover.RolePrimary: g.Primary, failover.RoleSecondary: g.Secondary} {
		if name == "" && role == failover.RoleSecondary {
			continue
		}
		o := origins[name]
		if o == nil {
			return nil, fmt.Errorf("group %s: no origin %q", g.Name, name)
		}
		rs.legs[role] = &leg{
			role:    role,
			origin:  o,
			pool:    o.upstream.NewPool(r.Bulkhead.MaxConcurrent),
			breaker: newBreaker(r.Breaker, r.Name, name, moves),
			gate:    &o.gate,
		}
	}
	return rs, nil
}

func newOrigin(o *Origin, resolve resolveFunc, budget *upstream.Budget) (*originState, error) {
	uc := upstream.Config{
		Name:           o.Name,
		Network:        "tcp",
		ConnectTimeout: o.ConnectTimeout,
		MaxConnections: o.MaxConnections,
		Resolve:        resolve,
		Budget:         budget,
	}
	urlHost, hostname := "localhost", ""
	if path, ok := strings.CutPrefix(o.URL, "unix:"); ok {
		uc.Network, uc.Address = "unix", path
	} else {
		u, err := url.Parse(o.URL)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("origin %s: bad URL %q", o.Name, o.URL)
		}
		urlHost, hostname = u.Host, u.Hostname()
		port := u.Port()
		switch u.Scheme {
		case "http":
			port = orElse(port, "80")
		case "https":
			port = orElse(port, "443")
			if uc.TLS = o.TLS; uc.TLS == nil {
				uc.TLS = &tls.Config{}
			}
		default:
			return nil, fmt.Errorf("origin %s: the scheme of %q is neither http nor https", o.Name, o.URL)
		}
		uc.Address = net.JoinHostPort(u.Hostname(), port)
	}
	s := &originState{
		name:          o.Name,
		upstream:      upstream.New(uc),
		urlHost:       []byte(urlHost),
		hostname:      hostname,
		headerTimeout: o.ResponseHeaderTimeout,
		status:        appendString([]byte("fairlead; next-hop="), o.Name),
	}
	s.knocker = s.upstream.NewPool(0)
	switch o.Host {
	case HostOrigin:
		s.host = s.urlHost
	case HostLiteral:
		s.host = []byte(o.HostLiteral)
	}
	return s, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// prune closes connections to origins that have been idle for too long.
func (t *table) prune(now time.Time) {
	for _, r := range t.routes {
		for _, l := range r.legs {
			if l != nil {
				l.pool.Prune(now)
			}
		}
	}
}

// close closes the idle connections to origins.
func (t *table) close() {
	for _, r := range t.routes {
		for _, l := range r.legs {
			if l != nil {
				l.pool.Close()
			}
		}
	}
}
