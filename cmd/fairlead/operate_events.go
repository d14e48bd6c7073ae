package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/certs"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/resolver"
	"github.com/fairlead/fairlead/proxy"
)

// tell keeps an event for those who ask.
func (o *operator) tell(e adminapi.Event) { o.events.Add(e) }

// watching is a watcher that writes the log and tells the operators the same.
func (o *operator) watching(j journal) watcher {
	return watcher{
		flip: func(g *config.Group, from, to failover.State) {
			j.flip(g, from, to, o.drainedFor(g, to.Reason)...)
			o.flip(g, from, to)
		},
		health:  func(e health.Event) { j.health(e); o.health(e) },
		dns:     func(e resolver.Event) { j.dns(e); o.dns(e) },
		follow:  func(group string, e follower.Event) { j.follow(group, e); o.follow(group, e) },
		breaker: o.breaker,
		drill:   func(d proxy.DrillStatus) { j.drill(d); o.drillEnded(d, "") },
		certs:   func(e certs.Event) { j.certificate(e); o.certificate(e) },

		nameserver: j.nameserver,
	}
}

func (o *operator) flip(g *config.Group, from, to failover.State) {
	o.mu.Lock()
	if o.flips[g.Name] == nil {
		o.flips[g.Name] = make(map[string]uint64)
	}
	o.flips[g.Name][to.Reason.String()]++
	o.mu.Unlock()
	level := "warn"
	switch {
	case to.Reason == failover.ReasonBothDown:
		level = "error"
	case to.Target == failover.RolePrimary:
		level = "info"
	}
	text := fmt.Sprintf("%s moves from %s to %s: %s", g.Name, originIn(g, from.Target), originIn(g, to.Target), to.Reason)
	switch out := o.drainedFor(g, to.Reason); len(out) {
	case 1:
		text += fmt.Sprintf(" (%s is drained)", out[0])
	case 2:
		text += fmt.Sprintf(" (%s and %s are drained)", out[0], out[1])
	}
	o.tell(adminapi.Event{
		Time: to.Since.UTC(), Kind: "flip", Level: level, Group: g.Name, From: originAt(g, from.Target), To: originAt(g, to.Target), Generation: to.Generation,
		Cause: to.Reason.String(), Text: text,
	})
}

// drainedFor are the origins that a reason says are down and that somebody has
// drained: their own health may be fine.
func (o *operator) drainedFor(g *config.Group, r failover.Reason) (out []string) {
	var down []string
	switch r {
	case failover.ReasonPrimaryDown:
		down = []string{g.Primary}
	case failover.ReasonSecondaryDown:
		down = []string{g.Secondary}
	case failover.ReasonBothDown:
		down = originsOf(g)
	}
	for _, origin := range down {
		if o.service != nil && o.service.isDrained(origin) {
			out = append(out, origin)
		}
	}
	return out
}

// stopping tells that the drain begins, and until when it may last.
func (o *operator) stopping(now time.Time) {
	e := adminapi.Event{Kind: "stop", Level: "warn", Text: "fairlead stops: what is in flight is cut off"}
	if d := o.service.now().cfg.Server.DrainTimeout; d > 0 {
		e.Text = fmt.Sprintf("fairlead stops: what is in flight may be finished until %s UTC, for %v", now.Add(d).UTC().Format(time.TimeOnly), d)
	}
	o.tell(e)
}

// pauseEvery is the time that one event of a pause stands for: every checker
// notices the same one, and a machine that is short of time has many.
const pauseEvery = 10 * time.Second

// pauses makes one event of all that checkers tell of pauses within pauseEvery.
type pauses struct {
	mu      sync.Mutex
	count   int           // guarded by mu; 0: none is waiting to be told
	longest time.Duration // guarded by mu
	first   time.Time     // guarded by mu
}

func (p *pauses) add(e health.Event, tell func(adminapi.Event)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		p.first = e.At
		time.AfterFunc(pauseEvery, func() { tell(p.take()) })
	}
	p.count++
	p.longest = max(p.longest, e.Pause)
}

// take is the event of those that have come, which are forgotten.
func (p *pauses) take() adminapi.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("this process stood still for %v; health checks noticed it %s", p.longest, count(p.count, "time"))
	if p.count > 1 {
		text = fmt.Sprintf("this process stood still, for %v at the longest; health checks noticed it %s within %v", p.longest, count(p.count, "time"), pauseEvery)
	}
	p.count, p.longest = 0, 0
	return adminapi.Event{Time: p.first.UTC(), Kind: "pause", Level: "warn", Text: text}
}

// evidence is how many probes stand behind a verdict at most.
const evidence = 10

func (o *operator) health(e health.Event) {
	switch e.Kind {
	case health.ProbeDone:
		o.countProbe(e)
	case health.VerdictChanged:
		level, cause := "info", ""
		if e.To == health.Down {
			level = "warn"
		}
		if e.Result.Err != nil {
			cause = e.Result.Err.Error()
		}
		var last []adminapi.Probe
		if c := (*o.service.hurry.Load())[e.Origin]; c != nil {
			probes := c.checker.Probes()
			last = probesOf(probes[max(len(probes)-evidence, 0):])
		}
		o.tell(adminapi.Event{Kind: "verdict", Level: level, Origin: e.Origin, From: e.From.String(), To: e.To.String(), Cause: cause, Evidence: last,
			Text: fmt.Sprintf("%s is %s, it was %s", e.Origin, e.To, e.From)})
	case health.PauseDetected:
		o.pauses.add(e, o.tell)
	}
}

func (o *operator) countProbe(e health.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.probes[e.Origin]
	if c == nil {
		c = &probeCounts{}
		o.probes[e.Origin] = c
	}
	switch {
	case e.Result.Dropped:
		c.dropped++
	case e.Result.Err != nil:
		c.failed++
	default:
		c.ok++
	}
}

func (o *operator) breaker(route, origin, from, to string) {
	level := "info"
	if to == "open" {
		level = "warn"
	}
	o.tell(adminapi.Event{Kind: "breaker", Level: level, Route: route, Origin: origin, From: from, To: to,
		Text: fmt.Sprintf("the breaker of route %s towards %s is %s, it was %s", route, origin, to, from)})
}

func (o *operator) dns(e resolver.Event) {
	a := adminapi.Event{Kind: "dns", Level: "info"}
	if e.Err != nil {
		a.Cause = e.Err.Error()
	}
	switch e.Kind {
	case resolver.Changed:
		if len(e.Old) > 0 && len(e.New) > 0 {
			return // an ordinary change: those of a name with many addresses come with every answer
		}
		a.Text = fmt.Sprintf("%s has addresses: %v", e.Host, e.New)
		if len(e.New) == 0 {
			a.Level, a.Text = "warn", e.Host+" has no address"
		}
	case resolver.Failing:
		a.Level, a.Text = "warn", e.Host+" can't be looked up"
		if e.Stale {
			a.Text += ", its last addresses are used"
		}
	case resolver.Recovered:
		a.Text = fmt.Sprintf("%s can be looked up again after %v", e.Host, e.Lasted)
	case resolver.Expired:
		a.Level, a.Text = "warn", e.Host+": its last addresses are too old and are given up"
	default:
		return
	}
	o.tell(a)
}

func (o *operator) follow(group string, e follower.Event) {
	if here, ok := errors.AsType[*drainedHere](e.Err); ok {
		o.tell(adminapi.Event{Kind: "dns", Level: "warn", Group: group, Origin: here.origin, Cause: e.Err.Error(),
			Text: fmt.Sprintf("%s follows nobody now: the other pointer is at %s, which is drained here", group, here.origin)})
		return
	}
	if e.Err != nil {
		o.tell(adminapi.Event{Kind: "dns", Level: "warn", Group: group, Cause: e.Err.Error(), Text: group + " follows nobody now: the other pointer can't be asked"})
		return
	}
	o.tell(adminapi.Event{Kind: "dns", Level: "info", Group: group, To: e.Origin, Text: fmt.Sprintf("%s follows the other pointer to %s", group, e.Origin)})
}

func (o *operator) certificate(e certs.Event) {
	o.mu.Lock()
	if !e.NotAfter.IsZero() {
		o.ends[e.File] = e.NotAfter
	}
	o.mu.Unlock()
	a := adminapi.Event{Kind: "certificate", Level: "info", Text: e.File + " is in use"}
	switch e.Kind {
	case certs.Failed:
		a.Level, a.Text = "error", e.File+" can't be used"
	case certs.Expiring:
		a.Level, a.Text = "warn", fmt.Sprintf("%s ends on %s", e.File, e.NotAfter.UTC().Format("2006-01-02"))
	case certs.Exposed:
		a.Level, a.Text = "warn", e.File+" can be read by everybody on this machine"
	case certs.Recovered:
		a.Text = e.File + " can be used again"
	}
	if e.Err != nil {
		a.Cause = e.Err.Error()
	}
	o.tell(a)
}
