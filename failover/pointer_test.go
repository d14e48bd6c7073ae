package failover

import (
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// shopPointer has the defaults of the configuration.
var shopPointer = PointerConfig{
	HasSecondary:  true,
	FailbackAfter: 30 * time.Second,
	MinHold:       time.Minute,
	MaxHold:       15 * time.Minute,
}

func up(r Role) event { return event{kind: eventVerdict, role: r, healthy: true} }

func down(r Role) event { return event{kind: eventVerdict, role: r} }

func pin(r Role, lasting time.Duration) event {
	return event{kind: eventPin, role: r, lasting: lasting}
}

var (
	tick     = event{kind: eventTick}
	failback = event{kind: eventFailback}
	unpin    = event{kind: eventUnpin}
)

func follow(r Role) event { return event{kind: eventFollow, role: r} }

// step is an event at some time after the start, and the state it leads to.
type step struct {
	at         time.Duration
	give       event
	want       Role
	wantReason Reason
	wantGen    uint64
}

func play(t *testing.T, c PointerConfig, steps []step) State {
	t.Helper()
	c = c.withDefaults()
	s := newState(epoch, &c)
	for i, st := range steps {
		s = next(s, st.give, epoch.Add(st.at), &c)
		if s.Target != st.want || s.Reason != st.wantReason || s.Generation != st.wantGen {
			t.Errorf("step %d at %v: %v, %v, generation %d; want %v, %v, %d", i, st.at,
				s.Target, s.Reason, s.Generation, st.want, st.wantReason, st.wantGen)
		}
	}
	return s
}

func TestPointer(t *testing.T) {
	const (
		p, s, none  = RolePrimary, RoleSecondary, RoleNone
		sec, minute = time.Second, time.Minute
	)
	with := func(set func(*PointerConfig)) PointerConfig {
		c := shopPointer
		set(&c)
		return c
	}
	manual := with(func(c *PointerConfig) { c.Failback = FailbackManual })
	stay := with(func(c *PointerConfig) { c.BothDown = BothDownStay })
	failFast := with(func(c *PointerConfig) { c.BothDown = BothDownFailFast })
	alone := with(func(c *PointerConfig) { c.HasSecondary = false })
	aloneFast := with(func(c *PointerConfig) { c.HasSecondary, c.BothDown = false, BothDownFailFast })

	tests := []struct {
		name  string
		cfg   PointerConfig
		steps []step
	}{
		{"a short outage: the hold since the flip decides the failback", shopPointer, []step{
			{10 * sec, down(p), s, ReasonPrimaryDown, 2},
			{20 * sec, up(p), s, ReasonPrimaryDown, 2},
			{70*sec - 1, tick, s, ReasonPrimaryDown, 2},
			{70 * sec, tick, p, ReasonFailback, 3},
		}},
		{"a long outage: the health since the recovery decides", shopPointer, []step{
			{10 * sec, down(p), s, ReasonPrimaryDown, 2},
			{10 * minute, up(p), s, ReasonPrimaryDown, 2},
			{10*minute + 30*sec - 1, tick, s, ReasonPrimaryDown, 2},
			{10*minute + 30*sec, tick, p, ReasonFailback, 3},
		}},
		{"a relapse starts the health anew, a repeated verdict does not", shopPointer, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{100 * sec, up(p), s, ReasonPrimaryDown, 2},
			{120 * sec, down(p), s, ReasonPrimaryDown, 2},
			{121 * sec, up(p), s, ReasonPrimaryDown, 2},
			{140 * sec, up(p), s, ReasonPrimaryDown, 2},
			{150 * sec, up(p), s, ReasonPrimaryDown, 2},
			{151 * sec, up(p), p, ReasonFailback, 3},
		}},
		{"the secondary's fall returns the pointer within the hold", shopPointer, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{5 * sec, up(p), s, ReasonPrimaryDown, 2},
			{6 * sec, down(s), p, ReasonSecondaryDown, 3},
			{7 * sec, up(s), p, ReasonSecondaryDown, 3},
		}},
		{"the secondary's fall while it is not the target moves nothing", shopPointer, []step{
			{0, down(s), p, ReasonStart, 1},
			{5 * sec, up(s), p, ReasonStart, 1},
		}},
		{"fail open: to the primary, and to whoever recovers first", shopPointer, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{5 * sec, down(s), p, ReasonBothDown, 3},
			{6 * sec, up(s), s, ReasonPrimaryDown, 4},
			{7 * sec, down(s), p, ReasonBothDown, 5},
			{8 * sec, up(p), p, ReasonBothDown, 5},
		}},
		{"fail open: a primary that falls last stays", shopPointer, []step{
			{0, down(s), p, ReasonStart, 1},
			{1 * sec, down(p), p, ReasonStart, 1},
			{2 * sec, up(s), s, ReasonPrimaryDown, 2},
		}},
		{"stay: on the secondary, until only the primary is healthy", stay, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{5 * sec, down(s), s, ReasonPrimaryDown, 2},
			{6 * sec, up(p), p, ReasonSecondaryDown, 3},
		}},
		{"stay: on the secondary, which recovers", stay, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{5 * sec, down(s), s, ReasonPrimaryDown, 2},
			{6 * sec, up(s), s, ReasonPrimaryDown, 2},
			{7 * sec, up(p), s, ReasonPrimaryDown, 2},
			{60 * sec, tick, p, ReasonFailback, 3},
		}},
		{"fail fast: nowhere, then the secondary, then home", failFast, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{5 * sec, down(s), none, ReasonBothDown, 3},
			{6 * sec, up(s), s, ReasonRecovered, 4},
			{7 * sec, up(p), s, ReasonRecovered, 4},
			{66 * sec, tick, p, ReasonFailback, 5},
		}},
		{"fail fast: nowhere, then the primary", failFast, []step{
			{0, down(s), p, ReasonStart, 1},
			{5 * sec, down(p), none, ReasonBothDown, 2},
			{6 * sec, up(p), p, ReasonRecovered, 3},
		}},
		{"one origin: there is nowhere to go", alone, []step{
			{0, down(p), p, ReasonStart, 1},
			{1 * sec, up(s), p, ReasonStart, 1},
			{2 * sec, pin(s, 0), p, ReasonStart, 1},
			{3 * sec, up(p), p, ReasonStart, 1},
		}},
		{"one origin, fail fast", aloneFast, []step{
			{0, down(p), none, ReasonBothDown, 2},
			{1 * sec, up(p), p, ReasonRecovered, 3},
		}},
		{"manual: home only by hand", manual, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{1 * sec, failback, s, ReasonPrimaryDown, 2},
			{2 * sec, up(p), s, ReasonPrimaryDown, 2},
			{24 * time.Hour, tick, s, ReasonPrimaryDown, 2},
			{24*time.Hour + sec, failback, p, ReasonOperator, 3},
		}},
		{"manual: a dead secondary is left all the same", manual, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{2 * sec, up(p), s, ReasonPrimaryDown, 2},
			{3 * sec, down(s), p, ReasonSecondaryDown, 3},
		}},
		{"an operator's failback overrides the waits", shopPointer, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{1 * sec, up(p), s, ReasonPrimaryDown, 2},
			{2 * sec, failback, p, ReasonOperator, 3},
			{3 * sec, failback, p, ReasonOperator, 3},
		}},
		{"a pin beats health, a failback and the waits, until its time is over", shopPointer, []step{
			{0, pin(s, 5*minute), s, ReasonPin, 2},
			{1 * sec, down(s), s, ReasonPin, 2},
			{2 * sec, up(s), s, ReasonPin, 2},
			{2 * minute, failback, s, ReasonPin, 2},
			{5*minute - 1, tick, s, ReasonPin, 2},
			{5 * minute, tick, p, ReasonFailback, 3},
		}},
		{"the end of a pin is seen by any event", shopPointer, []step{
			{0, pin(s, 5*minute), s, ReasonPin, 2},
			{6 * minute, down(s), p, ReasonSecondaryDown, 3},
		}},
		{"after a pin the hold since the flip still counts", shopPointer, []step{
			{0, pin(s, 0), s, ReasonPin, 2},
			{1 * sec, unpin, s, ReasonPin, 2},
			{60*sec - 1, tick, s, ReasonPin, 2},
			{60 * sec, tick, p, ReasonFailback, 3},
		}},
		{"a primary that is down is left when its pin ends", shopPointer, []step{
			{0, pin(p, 0), p, ReasonStart, 1},
			{1 * sec, down(p), p, ReasonStart, 1},
			{2 * sec, unpin, s, ReasonPrimaryDown, 2},
		}},
		{"a pin replaces a pin, and its end", shopPointer, []step{
			{0, pin(s, 5*minute), s, ReasonPin, 2},
			{1 * sec, pin(p, 0), p, ReasonPin, 3},
			{10 * minute, down(p), p, ReasonPin, 3},
		}},
		{"a pin to nowhere is refused", failFast, []step{
			{0, pin(none, 0), p, ReasonStart, 1},
			{1 * sec, unpin, p, ReasonStart, 1},
		}},
		{"a pin out of fail fast", failFast, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{1 * sec, down(s), none, ReasonBothDown, 3},
			{2 * sec, pin(s, 0), s, ReasonPin, 4},
			{3 * sec, unpin, none, ReasonBothDown, 5},
		}},
		{"a followed pointer leads, healthy or not, and its loss leaves the verdicts and the waits", shopPointer, []step{
			{0, follow(s), s, ReasonFollow, 2},
			{1 * sec, down(s), s, ReasonFollow, 2},
			{2 * sec, failback, s, ReasonFollow, 2},
			{2 * minute, up(s), s, ReasonFollow, 2},
			{3 * minute, follow(p), p, ReasonFollow, 3},
			{4 * minute, follow(s), s, ReasonFollow, 4},
			{4*minute + sec, follow(none), s, ReasonFollow, 4},
			{5*minute - 1, tick, s, ReasonFollow, 4},
			{5 * minute, tick, p, ReasonFailback, 5},
		}},
		{"what was down is left when there is nothing to follow any more", shopPointer, []step{
			{0, follow(p), p, ReasonStart, 1},
			{1 * sec, down(p), p, ReasonStart, 1},
			{2 * sec, follow(none), s, ReasonPrimaryDown, 2},
		}},
		{"a pin outranks what is followed", shopPointer, []step{
			{0, follow(s), s, ReasonFollow, 2},
			{1 * sec, pin(p, 0), p, ReasonPin, 3},
			{2 * sec, follow(p), p, ReasonPin, 3},
			{3 * sec, follow(s), p, ReasonPin, 3},
			{4 * sec, unpin, s, ReasonFollow, 4},
		}},
		{"one origin: a secondary can't be followed", alone, []step{
			{0, follow(s), p, ReasonStart, 1},
		}},
		{"no waits configured: home with the verdict", PointerConfig{HasSecondary: true}, []step{
			{0, down(p), s, ReasonPrimaryDown, 2},
			{0, up(p), p, ReasonFailback, 3},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { play(t, tt.cfg, tt.steps) })
	}
}

// TestHold gives, for one outage after the other, how long the primary lasted
// once the pointer was back on it, and the hold of the flip that followed.
func TestHold(t *testing.T) {
	type outage struct{ lasted, want time.Duration }
	const minute = time.Minute
	tests := []struct {
		name    string
		cfg     PointerConfig
		outages []outage
	}{
		{"the first fall is no flapping, however soon", shopPointer,
			[]outage{{time.Second, minute}}},
		{"doubles up to the maximum", shopPointer,
			[]outage{{0, minute}, {minute - 1, 2 * minute}, {1, 4 * minute}, {minute, 8 * minute}, {minute, 15 * minute}, {minute, 15 * minute}}},
		{"stays when the primary lasts as long as the hold", shopPointer,
			[]outage{{0, minute}, {30 * time.Second, 2 * minute}, {2 * minute, 2 * minute}, {15*minute - 1, 2 * minute}}},
		{"starts anew when the primary lasts for the maximum", shopPointer,
			[]outage{{0, minute}, {1, 2 * minute}, {1, 4 * minute}, {15 * minute, minute}, {1, 2 * minute}}},
		{"a maximum left out is 15 minutes", PointerConfig{HasSecondary: true, MinHold: 10 * minute},
			[]outage{{0, 10 * minute}, {1, 15 * minute}}},
		{"a maximum below the minimum is the minimum", PointerConfig{HasSecondary: true, MinHold: minute, MaxHold: 1},
			[]outage{{0, minute}, {1, minute}}},
		{"no hold stays none", PointerConfig{HasSecondary: true},
			[]outage{{0, 0}, {1, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.cfg.withDefaults()
			now := epoch
			s := newState(now, &c)
			for i, o := range tt.outages {
				now = now.Add(o.lasted)
				s = next(s, down(RolePrimary), now, &c)
				if s.Target != RoleSecondary || s.Hold != o.want {
					t.Fatalf("outage %d: on %v with hold %v, want the secondary with %v", i, s.Target, s.Hold, o.want)
				}
				s = next(s, up(RolePrimary), now, &c)
				if at, ok := deadline(s, &c); ok {
					now = at
				}
				s = next(s, tick, now, &c)
				if s.Target != RolePrimary {
					t.Fatalf("outage %d: not back after %v", i, s.Hold)
				}
			}
		})
	}
}

// The pointer goes to and fro while the primary is down all the time: that says
// something about the secondary, nothing about the primary.
func TestAFlappingSecondaryDoesNotLengthenTheHold(t *testing.T) {
	const p, s, sec = RolePrimary, RoleSecondary, time.Second
	got := play(t, shopPointer, []step{
		{10 * sec, down(p), s, ReasonPrimaryDown, 2},
		{20 * sec, up(p), s, ReasonPrimaryDown, 2},
		{70 * sec, tick, p, ReasonFailback, 3},
		{75 * sec, down(p), s, ReasonPrimaryDown, 4}, // flapping: two minutes
		{75 * sec, down(s), p, ReasonBothDown, 5},    // in the same instant
		{77 * sec, up(s), s, ReasonPrimaryDown, 6},
		{78 * sec, down(s), p, ReasonBothDown, 7},
		{79 * sec, up(s), s, ReasonPrimaryDown, 8},
	})
	if want := 2 * time.Minute; got.Hold != want {
		t.Errorf("hold %v, want %v", got.Hold, want)
	}
}

// What counts is how long the primary lasted, not how long the pointer had to
// wait for a secondary that it could go to.
func TestWaitingForASecondaryIsNoCalmTime(t *testing.T) {
	const p, s, sec = RolePrimary, RoleSecondary, time.Second
	got := play(t, shopPointer, []step{
		{10 * sec, down(p), s, ReasonPrimaryDown, 2},
		{20 * sec, up(p), s, ReasonPrimaryDown, 2},
		{70 * sec, tick, p, ReasonFailback, 3},
		{71 * sec, down(s), p, ReasonFailback, 3},
		{75 * sec, down(p), p, ReasonFailback, 3},
		{time.Hour, up(s), s, ReasonPrimaryDown, 4},
	})
	if want := 2 * time.Minute; got.Hold != want {
		t.Errorf("hold %v, want %v", got.Hold, want)
	}
}

func TestAVerdictKeepsTheTimeOfItsChange(t *testing.T) {
	alone := shopPointer
	alone.HasSecondary = false
	const p, s = RolePrimary, RoleSecondary

	tests := []struct {
		name                       string
		cfg                        PointerConfig
		events                     []event // one a second
		wantPrimary, wantSecondary Verdict
	}{
		{"healthy from the start", shopPointer, []event{up(p), up(s)},
			Verdict{Since: epoch}, Verdict{Since: epoch}},
		{"down, and down again", shopPointer, []event{down(p), down(s), down(p), down(s)},
			Verdict{Down: true, Since: epoch.Add(1 * time.Second)}, Verdict{Down: true, Since: epoch.Add(2 * time.Second)}},
		{"recovered", shopPointer, []event{down(p), down(s), up(p), up(s), up(p), up(s)},
			Verdict{Since: epoch.Add(3 * time.Second)}, Verdict{Since: epoch.Add(4 * time.Second)}},
		{"nothing is known of a secondary that is not there", alone, []event{down(s)},
			Verdict{Since: epoch}, Verdict{Since: epoch}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := newState(epoch, &tt.cfg)
			for i, e := range tt.events {
				got = next(got, e, epoch.Add(time.Duration(i+1)*time.Second), &tt.cfg)
			}
			if got.Primary != tt.wantPrimary || got.Secondary != tt.wantSecondary {
				t.Errorf("primary %+v, secondary %+v; want %+v, %+v", got.Primary, got.Secondary, tt.wantPrimary, tt.wantSecondary)
			}
		})
	}
}
