package failover

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// drawInitial returns any State: mostly one that a pointer could have, but with
// fields that are out of place, out of range or out of date.
func drawInitial(t *rapid.T, now time.Time) State {
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return rapid.SampledFrom([]time.Time{
			{}, time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64/2, 0), now, now.Add(1), now.Add(-1),
			now.Add(time.Minute), now.Add(-time.Minute), now.Add(-10 * time.Second), now.Add(1000 * time.Hour), now.Add(-1000 * time.Hour),
		}).Draw(t, "at")
	})
	role := rapid.SampledFrom([]Role{RoleNone, RolePrimary, RoleSecondary, RoleSecondary, 3, 255})
	verdict := rapid.Custom(func(t *rapid.T) Verdict {
		return Verdict{Down: rapid.Bool().Draw(t, "down"), Since: at.Draw(t, "since")}
	})
	return State{
		Target:     role.Draw(t, "initial target"),
		Generation: rapid.SampledFrom([]uint64{0, 1, 7, 7, 7, math.MaxUint64}).Draw(t, "initial generation"),
		Since:      at.Draw(t, "initial since"),
		Reason:     Reason(rapid.Uint8Range(0, uint8(len(reasonNames))).Draw(t, "initial reason")),
		Primary:    verdict.Draw(t, "initial primary"),
		Secondary:  verdict.Draw(t, "initial secondary"),
		Hold: rapid.SampledFrom([]time.Duration{0, 1, -time.Minute, time.Minute, 4 * time.Minute,
			time.Hour, math.MinInt64, math.MaxInt64}).Draw(t, "initial hold"),
		Pin:      role.Draw(t, "initial pin"),
		PinUntil: at.Draw(t, "initial pin until"),
		Lead:     role.Draw(t, "initial lead"),
	}
}

// wantSound holds a State that nobody has seen arise against what every published
// State promises.
func wantSound(t *rapid.T, s State, now time.Time, c *PointerConfig) {
	if !c.has(s.Target) && (s.Target != RoleNone || c.BothDown != BothDownFailFast || !s.Primary.Down) {
		t.Fatalf("target %v", s.Target)
	}
	if s.Generation == 0 || s.Generation+1 == 0 {
		t.Fatalf("generation %d", s.Generation)
	}
	if s.Hold < c.MinHold || s.Hold > c.MaxHold {
		t.Fatalf("hold %v is out of bounds", s.Hold)
	}
	for _, at := range []time.Time{s.Since, s.Primary.Since, s.Secondary.Since} {
		if at.IsZero() || at.After(now) {
			t.Fatalf("a change at %v, now is %v", at, now)
		}
	}
	if s.Pin != RoleNone && !c.has(s.Pin) || s.Pin == RoleNone && !s.PinUntil.IsZero() {
		t.Fatalf("pinned to %v until %v", s.Pin, s.PinUntil)
	}
	if !s.PinUntil.IsZero() && !s.PinUntil.After(now) {
		t.Fatalf("a pin that ended at %v, now is %v", s.PinUntil, now)
	}
	if s.Lead != RoleNone && !c.has(s.Lead) || s.Secondary.Down && !c.HasSecondary {
		t.Fatalf("a lead or a verdict of an origin that the group lacks: %+v", s)
	}
	if int(s.Reason) >= len(reasonNames) {
		t.Fatalf("reason %v", s.Reason)
	}
	if settled := next(s, tick, now, c); settled != s {
		t.Fatalf("not settled: %+v became %+v", s, settled)
	}
}

// The tests of any sequence of events begin in such states too.
func TestAnyStateIsRepairedIntoASoundOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		given := drawInitial(t, epoch)
		s := restore(given, epoch, &c)
		wantSound(t, s, epoch, &c)
		if given.Generation != 0 && c.has(given.Lead) && s.Lead != given.Lead {
			t.Fatalf("the lead %v was restored as %v", given.Lead, s.Lead)
		}
		if given.Generation == 0 && s != newState(epoch, &c) {
			t.Fatalf("a group without a past begins as %+v", s)
		}
		if given.Generation != 0 && s.Generation != min(given.Generation, maxGeneration) && s.Since != epoch {
			t.Fatalf("generation %d became %d without a flip", given.Generation, s.Generation)
		}
	})
}

func TestASoundStateIsRestoredAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		now := epoch
		s := newState(now, &c)
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			now = now.Add(drawPause(t))
			s = next(s, drawEvent(t), now, &c)
			if got := restore(s, now, &c); got != s {
				t.Fatalf("%+v was restored as %+v", s, got)
			}
		}
	})
}

func TestReconfiguringKeepsTheStateAndTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		now := epoch
		s := restore(drawInitial(t, now), now, &c)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(drawPause(t))
			if rapid.Float64Range(0, 1).Draw(t, "which") < 0.7 {
				s = next(s, drawEvent(t), now, &c)
				wantSound(t, s, now, &c)
				continue
			}
			was, old := next(s, tick, now, &c), c
			c = drawConfig(t)
			s = next(refit(was, now, &old, &c), tick, now, &c)
			wantSound(t, s, now, &c)
			wantKept(t, was, s, now, &old, &c)
		}
	})
}

// wantKept holds a State after a change of the configuration against the one before.
func wantKept(t *rapid.T, was, is State, now time.Time, old, c *PointerConfig) {
	flipped := is.Target != was.Target
	if flipped && (is.Generation != was.Generation+1 || is.Since != now) {
		t.Fatalf("a flip to generation %d, since %v", is.Generation, is.Since)
	}
	if !flipped && (is.Generation != was.Generation || is.Since != was.Since || is.Reason != was.Reason) {
		t.Fatalf("no flip, yet %+v became %+v", was, is)
	}
	if is.Primary != was.Primary || c.HasSecondary && is.Secondary != was.Secondary {
		t.Fatalf("a verdict changed: %+v became %+v", was, is)
	}
	if c.has(was.Pin) && (is.Pin != was.Pin || is.PinUntil != was.PinUntil) || c.has(was.Lead) && is.Lead != was.Lead {
		t.Fatalf("a pin or lead was lost: %+v became %+v", was, is)
	}
	fits := was.Hold >= c.MinHold && was.Hold <= c.MaxHold
	doubles := flipped && is.Reason == ReasonPrimaryDown
	if fits && was.Hold != old.MinHold && !doubles && is.Hold != was.Hold {
		t.Fatalf("hold %v became %v", was.Hold, is.Hold)
	}
	if was.Hold == old.MinHold && !doubles && is.Hold != c.MinHold {
		t.Fatalf("the least hold %v became %v", was.Hold, is.Hold)
	}
	if *old == *c && is != was {
		t.Fatalf("nothing was configured anew, yet %+v became %+v", was, is)
	}
}

// restored makes a group of the shop that begins in s.
func restored(s State, onChange func()) *Group {
	return NewGroup(GroupConfig{Name: "shop", PointerConfig: shopPointer, Initial: s, OnChange: onChange})
}

// successor makes a group that goes on where g is now, and runs it.
func successor(t *testing.T, g *Group) *Group {
	t.Helper()
	next := restored(*g.Pointer(), nil)
	run(t, next)
	return next
}

// relapsed lets the primary fall and come back at once, so that a failback is due
// when the waits are over.
func relapsed(g *Group) {
	g.Verdict(RolePrimary, false)
	g.Verdict(RolePrimary, true)
}

func TestAGroupGoesOnWhereAnotherOneStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := shopGroup(nil)
		pass(time.Minute)
		first.Verdict(RolePrimary, false)
		pass(20 * time.Second)
		first.Verdict(RolePrimary, true) // due 60s after the flip
		pass(10 * time.Second)           // nobody runs
		second := successor(t, first)
		wantPointer(t, second, RoleSecondary, ReasonPrimaryDown, 2)
		wantFailbackAfter(t, second, ReasonPrimaryDown, 30*time.Second)
	})
}

func TestARestoredPinEndsWhenItWasMeantTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := shopGroup(nil)
		if err := first.Pin(RoleSecondary, time.Minute); err != nil {
			t.Fatal(err)
		}
		pass(50 * time.Second)
		second := successor(t, first)
		pass(10*time.Second - 1)
		if second.Pointer().Pin != RoleSecondary {
			t.Error("the pin was lost")
		}
		pass(1)
		if s := second.Pointer(); s.Pin != RoleNone || s.Target != RolePrimary {
			t.Errorf("after the pin's end: %+v", s)
		}

		late := restored(*first.Pointer(), nil)
		if s := late.Pointer(); s.Pin != RoleNone || s.Target != RolePrimary || s.Generation != 3 {
			t.Errorf("a pin that ended while nobody ran: %+v", s)
		}
	})
}

func TestARestoredLeadHoldsUntilItIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := shopGroup(nil)
		first.Follow(RoleSecondary)
		pass(time.Hour) // all waits are over
		second := successor(t, first)
		second.Verdict(RoleSecondary, false)
		pass(time.Hour)
		wantPointer(t, second, RoleSecondary, ReasonFollow, 2)
		second.Verdict(RoleSecondary, true)
		second.Follow(RoleSecondary) // heard of again
		wantPointer(t, second, RoleSecondary, ReasonFollow, 2)
		second.Follow(RoleNone)
		wantPointer(t, second, RolePrimary, ReasonFailback, 3)
	})
}

// A lead that was let go is none, and the waits for the failback go on.
func TestALeadThatWasLetGoIsNotRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := shopGroup(nil)
		first.Follow(RoleSecondary)
		first.Follow(RoleNone)
		pass(20 * time.Second)
		second := successor(t, first)
		wantFailbackAfter(t, second, ReasonFollow, 40*time.Second)
	})
}

func TestRunNoticesThatAWaitBecameShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flips atomic.Int64
		g := shopGroup(func(_, _ State) { flips.Add(1) })
		run(t, g)
		relapsed(g) // due in 60s
		pass(5 * time.Second)
		c := shopPointer
		c.FailbackAfter, c.MinHold = 7*time.Second, 10*time.Second
		g.Reconfigure(c)
		wantFailbackAfter(t, g, ReasonPrimaryDown, 5*time.Second)
		if flips.Load() != 2 {
			t.Errorf("%d flips were told, want 2", flips.Load())
		}
	})
}

// The state is the same before and after: only the deadline is another one.
func TestRunNoticesThatFailbackIsNoLongerManual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := shopPointer
		c.Failback = FailbackManual
		g := NewGroup(GroupConfig{Name: "shop", PointerConfig: c})
		run(t, g)
		relapsed(g)
		pass(30 * time.Second)
		g.Reconfigure(shopPointer)
		wantFailbackAfter(t, g, ReasonPrimaryDown, 30*time.Second)
	})
}

func TestWaitsThatAreOverByANewConfigurationEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shopGroup(nil)
		relapsed(g)
		pass(5 * time.Second)
		c := shopPointer
		c.FailbackAfter, c.MinHold = time.Second, 0
		g.Reconfigure(c)
		wantPointer(t, g, RolePrimary, ReasonFailback, 3)
	})
}

func TestLosingTheSecondaryMovesThePointer(t *testing.T) {
	stay := PointerConfig{BothDown: BothDownStay}
	tests := []struct {
		name       string
		give       func(*Group)
		wantReason Reason
	}{
		{"to a healthy primary", func(g *Group) { _ = g.Pin(RoleSecondary, 0) }, ReasonSecondaryDown},
		{"from where another pointer led", func(g *Group) { g.Follow(RoleSecondary) }, ReasonSecondaryDown},
		{"to a primary that is down", func(g *Group) { g.Verdict(RolePrimary, false) }, ReasonBothDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := shopGroup(nil)
			tt.give(g)
			before := g.Changed()
			g.Reconfigure(stay)
			wantPointer(t, g, RolePrimary, tt.wantReason, 3)
			if s := g.Pointer(); s.Pin != RoleNone || s.Lead != RoleNone {
				t.Errorf("pin %v, lead %v", s.Pin, s.Lead)
			}
			if !closed(before) {
				t.Error("who waits for a flip was not told")
			}
			if err := g.Pin(RoleSecondary, 0); err == nil {
				t.Error("a pin to the lost secondary was accepted")
			}
		})
	}
}

func TestOnChangeIsToldOfEveryChangeAndOfNothingElse(t *testing.T) {
	told := 0
	var g *Group
	var seen State
	g = restored(State{}, func() { told++; seen = *g.Pointer() })
	steps := []struct {
		name string
		give func()
		want int
	}{
		{"a verdict that repeats", func() { g.Verdict(RolePrimary, true) }, 0},
		{"a verdict that moves nothing", func() { g.Verdict(RoleSecondary, false) }, 1},
		{"a pin to where the pointer is", func() { _ = g.Pin(RolePrimary, 0) }, 1},
		{"its end", g.Unpin, 1},
		{"an end of nothing", g.Unpin, 0},
		{"a flip", func() { g.Follow(RoleSecondary) }, 1},
		{"a configuration that changes no state", func() { g.Reconfigure(PointerConfig{HasSecondary: true, MinHold: time.Minute, BothDown: BothDownStay}) }, 0},
		{"one that changes the hold", func() { g.Reconfigure(PointerConfig{HasSecondary: true}) }, 1},
		{"one that flips", func() { g.Reconfigure(PointerConfig{}) }, 1},
	}
	for _, s := range steps {
		told = 0
		s.give()
		if told != s.want {
			t.Errorf("%s: told %d times, want %d", s.name, told, s.want)
		}
		if told > 0 && seen != *g.Pointer() {
			t.Errorf("%s: told before it was published", s.name)
		}
	}
}

func TestReconfiguringFromManyGoroutinesTearsNothing(t *testing.T) {
	var changes, flips atomic.Uint64
	g := NewGroup(GroupConfig{
		Name: "shop", PointerConfig: shopPointer,
		OnChange: func() { changes.Add(1) },
		OnFlip:   func(_, _ State) { flips.Add(1) },
	})
	run(t, g)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for n := range 200 {
				switch (i + n) % 3 {
				case 0:
					g.Reconfigure(PointerConfig{HasSecondary: n%2 == 0, MinHold: time.Duration(n) * time.Second})
				case 1:
					g.Verdict(RolePrimary, n%4 == 0)
				case 2:
					_ = g.Pin(Role(1+n%2), time.Duration(n%2)*time.Hour)
				}
				if s := g.Pointer(); s.Generation == 0 || s.Target == RoleNone {
					t.Errorf("torn state %+v", s)
				}
			}
		})
	}
	wg.Wait()
	if last := g.Pointer().Generation; flips.Load() != last-1 || changes.Load() < flips.Load() {
		t.Errorf("%d flips and %d changes up to generation %d", flips.Load(), changes.Load(), last)
	}
}

func TestNamesAreReadBack(t *testing.T) {
	for i, name := range roleNames {
		if r, err := ParseRole(name); err != nil || r != Role(i) || r.String() != name {
			t.Errorf("ParseRole(%q): %v, %v", name, r, err)
		}
	}
	for i, name := range reasonNames {
		if r, err := ParseReason(name); err != nil || r != Reason(i) || r.String() != name {
			t.Errorf("ParseReason(%q): %v, %v", name, r, err)
		}
	}
	if _, err := ParseRole("tertiary"); err == nil {
		t.Error("ParseRole took a name that there is not")
	}
	if _, err := ParseReason(""); err == nil {
		t.Error("ParseReason took an empty name")
	}
}
