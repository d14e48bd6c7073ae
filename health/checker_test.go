package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestAnUnknownOriginIsProbedAtOnceAndDecidedQuickly(t *testing.T) {
	tests := []struct {
		name       string
		does       conduct
		want       Verdict
		wantWithin time.Duration
	}{
		{"healthy", answers, Healthy, 500 * ms},
		{"refusing", refuses, Down, 500 * ms},
		{"answering 503", answers503, Down, 500 * ms},
		{"mute", staysMute, Down, 3 * time.Second},
		{"not reachable", blackholes, Down, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, usual, always(tt.does), func(w *world) {
				if v := w.Verdict(); v != Unknown {
					t.Errorf("verdict %s before any probe", v)
				}
				synctest.Wait()
				if probes := w.probesSoFar(); len(probes) != 1 || probes[0] != 0 {
					t.Errorf("probes at %v, want one at once", probes)
				}
				time.Sleep(10 * time.Second)
				if v := w.Verdict(); v != tt.want {
					t.Errorf("verdict %s, want %s", v, tt.want)
				}
				if at := w.turned(tt.want); at > tt.wantWithin {
					t.Errorf("decided after %s, want %s at most", at, tt.wantWithin)
				}
			})
		})
	}
}

// outage runs an origin that breaks at the given time, with a failing request
// every gap from then on (none if gap is 0), and returns how much later it was
// Down and how many failures had been counted; -1 if it wasn't within a minute.
func outage(t *testing.T, cfg Config, breaks time.Duration, does conduct, gap time.Duration) (took time.Duration, failures int) {
	var broken atomic.Bool
	plan := func(*world, int) conduct {
		if broken.Load() {
			return does
		}
		return answers
	}
	inWorld(t, cfg, plan, func(w *world) {
		time.Sleep(breaks)
		if v := w.Verdict(); v != Healthy {
			t.Fatalf("verdict %s before the outage", v)
		}
		broken.Store(true)
		for w.Verdict() != Down && w.since() < breaks+time.Minute {
			if gap == 0 {
				time.Sleep(cfg.Interval)
				continue
			}
			w.Hurry()
			time.Sleep(gap)
		}
		took = -1
		if at := w.turned(Down); at >= 0 {
			took = at - breaks
		}
		for _, e := range w.seen(ProbeDone) {
			if e.Result.Err != nil && e.From != Down {
				failures++
			}
		}
	})
	return took, failures
}

func TestARefusingOriginWithTrafficIsDownInLessThanASecond(t *testing.T) {
	// The outage begins anywhere between two probes.
	for phase := time.Duration(0); phase < 2*time.Second; phase += 37 * ms {
		took, failures := outage(t, usual, 10*time.Second+phase, refuses, 2500*time.Microsecond)
		if took < 0 || took >= time.Second || failures != 3 {
			t.Fatalf("phase %s: down after %s and %d failures, want less than 1s and 3", phase, took, failures)
		}
	}
}

func TestOneFailedRequestIsEnoughToHurry(t *testing.T) {
	for phase := time.Duration(0); phase < 2*time.Second; phase += 37 * ms {
		took, _ := outage(t, usual, 10*time.Second+phase, refuses, 10*time.Second)
		if took < 0 || took >= time.Second {
			t.Fatalf("phase %s: down after %s, want less than 1s", phase, took)
		}
	}
}

func TestAnOutageWithoutTrafficIsNoticedInTime(t *testing.T) {
	tests := []struct {
		name string
		does conduct
	}{
		{"refusing", refuses},
		{"answering 503", answers503},
		{"mute", staysMute},
		{"not reachable", blackholes},
	}
	const bound = 3*2*time.Second + time.Second
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for phase := time.Duration(0); phase < 2*time.Second; phase += 111 * ms {
				took, failures := outage(t, usual, 10*time.Second+phase, tt.does, 0)
				if took < 0 || took > bound || failures != 3 {
					t.Fatalf("phase %s: down after %s and %d failures, want %s at most and 3", phase, took, failures, bound)
				}
			}
		})
	}
}

func TestTimeToAVerdictIsBoundedForEveryConfiguration(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		interval := rapid.IntRange(8, 5000).Draw(rt, "interval")
		cfg := Config{
			Interval:     time.Duration(interval) * ms,
			Timeout:      time.Duration(rapid.IntRange(8, interval).Draw(rt, "timeout")) * ms,
			FastInterval: time.Duration(rapid.IntRange(1, interval).Draw(rt, "fast interval")) * ms,
			Fall:         rapid.IntRange(1, 6).Draw(rt, "fall"),
			Rise:         rapid.IntRange(1, 3).Draw(rt, "rise"),
		}
		does := rapid.SampledFrom([]conduct{refuses, answers503, staysMute, blackholes}).Draw(rt, "conduct")
		healthyBy := time.Duration(cfg.Rise) * cfg.FastInterval
		breaks := healthyBy + time.Duration(rapid.IntRange(0, 2*interval).Draw(rt, "breaks"))*ms
		bound := time.Duration(cfg.Fall)*cfg.Interval + cfg.Timeout
		took, failures := outage(t, cfg, breaks, does, 0)
		if took < 0 || took > bound || failures != cfg.Fall {
			rt.Fatalf("down after %s and %d failures, want %s at most and %d", took, failures, bound, cfg.Fall)
		}
	})
}

func TestRecoveryNeedsRiseSuccessesInARow(t *testing.T) {
	inWorld(t, usual, script("FFFSSFSFSSS"), func(w *world) {
		time.Sleep(time.Minute)
		var got []string
		for _, e := range w.seen(ProbeDone)[:11] {
			got = append(got, e.To.String())
		}
		want := []string{
			"unknown", "unknown", "down",
			"down", "down", "down", "down", "down", "down", "down", "healthy",
		}
		if !slices.Equal(got, want) {
			t.Errorf("verdicts %v\nwant     %v", got, want)
		}
	})
}

func TestProbesAreFastOnlyWhileAVerdictIsBeingDecided(t *testing.T) {
	const origin = "SSSSFSSFFFFSFSSSS"
	const gaps = "ffssfssffssfsffss" // after each probe: fast or slow
	inWorld(t, usual, script(origin), func(w *world) {
		time.Sleep(time.Minute)
		checkGaps(t, w.probesSoFar(), gaps, usual)
	})
}

// checkGaps compares the time between probes with one letter each: f for
// FastInterval, s for Interval, less jitter.
func checkGaps(t *testing.T, probes []time.Duration, letters string, cfg Config) {
	t.Helper()
	if len(probes) <= len(letters) {
		t.Fatalf("%d probes, want more than %d", len(probes), len(letters))
	}
	for i, letter := range letters {
		want := cfg.Interval
		if letter == 'f' {
			want = cfg.FastInterval
		}
		if gap := probes[i+1] - probes[i]; gap > want || gap < want-want/10 {
			t.Errorf("probe %d came %s after the last one, want %s less jitter", i+2, gap, want)
		}
	}
}

func TestHurryLastsForFallProbesAndThenEnds(t *testing.T) {
	inWorld(t, usual, always(answers), func(w *world) {
		time.Sleep(time.Minute)
		before := len(w.probesSoFar())
		w.Hurry()
		called := w.since()
		synctest.Wait()
		time.Sleep(300 * ms)
		probes := w.probesSoFar()
		if len(probes) < before+1 || probes[before] > called+250*ms {
			t.Fatalf("after Hurry at %s probes at %v", called, probes[before:])
		}
		time.Sleep(time.Minute)
		checkGaps(t, w.probesSoFar()[before:], "ffsss", usual)
	})
}

func TestAHurriedOriginIsProbedAtOnce(t *testing.T) {
	inWorld(t, usual, always(answers), func(w *world) {
		time.Sleep(500 * ms) // decided
		synctest.Wait()
		before := w.probesSoFar()
		time.Sleep(before[len(before)-1] + time.Second - w.since())
		w.Hurry()
		synctest.Wait()
		after := w.probesSoFar()
		if len(after) != len(before)+1 || after[len(before)] != w.since() {
			t.Errorf("probes at %v, want one at %s", after, w.since())
		}
	})
}

func TestNoAmountOfHurryProbesMoreOftenThanFastInterval(t *testing.T) {
	inWorld(t, usual, always(answers), func(w *world) {
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for w.since() < 20*time.Second {
					w.Hurry()
					time.Sleep(ms)
				}
			})
		}
		callers.Wait()
		probes := w.probesSoFar()
		for i := range probes[1:] {
			if gap := probes[i+1] - probes[i]; gap < 225*ms || gap > 250*ms {
				t.Fatalf("probes %s apart, want the fast interval less jitter", gap)
			}
		}
		if v := w.Verdict(); v != Healthy {
			t.Errorf("verdict %s: failing requests are not failing probes", v)
		}
	})
}

func TestHurryBeforeRunIsNotLost(t *testing.T) {
	cfg := usual
	cfg.Rise, cfg.Fall = 1, 4
	for range 20 { // Run finds the call and the first probe due at the same time
		synctest.Test(t, func(t *testing.T) {
			w := &world{began: time.Now(), plan: always(answers)}
			w.Checker = w.newChecker(t, cfg)
			w.Hurry()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			w.Run(ctx)
			checkGaps(t, w.probesSoFar(), "fffss", cfg)
		})
	}
}

func TestRunCanBeResumedAndKeepsItsVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), plan: script("FFFS")}
		w.Checker = w.newChecker(t, usual)
		for _, want := range []Verdict{Down, Healthy} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := w.Run(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Run returned %v", err)
			}
			if v := w.Verdict(); v != want {
				t.Errorf("verdict %s, want %s", v, want)
			}
		}
	})
}

func TestASecondRunBesideTheFirstPanics(t *testing.T) {
	inWorld(t, usual, always(answers), func(w *world) {
		synctest.Wait()
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		w.Run(t.Context())
	})
}

func TestEventsComeInOrderAndAfterTheVerdictShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), plan: script("FFFSSS")}
		var checker *Checker
		var got []string
		cfg := usual
		cfg.Origin, cfg.URL, cfg.Dial = "eu", mustURL(t, "http://origin.test"), w.dial
		checker, err := NewChecker(cfg, func(e Event) {
			if checker.Verdict() != e.To {
				t.Errorf("Verdict says %s when an event says %s", checker.Verdict(), e.To)
			}
			got = append(got, fmt.Sprintf("%s %s>%s", e.Kind, e.From, e.To))
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3200*ms)
		defer cancel()
		checker.Run(ctx)
		want := []string{
			"probe_done unknown>unknown",
			"probe_done unknown>unknown",
			"probe_done unknown>down",
			"verdict_changed unknown>down",
			"probe_done down>down",
			"probe_done down>down",
			"probe_done down>healthy",
			"verdict_changed down>healthy",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestJitterTakesAtMostATenthOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(ms), int64(time.Hour)).Draw(t, "d"))
		got := jitter(d, rapid.Float64Range(0, 1).Draw(t, "random"))
		if got > d || got < d-d/10-1 {
			t.Fatalf("%s became %s", d, got)
		}
	})
}

func TestHurryAndVerdictAllocateNothing(t *testing.T) {
	w := &world{}
	checker := w.newChecker(t, usual)
	if n := testing.AllocsPerRun(100, func() { checker.Hurry(); checker.Verdict() }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkHurry(b *testing.B) {
	checker, err := NewChecker(Config{URL: mustURL(b, "http://origin.test")}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			checker.Hurry()
		}
	})
}

func BenchmarkVerdict(b *testing.B) {
	checker, err := NewChecker(Config{URL: mustURL(b, "http://origin.test")}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		checker.Verdict()
	}
}
