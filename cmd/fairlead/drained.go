package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/health"
)

// setDrained takes an origin out of service by hand, or puts it back. A drained
// origin counts as down for its groups, whatever its checker says, and no pointer
// is led to it; so requests have somewhere else to go before it takes no more.
// Steering is held, but at the start.
func (s *service) setDrained(p *plan, origin string, drained bool) error {
	if p.cfg.Origin(origin) == nil {
		return fmt.Errorf("no origin %q", origin)
	}
	if !drained && !s.isDrained(origin) {
		return nil // or what is known of its health would be lost
	}
	if !drained {
		if err := s.proxy.SetDrained(origin, false); err != nil {
			return err
		}
	}
	s.judgeDrained(p, origin, drained)
	s.names.relead(origin)
	if drained {
		return s.proxy.SetDrained(origin, true)
	}
	return nil
}

// judgeDrained notes it and tells the origin's groups.
func (s *service) judgeDrained(p *plan, origin string, drained bool) {
	s.judging.Lock()
	defer s.judging.Unlock()
	all := maps.Clone(*s.drained.Load())
	if delete(all, origin); drained {
		all[origin] = true
	}
	s.keepDrained(all)
	healthy := !drained
	if c := p.checks[origin]; c != nil && !drained {
		switch c.checker.Verdict() {
		case health.Unknown:
			return // it stays down until its first verdict
		case health.Down:
			healthy = false
		}
	}
	for _, at := range p.seats[origin] {
		at.group.Verdict(at.role, healthy)
	}
}

// forgetDrains puts origins back into service that the configuration doesn't
// have: should one of that name come again, it is a new one.
func (s *service) forgetDrains(cfg *config.Config) {
	s.judging.Lock()
	defer s.judging.Unlock()
	all := maps.Clone(*s.drained.Load())
	maps.DeleteFunc(all, func(origin string, _ bool) bool { return cfg.Origin(origin) == nil })
	s.keepDrained(all)
}

// keepDrained puts a set in the place of the one before, with judging held.
func (s *service) keepDrained(all map[string]bool) {
	s.drained.Store(&all)
	s.keeper.setDrained(slices.Sorted(maps.Keys(all)))
}

// isDrained reports whether an origin is out of service by hand. It takes no lock.
func (s *service) isDrained(origin string) bool { return (*s.drained.Load())[origin] }
