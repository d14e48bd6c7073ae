package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/adminapi"
)

// Changes by hand take turns, so that two of them can't leave a group without a
// healthy origin that each alone would not.

// begin begins a change by hand. Done ends it, where there is no error.
func (o *operator) begin() (p *plan, done func(), err error) {
	s := o.service
	s.steering.Lock()
	if s.handing {
		s.steering.Unlock()
		return nil, nil, refused("busy", "another process is taking over, to which this change would be lost; repeat it in a moment")
	}
	return s.now(), s.steering.Unlock, nil
}

// beginAt is begin for a change of a group, which is the i-th of the plan.
func (o *operator) beginAt(group string) (p *plan, i int, done func(), err error) {
	if p, done, err = o.begin(); err != nil {
		return nil, 0, nil, err
	}
	if i, err = groupAt(p.cfg, group); err != nil {
		done()
		return nil, 0, nil, err
	}
	return p, i, done, nil
}

// Pin implements admin.Backend.
func (o *operator) Pin(group string, r adminapi.PinRequest, by string) (adminapi.Group, error) {
	p, i, done, err := o.beginAt(group)
	if err != nil {
		return adminapi.Group{}, err
	}
	defer done()
	c := &p.cfg.Groups[i]
	role := roleOf(c, r.Target)
	if role == failover.RoleNone {
		return adminapi.Group{}, refused("bad_request", "group %s has no origin %q; write %s", group, r.Target, strings.Join(originsOf(c), " or "))
	}
	lasting, err := lastingOf(r.For)
	if err != nil {
		return adminapi.Group{}, err
	}
	if s := p.pointers[i].Pointer(); r.Generation != 0 && r.Generation != s.Generation {
		return adminapi.Group{}, o.explainChange(p, c, *s, failover.ErrStale) // before a reason to force it
	}
	if why := o.unfit(p, r.Target); why != "" && !r.Force {
		return adminapi.Group{}, refused("no_healthy_origin", "%s is %s: requests would go to an origin that can't serve them; pin another one, or force it", r.Target, why)
	}
	s, err := p.pointers[i].PinIf(r.Generation, role, lasting)
	if err != nil {
		return adminapi.Group{}, o.explainChange(p, c, s, err)
	}
	o.service.keeper.notePin(group, pinNote{r.Target, s.PinUntil, r.Reason, by})
	until := "until unpin"
	if lasting > 0 {
		until = "for " + lasting.String()
	}
	o.tell(adminapi.Event{Kind: "pin", Level: "warn", Group: group, To: r.Target, Generation: s.Generation, Cause: r.Reason, By: by,
		Text: fmt.Sprintf("%s is pinned to %s %s by %s", group, r.Target, until, by)})
	o.service.keeper.awaitSaved()
	return o.group(p, i), nil
}

// Unpin implements admin.Backend.
func (o *operator) Unpin(group string, r adminapi.Change, by string) (adminapi.Group, error) {
	return o.steer(group, by, "unpin", func(g *failover.Group) (failover.State, error) { return g.UnpinIf(r.Generation) })
}

// Failback implements admin.Backend.
func (o *operator) Failback(group string, r adminapi.Change, by string) (adminapi.Group, error) {
	return o.steer(group, by, "failback", func(g *failover.Group) (failover.State, error) { return g.FailbackIf(r.Generation) })
}

// steer changes a group's pointer.
func (o *operator) steer(group, by, kind string, change func(*failover.Group) (failover.State, error)) (adminapi.Group, error) {
	p, i, done, err := o.beginAt(group)
	if err != nil {
		return adminapi.Group{}, err
	}
	defer done()
	c := &p.cfg.Groups[i]
	s, err := change(p.pointers[i])
	if err != nil {
		return adminapi.Group{}, o.explainChange(p, c, s, err)
	}
	o.tell(adminapi.Event{Kind: kind, Level: "warn", Group: group, To: originAt(c, s.Target), Generation: s.Generation, By: by,
		Text: fmt.Sprintf("%s of %s by %s: it is on %s", kind, group, by, originIn(c, s.Target))})
	o.service.keeper.awaitSaved()
	return o.group(p, i), nil
}

// Drain implements admin.Backend.
func (o *operator) Drain(origin string, r adminapi.Change, by string) (adminapi.Origin, error) {
	return o.serviceOf(origin, r, by, true)
}

// Ready implements admin.Backend.
func (o *operator) Ready(origin string, r adminapi.Change, by string) (adminapi.Origin, error) {
	return o.serviceOf(origin, r, by, false)
}

// serviceOf takes an origin out of service, or puts it back.
func (o *operator) serviceOf(origin string, r adminapi.Change, by string, drained bool) (adminapi.Origin, error) {
	p, done, err := o.begin()
	if err != nil {
		return adminapi.Origin{}, err
	}
	defer done()
	c := p.cfg.Origin(origin)
	if c == nil {
		return adminapi.Origin{}, refused("not_found", "there is no origin %q; there are %s", origin, strings.Join(allOrigins(p.cfg), ", "))
	}
	if drained && !r.Force {
		if err := o.mayDrain(p, origin); err != nil {
			return adminapi.Origin{}, err
		}
	}
	if err := o.service.setDrained(p, origin, drained); err != nil {
		return adminapi.Origin{}, err
	}
	e := adminapi.Event{Kind: "ready", Level: "info", Origin: origin, By: by, Text: fmt.Sprintf("%s is back in service, by %s", origin, by)}
	if drained {
		e.Kind, e.Level, e.Text = "drain", "warn", fmt.Sprintf("%s is drained by %s: it gets no new requests", origin, by)
	}
	o.tell(e)
	o.service.keeper.awaitSaved()
	for _, stats := range o.service.proxy.Origins() {
		if stats.Origin == origin {
			return o.origin(p, c, stats), nil
		}
	}
	return adminapi.Origin{Name: origin}, nil
}

// mayDrain refuses what would leave a group without a healthy origin.
func (o *operator) mayDrain(p *plan, origin string) error {
	for i := range p.cfg.Groups {
		g := &p.cfg.Groups[i]
		role := roleOf(g, origin)
		if role == failover.RoleNone {
			continue
		}
		switch at := p.pointers[i].Pointer(); {
		case at.Pin == role:
			return refused("pinned", "group %s is pinned to %s: unpin it first, or force it", g.Name, origin)
		case at.Pin == failover.RoleNone && at.Lead == role:
			return refused("following", "group %s follows another pointer, which is at %s: have that one moved, pin the group here, or force it", g.Name, origin)
		}
		other := originAt(g, role.Other())
		if other == "" {
			return refused("no_healthy_origin", "group %s has no other origin: its requests would fail; force it if that is meant", g.Name)
		}
		if why := o.unfit(p, other); why != "" {
			return refused("no_healthy_origin", "the other origin of group %s, %s, is %s: its requests would fail; force it if that is meant", g.Name, other, why)
		}
	}
	return nil
}

// unfit says why an origin can't serve now, "" if it can.
func (o *operator) unfit(p *plan, origin string) string {
	if o.service.isDrained(origin) {
		return "drained"
	}
	// A verdict that has been found, and that the status shows, may be on its way to
	// the groups.
	if c := p.checks[origin]; c != nil && c.checker.Verdict() == health.Down {
		return "down"
	}
	for _, at := range p.seats[origin] {
		s := at.group.Pointer()
		if at.role == failover.RolePrimary && s.Primary.Down || at.role == failover.RoleSecondary && s.Secondary.Down {
			return "down"
		}
	}
	return ""
}

// lastingOf reads how long a pin is to last, 0 for until it is ended.
func lastingOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		return 0, refused("bad_request", `for = %q is not a duration of a second or more; write for instance "30m", or leave it out for a pin until unpin`, text)
	}
	return d, nil
}

// explainChange is an error of a group as an answer.
func (o *operator) explainChange(p *plan, g *config.Group, s failover.State, err error) error {
	at := originIn(g, s.Target)
	switch {
	case errors.Is(err, failover.ErrStale):
		r := refused("stale", "the pointer of %s has moved since: it is on %s, generation %d; look again, and repeat it if it still makes sense", g.Name, at, s.Generation)
		r.Generation = s.Generation
		return r
	case errors.Is(err, failover.ErrPinned):
		return refused("pinned", "group %s is pinned to %s; unpin it first", g.Name, originIn(g, s.Pin))
	case errors.Is(err, failover.ErrFollowing):
		return refused("following", "group %s follows another pointer, which is where to ask; or pin it here", g.Name)
	case errors.Is(err, failover.ErrPrimaryDown) && o.unfit(p, g.Primary) == "drained":
		return refused("primary_down", "%s is drained, so group %s stays on %s; say that it is ready first", g.Primary, g.Name, at)
	case errors.Is(err, failover.ErrPrimaryDown):
		return refused("primary_down", "%s is down, so group %s stays on %s; mend it, or pin the group if it serves all the same", g.Primary, g.Name, at)
	}
	return err
}

func refused(code, format string, args ...any) *admin.Refused {
	return &admin.Refused{Code: code, Text: fmt.Sprintf(format, args...)}
}

// groupAt is where a group stands in the configuration.
func groupAt(cfg *config.Config, name string) (int, error) {
	names := make([]string, len(cfg.Groups))
	for i := range cfg.Groups {
		if names[i] = cfg.Groups[i].Name; names[i] == name {
			return i, nil
		}
	}
	return 0, refused("not_found", "there is no group %q; there are %s", name, strings.Join(shorten(names), ", "))
}

func originsOf(g *config.Group) []string {
	if g.Secondary == "" {
		return []string{g.Primary}
	}
	return []string{g.Primary, g.Secondary}
}

func allOrigins(cfg *config.Config) []string {
	names := make([]string, len(cfg.Origins))
	for i := range cfg.Origins {
		names[i] = cfg.Origins[i].Name
	}
	return shorten(names)
}
