package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// A flapping is a primary that is down for a part of each period.
type flapping struct {
	period time.Duration
	down   time.Duration // of each period, at its beginning
	does   conduct       // while it is down
}

func (f flapping) String() string { return fmt.Sprintf("down %s of %s (%s)", f.down, f.period, f.does) }

func (f flapping) up() time.Duration { return f.period - f.down }

// during flaps from one time to another.
func (f flapping) during(from, to time.Duration) schedule {
	return func(at time.Duration) conduct {
		if at >= from && at < to && (at-from)%f.period < f.down {
			return f.does
		}
		return up
	}
}

// everyFlapping has periods around all the thresholds, from a quarter of the
// interval to four times failback_after, with 10 % to 90 % of each down.
func everyFlapping() []flapping {
	periods := []time.Duration{
		probing.Interval / 4, time.Second, probing.Interval, 3 * time.Second, 3 * probing.Interval,
		3*probing.Interval + probing.Timeout, 10 * time.Second, 20 * time.Second, pointing.FailbackAfter,
		35 * time.Second, 45 * time.Second, pointing.MinHold, pointing.MinHold + pointing.FailbackAfter, 4 * pointing.FailbackAfter,
	}
	var all []flapping
	for i, period := range periods {
		for j, percent := range []int{10, 30, 50, 70, 90} {
			all = append(all, flapping{period, period / 100 * time.Duration(percent), []conduct{refuses, status503}[(i+j)%2]})
		}
	}
	return all
}

// What the thresholds make of a flapping, seen with the default configuration.
var (
	// A primary can't be found down in less: three probes at the fast interval
	// less jitter, where no good moment between them is short enough to be missed.
	unseen = 2 * probing.FastInterval * 9 / 10

	// And must be found down in this: the next probe, and two at the fast interval.
	seen = probing.Interval + 2*probing.FastInterval
)

// mostAway bounds how often the pointer may leave the primary in a time.
func (f flapping) mostAway(in time.Duration) int {
	switch {
	case f.down < unseen && f.up() > probing.FastInterval:
		return 0
	case f.down >= seen && f.up() < pointing.FailbackAfter:
		return 1 // no health is unbroken for long enough to come back
	case f.down >= seen && f.up()-pointing.FailbackAfter+seen < pointing.MinHold:
		// Each return is followed by a relapse within the hold, so that it doubles.
		n, at, hold := 1, pointing.MinHold, pointing.MinHold
		for ; at < in; n++ {
			hold = min(2*hold, pointing.MaxHold)
			at += hold
		}
		return n
	}
	// The least from one leaving to the next is the hold, and as much time on
	// the primary: else the hold doubles. That may cost less once.
	return 2 + int(in/(2*pointing.MinHold))
}

// However a primary flaps, the pointer moves no more often than the waits allow,
// stays away for as long as they say, and is on the primary for good when it is
// calm again.
func TestNoFlappingMovesThePointerMoreThanItMay(t *testing.T) {
	const begins, ends = time.Minute, 21 * time.Minute
	for _, f := range everyFlapping() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := usual()
			s.primary, s.secondary = f.during(begins, ends), nil
			inWorld(t, s, func(w *world) {
				w.until(ends)
				away, most := w.checkStays(t), f.mostAway(ends-begins)
				if away > most || away == 0 && f.down >= seen {
					t.Errorf("left the primary %d times, want %d at most", away, most)
				}
				w.until(ends + pointing.MaxHold + pointing.FailbackAfter + seen)
				moves := len(w.flips())
				if r := w.target(); r != failover.RolePrimary {
					t.Errorf("on %s after the calm", r)
				}
				if w.until(w.since() + 10*time.Minute); len(w.flips()) != moves {
					t.Errorf("%d moves in the calm", len(w.flips())-moves)
				}
			})
		})
	}
}

// checkStays wants each stay on the secondary to have lasted for the hold, as it
// doubles, and returns how many there were.
func (w *world) checkStays(t *testing.T) int {
	t.Helper()
	away, left, back, hold := 0, time.Duration(0), time.Duration(0), pointing.MinHold
	for _, f := range w.flips() {
		if f.to.Target == failover.RoleSecondary {
			if lasted := f.at - back; away > 0 && lasted < hold {
				hold = min(2*hold, pointing.MaxHold)
			}
			away, left = away+1, f.at
			continue
		}
		if back = f.at; back-left < hold {
			t.Errorf("back at %s, %s after it left; the hold is %s", back, back-left, hold)
		}
	}
	return away
}

// A primary that relapses soon after each return is trusted less and less, up to
// the maximum; one that lasts for that long is trusted as at first, and no sooner.
func TestTheHoldDoublesToItsMaximumAndIsForgotten(t *testing.T) {
	const minute, short = time.Minute, 10 * time.Second
	outages := []struct {
		lasted time.Duration // how long the primary has been good again
		want   time.Duration // the hold
	}{
		{5 * minute, minute},
		{short, 2 * minute}, {short, 4 * minute}, {short, 8 * minute}, {short, 15 * minute}, {short, 15 * minute},
		{14 * minute, 15 * minute},
		{16 * minute, minute},
		{short, 2 * minute},
	}
	var begins []time.Duration
	at := time.Duration(0)
	for _, o := range outages {
		at += o.lasted
		begins = append(begins, at)
		at += o.want + seen
	}
	s := usual()
	s.secondary = nil
	s.primary = func(at time.Duration) conduct {
		for _, begin := range begins {
			if at >= begin && at < begin+short {
				return refuses
			}
		}
		return up
	}
	inWorld(t, s, func(w *world) {
		for i, o := range outages {
			w.until(begins[i] + seen)
			if p := w.group.Pointer(); p.Target != failover.RoleSecondary || p.Hold != o.want {
				t.Fatalf("outage %d: on %s with a hold of %s, want %s", i, p.Target, p.Hold, o.want)
			}
			w.until(begins[i] + o.want - 1)
			if r := w.target(); r != failover.RoleSecondary {
				t.Fatalf("outage %d: on %s within the hold", i, r)
			}
			w.until(begins[i] + o.want + seen)
			if r := w.target(); r != failover.RolePrimary {
				t.Fatalf("outage %d: on %s after the hold", i, r)
			}
		}
	})
}
