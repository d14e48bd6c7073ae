package failover

import "time"

// DefaultMaxHold is the MaxHold of a PointerConfig that leaves it out.
const DefaultMaxHold = 15 * time.Minute

// Failback says who brings the pointer back to a primary that is healthy again
// while the secondary is healthy too. The zero value is FailbackAuto.
type Failback uint8

const (
	FailbackAuto   Failback = iota // "auto": the pointer returns by itself
	FailbackManual                 // "manual": an operator calls Group.Failback
)

var failbackNames = [...]string{FailbackAuto: "auto", FailbackManual: "manual"}

// String returns the word of the configuration: "auto" or "manual".
func (f Failback) String() string { return nameOf(failbackNames[:], f) }

// ParseFailback returns the Failback of that name, the reverse of String.
func ParseFailback(s string) (Failback, error) {
	return parseName[Failback]("failback", failbackNames[:], s)
}

// BothDown says where the pointer is while no origin is healthy. The zero value
// is BothDownFailOpen.
type BothDown uint8

const (
	BothDownFailOpen BothDown = iota // "fail_open": on the primary, requests are still tried
	BothDownStay                     // "stay": where it was
	BothDownFailFast                 // "fail_fast": on RoleNone, requests get 503 at once
)

var bothDownNames = [...]string{
	BothDownFailOpen: "fail_open",
	BothDownStay:     "stay",
	BothDownFailFast: "fail_fast",
}

// String returns the word of the configuration: "fail_open", "stay" or "fail_fast".
func (b BothDown) String() string { return nameOf(bothDownNames[:], b) }

// ParseBothDown returns the BothDown of that name, the reverse of String.
func ParseBothDown(s string) (BothDown, error) {
	return parseName[BothDown]("both_down", bothDownNames[:], s)
}

// PointerConfig says how a pointer moves. The zero value is a group of one origin.
type PointerConfig struct {
	// HasSecondary says that there is a second origin. Without one, the group
	// behaves as if its secondary were always down.
	HasSecondary bool

	Failback Failback
	BothDown BothDown

	// FailbackAfter is how long the primary must have been healthy without a
	// break, counted from its recovery, before an automatic failback. 0 or less:
	// no such wait.
	FailbackAfter time.Duration

	// MinHold is how long the pointer stays on the secondary at least, counted
	// from the flip, before an automatic failback. 0 or less: no such wait.
	//
	// It grows when the primary flaps. If the primary falls sooner after the
	// pointer came back to it than the hold in force, the hold doubles, up to
	// MaxHold. If the primary lasts for MaxHold, the hold is MinHold again. In
	// between it stays as it is.
	MinHold time.Duration

	// MaxHold bounds the doubling. 0 or less means DefaultMaxHold; a MaxHold
	// below MinHold means MinHold.
	MaxHold time.Duration
}

// withDefaults returns c with the meaning of zero and negative values filled in.
func (c PointerConfig) withDefaults() PointerConfig {
	c.FailbackAfter = max(c.FailbackAfter, 0)
	c.MinHold = max(c.MinHold, 0)
	if c.MaxHold <= 0 {
		c.MaxHold = DefaultMaxHold
	}
	c.MaxHold = max(c.MaxHold, c.MinHold)
	return c
}

// eventKind is what can happen to a pointer.
type eventKind uint8

const (
	eventTick     eventKind = iota // time has passed, nothing else
	eventVerdict                   // role is healthy, or down
	eventFailback                  // an operator wants the primary back now
	eventPin                       // an operator fixes the target to role, for some time
	eventUnpin                     // and lets it go
	eventFollow                    // another group's pointer is at role, or, RoleNone, can't be followed now
)

// event is one input of the machine.
type event struct {
	kind    eventKind
	role    Role          // eventVerdict, eventPin, eventFollow
	healthy bool          // eventVerdict
	lasting time.Duration // eventPin; 0 or less: until eventUnpin
	seen    uint64        // the generation that the asker has seen; 0: any. Group compares it, next doesn't
}

// next is the pointer: the state after e at time now. It is pure, total and
// knows no clock.
//
// An event first changes what is known (verdicts, the pin, the lead); a pin whose
// time is over is dropped whatever the event is. Then the target is chosen by this
// table, from the first row that fits. P and S say whether primary and secondary
// are healthy; a missing secondary is not. Led: another group's pointer is followed
// and is at r.
//
//	target     pinned  led   P    S    and                     → target      reason
//	---------  ------  ----  ---  ---  ----------------------  ------------  --------------
//	any        to r    any   any  any                          r             pin
//	any        no      to r  any  any                          r             follow
//	any        no      no    no   no   fail_open               primary       both_down
//	any        no      no    no   no   stay, nowhere           primary       both_down
//	any        no      no    no   no   stay                    the same      -
//	any        no      no    no   no   fail_fast               none          both_down
//	secondary  no      no    yes  no                           primary       secondary_down
//	none       no      no    yes  no                           primary       recovered
//	primary    no      no    no   yes                          secondary     primary_down
//	none       no      no    no   yes                          secondary     recovered
//	secondary  no      no    yes  yes  an operator's failback  primary       operator
//	secondary  no      no    yes  yes  auto, waits over        primary       failback
//	none       no      no    yes  yes                          primary       recovered
//	any        no      no    any  any                          the same      -
//
// "Stay, nowhere": the target is no origin of the group, so that there is nothing
// to stay at. It is none, or a secondary that a new configuration took away.
// "Waits over": FailbackAfter since the primary's recovery and Hold since the
// flip. A verdict that repeats the last one changes nothing, so it doesn't break
// the primary's health. The secondary's fall overrides all waits and a manual
// failback: a healthy primary beats a dead secondary. An operator's failback
// does nothing while the primary is down or the pointer is pinned or led, and is
// not remembered.
//
// Generation, Since and Reason change when the target does and only then; Hold
// changes only on a flip by primary_down, see nextHold.
func next(s State, e event, now time.Time, c *PointerConfig) State {
	s = learn(s, e, now, c)
	target, reason := choose(s, e, now, c)
	if target == s.Target {
		return s
	}
	if s.Target == RolePrimary && reason == ReasonPrimaryDown {
		s.Hold = nextHold(s, c)
	}
	s.Target = target
	s.Generation++
	s.Since = now
	s.Reason = reason
	return s
}

// learn returns s with what e says about the origins and the pin.
func learn(s State, e event, now time.Time, c *PointerConfig) State {
	if !s.PinUntil.IsZero() && !now.Before(s.PinUntil) {
		s.Pin, s.PinUntil = RoleNone, time.Time{}
	}
	switch e.kind {
	case eventVerdict:
		v := Verdict{Down: !e.healthy, Since: now}
		if e.role == RolePrimary && s.Primary.Down != v.Down {
			s.Primary = v
		}
		if e.role == RoleSecondary && s.Secondary.Down != v.Down && c.HasSecondary {
			s.Secondary = v
		}
	case eventPin:
		if !c.has(e.role) {
			break
		}
		s.Pin, s.PinUntil = e.role, time.Time{}
		if e.lasting > 0 {
			s.PinUntil = now.Add(e.lasting)
		}
	case eventUnpin:
		s.Pin, s.PinUntil = RoleNone, time.Time{}
	case eventFollow:
		s.Lead = e.role
		if !c.has(e.role) {
			s.Lead = RoleNone
		}
	}
	return s
}

// has reports whether the group has an origin in role r.
func (c *PointerConfig) has(r Role) bool {
	return r == RolePrimary || r == RoleSecondary && c.HasSecondary
}

// choose returns the target by next's table. The reason means nothing if the
// target stays.
func choose(s State, e event, now time.Time, c *PointerConfig) (Role, Reason) {
	if s.Pin != RoleNone {
		return s.Pin, ReasonPin
	}
	if s.Lead != RoleNone {
		return s.Lead, ReasonFollow
	}
	primary := !s.Primary.Down
	secondary := !s.Secondary.Down && c.HasSecondary
	switch {
	case !primary && !secondary:
		return chooseBothDown(s.Target, c), ReasonBothDown
	case s.Target == RoleNone && primary:
		return RolePrimary, ReasonRecovered
	case s.Target == RoleNone:
		return RoleSecondary, ReasonRecovered
	case !secondary:
		return RolePrimary, ReasonSecondaryDown
	case !primary:
		return RoleSecondary, ReasonPrimaryDown
	case s.Target == RoleSecondary && e.kind == eventFailback:
		return RolePrimary, ReasonOperator
	case s.Target == RoleSecondary && failbackDue(s, now, c):
		return RolePrimary, ReasonFailback
	}
	return s.Target, s.Reason
}

func chooseBothDown(target Role, c *PointerConfig) Role {
	switch c.BothDown {
	case BothDownStay:
		if !c.has(target) {
			return RolePrimary
		}
		return target
	case BothDownFailFast:
		return RoleNone
	}
	return RolePrimary
}

// failbackDue reports whether both waits for an automatic failback are over.
func failbackDue(s State, now time.Time, c *PointerConfig) bool {
	return c.Failback == FailbackAuto && !now.Before(failbackAt(s, c))
}

// failbackAt returns when both waits are over, if nothing happens until then.
func failbackAt(s State, c *PointerConfig) time.Time {
	healthy := s.Primary.Since.Add(c.FailbackAfter)
	held := s.Since.Add(s.Hold)
	if held.After(healthy) {
		return held
	}
	return healthy
}

// nextHold returns the hold of a flip away from a primary that fell. It looks at
// how long the primary lasted: from when the pointer came to it until it fell.
//
// That time is not positive if the pointer came to a primary that was down
// already, because both were down or by a pin: that tells nothing about
// flapping. Nor does a fall soon after the start, which was no return.
func nextHold(s State, c *PointerConfig) time.Duration {
	lasted := s.Primary.Since.Sub(s.Since)
	switch {
	case lasted >= c.MaxHold:
		return c.MinHold
	case lasted > 0 && lasted < s.Hold && s.Reason != ReasonStart:
		return min(2*s.Hold, c.MaxHold)
	}
	return s.Hold
}

// deadline returns when time alone may change s: when a tick before it does
// nothing and a tick at it does something. ok is false if there is no such time.
func deadline(s State, c *PointerConfig) (at time.Time, ok bool) {
	if s.Pin != RoleNone {
		return s.PinUntil, !s.PinUntil.IsZero()
	}
	if s.Lead != RoleNone {
		return time.Time{}, false
	}
	healthy := !s.Primary.Down && !s.Secondary.Down && c.HasSecondary
	if s.Target == RoleSecondary && healthy && c.Failback == FailbackAuto {
		return failbackAt(s, c), true
	}
	return time.Time{}, false
}
