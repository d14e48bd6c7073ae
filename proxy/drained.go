package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// errDrained is what a knock at a drained origin finds.
var errDrained = errors.New("the origin is drained")

// SetDrained takes an origin out of service by hand, or puts it back. From then
// on no new request is sent to a drained origin, whoever its group's pointer
// points to; what is in flight there is finished, and its idle connections are
// closed.
//
// It does not move the pointer, and checks nothing: that another origin is left
// and that the pointer goes there is for the caller to see to. While the pointer
// stays at a drained origin, requests that may be sent twice go to the other one
// of the group, and any other is treated as if the origin refused connections:
// it is parked, sent to the other one or refused, as Policy says. Where the
// other one is drained too, or there is none, requests are answered with 503.
// Where the pointer stays because neither origin is healthy, all requests go to the
// one that is not drained.
//
// A Reload keeps it for an origin of the same name. The error is of a name that
// no origin has.
func (s *Server) SetDrained(origin string, drained bool) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	table := s.current().table
	o := table.origins[origin]
	if o == nil {
		return fmt.Errorf("no origin %q", origin)
	}
	o.drained.Store(drained)
	for _, r := range table.routes {
		for _, l := range r.legs {
			if l != nil && l.origin == o {
				l.keepIdle(r)
			}
		}
	}
	return nil
}

// drained reports whether the leg's origin takes no new requests.
func (l *leg) drained() bool { return l.origin.drained.Load() }

// keepIdle says how many idle connections the leg keeps: of a drained origin
// none, and those there are are closed.
func (l *leg) keepIdle(r *routeState) {
	if !l.drained() {
		l.pool.SetMaxIdle(r.limits.bulkhead.MaxConcurrent)
		return
	}
	l.pool.SetMaxIdle(0)
	l.pool.Prune(time.Now().Add(forever))
}

// first is where a request goes first when the pointer is at target; nil if
// nowhere. It waits if that origin is drained and the pointer has yet to leave it:
// then the request is parked. free says that it may be sent twice, and so
// anywhere; others follow the pointer, unless the policy sends them elsewhere or
// the pointer has nowhere to leave to.
func (r *routeState) first(at *failover.State, free bool) (l *leg, waits bool) {
	l = r.legs[at.Target]
	if l == nil || !l.drained() {
		return l, false
	}
	other := r.legs[at.Target.Other()]
	if other == nil || other.drained() {
		return nil, false
	}
	switch unsafe := r.policy.Unsafe(); {
	case free || unsafe == failover.UnsafeUnsent || stranded(at):
		return other, false
	case unsafe == failover.UnsafePark:
		return l, true
	}
	return nil, false
}

// stranded reports whether the pointer is where it is for want of a healthy
// origin, and nobody has put it there. At a drained one it would stay until that
// is back, so requests try the other one: it is in service, although its probes
// fail.
func stranded(at *failover.State) bool {
	return at.Primary.Down && at.Secondary.Down && at.Pin == failover.RoleNone && at.Lead == failover.RoleNone
}
