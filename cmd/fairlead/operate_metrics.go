package main

import (
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/metrics"
	"github.com/fairlead/fairlead/internal/nameserver"
	"github.com/fairlead/fairlead/proxy"
)

// metrics is what a scrape shows.
func (o *operator) metrics() metrics.Snapshot {
	p, s := o.service.now(), o.service.proxy
	m := metrics.Snapshot{
		Version: buildVersion(), GoVersion: runtime.Version(), Started: o.started, Bounds: proxy.DurationBounds[:],
		Refused: s.Refused(), LogLinesDropped: o.service.logs.writer.Dropped(),
	}
	m.Clients.Open, m.Clients.Limit = s.Connections()
	m.Routes, m.Origins, m.Groups = o.routeMetrics(p), o.originMetrics(p), o.groupMetrics(p)
	m.Certificates, m.Reloads = o.certificateMetrics(p.cfg), o.reloadMetrics()
	o.doorMetrics(&m)
	o.dnsMetrics(&m)
	if path, kept := o.service.keeper.kept(); path != "" {
		m.State = &metrics.State{Kept: kept}
	}
	return m
}

func (o *operator) routeMetrics(p *plan) []metrics.Route {
	legs := make(map[string][]metrics.Leg)
	for _, l := range o.service.proxy.Legs() {
		leg := metrics.Leg{Origin: l.Origin, Breaker: l.Breaker, Idle: l.Idle, Attempts: make([]metrics.Count, len(l.Attempts))}
		for i, c := range l.Attempts {
			leg.Attempts[i] = metrics.Count{Name: c.Class, N: c.Count}
		}
		legs[l.Route] = append(legs[l.Route], leg)
	}
	stats := o.service.proxy.Stats()
	routes := make([]metrics.Route, 0, len(stats))
	results := proxy.Results()
	for i := range stats {
		s := &stats[i]
		c := p.routes[s.Route]
		if c == nil {
			continue // a reload is under way
		}
		r := metrics.Route{
			Name: s.Route, Group: c.Group, Failovers: s.FailedOver, Saved: s.Saved, ConnRetry: s.ConnRetry, Parked: s.Parked,
			PermitsInUse: s.InUse, PermitsLimit: c.Bulkhead.MaxConcurrent, Queued: s.Queued, QueueLimit: c.Bulkhead.MaxQueue, ParkedNow: s.ParkedNow,
			Legs: legs[s.Route], Results: make([]metrics.Result, len(results)),
		}
		for j, name := range results {
			h := &s.Durations[j]
			r.Results[j] = metrics.Result{Name: name, N: h.Count(), Durations: metrics.Histogram{Counts: h.Counts[:], Sum: h.Sum}}
		}
		routes = append(routes, r)
	}
	return routes
}

func (o *operator) originMetrics(p *plan) []metrics.Origin {
	all := o.service.proxy.Origins() // which may wait for DNS, and must not while probes are counted
	o.mu.Lock()
	defer o.mu.Unlock()
	var origins []metrics.Origin
	for _, s := range all {
		m := metrics.Origin{Name: s.Origin, Verdict: "unchecked", Drained: s.Drained, Connections: metrics.Connections{Open: s.Open, Limit: s.Limit}}
		if c := p.checks[s.Origin]; c != nil {
			m.Verdict = c.checker.Verdict().String()
			var n probeCounts
			if counted := o.probes[s.Origin]; counted != nil {
				n = *counted
			}
			m.Probes = []metrics.Count{{Name: "ok", N: n.ok}, {Name: "failed", N: n.failed}, {Name: "dropped", N: n.dropped}}
			if probes := c.checker.Probes(); len(probes) > 0 {
				m.LastProbe = probes[len(probes)-1].Took
			}
		}
		origins = append(origins, m)
	}
	return origins
}

// reasons are those of the pointer, in the words of the log.
var reasons = []failover.Reason{
	failover.ReasonPrimaryDown, failover.ReasonSecondaryDown, failover.ReasonBothDown, failover.ReasonRecovered, failover.ReasonFailback,
	failover.ReasonOperator, failover.ReasonPin, failover.ReasonFollow,
}

func (o *operator) groupMetrics(p *plan) []metrics.Group {
	drills := make(map[string]proxy.DrillStats)
	for _, d := range o.service.proxy.Drills() {
		drills[d.Group] = d
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	groups := make([]metrics.Group, len(p.cfg.Groups))
	for i := range p.cfg.Groups {
		c, at := &p.cfg.Groups[i], p.pointers[i].Pointer()
		g := metrics.Group{
			Name: c.Name, Primary: c.Primary, Secondary: c.Secondary, Role: at.Target.String(), Generation: at.Generation, Since: at.Since,
			Pinned: at.Pin != failover.RoleNone,
		}
		for _, reason := range reasons {
			g.Flips = append(g.Flips, metrics.Count{Name: reason.String(), N: o.flips[c.Name][reason.String()]})
		}
		d := drills[c.Name] // none while a reload is under way
		for _, r := range d.Results {
			g.Drilled = append(g.Drilled, metrics.Count{Name: r.Result, N: r.Count})
		}
		if d.Last != nil && d.Last.Why == failover.DrillRuns {
			g.DrillShare = d.Last.Share
		}
		groups[i] = g
	}
	return groups
}

func (o *operator) certificateMetrics(cfg *config.Config) []metrics.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []metrics.Certificate
	for _, c := range cfg.Server.Certificates {
		all = append(all, metrics.Certificate{File: c.Cert, NotAfter: o.ends[c.Cert]})
	}
	return all
}

func (o *operator) reloadMetrics() metrics.Reloads {
	o.mu.Lock()
	defer o.mu.Unlock()
	return metrics.Reloads{Done: o.reloads.done, Refused: o.reloads.refused, LastRefused: o.refused != nil, LastDone: o.loaded}
}

func (o *operator) doorMetrics(m *metrics.Snapshot) {
	s := o.service.proxy
	h, e, pp := s.Handshakes(), s.HTTP2(), s.ProxyProtocol()
	m.Handshakes = metrics.Handshakes{Done: h.Done, Failed: h.Failed, TimedOut: h.TimedOut, Refused: h.Refused, Resumed: h.Resumed, Waiting: h.Waiting}
	m.HTTP2 = metrics.HTTP2(e)
	m.ProxyProtocol = metrics.ProxyProtocol(pp)
}

func (o *operator) dnsMetrics(m *metrics.Snapshot) {
	n := o.service.names
	if r := n.resolver.Load(); r != nil {
		for _, s := range r.Stats() {
			addrs, _, _ := n.peek(s.Host)
			m.Hosts = append(m.Hosts, metrics.Host{Name: s.Host, Lookups: s.Lookups, Failures: s.Failures, Stale: s.StaleUsed, Addresses: len(addrs)})
		}
	}
	if ns := n.server.Load(); ns != nil {
		s := ns.Stats()
		m.Nameserver = &metrics.Nameserver{
			Transports: []metrics.Transport{transport("udp", s.UDP), transport("tcp", s.TCP)},
			Dropped:    s.Dropped, Slipped: s.Slipped, Truncated: s.Truncated, Ignored: s.Ignored, Errors: s.Errors, Connections: s.Connections,
		}
	}
}

func transport(name string, c nameserver.Counts) metrics.Transport {
	t := metrics.Transport{Name: name, Queries: c.Queries}
	for code, n := range c.Rcodes {
		t.Responses = append(t.Responses, metrics.Count{Name: code, N: n})
	}
	slices.SortFunc(t.Responses, func(a, b metrics.Count) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// reloadEnded takes note of how a reload went.
func (o *operator) reloadEnded(fingerprint string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.reloads.done++
		o.fingerprint, o.loaded, o.refused = fingerprint, time.Now(), nil
		return
	}
	o.reloads.refused++
	if o.refused = problemsOf(err); len(o.refused) == 0 {
		o.refused = []string{err.Error()}
	}
}
