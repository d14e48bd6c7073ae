package failover

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// well is a group in which a drill can run.
func well(changes ...func(p *DrillPlace)) *DrillPlace {
	p := &DrillPlace{Pointer: State{Target: RolePrimary}}
	for _, change := range changes {
		change(p)
	}
	return p
}

func TestADrillEndsWhenItsGroupChangesOrItsTimeIsOver(t *testing.T) {
	tests := map[string]struct {
		now  time.Duration
		give *DrillPlace
		want DrillEnd
	}{
		"well":               {time.Minute - 1, well(), DrillRuns},
		"time":               {time.Minute, well(), DrillTime},
		"on the secondary":   {0, well(func(p *DrillPlace) { p.Pointer.Target = RoleSecondary }), DrillPointer},
		"on none":            {0, well(func(p *DrillPlace) { p.Pointer.Target = RoleNone }), DrillPointer},
		"primary down":       {0, well(func(p *DrillPlace) { p.Pointer.Primary.Down = true }), DrillPrimaryDown},
		"secondary down":     {0, well(func(p *DrillPlace) { p.Pointer.Secondary.Down = true }), DrillSecondaryDown},
		"drained":            {0, well(func(p *DrillPlace) { p.Drained = true }), DrillDrained},
		"down before time":   {time.Hour, well(func(p *DrillPlace) { p.Pointer.Secondary.Down = true }), DrillSecondaryDown},
		"pinned where it is": {0, well(func(p *DrillPlace) { p.Pointer.Pin = RolePrimary }), DrillRuns},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			j := NewDrillJudge(time.Minute, 0.01)
			if got := j.Look(tt.now, tt.give); got != tt.want || j.End() != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// several records n requests at a moment, of which some failed.
func several(j *DrillJudge, now time.Duration, picked bool, n, failed int) {
	for i := range n {
		j.Record(now, picked, i < failed)
	}
}

func TestErrorsAmongThePickedEndADrill(t *testing.T) {
	tests := map[string]struct {
		record func(j *DrillJudge)
		want   DrillEnd
	}{
		"two errors may be chance": {func(j *DrillJudge) { several(j, 0, true, 2, 2) }, DrillRuns},
		"three of three":           {func(j *DrillJudge) { several(j, 0, true, 3, 3) }, DrillErrors},
		"as many as the others have": {func(j *DrillJudge) {
			several(j, 0, false, 1000, 100)
			several(j, 0, true, 90, 0)
			several(j, 0, true, 10, 10)
		}, DrillRuns},
		"more than the others have": {func(j *DrillJudge) {
			several(j, 0, false, 1000, 100)
			several(j, 0, true, 88, 0)
			several(j, 0, true, 12, 12)
		}, DrillErrors},
		"errors of the others alone": {func(j *DrillJudge) { several(j, 0, false, 1000, 1000) }, DrillRuns},
		"within the limit":           {func(j *DrillJudge) { several(j, 0, true, 297, 0); several(j, 0, true, 3, 3) }, DrillRuns},
		"above the limit":            {func(j *DrillJudge) { several(j, 0, true, 296, 0); several(j, 0, true, 3, 3) }, DrillErrors},
		"a bad end of a good drill": {func(j *DrillJudge) {
			several(j, time.Second, true, 100_000, 0)
			several(j, time.Minute, true, 10, 3)
		}, DrillErrors},
		"the good beginning is within the window": {func(j *DrillJudge) {
			several(j, 51*time.Second, true, 100_000, 0)
			several(j, time.Minute, true, 10, 3)
		}, DrillRuns},
		"few errors, but often": {func(j *DrillJudge) {
			for i := range 3 {
				several(j, time.Duration(i)*time.Minute, true, 1, 1)
			}
		}, DrillErrors},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			j := NewDrillJudge(time.Hour, 0.01)
			tt.record(&j)
			if got := j.End(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// model is a drill told without slots and sums: all that was recorded.
type drillModel struct {
	at             []time.Duration
	picked, failed []bool
}

// exceeds counts anew what has come since a moment.
func (m *drillModel) exceeds(since time.Duration, stopAt float64) bool {
	var sets drillSets
	for i, at := range m.at {
		if at >= since {
			sets.count(m.picked[i], m.failed[i])
		}
	}
	return sets.exceed(stopAt)
}

// Any sequence of requests, looks and pauses: a drill ends when a rule says so and
// not before, for the first reason, and never begins again.
func TestPropertyADrillEndsByItsRulesAndStaysEnded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const until = time.Minute
		stopAt := rapid.SampledFrom([]float64{0.001, 0.01, 0.2}).Draw(t, "stop_at")
		j := NewDrillJudge(until, stopAt)
		var m drillModel
		now, want := time.Duration(0), DrillRuns
		ends := func(why DrillEnd) {
			if want == DrillRuns {
				want = why
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += rapid.SampledFrom([]time.Duration{0, 0, 0, time.Millisecond, time.Second, 9 * time.Second, 11 * time.Second}).Draw(t, "pause")
			switch rapid.SampledFrom([]string{"request", "request", "request", "request", "look", "stop"}).Draw(t, "step") {
			case "look":
				place := well()
				place.Drained = rapid.IntRange(0, 30).Draw(t, "drained") == 0
				place.Pointer.Secondary.Down = rapid.IntRange(0, 30).Draw(t, "down") == 0
				j.Look(now, place)
				if why := place.Unfit(); why != DrillRuns {
					ends(why)
				} else if now >= until {
					ends(DrillTime)
				}
			case "stop":
				if rapid.IntRange(0, 20).Draw(t, "really") == 0 {
					j.Stop(DrillOperator)
					ends(DrillOperator)
				}
			default:
				picked, failed := rapid.Bool().Draw(t, "picked"), rapid.IntRange(0, 9).Draw(t, "failed") == 0
				j.Record(now, picked, failed)
				m.at, m.picked, m.failed = append(m.at, now), append(m.picked, picked), append(m.failed, failed)
				window := now.Truncate(drillSlot) - DrillWindow + drillSlot
				if picked && failed && (m.exceeds(0, stopAt) || m.exceeds(window, stopAt)) {
					ends(DrillErrors)
				}
			}
			if j.End() != want {
				t.Fatalf("at %v: got %v, want %v", now, j.End(), want)
			}
		}
	})
}

// At any time the number that was picked is within a few of the share.
func TestPropertyExactlyTheShareIsPicked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 0.0001, 0.01, 0.05, 0.5, 0.9999, 1})).Draw(t, "share")
		var s DrillShare
		s.Set(share)
		picked := 0
		for n := 1; n <= 20_000; n++ {
			if s.Pick() {
				picked++
			}
			if off := math.Abs(float64(picked) - share*float64(n)); off > 6 {
				t.Fatalf("%d of %d were picked, want a share of %v", picked, n, share)
			}
		}
		if share == 0 && picked != 0 || share == 1 && picked != 20_000 {
			t.Fatalf("%d of 20000 were picked with a share of %v", picked, share)
		}
	})
}

// Clients that ask for things in turn must not have one thing picked always and
// another never.
func TestTheShareIsNotInStepWithClients(t *testing.T) {
	for _, share := range []float64{0.05, 0.1, 0.25, 0.5} {
		for period := 2; period <= 20; period++ {
			var s DrillShare
			s.Set(share)
			picked := make([]float64, period)
			const rounds = 10_000
			for i := range rounds * period {
				if s.Pick() {
					picked[i%period]++
				}
			}
			for i, n := range picked {
				if math.Abs(n/rounds-share) > 0.02 {
					t.Errorf("a share of %v with a period of %d: %v of those in place %d", share, period, n/rounds, i)
				}
			}
		}
	}
}

func TestAShareThatWasNotSetPicksNothing(t *testing.T) {
	var s DrillShare
	for range 1000 {
		if s.Pick() {
			t.Fatal("it picked one")
		}
	}
}
