package failover

import (
	"fmt"
	"time"
)

// Failback brings the pointer back to a healthy primary now, whatever waits are
// left. It does nothing if the pointer is there. ErrPinned, ErrFollowing and
// ErrPrimaryDown say that it stayed elsewhere.
func (g *Group) Failback() error {
	_, err := g.FailbackIf(0)
	return err
}

// Pin fixes the target to the origin in role r, healthy or not, for d or until
// Unpin; 0 or less means until Unpin. A second pin replaces the first. Its end
// needs Run. The error is ErrNoOrigin.
func (g *Group) Pin(r Role, d time.Duration) error {
	_, err := g.PinIf(0, r, d)
	return err
}

// Unpin ends a pin, if there is one. The pointer then goes where the verdicts
// and the waits for a failback put it.
func (g *Group) Unpin() { _, _ = g.UnpinIf(0) }

// FailbackIf is Failback for an operator who has seen a generation of the
// pointer. If it has another one by now, the pointer stays and the error is
// ErrStale. That is decided together with the change: nothing comes between the
// two. A generation of 0 stands for any.
//
// The State is the one after it, or the present one if there is an error.
func (g *Group) FailbackIf(generation uint64) (State, error) {
	s, err := g.change(event{kind: eventFailback, seen: generation}, nil)
	switch {
	case err != nil:
	case s.Target == RolePrimary:
		return s, nil
	case s.Pin != RoleNone:
		err = ErrPinned
	case s.Lead != RoleNone:
		err = ErrFollowing
	default:
		err = ErrPrimaryDown
	}
	return s, fmt.Errorf("failback of group %s: %w", g.name, err)
}

// PinIf is Pin for an operator who has seen a generation of the pointer, as
// FailbackIf is Failback. The errors are ErrStale and ErrNoOrigin. A generation
// changes with the target only: a pin to where the pointer is leaves it.
func (g *Group) PinIf(generation uint64, r Role, d time.Duration) (State, error) {
	s, err := g.change(event{kind: eventPin, role: r, lasting: d, seen: generation}, nil)
	if err != nil {
		err = fmt.Errorf("pin group %s to %s: %w", g.name, r, err)
	}
	return s, err
}

// UnpinIf is Unpin for an operator who has seen a generation of the pointer, as
// FailbackIf is Failback. The error is ErrStale.
func (g *Group) UnpinIf(generation uint64) (State, error) {
	s, err := g.change(event{kind: eventUnpin, seen: generation}, nil)
	if err != nil {
		err = fmt.Errorf("unpin group %s: %w", g.name, err)
	}
	return s, err
}

// refusal says why an operator's wish can't be granted in the state that is
// published.
func refusal(e event, p *published) error {
	switch {
	case e.seen != 0 && e.seen != p.Generation:
		return ErrStale
	case e.kind == eventPin && !p.config.has(e.role):
		return ErrNoOrigin
	}
	return nil
}

// FailbackAt is when the pointer returns from the secondary to the primary if
// nothing happens until then: when the waits for an automatic failback are over,
// or the pin that holds it ends. ok is false if time alone does not bring it
// back, or if it is not on the secondary. It costs an atomic load and some
// arithmetic.
func (g *Group) FailbackAt() (at time.Time, ok bool) {
	p := g.current.Load()
	return returnAt(p.State, p.config)
}

// returnAt lets time alone pass, until the target is the primary.
func returnAt(s State, c *PointerConfig) (at time.Time, ok bool) {
	for range 2 { // the end of a pin, and then that of the waits
		if s.Target != RoleSecondary {
			break
		}
		if at, ok = deadline(s, c); !ok {
			break
		}
		if s = next(s, event{}, at, c); s.Target == RolePrimary {
			return at, true
		}
	}
	return time.Time{}, false
}
