package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/proxy"
)

// drillNote is what nobody else remembers of a group's last drill.
type drillNote struct {
	began      time.Time
	reason, by string
}

// StartDrill implements admin.Backend.
func (o *operator) StartDrill(group string, r adminapi.DrillRequest, by string) (adminapi.Group, error) {
	p, i, done, err := o.beginAt(group)
	if err != nil {
		return adminapi.Group{}, err
	}
	defer done()
	c, s := &p.cfg.Groups[i], p.pointers[i].Pointer()
	if r.Generation != 0 && r.Generation != s.Generation {
		return adminapi.Group{}, o.explainChange(p, c, *s, failover.ErrStale)
	}
	if err := o.fitForDrill(p, c, s, r.Force); err != nil {
		return adminapi.Group{}, err
	}
	lasting, err := time.ParseDuration(r.For)
	if err != nil {
		return adminapi.Group{}, refused("bad_request", "for = %q is not a duration; write for instance \"5m\"", r.For)
	}
	d, err := o.service.proxy.StartDrill(proxy.DrillConfig{Group: group, Share: r.Share, StopAt: r.StopAt, For: lasting})
	if err != nil {
		return adminapi.Group{}, explainDrill(c, err)
	}
	o.mu.Lock()
	o.drills[group] = drillNote{d.Began, r.Reason, by}
	o.mu.Unlock()
	o.tell(adminapi.Event{Kind: "drill_started", Level: "warn", Group: group, To: c.Secondary, Generation: s.Generation, Cause: r.Reason, By: by,
		Text: fmt.Sprintf("a drill of %s by %s: for %v, %s of the requests that may fail over go to %s as if %s had failed", group, by, lasting, percent(r.Share), c.Secondary, c.Primary)})
	return o.group(p, i), nil
}

// StopDrill implements admin.Backend.
func (o *operator) StopDrill(group, by string) (adminapi.Group, error) {
	p, i, done, err := o.beginAt(group)
	if err != nil {
		return adminapi.Group{}, err
	}
	defer done()
	d, err := o.service.proxy.EndDrill(group)
	if err != nil {
		return adminapi.Group{}, explainDrill(&p.cfg.Groups[i], err)
	}
	o.drillEnded(d, by)
	return o.group(p, i), nil
}

// fitForDrill says why a group can't have a drill now. Force stands for nobody's
// having looked whether the secondary is well, and for nothing else.
func (o *operator) fitForDrill(p *plan, g *config.Group, s *failover.State, force bool) error {
	if g.Secondary == "" {
		return refused("bad_request", "group %s has no secondary, so a drill has nowhere to send a request; give it one in the configuration", g.Name)
	}
	if s.Target != failover.RolePrimary {
		return refused("not_on_primary", "group %s is on %s and not on its primary, %s: a drill is for a group that is well; wait until it is back, or fail it back", g.Name, originIn(g, s.Target), g.Primary)
	}
	if why := o.unfit(p, g.Primary); why != "" {
		return refused("primary_down", "%s, the primary of %s, is %s: that is no drill", g.Primary, g.Name, why)
	}
	if why := o.unfit(p, g.Secondary); why != "" {
		return refused("no_healthy_origin", "%s, the secondary of %s, is %s: a drill would send it requests that it can't serve; mend it first", g.Secondary, g.Name, why)
	}
	if force {
		return nil
	}
	switch check := p.checks[g.Secondary]; {
	case check == nil:
		return refused("no_healthy_origin", "%s, the secondary of %s, has no health table, so nobody knows whether it is well; give it one, or force the drill if you have looked", g.Secondary, g.Name)
	case check.checker.Verdict() == health.Unknown:
		return refused("no_healthy_origin", "%s, the secondary of %s, has not been found healthy yet; wait for its probes, or force the drill", g.Secondary, g.Name)
	}
	return nil
}

// explainDrill is an error of the proxy's drills as an answer.
func explainDrill(g *config.Group, err error) error {
	unfit, ok := errors.AsType[*proxy.DrillUnfitError](err)
	switch {
	case ok && unfit.Why == failover.DrillPointer:
		return refused("not_on_primary", "group %s is not on its primary, %s, any more; a drill is for a group that is well", g.Name, g.Primary)
	case ok && unfit.Why == failover.DrillPrimaryDown:
		return refused("primary_down", "%s, the primary of %s, is down: that is no drill", g.Primary, g.Name)
	case ok:
		return refused("no_healthy_origin", "group %s can't have a drill now: %s", g.Name, drillEndWords[unfit.Why])
	case errors.Is(err, proxy.ErrDrillRuns):
		return refused("drill_runs", "a drill runs in group %s already; wait for its end, or stop it", g.Name)
	case errors.Is(err, proxy.ErrNoDrill):
		return refused("not_found", "no drill runs in group %s", g.Name)
	case errors.Is(err, proxy.ErrDrillConfig):
		return refused("bad_request", "%v", err)
	case errors.Is(err, proxy.ErrStopped):
		return refused("busy", "this process stops, so it begins no drill")
	}
	return err
}

// drill is a group's drill, which runs or was the last; nil if there was none.
func (o *operator) drill(group string) *adminapi.Drill {
	d, ok := o.service.proxy.Drill(group)
	if !ok {
		return nil
	}
	a := &adminapi.Drill{
		Running: d.Why == failover.DrillRuns, Since: d.Began.UTC(), Until: d.Until.UTC(), Ended: utc(d.Ended), Share: d.Share, StopAt: d.StopAt,
		Picked: drillCounts(&d.Picked), Others: drillCounts(&d.Others), Secondary: d.Secondary, Rescued: d.Rescued, Failed: d.Failed,
	}
	if !a.Running {
		a.Why = d.Why.String()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.drills[group]; n.began.Equal(d.Began) {
		a.Reason, a.By = n.reason, n.by
	}
	return a
}

// hastyRoutes are the routes of a group from which a drill would pick, were their
// timeout not too short for that; nil for none.
func hastyRoutes(cfg *config.Config, g *config.Group) []string {
	var names []string
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		method, _, of := strings.Cut(r.Match, " ")
		if r.Group == g.Name && r.Timeout < proxy.DrillMinLeft && (!of || slices.Contains(g.FailoverMethods, method)) {
			names = append(names, r.Name)
		}
	}
	return names
}

func drillCounts(s *proxy.DrillSet) adminapi.DrillCounts {
	return adminapi.DrillCounts{
		Requests: s.Requests, Left: s.Left, Errors: s.Errors,
		P50MS: milliseconds(s.Durations.Quantile(0.5)), P99MS: milliseconds(s.Durations.Quantile(0.99)),
	}
}

// drillEndWords say why a drill ended, in a clause.
var drillEndWords = map[failover.DrillEnd]string{
	failover.DrillTime:          "its time is over",
	failover.DrillErrors:        "errors rose among the picked requests",
	failover.DrillPointer:       "the pointer has left the primary",
	failover.DrillPrimaryDown:   "the primary is down",
	failover.DrillSecondaryDown: "the secondary is down",
	failover.DrillDrained:       "one of the origins is drained",
	failover.DrillOperator:      "it was stopped",
	failover.DrillReload:        "a reload has changed its group",
	failover.DrillUpgrade:       "another process takes over",
	failover.DrillStop:          "this process stops",
}

// drillEnded tells of the end of a drill; by is who wanted it, if somebody did.
func (o *operator) drillEnded(d proxy.DrillStatus, by string) {
	level := "info"
	if d.Why != failover.DrillTime && d.Why != failover.DrillOperator {
		level = "warn"
	}
	o.tell(adminapi.Event{Time: d.Ended.UTC(), Kind: "drill_stopped", Level: level, Group: d.Group, Cause: d.Why.String(), By: by,
		Text: fmt.Sprintf("the drill of %s is over after %v: %s; of %s the secondary answered %d, the primary %d after it, and %d failed; errors were %s of the picked and %s of the others",
			d.Group, d.Ended.Sub(d.Began).Round(time.Second/10), drillEndWords[d.Why], count(int(d.Picked.Requests), "picked request"), d.Secondary, d.Rescued, d.Failed,
			percentOf(d.Picked.Errors, d.Picked.Requests), percentOf(d.Others.Errors, d.Others.Requests))})
}

// drill logs a drill that ended by itself.
func (j journal) drill(d proxy.DrillStatus) {
	j.log.Info("drill ended", zap.String("group", d.Group), zap.Stringer("why", d.Why), zap.Uint64("picked", d.Picked.Requests),
		zap.Uint64("secondary", d.Secondary), zap.Uint64("rescued", d.Rescued), zap.Uint64("failed", d.Failed),
		zap.Uint64("picked_errors", d.Picked.Errors), zap.Uint64("others", d.Others.Requests), zap.Uint64("others_errors", d.Others.Errors))
}

// percent is a share in percent.
func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

func percentOf(part, whole uint64) string {
	if whole == 0 {
		return percent(0)
	}
	return percent(float64(part) / float64(whole))
}
