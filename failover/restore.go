package failover

import "time"

// maxGeneration bounds a restored Generation, so that no number of flips brings
// it back to 0.
const maxGeneration = 1 << 62

// restore returns the state that a pointer starts in, given the one that it had
// in an earlier life. That came from a file, across a change of the configuration
// and of the wall clock: nothing of it is believed that could not be.
//
// Waits are measured by the monotonic clock, which was another one in that life.
// So its times are told anew as distances from now: then a wall clock that is set
// while this process runs neither shortens nor stretches a wait.
func restore(s State, now time.Time, c *PointerConfig) State {
	if s.Generation == 0 {
		return newState(now, c)
	}
	s.Generation = min(s.Generation, maxGeneration)
	if int(s.Target) >= len(roleNames) {
		s.Target = RoleNone
	}
	s.Since = past(s.Since, now)
	s.Primary.Since = past(s.Primary.Since, now)
	s.Secondary.Since = past(s.Secondary.Since, now)
	if int(s.Reason) >= len(reasonNames) {
		s.Reason = ReasonStart
	}
	if !s.PinUntil.IsZero() {
		s.PinUntil = now.Add(s.PinUntil.Sub(now)) // an end that has passed is dropped by next
	}
	return next(fit(s, now, c), event{}, now, c)
}

// past returns t as a distance from now. A time that is unknown, or still to
// come, is now.
func past(t, now time.Time) time.Time {
	if t.IsZero() || t.After(now) {
		return now
	}
	return now.Add(-now.Sub(t))
}

// refit returns s for a pointer whose configuration changes from old to c.
func refit(s State, now time.Time, old, c *PointerConfig) State {
	if s.Hold == old.MinHold {
		s.Hold = c.MinHold // it was not doubled, only the least
	}
	return fit(s, now, c)
}

// fit returns s without what c has no room for. The target is left to next.
func fit(s State, now time.Time, c *PointerConfig) State {
	s.Hold = min(max(s.Hold, c.MinHold), c.MaxHold)
	if !c.has(s.Pin) {
		s.Pin, s.PinUntil = RoleNone, time.Time{}
	}
	if !c.has(s.Lead) {
		s.Lead = RoleNone
	}
	if !c.HasSecondary && s.Secondary.Down {
		s.Secondary = Verdict{Since: now}
	}
	return s
}
