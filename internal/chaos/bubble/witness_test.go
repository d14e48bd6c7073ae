package bubble

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// A witness sees verdicts and flips, and knows the specification's pointer.
type witness struct {
	settings
	read int // of the world's history

	target             failover.Role
	generation         uint64
	primary, secondary bool // healthy
	primaryFell        time.Duration
	primaryBack        time.Duration // healthy since, if it is
	flipped            time.Duration // the last time
	moved              bool
	hold               time.Duration
}

func newWitness(s settings) *witness {
	return &witness{settings: s, target: failover.RolePrimary, generation: 1, primary: true, secondary: true, hold: s.pointing.MinHold}
}

// follow reads what has happened and judges each flip.
func (e *witness) follow(w *world) error {
	all := w.history()
	defer func() { e.read = len(all) }()
	for _, h := range all[e.read:] {
		switch h.role {
		case failover.RolePrimary:
			if h.down && e.primary {
				e.primaryFell = h.at
			}
			if !h.down && !e.primary {
				e.primaryBack = h.at
			}
			e.primary = !h.down
		case failover.RoleSecondary:
			e.secondary = !h.down
		default:
			if err := e.flip(h); err != nil {
				return fmt.Errorf("at %s, from %s to %s, %s: %w", h.at, h.from.Target, h.to.Target, h.to.Reason, err)
			}
		}
	}
	return nil
}

// flip judges one move.
func (e *witness) flip(h happening) error {
	switch want := e.place(h.at); {
	case h.from.Target != e.target || h.from.Generation != e.generation:
		return fmt.Errorf("it was on %s, generation %d", e.target, e.generation)
	case h.to.Generation != e.generation+1:
		return fmt.Errorf("generation %d after %d", h.to.Generation, e.generation)
	case h.to.Target != want:
		return fmt.Errorf("it belongs on %s; primary healthy %t since %s, secondary healthy %t, last move at %s, hold %s",
			want, e.primary, e.primaryBack, e.secondary, e.flipped, e.hold)
	}
	if h.to.Reason == failover.ReasonPrimaryDown {
		e.relapse()
	}
	if h.to.Hold != e.hold {
		return fmt.Errorf("hold %s, want %s", h.to.Hold, e.hold)
	}
	e.target, e.generation, e.flipped, e.moved = h.to.Target, h.to.Generation, h.at, true
	return nil
}

// relapse keeps the hold: doubled where the primary fell within it, forgotten
// where it lasted for the longest there is. A primary that was down when the
// pointer came tells nothing.
func (e *witness) relapse() {
	lasted := e.primaryFell - e.flipped
	switch {
	case e.target != failover.RolePrimary || lasted <= 0:
	case lasted >= e.pointing.MaxHold:
		e.hold = e.pointing.MinHold
	case lasted < e.hold && e.moved:
		e.hold = min(2*e.hold, e.pointing.MaxHold)
	}
}

// place is where the pointer belongs at a time.
func (e *witness) place(at time.Duration) failover.Role {
	switch {
	case e.primary && !e.secondary:
		return failover.RolePrimary
	case !e.primary && e.secondary:
		return failover.RoleSecondary
	case !e.primary:
		return e.bothDown()
	case e.target != failover.RoleSecondary || e.pointing.Failback == failover.FailbackManual:
		return recovered(e.target)
	}
	due := max(e.primaryBack+e.pointing.FailbackAfter, e.flipped+e.hold)
	if at < due {
		return failover.RoleSecondary
	}
	return failover.RolePrimary
}

func (e *witness) bothDown() failover.Role {
	switch e.pointing.BothDown {
	case failover.BothDownFailOpen:
		return failover.RolePrimary
	case failover.BothDownFailFast:
		return failover.RoleNone
	}
	return e.target
}

// recovered is where a pointer goes when both are healthy and no wait is to be
// waited for: from nowhere to the primary.
func recovered(r failover.Role) failover.Role {
	if r == failover.RoleNone {
		return failover.RolePrimary
	}
	return r
}

// look wants the pointer, at rest, where it belongs.
func (e *witness) look(w *world) error {
	want := e.place(w.since())
	if got := w.group.Pointer(); got.Target != want || got.Generation != e.generation {
		return fmt.Errorf("at %s on %s, generation %d; want %s, %d", w.since(), got.Target, got.Generation, want, e.generation)
	}
	return nil
}
