package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/drill"
	"github.com/fairlead/fairlead/proxy"
)

const (
	// settleGrace is how long answers may take that don't hang, after a load's end.
	settleGrace = 4 * time.Second
	// restPatience is how long the proxy may take to be at rest when every client has
	// its answer.
	restPatience = 3 * time.Second
	// drillClients bounds the connections of all loads at the same time.
	drillClients = 4096
)

// drillRun is a drill of a configuration. Nothing in it changes while it runs.
type drillRun struct {
	cfg    *config.Config
	certs  *chaos.Certificates // nil without https origins
	routes []*drillRoute
	rate   float64       // requests a second to each route
	during time.Duration // of a fault; 0: as long as its flip takes
	lanes  int           // faults at the same time
}

// drillRound is one fault at routes whose groups don't get in each other's way.
type drillRound struct {
	fault  drill.Fault
	routes []*drillRoute
	setups []drill.Setup // of the routes
	times  drill.Times
}

// rounds divides the routes that a fault concerns, so that no origin is a primary
// of one group and the secondary of another in the same round.
func (d *drillRun) rounds(f drill.Fault) []*drillRound {
	var rounds []*drillRound
	for _, r := range d.routes {
		if f.Place != drill.AtPrimary && r.group.Secondary == "" || f.TLS && d.cfg.Origin(r.group.Primary).Scheme != "https" {
			continue
		}
		i := slices.IndexFunc(rounds, func(round *drillRound) bool { return !round.disturbs(r.group) })
		if i < 0 {
			i, rounds = len(rounds), append(rounds, &drillRound{fault: f})
		}
		rounds[i].routes = append(rounds[i].routes, r)
		rounds[i].setups = append(rounds[i].setups, r.setup(d.cfg, d.rate))
	}
	for _, round := range rounds {
		round.times = drill.TimesOf(f, round.setups, d.during)
	}
	return rounds
}

// disturbs reports whether the fault at the groups of the round would befall the
// wrong origin of another one.
func (r *drillRound) disturbs(g *config.Group) bool {
	return r.fault.Place != drill.AtBoth && slices.ContainsFunc(r.routes, func(other *drillRoute) bool {
		h := other.group
		return h.Primary == g.Secondary || g.Primary == h.Secondary
	})
}

// victims are the origins that the fault befalls.
func (r *drillRound) victims() []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, route := range r.routes {
		if r.fault.Place != drill.AtSecondary {
			add(route.group.Primary)
		}
		if r.fault.Place != drill.AtPrimary {
			add(route.group.Secondary)
		}
	}
	return names
}

// drillMove is a pointer that moved.
type drillMove struct {
	at    time.Time
	group string
	to    string // an origin; "" for none
}

// drillVerdict is a verdict that changed.
type drillVerdict struct {
	at     time.Time
	origin string
	to     health.Verdict
}

// drillSeen is what was seen in one round.
type drillSeen struct {
	round                           *drillRound
	started, begin, struck, end, at time.Time // at: when all was over
	ledgers                         []*chaos.Ledger
	stats                           []proxy.RouteStats
	violations                      []string      // of Fairlead's own promises
	unrest                          []string      // likewise, but a busy machine may need longer for it
	stood                           time.Duration // the longest that this process stood still

	mu       sync.Mutex
	moves    []drillMove
	verdicts []drillVerdict
}

// watcher tells of pointers and verdicts.
func (s *drillSeen) watcher() watcher {
	return watcher{
		flip: func(g *config.Group, _, to failover.State) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.moves = append(s.moves, drillMove{time.Now(), g.Name, originAt(g, to.Target)})
		},
		health: func(e health.Event) {
			if e.Kind != health.VerdictChanged {
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.verdicts = append(s.verdicts, drillVerdict{e.At, e.Origin, e.To})
		},
	}
}

// play runs one round: a fresh proxy before fresh origins, a load, and the fault.
func (d *drillRun) play(ctx context.Context, round *drillRound) (*drillSeen, error) {
	origins, err := openDrillOrigins(d.cfg, d.certs)
	if err != nil {
		return nil, err
	}
	defer origins.close()
	seen := &drillSeen{round: round}
	stage, err := d.open(origins, seen.watcher())
	if err != nil {
		return nil, err
	}
	defer stage.close()
	seen.started = time.Now()
	stalls := chaos.MeasureStalls()
	defer stalls.Stop()
	loads := d.load(ctx, stage.address, round)
	err = seen.script(ctx, origins)
	seen.settle(loads, origins)
	seen.stood = stalls.Worst()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	seen.judge(stage.service.proxy, origins)
	return seen, nil
}

// drillStage is a proxy at work.
type drillStage struct {
	service *service
	address string
	close   func()
}

// open starts a proxy before the origins.
func (d *drillRun) open(origins drillOrigins, w watcher) (*drillStage, error) {
	var roots *x509.CertPool
	if d.certs != nil {
		roots = d.certs.Pool()
	}
	cfg := stageConfig(d.cfg, origins.address, roots)
	l, err := openLogs(cfg.Log, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	service, err := newService(cfg, l, newKeeper("", l.events), w, nil, nil)
	if err != nil {
		l.close()
		return nil, err
	}
	addresses, _, err := service.listen()
	if err != nil {
		service.close()
		l.close()
		return nil, explainListen(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = service.run(ctx, nil) }) // nothing is in flight any more when it is stopped
	return &drillStage{service: service, address: addresses[0].String(), close: func() {
		stop()
		running.Wait()
		service.close()
		l.close()
	}}, nil
}

// load starts the load of each route.
func (d *drillRun) load(ctx context.Context, address string, round *drillRound) []*chaos.Run {
	runs := make([]*chaos.Run, len(round.routes))
	for i, r := range round.routes {
		methods := r.group.FailoverMethods
		if methods == nil {
			methods = []string{} // nil would be the load's own
		}
		runs[i] = chaos.Load{
			Address: address, Host: r.host, Rate: d.rate, Mix: r.mix, CoveredMethods: methods,
			Conns: d.clients(r), Duration: time.Hour, // it is stopped
			Timeout: r.config.Timeout + r.group.ParkTimeout + d.cfg.Server.BodyIdleTimeout + 5*time.Second,
		}.Start(ctx)
	}
	return runs
}

// clients is how many connections a route's load may have: as many requests as
// can wait for the proxy at the same time.
func (d *drillRun) clients(r *drillRoute) int {
	waiting := r.config.Bulkhead.MaxConcurrent + r.config.Bulkhead.MaxQueue + int(d.rate*r.group.ParkTimeout.Seconds())
	waiting = min(waiting, int(d.rate*r.config.Timeout.Seconds())) + 8
	return min(waiting, max(8, drillClients/(d.lanes*len(d.routes))))
}

// errFaultImpossible: this system has no way to make an origin fail so.
var errFaultImpossible = errors.New("impossible here")

// script lets the load run, breaks the origins and mends them.
func (s *drillSeen) script(ctx context.Context, origins drillOrigins) error {
	t, f := s.round.times, s.round.fault
	if !drillPause(ctx, t.Before) {
		return context.Cause(ctx)
	}
	var broken []*chaos.Origin
	for _, name := range s.round.victims() {
		broken = append(broken, origins[name])
	}
	s.begin = time.Now()
	err := atOnce(broken, func(o *chaos.Origin) error {
		if err := f.Begin(o, drillHealth); err != nil {
			return fmt.Errorf("%w: %w", errFaultImpossible, err)
		}
		return nil
	})
	s.struck = time.Now()
	if err == nil {
		drillPause(ctx, t.During)
	}
	s.end = time.Now()
	if mended := atOnce(broken, f.End); err == nil {
		err = mended
	}
	if err == nil {
		drillPause(ctx, t.After)
	}
	return err
}

// atOnce does something to all origins and returns the first error.
func atOnce(origins []*chaos.Origin, do func(*chaos.Origin) error) error {
	errs := make([]error, len(origins))
	var all sync.WaitGroup
	for i, o := range origins {
		all.Go(func() { errs[i] = do(o) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// settle ends the loads. Requests that still hang after a while are cut off at
// their origins.
func (s *drillSeen) settle(loads []*chaos.Run, origins drillOrigins) {
	s.ledgers = make([]*chaos.Ledger, len(loads))
	var all sync.WaitGroup
	for i, run := range loads {
		all.Go(func() { s.ledgers[i] = run.Stop() })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	cut := time.NewTimer(s.round.times.Settle + settleGrace)
	defer cut.Stop()
	for {
		select {
		case <-done:
			s.at = time.Now()
			return
		case <-cut.C:
			for _, o := range origins {
				o.ResetConns()
			}
			cut.Reset(settleGrace)
		}
	}
}

// judge holds what was seen against what Fairlead promises in any configuration.
func (s *drillSeen) judge(p *proxy.Server, origins drillOrigins) {
	deadline := time.Now().Add(restPatience)
	s.stats = p.Stats()
	for slices.ContainsFunc(s.stats, busy) && drillPause(context.Background(), min(10*time.Millisecond, time.Until(deadline))) {
		s.stats = p.Stats()
	}
	for i := range s.stats {
		if st := &s.stats[i]; busy(*st) {
			s.unrest = append(s.unrest, fmt.Sprintf("route %s is not at rest: %d permits in use, %d queued, %d parked; accepted %d = served %d + failed over %d + shed %d + failed %d + left %d does not hold",
				st.Route, st.InUse, st.Queued, st.ParkedNow, st.Accepted, st.Served, st.FailedOver, st.Shed, st.Failed, st.Left))
		}
	}
	if err := chaos.Check(chaos.Merge(s.ledgers...), origins.all()...); err != nil {
		for _, e := range flatten(err) {
			s.violations = append(s.violations, e.Error())
		}
	}
}

// busy reports whether some request of a route is not accounted for.
func busy(s proxy.RouteStats) bool {
	return s.InUse+s.Queued+s.ParkedNow > 0 || s.Accepted != s.Served+s.FailedOver+s.Shed+s.Failed+s.Left
}

// drillPause waits, and reports whether ctx goes on and there was anything to wait for.
func drillPause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// results are what a round says of its routes.
func (s *drillSeen) results() []drill.RouteResult {
	results := make([]drill.RouteResult, len(s.round.routes))
	for i, r := range s.round.routes {
		seen := drill.Seen{
			Results: s.ledgers[i].Results(), Begin: s.begin, Struck: s.struck, End: s.end, HasSecondary: r.group.Secondary != "",
		}
		for _, m := range s.moves {
			if m.group == r.group.Name {
				seen.Flips = append(seen.Flips, m.at)
			}
		}
		for k := range s.stats {
			if st := &s.stats[k]; st.Route == r.config.Name {
				seen.FailedOver, seen.Parked = int(st.FailedOver), int(st.Parked)
			}
		}
		g := drill.Measure(seen)
		results[i] = drill.RouteResult{
			Route: r.config.Name, Group: r.group.Name, Figures: g,
			Verdict: drill.Judge(s.round.fault, &s.round.setups[i], &g),
		}
	}
	return results
}
