package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/proxy"
)

// operator answers the admin API: what a service does and why, and what somebody
// wants of it. It keeps what nobody else remembers.
type operator struct {
	file    string
	started time.Time
	events  *admin.Journal
	history *history

	service *service         // set before anybody asks
	asks    chan<- reloadAsk // reloads, to be done by control
	gone    <-chan struct{}  // closed once control does none any more
	stopped func() bool      // a drain has begun

	pauses pauses

	mu          sync.Mutex // guards the rest
	fingerprint string     // of the file at work
	loaded      time.Time  // when the configuration at work was
	refused     []string   // why the last reload was; nil: it was not
	reloads     struct{ done, refused uint64 }
	flips       map[string]map[string]uint64 // by group and reason
	probes      map[string]*probeCounts      // by origin
	ends        map[string]time.Time         // of certificates, by file
	drills      map[string]drillNote         // by group
}

type probeCounts struct{ ok, failed, dropped uint64 }

// reloadAsk is a reload that somebody waits for.
type reloadAsk struct {
	by    string
	reply chan<- reloadAnswer
}

// reloadAnswer is what came of it.
type reloadAnswer struct {
	changed []string
	err     error
}

func newOperator(file, fingerprint string) *operator {
	now := time.Now()
	return &operator{
		file: file, fingerprint: fingerprint, started: now, loaded: now, events: admin.NewJournal(now), history: &history{},
		flips: make(map[string]map[string]uint64), probes: make(map[string]*probeCounts), ends: make(map[string]time.Time),
		drills: make(map[string]drillNote),
	}
}

// forget drops what was counted of groups, origins and certificates that the
// configuration doesn't have any more.
func (o *operator) forget(cfg *config.Config) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.flips, func(group string, _ map[string]uint64) bool { return cfg.Group(group) == nil })
	maps.DeleteFunc(o.drills, func(group string, _ drillNote) bool { return cfg.Group(group) == nil })
	maps.DeleteFunc(o.probes, func(origin string, _ *probeCounts) bool { return cfg.Origin(origin) == nil })
	maps.DeleteFunc(o.ends, func(file string, _ time.Time) bool {
		return !slices.ContainsFunc(cfg.Server.Certificates, func(c config.Certificate) bool { return c.Cert == file })
	})
}

// Status implements admin.Backend.
func (o *operator) Status() adminapi.Status {
	p := o.service.now()
	open, limit := o.service.proxy.Connections()
	s := adminapi.Status{
		Now: time.Now().UTC(), Version: buildVersion(), PID: os.Getpid(), Started: o.started.UTC(), UptimeS: time.Since(o.started).Seconds(),
		State: "serving", Config: o.configInfo(), Connections: adminapi.Connections{Open: open, Limit: limit},
		Groups: []adminapi.Group{}, Origins: []adminapi.Origin{}, Routes: []adminapi.Route{},
	}
	if o.stopped() {
		s.State = "draining"
	}
	for i := range p.cfg.Groups {
		s.Groups = append(s.Groups, o.group(p, i))
	}
	for _, stats := range o.service.proxy.Origins() {
		if c := p.origins[stats.Origin]; c != nil { // or a reload is under way
			s.Origins = append(s.Origins, o.origin(p, c, stats))
		}
	}
	s.Routes = append(s.Routes, o.routes(p)...)
	return s
}

func (o *operator) configInfo() adminapi.ConfigInfo {
	o.mu.Lock()
	defer o.mu.Unlock()
	return adminapi.ConfigInfo{File: o.file, Fingerprint: o.fingerprint, Loaded: o.loaded.UTC(), Failed: o.refused}
}

// group is the i-th group of a plan.
func (o *operator) group(p *plan, i int) adminapi.Group {
	c, pointer := &p.cfg.Groups[i], p.pointers[i]
	at := pointer.Pointer()
	g := adminapi.Group{
		Name: c.Name, Primary: c.Primary, Secondary: c.Secondary, Target: originAt(c, at.Target), Role: at.Target.String(),
		Generation: at.Generation, Since: at.Since.UTC(), Reason: at.Reason.String(), HoldS: at.Hold.Seconds(), Failback: string(c.Failback),
	}
	if when, ok := pointer.FailbackAt(); ok {
		g.FailbackAt = utc(when)
	}
	if at.Pin != failover.RoleNone {
		target := originAt(c, at.Pin)
		reason, by := o.service.keeper.pinned(c.Name, target, at.PinUntil)
		g.Pin = &adminapi.Pin{Target: target, Until: utc(at.PinUntil), Reason: reason, By: by}
	}
	if c.Follow != nil {
		g.Follow = c.Follow.String()
	}
	if g.Drill = o.drill(c.Name); g.Drill != nil {
		g.Drill.NeverPicked = hastyRoutes(p.cfg, c)
	}
	return g
}

// originAt names the origin in a group's role, "" for none.
func originAt(g *config.Group, r failover.Role) string {
	if r == failover.RoleNone {
		return ""
	}
	return originIn(g, r)
}

// utc is a time as the API says it, nil for the zero time.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (o *operator) origin(p *plan, c *config.Origin, stats proxy.OriginStats) adminapi.Origin {
	a := adminapi.Origin{
		Name: c.Name, URL: c.URL, Verdict: "unchecked", Drained: stats.Drained, Addresses: stats.Addresses,
		Connections: stats.Open, Limit: stats.Limit, Probes: []adminapi.Probe{},
	}
	if a.Addresses == nil {
		a.Addresses = []string{}
	}
	if check := p.checks[c.Name]; check != nil {
		a.Verdict = check.checker.Verdict().String()
		a.Since = utc(check.checker.Since())
		a.Probes = probesOf(check.checker.Probes())
	}
	return a
}

// probesOf are probes as the API says them.
func probesOf(results []health.Result) []adminapi.Probe {
	probes := make([]adminapi.Probe, len(results))
	for i, r := range results {
		probes[i] = adminapi.Probe{At: r.Start.UTC(), TookMS: milliseconds(r.Took), OK: r.Err == nil, Status: r.Status, Dropped: r.Dropped}
		if r.Err != nil {
			probes[i].Error = r.Err.Error()
		}
	}
	return probes
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (o *operator) routes(p *plan) []adminapi.Route {
	breakers := make(map[string][]adminapi.Breaker)
	for _, l := range o.service.proxy.Legs() {
		breakers[l.Route] = append(breakers[l.Route], adminapi.Breaker{Origin: l.Origin, State: l.Breaker})
	}
	counted := make(map[string]*proxy.RouteStats)
	stats := o.service.proxy.Stats()
	for i := range stats {
		counted[stats[i].Route] = &stats[i]
	}
	routes := make([]adminapi.Route, 0, len(p.cfg.Routes))
	for i := range p.cfg.Routes {
		r := &p.cfg.Routes[i]
		a := adminapi.Route{Name: r.Name, Match: r.Match, Group: r.Group, Breakers: breakers[r.Name],
			Bulkhead: adminapi.Bulkhead{MaxConcurrent: r.Bulkhead.MaxConcurrent, MaxQueue: r.Bulkhead.MaxQueue}}
		if a.Breakers == nil {
			a.Breakers = []adminapi.Breaker{}
		}
		if s := counted[r.Name]; s != nil {
			a.Bulkhead.InUse, a.Bulkhead.Queued, a.Bulkhead.Parked = s.InUse, s.Queued, s.ParkedNow
			a.Totals = adminapi.Totals{
				Accepted: s.Accepted, Served: s.Served, FailedOver: s.FailedOver, Saved: s.Saved, Shed: s.Shed, Failed: s.Failed, Left: s.Left,
				Parked: s.Parked, ConnRetry: s.ConnRetry,
			}
		}
		routes = append(routes, a)
	}
	return routes
}

// History implements admin.Backend.
func (o *operator) History() adminapi.History { return o.history.all() }

// Explain implements admin.Backend.
func (o *operator) Explain(method, host, target string) (adminapi.Explanation, error) {
	e, err := o.service.proxy.Explain(method, host, target)
	if err != nil {
		return adminapi.Explanation{}, err
	}
	a := adminapi.Explanation{
		Method: e.Method, Host: e.Host, Target: e.Target, Route: e.Route, Group: e.Group, Outcome: e.Outcome, First: e.First, Then: e.Then,
		Covered: e.Covered, WhyNot: e.WhyNot, Status: e.Status, Steps: make([]adminapi.Step, len(e.Steps)),
	}
	for i, s := range e.Steps {
		a.Steps[i] = adminapi.Step(s)
	}
	return a, nil
}

// Requests implements admin.Backend.
func (o *operator) Requests(route string, failed bool, limit int) ([]adminapi.Request, error) {
	cfg := o.service.now().cfg
	if route != "" && cfg.Route(route) == nil {
		names := make([]string, len(cfg.Routes))
		for i := range cfg.Routes {
			names[i] = cfg.Routes[i].Name
		}
		return nil, fmt.Errorf("there is no route %q; there are %s", route, strings.Join(shorten(names), ", "))
	}
	decisions := o.service.proxy.Recent(route, failed, limit)
	requests := make([]adminapi.Request, len(decisions))
	for i := range decisions {
		requests[i] = requestOf(&decisions[i])
	}
	return requests, nil
}

// requestOf is a decision as the API says it.
func requestOf(d *proxy.Decision) adminapi.Request {
	r := adminapi.Request{
		ID: d.ID, Time: d.Start.UTC(), Client: d.Client, Method: d.Method, Host: d.Host, Target: d.Target, Route: d.Route, Group: d.Group,
		Status: d.Status, Result: d.Result, Role: d.Role, Generation: d.Generation, Covered: d.Covered, WhyNot: d.WhyNot, Error: d.Error,
		QueuedMS: milliseconds(d.Queued), ParkedMS: milliseconds(d.Parked), TotalMS: milliseconds(d.Total), BytesIn: d.BytesIn, BytesOut: d.BytesOut,
		Drill: d.Drill, Attempts: make([]adminapi.Attempt, len(d.Attempts)),
	}
	for i, a := range d.Attempts {
		r.Attempts[i] = adminapi.Attempt{
			Origin: a.Origin, Role: a.Role, Address: a.Address, Class: a.Class, Why: a.Why, Status: a.Status, Reused: a.Reused, ConnRetry: a.ConnRetry,
			StartMS: milliseconds(a.Start), ConnectMS: milliseconds(a.Connect), FirstByteMS: milliseconds(a.FirstByte),
			Simulated: a.Simulated,
		}
	}
	return r
}

// Config implements admin.Backend.
func (o *operator) Config() any { return effective(o.service.now().cfg) }

// Serving implements admin.Backend.
func (o *operator) Serving() error {
	if o.stopped() {
		return fmt.Errorf("draining since it was told to stop")
	}
	return nil
}

// Reload implements admin.Backend. It is done where signals are obeyed, so that
// reloads and upgrades take turns.
func (o *operator) Reload(ctx context.Context, by string) (adminapi.ReloadResult, error) {
	reply := make(chan reloadAnswer, 1)
	select {
	case o.asks <- reloadAsk{by, reply}:
	case <-o.gone:
		return adminapi.ReloadResult{}, refused("busy", "this process is on its way out, so it reloads no more; if another one has taken over, ask again, and that one answers")
	case <-ctx.Done():
		return adminapi.ReloadResult{}, context.Cause(ctx)
	}
	select {
	case r := <-reply:
		if r.err != nil {
			no := &admin.Refused{Code: "bad_config", Text: "the configuration at work stays: " + r.err.Error()}
			if problems := problemsOf(r.err); len(problems) > 0 {
				no.Text, no.Problems = "the file has mistakes, and the configuration at work stays; mend them and reload again", problems
			}
			return adminapi.ReloadResult{}, no
		}
		return adminapi.ReloadResult{Config: o.configInfo(), Changed: r.changed}, nil
	case <-ctx.Done():
		return adminapi.ReloadResult{}, context.Cause(ctx)
	}
}
