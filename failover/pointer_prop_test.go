package failover

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawConfig(t *rapid.T) PointerConfig {
	wait := rapid.SampledFrom([]time.Duration{0, time.Second, 30 * time.Second, time.Minute})
	return PointerConfig{
		HasSecondary:  rapid.Float64Range(0, 1).Draw(t, "has secondary") < 0.8,
		Failback:      rapid.SampledFrom([]Failback{FailbackAuto, FailbackManual}).Draw(t, "failback"),
		BothDown:      rapid.SampledFrom([]BothDown{BothDownFailOpen, BothDownStay, BothDownFailFast}).Draw(t, "both_down"),
		FailbackAfter: wait.Draw(t, "failback_after"),
		MinHold:       wait.Draw(t, "min_hold"),
		MaxHold:       rapid.SampledFrom([]time.Duration{0, 2 * time.Minute, 5 * time.Minute}).Draw(t, "max_hold"),
	}.withDefaults()
}

func drawEvent(t *rapid.T) event {
	return event{
		// Verdicts are what mostly happens.
		kind: rapid.SampledFrom([]eventKind{eventTick, eventVerdict, eventVerdict, eventVerdict,
			eventVerdict, eventFailback, eventPin, eventUnpin, eventUnpin, eventFollow, eventFollow}).Draw(t, "kind"),
		role:    rapid.SampledFrom([]Role{RolePrimary, RoleSecondary, RolePrimary, RoleSecondary, RoleNone}).Draw(t, "role"),
		healthy: rapid.Bool().Draw(t, "healthy"),
		lasting: rapid.SampledFrom([]time.Duration{-1, 0, time.Second, time.Minute}).Draw(t, "lasting"),
	}
}

func drawPause(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 1, time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 20 * time.Minute}).Draw(t, "pause")
}

// witness is what somebody who sees the events, but not the machine, knows.
type witness struct {
	primary, secondary bool // healthy
	primaryBack        time.Time
	flipped            time.Time
	pin, lead          Role
	pinUntil           time.Time

	hold        time.Duration // of the stay on the secondary, by the rule of PointerConfig.MinHold
	primaryFell time.Time     // since it is down
	returned    bool          // the pointer has moved before, so that a fall may be a relapse
}

// newWitness makes a witness that comes in on s.
func newWitness(s State, c *PointerConfig) witness {
	return witness{
		primary: !s.Primary.Down, secondary: !s.Secondary.Down && c.HasSecondary,
		primaryBack: s.Primary.Since, flipped: s.Since, pin: s.Pin, lead: s.Lead, pinUntil: s.PinUntil,
		hold: s.Hold, primaryFell: s.Primary.Since, returned: s.Reason != ReasonStart,
	}
}

// see takes note of e.
func (w *witness) see(e event, now time.Time, c *PointerConfig) {
	if !w.pinUntil.IsZero() && !now.Before(w.pinUntil) {
		w.pin, w.pinUntil = RoleNone, time.Time{}
	}
	switch {
	case e.kind == eventVerdict && e.role == RolePrimary:
		if e.healthy && !w.primary {
			w.primaryBack = now
		}
		if !e.healthy && w.primary {
			w.primaryFell = now
		}
		w.primary = e.healthy
	case e.kind == eventVerdict && e.role == RoleSecondary:
		w.secondary = e.healthy && c.HasSecondary
	case e.kind == eventPin && e.role == RoleNone, e.kind == eventPin && e.role == RoleSecondary && !c.HasSecondary:
	case e.kind == eventPin:
		w.pin, w.pinUntil = e.role, time.Time{}
		if e.lasting > 0 {
			w.pinUntil = now.Add(e.lasting)
		}
	case e.kind == eventUnpin:
		w.pin, w.pinUntil = RoleNone, time.Time{}
	case e.kind == eventFollow:
		w.lead = e.role
		if e.role == RoleSecondary && !c.HasSecondary {
			w.lead = RoleNone
		}
	}
}

// check holds one transition against what the specification promises.
func (w *witness) check(t *rapid.T, was, is State, e event, now time.Time, c *PointerConfig) {
	flipped := is.Target != was.Target
	if flipped && (is.Generation != was.Generation+1 || !is.Since.Equal(now)) {
		t.Fatalf("a flip to generation %d, since %v", is.Generation, is.Since)
	}
	if !flipped && (is.Generation != was.Generation || is.Since != was.Since || is.Reason != was.Reason || is.Hold != was.Hold) {
		t.Fatalf("no flip, yet generation, since, reason or hold changed")
	}
	if is.Target == RoleSecondary && !c.HasSecondary {
		t.Fatalf("target is a secondary that the group lacks")
	}
	if is.Hold < c.MinHold || is.Hold > c.MaxHold {
		t.Fatalf("hold %v is out of bounds", is.Hold)
	}
	if w.checkReason(t, was, is, c); flipped && is.Reason == ReasonPrimaryDown && was.Target == RolePrimary {
		w.relapse(c)
	}
	if is.Hold != w.hold {
		t.Fatalf("hold %v, want %v", is.Hold, w.hold)
	}

	waited := now.Sub(w.primaryBack) >= c.FailbackAfter && now.Sub(w.flipped) >= w.hold
	switch {
	case w.pin != RoleNone:
		want(t, is, w.pin, "pinned")
	case w.lead != RoleNone:
		want(t, is, w.lead, "led")
	case w.primary && !w.secondary:
		want(t, is, RolePrimary, "only the primary is healthy")
	case !w.primary && w.secondary:
		want(t, is, RoleSecondary, "only the secondary is healthy")
	case !w.primary && c.BothDown == BothDownFailOpen:
		want(t, is, RolePrimary, "both down, fail open")
	case !w.primary && c.BothDown == BothDownFailFast:
		want(t, is, RoleNone, "both down, fail fast")
	case !w.primary && !c.has(was.Target):
		want(t, is, RolePrimary, "both down, nowhere to stay")
	case !w.primary:
		want(t, is, was.Target, "both down, stay")
	case was.Target == RolePrimary:
		want(t, is, RolePrimary, "both healthy, on the primary")
	case e.kind == eventFailback:
		want(t, is, RolePrimary, "both healthy, an operator's failback")
	case c.Failback == FailbackAuto && waited:
		want(t, is, RolePrimary, "both healthy, waited")
	default:
		want(t, is, RoleSecondary, "both healthy, waiting")
	}
	if flipped {
		w.flipped, w.returned = now, true
	}
}

// relapse brings the hold up to date with a flip away from a primary that fell.
// What counts is how long the primary lasted under the pointer; one that was down
// when the pointer came says nothing, nor does the fall of a primary that the
// pointer has never left.
func (w *witness) relapse(c *PointerConfig) {
	if !w.primaryFell.After(w.flipped) {
		return
	}
	lasted := w.primaryFell.Sub(w.flipped)
	if lasted >= c.MaxHold {
		w.hold = c.MinHold // forgotten
	} else if lasted < w.hold && w.returned {
		w.hold = min(w.hold+w.hold, c.MaxHold)
	}
}

// checkReason holds the reason of a flip, and what is published of the verdicts,
// against what the witness has seen.
func (w *witness) checkReason(t *rapid.T, was, is State, c *PointerConfig) {
	if is.Primary.Down == w.primary || c.HasSecondary && is.Secondary.Down == w.secondary {
		t.Fatalf("verdicts %+v and %+v; primary healthy %t, secondary healthy %t", is.Primary, is.Secondary, w.primary, w.secondary)
	}
	since := w.primaryBack
	if is.Primary.Down {
		since = w.primaryFell
	}
	if !is.Primary.Since.Equal(since) {
		t.Fatalf("the primary's verdict is of %v, want %v", is.Primary.Since, since)
	}
	if is.Target == was.Target {
		return
	}
	honest := map[Reason]bool{
		ReasonPrimaryDown:   !w.primary && w.secondary && was.Target == RolePrimary,
		ReasonSecondaryDown: w.primary && !w.secondary && was.Target == RoleSecondary,
		ReasonBothDown:      !w.primary && !w.secondary,
		ReasonRecovered:     (w.primary || w.secondary) && was.Target == RoleNone,
		ReasonFailback:      w.primary && w.secondary && c.Failback == FailbackAuto,
		ReasonOperator:      w.primary && w.secondary,
		ReasonPin:           w.pin != RoleNone,
		ReasonFollow:        w.pin == RoleNone && w.lead != RoleNone,
	}
	if !honest[is.Reason] {
		t.Fatalf("from %v to %v for %q, which is not so", was.Target, is.Target, is.Reason)
	}
}

func want(t *rapid.T, s State, r Role, why string) {
	if s.Target != r {
		t.Fatalf("target %v, want %v: %s", s.Target, r, why)
	}
}

func TestAnySequenceOfEventsKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		keepsTheInvariants(t, restore(drawInitial(t, epoch), epoch, &c), &c, drawEvent)
	})
}

// Among all sequences few have a primary that falls, comes back and falls again
// within the hold, twice. Here most do.
func TestAnyFlappingKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		c.HasSecondary, c.Failback = true, FailbackAuto
		keepsTheInvariants(t, newState(epoch, &c), &c, func(t *rapid.T) event {
			return rapid.SampledFrom([]event{tick, up(RolePrimary), down(RolePrimary)}).Draw(t, "event")
		})
	})
}

// keepsTheInvariants plays a story that begins with s at epoch.
func keepsTheInvariants(t *rapid.T, s State, c *PointerConfig, draw func(*rapid.T) event) {
	now := epoch
	w := newWitness(s, c)
	for range rapid.IntRange(1, 60).Draw(t, "events") {
		now = now.Add(drawPause(t))
		e := draw(t)
		was := s
		w.see(e, now, c)
		s = next(s, e, now, c)
		w.check(t, was, s, e, now, c)

		if again := next(s, tick, now, c); again != s {
			t.Fatalf("the state was not settled: %+v became %+v", s, again)
		}
		if e.kind == eventVerdict {
			if again := next(s, e, now, c); again != s {
				t.Fatalf("the same verdict again made %+v of %+v", again, s)
			}
		}
	}
}

// Run relies on it: it sleeps until the deadline, and if a tick did nothing then
// it would spin.
func TestTimeAloneChangesTheStateAtTheDeadlineAndNotBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		now := epoch
		s := restore(drawInitial(t, now), now, &c)
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			now = now.Add(drawPause(t))
			s = next(s, drawEvent(t), now, &c)
			at, ok := deadline(s, &c)
			if !ok {
				if later := next(s, tick, now.Add(1000*time.Hour), &c); later != s {
					t.Fatalf("no deadline, yet %+v became %+v", s, later)
				}
				continue
			}
			if !at.After(now) {
				t.Fatalf("deadline %v is over at %v", at, now)
			}
			if before := next(s, tick, at.Add(-1), &c); before != s {
				t.Fatalf("before its deadline %+v became %+v", s, before)
			}
			if next(s, tick, at, &c) == s {
				t.Fatalf("at its deadline nothing became of %+v", s)
			}
		}
	})
}
