package bubble

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/failover"
)

// A spell is a time for which an origin does one thing.
type spell struct {
	does  conduct
	lasts time.Duration
}

func (s spell) String() string { return fmt.Sprintf("%s for %s", s.does, s.lasts) }

// weather is a schedule of spells that begin anew when they are through.
func weather(spells []spell) schedule {
	var round time.Duration
	for _, s := range spells {
		round += s.lasts
	}
	return func(at time.Duration) conduct {
		at %= round
		for _, s := range spells {
			if at < s.lasts {
				return s.does
			}
			at -= s.lasts
		}
		panic("unreachable")
	}
}

var drawSpell = rapid.Custom(func(t *rapid.T) spell {
	lasts := rapid.SampledFrom([]time.Duration{
		100 * time.Millisecond, time.Second, 5 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute,
	}).Draw(t, "lasts")
	return spell{
		does:  rapid.SampledFrom([]conduct{up, up, up, slow, refuses, status503, blackholes, mute, tooLate}).Draw(t, "does"),
		lasts: lasts + time.Duration(rapid.IntRange(0, int(lasts/time.Millisecond)).Draw(t, "more"))*time.Millisecond,
	}
})

func drawSettings(t *rapid.T) settings {
	s := usual()
	s.primary = weather(rapid.SliceOfN(drawSpell, 1, 20).Draw(t, "primary"))
	s.secondary = weather(rapid.SliceOfN(drawSpell, 1, 20).Draw(t, "secondary"))
	s.traffic = rapid.SampledFrom([]time.Duration{0, 0, 200 * time.Millisecond, 3 * time.Second}).Draw(t, "traffic")
	s.pointing.BothDown = rapid.SampledFrom([]failover.BothDown{
		failover.BothDownFailOpen, failover.BothDownStay, failover.BothDownFailFast}).Draw(t, "both_down")
	s.pointing.Failback = rapid.SampledFrom([]failover.Failback{
		failover.FailbackAuto, failover.FailbackAuto, failover.FailbackAuto, failover.FailbackManual}).Draw(t, "failback")
	s.probing.Fall, s.probing.Rise = rapid.IntRange(1, 5).Draw(t, "fall"), rapid.IntRange(1, 5).Draw(t, "rise")
	return s
}

// Whatever two origins do for an hour: each verdict follows from the probes as
// the origins saw them, each move of the pointer from the verdicts and the waits,
// and at no time is the pointer anywhere else than they say.
func TestAnyHourKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSettings(rt)
		var err error // the first: what follows from it is of no use
		inWorld(t, s, func(w *world) {
			eye := newWitness(s)
			for w.since() < time.Hour && err == nil {
				w.until(w.since() + time.Second)
				err = cmp.Or(eye.follow(w), eye.look(w))
			}
			for _, o := range w.origins {
				err = cmp.Or(err, w.checkVerdicts(o))
			}
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// checkVerdicts holds what a checker believed against what its origin saw.
func (w *world) checkVerdicts(o *origin) error {
	var want, got []happening
	inARow, good, believes := 0, false, "unknown"
	for _, p := range o.log() {
		if inARow++; p.does.good() != good {
			good, inARow = p.does.good(), 1
		}
		turn := believes
		if good && inARow >= w.probing.Rise {
			turn = "healthy"
		}
		if !good && inARow >= w.probing.Fall {
			turn = "down"
		}
		if turn != believes {
			believes, want = turn, append(want, happening{at: p.at, down: turn == "down"})
		}
	}
	for _, h := range w.history() {
		if h.role == o.role {
			got = append(got, h)
		}
	}
	// The last probe may still be under way.
	if n := len(want); n > 0 && n == len(got)+1 && w.since()-want[n-1].at <= w.probing.Timeout {
		want = want[:n-1]
	}
	for i := range want {
		if i >= len(got) || got[i].down != want[i].down || got[i].at < want[i].at || got[i].at > want[i].at+w.probing.Timeout {
			return fmt.Errorf("verdict %d of the %s: by its probes %+v, got %+v", i, o.role, want[i], got[min(i, len(got)):])
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("verdicts of the %s that no probe accounts for: %+v", o.role, got[len(want):])
	}
	return nil
}
