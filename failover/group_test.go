package failover

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// run runs g for the rest of the test; the bubble ends when Run has.
func run(t *testing.T, g *Group) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// pass lets d pass and everything settle.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantPointer(t *testing.T, g *Group, target Role, reason Reason, generation uint64) {
	t.Helper()
	s := g.Pointer()
	if s.Target != target || s.Reason != reason || s.Generation != generation {
		t.Errorf("%v, %v, generation %d; want %v, %v, %d",
			s.Target, s.Reason, s.Generation, target, reason, generation)
	}
}

// wantFailbackAfter wants the pointer's first move, made for this reason, to hold for
// d and to be undone at its end.
func wantFailbackAfter(t *testing.T, g *Group, moved Reason, d time.Duration) {
	t.Helper()
	pass(d - 1)
	wantPointer(t, g, RoleSecondary, moved, 2)
	pass(1)
	wantPointer(t, g, RolePrimary, ReasonFailback, 3)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func shopGroup(onFlip func(from, to State)) *Group {
	return NewGroup(GroupConfig{Name: "shop", PointerConfig: shopPointer, OnFlip: onFlip})
}

func TestRunFailsBackAtTheMomentThatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flips []State
		g := shopGroup(func(_, to State) { flips = append(flips, to) })
		run(t, g)
		start := time.Now()

		pass(10 * time.Second)
		g.Verdict(RolePrimary, false)
		wantPointer(t, g, RoleSecondary, ReasonPrimaryDown, 2)

		pass(10 * time.Second)
		g.Verdict(RolePrimary, true)
		wantFailbackAfter(t, g, ReasonPrimaryDown, 50*time.Second)

		if len(flips) != 2 || flips[1].Since.Sub(start) != 70*time.Second {
			t.Errorf("flips %+v, want the second 70s after the start", flips)
		}
	})
}

func TestRunPutsOffAFailbackThatARelapseDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shopGroup(nil)
		run(t, g)
		g.Verdict(RolePrimary, false)
		g.Verdict(RolePrimary, true) // due at 60s
		pass(59 * time.Second)
		g.Verdict(RolePrimary, false)
		g.Verdict(RolePrimary, true) // now at 89s
		wantFailbackAfter(t, g, ReasonPrimaryDown, 30*time.Second)
	})
}

func TestRunEndsAPin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shopGroup(nil)
		run(t, g)
		if err := g.Pin(RolePrimary, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		g.Verdict(RolePrimary, false)
		pass(10*time.Minute - 1)
		wantPointer(t, g, RolePrimary, ReasonStart, 1)
		pass(1)
		wantPointer(t, g, RoleSecondary, ReasonPrimaryDown, 2)
		if g.Pointer().Pin != RoleNone {
			t.Error("still pinned")
		}
	})
}

func TestAPinWithoutAnEndWaitsForUnpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shopGroup(nil)
		run(t, g)
		if err := g.Pin(RoleSecondary, 0); err != nil {
			t.Fatal(err)
		}
		pass(1000 * time.Hour)
		wantPointer(t, g, RoleSecondary, ReasonPin, 2)
		g.Unpin()
		wantPointer(t, g, RolePrimary, ReasonFailback, 3)
	})
}

// Two are one too many, but do no harm: the second finds nothing left to do.
func TestTwoRunsMakeOneFailback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shopGroup(nil)
		run(t, g)
		run(t, g)
		g.Verdict(RolePrimary, false)
		g.Verdict(RolePrimary, true)
		pass(time.Hour)
		wantPointer(t, g, RolePrimary, ReasonFailback, 3)
	})
}

func TestRunReturnsNilWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shopGroup(nil)
		g.Verdict(RolePrimary, false)
		g.Verdict(RolePrimary, true) // a deadline is pending
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := g.Run(ctx); err != nil || time.Since(start) != time.Second {
			t.Errorf("Run: %v after %v, want nil after 1s", err, time.Since(start))
		}
	})
}

func TestNoFailbackWhileThePointerFollows(t *testing.T) {
	g := shopGroup(nil)
	g.Follow(RoleSecondary)
	wantPointer(t, g, RoleSecondary, ReasonFollow, 2)
	if err := g.Failback(); !errors.Is(err, ErrFollowing) {
		t.Errorf("Failback: %v, want ErrFollowing", err)
	}
	g.Follow(RoleNone)
	if err := g.Failback(); err != nil {
		t.Errorf("Failback: %v", err)
	}
	wantPointer(t, g, RolePrimary, ReasonOperator, 3)
}

func TestVerdictsMoveThePointerWithoutRun(t *testing.T) {
	g := shopGroup(nil)
	g.Verdict(RolePrimary, false)
	wantPointer(t, g, RoleSecondary, ReasonPrimaryDown, 2)
	g.Verdict(RoleSecondary, false)
	wantPointer(t, g, RolePrimary, ReasonBothDown, 3)
	g.Verdict(RoleNone, false)
	wantPointer(t, g, RolePrimary, ReasonBothDown, 3)
}

func TestChangedIsClosedByAFlipAndByNothingElse(t *testing.T) {
	g := shopGroup(nil)
	first := g.Changed()
	g.Verdict(RoleSecondary, false)
	g.Verdict(RoleSecondary, true)
	if err := g.Pin(RolePrimary, 0); err != nil {
		t.Fatal(err)
	}
	g.Unpin()
	if closed(first) || g.Changed() != first {
		t.Fatal("closed or replaced while the target stayed")
	}

	g.Verdict(RolePrimary, false)
	if !closed(first) {
		t.Error("not closed by a flip")
	}
	if second := g.Changed(); closed(second) {
		t.Error("the next channel is closed already")
	}
}

// Parked requests wait this way: many at once, and one that came just before the
// flip must not miss it.
func TestWaitersFindTheNewTargetWhenTheyWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shopGroup(nil)
		var wg sync.WaitGroup
		for range 100 {
			changed := g.Changed()
			wg.Go(func() {
				<-changed
				wantPointer(t, g, RoleSecondary, ReasonPrimaryDown, 2)
			})
		}
		pass(time.Second)
		g.Verdict(RolePrimary, false)
		wg.Wait()
	})
}

func TestOnFlipSeesEachFlipInOrderEvenThoseItCauses(t *testing.T) {
	var g *Group
	var seen []State
	var inside bool
	g = shopGroup(func(from, to State) {
		if inside {
			t.Error("called within itself")
		}
		inside = true
		defer func() { inside = false }()

		if now := g.Pointer(); now.Generation < to.Generation {
			t.Errorf("generation %d is announced, %d is published", to.Generation, now.Generation)
		}
		if from.Generation+1 != to.Generation {
			t.Errorf("a flip from generation %d to %d", from.Generation, to.Generation)
		}
		seen = append(seen, to)
		switch to.Generation {
		case 2:
			g.Verdict(RoleSecondary, false)
			g.Verdict(RoleSecondary, true)
		case 4:
			g.Verdict(RolePrimary, true)
			if err := g.Failback(); err != nil {
				t.Error(err)
			}
		}
	})
	g.Verdict(RolePrimary, false)

	want := []Reason{ReasonPrimaryDown, ReasonBothDown, ReasonPrimaryDown, ReasonOperator}
	if len(seen) != len(want) {
		t.Fatalf("%d flips, want %d", len(seen), len(want))
	}
	for i, s := range seen {
		if s.Reason != want[i] {
			t.Errorf("flip %d: %v, want %v", i, s.Reason, want[i])
		}
	}
}

func TestFlipsFromManyGoroutinesFormOneChain(t *testing.T) {
	var last State // OnFlip calls never overlap, so the race detector would tell
	flips := uint64(0)
	g := shopGroup(func(from, to State) {
		if flips > 0 && from.Generation != last.Generation {
			t.Errorf("from generation %d, the last one was %d", from.Generation, last.Generation)
		}
		if from.Target == to.Target {
			t.Errorf("a flip from %v to itself", to.Target)
		}
		last = to
		flips++
	})

	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				switch (i + n) % 4 {
				case 0:
					g.Verdict(RolePrimary, n%3 == 0)
				case 1:
					g.Verdict(RoleSecondary, n%5 == 0)
				case 2:
					_ = g.Pin(Role(1+n%2), 0)
				case 3:
					g.Unpin()
				}
				if s := g.Pointer(); s.Generation == 0 || s.Target == RoleNone {
					t.Errorf("torn state %+v", s)
				}
			}
		})
	}
	wg.Wait()
	if flips == 0 || last.Generation != g.Pointer().Generation || flips != last.Generation-1 {
		t.Errorf("%d flips up to generation %d, the pointer is at %d", flips, last.Generation, g.Pointer().Generation)
	}
}

func TestAPublishedStateNeverChanges(t *testing.T) {
	g := shopGroup(nil)
	s := g.Pointer()
	copied := *s
	g.Verdict(RolePrimary, false)
	if *s != copied {
		t.Errorf("%+v became %+v", copied, *s)
	}
}

func TestWhatAnOperatorIsRefused(t *testing.T) {
	alone := NewGroup(GroupConfig{Name: "blog"})
	pinned := shopGroup(nil)
	if err := pinned.Pin(RoleSecondary, 0); err != nil {
		t.Fatal(err)
	}
	out := shopGroup(nil)
	out.Verdict(RolePrimary, false)

	tests := []struct {
		name    string
		give    error
		want    error
		wantMsg string
	}{
		{"a pin to a secondary that is not there", alone.Pin(RoleSecondary, 0), ErrNoOrigin,
			"pin group blog to secondary: group has no such origin"},
		{"a pin to nowhere", out.Pin(RoleNone, 0), ErrNoOrigin,
			"pin group shop to none: group has no such origin"},
		{"a failback against a pin", pinned.Failback(), ErrPinned,
			"failback of group shop: pointer is pinned"},
		{"a failback to a dead primary", out.Failback(), ErrPrimaryDown,
			"failback of group shop: primary is down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !errors.Is(tt.give, tt.want) || tt.give.Error() != tt.wantMsg {
				t.Errorf("got %v, want %s", tt.give, tt.wantMsg)
			}
		})
	}
	if err := alone.Failback(); err != nil || alone.Name() != "blog" {
		t.Errorf("failback on the primary: %v", err)
	}
}
