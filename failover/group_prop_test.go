package failover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A moment is an event that comes to a group some time after the last one.
type moment struct {
	pause time.Duration
	event event
}

func (m moment) String() string { return fmt.Sprintf("%v after %v", m.event, m.pause) }

// tell gives an event to a group through the method that makes it.
func tell(g *Group, e event) {
	switch e.kind {
	case eventVerdict:
		g.Verdict(e.role, e.healthy)
	case eventFailback:
		_ = g.Failback()
	case eventPin:
		_ = g.Pin(e.role, e.lasting)
	case eventUnpin:
		g.Unpin()
	case eventFollow:
		g.Follow(e.role)
	}
}

// A shadow is the machine fed by hand, with a tick whenever one is due.
type shadow struct {
	State
	c     *PointerConfig
	flips []flip
}

func (s *shadow) feed(e event, now time.Time) {
	was := s.State
	s.State = next(s.State, e, now, s.c)
	if s.Target != was.Target {
		s.flips = append(s.flips, flip{was, s.State})
	}
}

// pass lets time go on until now.
func (s *shadow) pass(now time.Time) {
	for {
		at, ok := deadline(s.State, s.c)
		if !ok || at.After(now) {
			return
		}
		s.feed(tick, at)
	}
}

// sameMoments compares two states whose times may carry different readings of
// the monotonic clock, or none.
func sameMoments(a, b State) bool {
	times := func(s *State) []*time.Time {
		return []*time.Time{&s.Since, &s.Primary.Since, &s.Secondary.Since, &s.PinUntil}
	}
	at, bt := times(&a), times(&b)
	for i := range at {
		if !at[i].Equal(*bt[i]) {
			return false
		}
		*at[i], *bt[i] = time.Time{}, time.Time{}
	}
	return a == b
}

// live runs a Group through the story beside its shadow.
func live(ctx context.Context, c PointerConfig, initial State, story []moment) error {
	var told []flip
	g := NewGroup(GroupConfig{Name: "shop", PointerConfig: c, Initial: initial,
		OnFlip: func(from, to State) { told = append(told, flip{from, to}) }})
	go func() { _ = g.Run(ctx) }()
	s := &shadow{State: *g.Pointer(), c: &c}
	for i, m := range story {
		time.Sleep(m.pause)
		synctest.Wait() // Run has seen what this moment brings, if anything
		s.pass(time.Now())
		tell(g, m.event)
		s.feed(m.event, time.Now())
		synctest.Wait()
		if got := *g.Pointer(); !sameMoments(got, s.State) {
			return fmt.Errorf("%d, %v:\n%+v, want\n%+v", i, m, got, s.State)
		}
	}
	same := func(a, b flip) bool { return sameMoments(a.from, b.from) && sameMoments(a.to, b.to) }
	if !slices.EqualFunc(told, s.flips, same) {
		return fmt.Errorf("told of %+v, want %+v", told, s.flips)
	}
	return nil
}

// A Group is the machine with a clock: whatever happens, and whenever time alone
// moves it, its state and what it tells are the machine's.
func TestAGroupIsItsMachineWithAClock(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := drawConfig(rt)
		story := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) moment {
			return moment{drawPause(t), drawEvent(t)}
		}), 1, 40).Draw(rt, "story")
		initial := drawInitial(rt, epoch)
		var err error
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			err = live(ctx, c, initial, story)
			cancel()
			synctest.Wait()
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// A wall clock that is set while a group is at work must neither shorten a wait
// nor stretch it. Times are compared by the monotonic clock as long as both have a
// reading of it, so every time of every state needs one, also where the group
// began with times out of a file, which have none. A bubble's clock is not
// monotonic, so this test is outside of one.
func TestNoWaitIsMeasuredByTheWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		g := NewGroup(GroupConfig{Name: "shop", PointerConfig: drawConfig(t), Initial: drawInitial(t, now.Round(0))})
		wantMonotonic(t, g)
		for range rapid.IntRange(1, 20).Draw(t, "events") {
			tell(g, drawEvent(t))
			wantMonotonic(t, g)
		}
	})
}

// wantMonotonic wants a reading of the monotonic clock in each time that g goes
// by. Those a century away may lack it: time.Time has no room for it, and no wait
// depends on them.
func wantMonotonic(t *rapid.T, g *Group) {
	s := g.Pointer()
	times := []time.Time{s.Since, s.Primary.Since, s.Secondary.Since, s.PinUntil}
	if at, ok := g.FailbackAt(); ok {
		times = append(times, at)
	}
	for _, at := range times {
		const century = 100 * 365 * 24 * time.Hour
		if near := !at.IsZero() && time.Until(at).Abs() < century; near && !strings.Contains(at.String(), " m=") {
			t.Fatalf("a time of the wall clock, %v, in %+v", at, s)
		}
	}
}
