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
}

// newWitness makes a witness that comes in on s.
func newWitness(s State, c *PointerConfig) witness {
	return witness{
		primary: !s.Primary.Down, secondary: !s.Secondary.Down && c.HasSecondary,
		primaryBack: s.Primary.Since, flipped: s.Since, pin: s.Pin, lead: s.Lead, pinUntil: s.PinUntil,
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

	waited := now.Sub(w.primaryBack) >= c.FailbackAfter && now.Sub(w.flipped) >= was.Hold
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
		w.flipped = now
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
		now := epoch
		s := restore(drawInitial(t, now), now, &c)
		w := newWitness(s, &c)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(drawPause(t))
			e := drawEvent(t)
			was := s
			w.see(e, now, &c)
			s = next(s, e, now, &c)
			w.check(t, was, s, e, now, &c)

			if again := next(s, tick, now, &c); again != s {
				t.Fatalf("the state was not settled: %+v became %+v", s, again)
			}
			if e.kind == eventVerdict {
				if again := next(s, e, now, &c); again != s {
					t.Fatalf("the same verdict again made %+v of %+v", again, s)
				}
			}
		}
	})
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
