package bubble

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// An overloaded origin answers its probes too late. That makes it down, and no
// worse: probes neither pile up nor come more often, so they are no part of the
// load; none of the late answers counts when it comes; and the origin is healthy
// as soon as it is quick again, however long it was not.
func TestLateAnswersFeedNothing(t *testing.T) {
	const begins, ends = time.Minute, 11 * time.Minute
	s := usual()
	s.primary, s.traffic = between(begins, ends, tooLate), 100*time.Millisecond
	inWorld(t, s, func(w *world) {
		w.until(ends)
		if open, most := w.origins[failover.RolePrimary].connections(); most != 1 || open > 1 {
			t.Errorf("%d probes at once, %d now, want one at most", most, open)
		}
		late := 0
		for _, p := range w.origins[failover.RolePrimary].log() {
			if p.does == tooLate {
				late++
			}
		}
		if most := int((ends-begins)/probing.Timeout) + 1; late > most {
			t.Errorf("%d probes in ten minutes, want %d at most: one ends before the next begins", late, most)
		}

		w.until(ends + probing.Timeout + probing.Interval + 2*probing.FastInterval)
		if w.group.Pointer().Primary.Down {
			t.Error("still down within two intervals of its recovery")
		}
		w.until(time.Hour) // all that was late has long come
		w.wantFlips(t, "secondary primary_down", "primary failback")
	})
}

// An origin that always needs nine tenths of the time-out is healthy, also while
// requests ask for fast probes, and its probes do not overlap.
func TestSlowIsNotDown(t *testing.T) {
	s := usual()
	s.primary = always(slow)
	inWorld(t, s, func(w *world) {
		for range 3000 {
			w.origins[failover.RolePrimary].checker.Hurry()
			w.until(w.since() + 100*time.Millisecond)
		}
		w.wantFlips(t)
		if _, most := w.origins[failover.RolePrimary].connections(); most != 1 {
			t.Errorf("%d probes at once", most)
		}
	})
}
