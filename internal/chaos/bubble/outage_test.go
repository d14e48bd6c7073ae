package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// An outage of ten minutes is two moves, whatever kind it is: away in the promised
// time, and back when the primary has been healthy for as long as promised.
func TestATenMinuteOutageIsTwoMoves(t *testing.T) {
	const begins, ends = 5*time.Minute + 300*time.Millisecond, 15 * time.Minute
	withoutTraffic := 3*probing.Interval + probing.Timeout
	tests := []struct {
		does    conduct
		traffic time.Duration
		within  time.Duration // of its beginning the pointer is away
	}{
		{refuses, 0, withoutTraffic},
		{status503, 0, withoutTraffic},
		{blackholes, 0, withoutTraffic},
		{mute, 0, withoutTraffic},
		{tooLate, 0, withoutTraffic},
		{refuses, 50 * time.Millisecond, 1500 * time.Millisecond},
		{status503, 50 * time.Millisecond, 1500 * time.Millisecond},
		{mute, 50 * time.Millisecond, 3*probing.Timeout + 500*time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, traffic %s", tt.does, tt.traffic), func(t *testing.T) {
			t.Parallel()
			s := usual()
			s.primary, s.traffic = between(begins, ends, tt.does), tt.traffic
			inWorld(t, s, func(w *world) {
				w.until(20 * time.Minute)
				w.wantFlips(t, "secondary primary_down", "primary failback")
				flips := w.flips()
				if t.Failed() {
					return
				}
				if took := flips[0].at - begins; took < 0 || took > tt.within {
					t.Errorf("away after %s, want %s at most", took, tt.within)
				}
				recovered := probing.Timeout + probing.Interval + 2*probing.FastInterval // at the latest
				if took := flips[1].at - ends; took < pointing.FailbackAfter || took > pointing.FailbackAfter+recovered {
					t.Errorf("back after %s, want %s and up to %s", took, pointing.FailbackAfter, recovered)
				}
			})
		})
	}
}

// What is over before enough probes have seen it moves nothing.
func TestAnOutageThatIsOverBeforeItIsSureMovesNothing(t *testing.T) {
	for phase := time.Duration(0); phase < probing.Interval; phase += 73 * time.Millisecond {
		s := usual()
		from := time.Minute + phase
		s.primary, s.traffic = between(from, from+2*probing.FastInterval*9/10, refuses), 20*time.Millisecond
		inWorld(t, s, func(w *world) {
			w.until(2 * time.Minute)
			w.wantFlips(t)
		})
	}
}

// Of two origins that are down, together or in turn, the pointer goes where
// both_down says, and whatever comes back gets it.
func TestBothDown(t *testing.T) {
	const minute = time.Minute
	primaryFirst := [2]schedule{between(minute, 10*minute, refuses), between(3*minute, 6*minute, status503)}
	secondaryFirst := [2]schedule{between(3*minute, 10*minute, refuses), between(minute, 6*minute, mute)}
	primaryBack := [2]schedule{between(minute, 6*minute, status503), between(3*minute, 10*minute, blackholes)}
	tests := []struct {
		name     string
		bothDown failover.BothDown
		origins  [2]schedule
		want     []string
	}{
		{"the primary falls first, the secondary is back first: fail_open", failover.BothDownFailOpen, primaryFirst,
			[]string{"secondary primary_down", "primary both_down", "secondary primary_down", "primary failback"}},
		{"the primary falls first, the secondary is back first: stay", failover.BothDownStay, primaryFirst,
			[]string{"secondary primary_down", "primary failback"}},
		{"the primary falls first, the secondary is back first: fail_fast", failover.BothDownFailFast, primaryFirst,
			[]string{"secondary primary_down", "none both_down", "secondary recovered", "primary failback"}},
		{"the secondary falls first and is back first: fail_open", failover.BothDownFailOpen, secondaryFirst,
			[]string{"secondary primary_down", "primary failback"}},
		{"the secondary falls first and is back first: stay", failover.BothDownStay, secondaryFirst,
			[]string{"secondary primary_down", "primary failback"}},
		{"the secondary falls first and is back first: fail_fast", failover.BothDownFailFast, secondaryFirst,
			[]string{"none both_down", "secondary recovered", "primary failback"}},
		{"the primary falls first and is back first: fail_open", failover.BothDownFailOpen, primaryBack,
			[]string{"secondary primary_down", "primary both_down"}},
		{"the primary falls first and is back first: stay", failover.BothDownStay, primaryBack,
			[]string{"secondary primary_down", "primary secondary_down"}},
		{"the primary falls first and is back first: fail_fast", failover.BothDownFailFast, primaryBack,
			[]string{"secondary primary_down", "none both_down", "primary recovered"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := usual()
			s.pointing.BothDown, s.primary, s.secondary = tt.bothDown, tt.origins[0], tt.origins[1]
			inWorld(t, s, func(w *world) {
				w.until(20 * time.Minute)
				w.wantFlips(t, tt.want...)
			})
		})
	}
}

// Which of two that fall together is noticed first is open; where the pointer is
// while both are down, and in the end, is not.
func TestBothDownTogether(t *testing.T) {
	tests := []struct {
		bothDown failover.BothDown
		allows   func(failover.Role) bool // meanwhile
	}{
		{failover.BothDownFailOpen, func(r failover.Role) bool { return r == failover.RolePrimary }},
		{failover.BothDownStay, func(r failover.Role) bool { return r != failover.RoleNone }},
		{failover.BothDownFailFast, func(r failover.Role) bool { return r == failover.RoleNone }},
	}
	for _, tt := range tests {
		for _, does := range []conduct{refuses, blackholes} {
			t.Run(fmt.Sprintf("%s, %s", tt.bothDown, does), func(t *testing.T) {
				t.Parallel()
				s := usual()
				s.pointing.BothDown, s.traffic = tt.bothDown, time.Second
				s.primary = between(5*time.Minute, 15*time.Minute, does)
				s.secondary = s.primary
				inWorld(t, s, func(w *world) {
					for at := 5*time.Minute + 3*probing.Interval + probing.Timeout; at < 15*time.Minute; at += time.Minute {
						w.until(at)
						if r := w.target(); !tt.allows(r) {
							t.Fatalf("on %s at %s", r, at)
						}
					}
					w.until(15*time.Minute + pointing.MinHold + pointing.FailbackAfter + 4*time.Second)
					if r := w.target(); r != failover.RolePrimary {
						t.Errorf("on %s after both came back", r)
					}
					moves := len(w.flips())
					if w.until(30 * time.Minute); moves > 4 || len(w.flips()) != moves {
						t.Errorf("%d moves, and %d after that", moves, len(w.flips())-moves)
					}
				})
			})
		}
	}
}
