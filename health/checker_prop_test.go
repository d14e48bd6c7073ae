package health

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A fate is what becomes of one probe.
type fate struct {
	does  conduct
	stall time.Duration // for which our own process stands still during the probe
}

func (f fate) String() string { return fmt.Sprintf("%d/%s", f.does, f.stall) }

var drawFate = rapid.Custom(func(t *rapid.T) fate {
	return fate{
		does: rapid.SampledFrom([]conduct{answers, answers, answers, answers503, refuses, refuses,
			blackholes, staysMute, answersLate, dialsLate}).Draw(t, "conduct"),
		stall: rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 0, 5 * time.Second}).Draw(t, "stall"),
	}
})

// results are what the machine may learn of the first n fates: a failure
// during which our own process stood still is nobody's.
func results(fates []fate) (counted []bool) {
	for _, f := range fates {
		if success := f.does == answers; success || f.stall == 0 {
			counted = append(counted, success)
		}
	}
	return counted
}

// Whatever the origin does, however late its answers are, whenever our own
// process stops for five seconds and however many real requests fail meanwhile:
// the verdict follows from the results that count, each probe counts once, and
// probes keep their distance.
func TestTheVerdictFollowsFromTheResultsThatCount(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := usual
		cfg.Fall, cfg.Rise = rapid.IntRange(1, 4).Draw(rt, "fall"), rapid.IntRange(1, 4).Draw(rt, "rise")
		fates := rapid.SliceOfN(drawFate, 1, 40).Draw(rt, "fates")
		hurry := rapid.SampledFrom([]time.Duration{0, 0, 10 * ms, 700 * ms, 5 * time.Second}).Draw(rt, "a failed request each")
		plan := func(w *world, n int) conduct {
			if n >= len(fates) {
				return answers
			}
			w.stall(fates[n].stall)
			return fates[n].does
		}
		var err error
		inWorld(t, cfg, plan, func(w *world) {
			for len(w.seen(ProbeDone)) <= len(fates) {
				if hurry > 0 {
					w.Hurry()
				}
				time.Sleep(max(hurry, 10*ms))
			}
			synctest.Wait()
			err = errors.Join(
				checkVerdicts(w.seen(ProbeDone), fates, thresholds{cfg.Fall, cfg.Rise}),
				checkDistance(w.probesSoFar(), fates, cfg))
			time.Sleep(late) // what is late ends, too late for all
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// checkVerdicts holds each probe's event against what is known by then.
func checkVerdicts(done []Event, fates []fate, limits thresholds) error {
	before := Unknown
	for i, f := range fates {
		e, want := done[i], believed(results(fates[:i+1]), limits)
		if e.To != want || e.From != before {
			return fmt.Errorf("probe %d, %v: from %s to %s, want %s to %s", i, f, e.From, e.To, before, want)
		}
		if dropped := f.does != answers && f.stall > 0; e.Result.Dropped != dropped || (e.Result.Err == nil) != (f.does == answers) {
			return fmt.Errorf("probe %d, %v: dropped %t, error %v", i, f, e.Result.Dropped, e.Result.Err)
		}
		before = want
	}
	return nil
}

// checkDistance wants probes apart by FastInterval, less jitter, and never by more
// than Interval or, if that is longer, a probe that is given up. A stop of our own
// is part of the distance, by the checker's clock.
func checkDistance(probes []time.Duration, fates []fate, cfg Config) error {
	least := cfg.FastInterval - cfg.FastInterval/10
	most := max(cfg.Interval, cfg.Timeout+cfg.Timeout/4)
	for i := range fates[1:] {
		if gap := probes[i+1] - probes[i]; gap+fates[i].stall < least || gap > most {
			return fmt.Errorf("probe %d came %s after the one before it, %v, want %s to %s", i+1, gap, fates[i], least, most)
		}
	}
	return nil
}
