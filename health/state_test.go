package health

import (
	"testing"

	"pgregory.net/rapid"
)

// feed runs the machine over a history written as letters: S for a success, F
// for a failure.
func feed(s state, history string, t thresholds) state {
	for _, letter := range history {
		s = next(s, letter == 'S', t)
	}
	return s
}

func TestVerdictMovesOnlyAfterEnoughEqualResultsInARow(t *testing.T) {
	tests := []struct {
		name         string
		give         string
		fall, rise   int
		want         Verdict
		wantDeciding bool
	}{
		{"nothing is known at first", "", 3, 3, Unknown, true},
		{"two successes are not three", "SS", 3, 3, Unknown, true},
		{"three successes make it healthy", "SSS", 3, 3, Healthy, false},
		{"three failures make it down", "FFF", 3, 3, Down, false},
		{"an unknown origin that flaps stays unknown", "SSFFSSFFSF", 3, 3, Unknown, true},
		{"two failures don't bring a healthy one down", "SSSFF", 3, 3, Healthy, true},
		{"a success between failures starts the count again", "SSSFFSFF", 3, 3, Healthy, true},
		{"one success calms a doubted origin", "SSSFFS", 3, 3, Healthy, false},
		{"three failures bring a healthy one down", "SSSFFF", 3, 3, Down, false},
		{"two successes don't mend it", "FFFSS", 3, 3, Down, true},
		{"a failure between successes starts the count again", "FFFSSFSS", 3, 3, Down, true},
		{"three successes mend it", "FFFSSS", 3, 3, Healthy, false},
		{"a long past counts no more than a short one", "SSSSSSSSSSFFF", 3, 3, Down, false},
		{"a long outage counts no more than a short one", "FFFFFFFFFFSSS", 3, 3, Healthy, false},
		{"with thresholds of one each result decides", "SFSF", 1, 1, Down, false},
		{"thresholds differ: fast to fall", "SSSSSF", 1, 5, Down, false},
		{"thresholds differ: slow to rise", "FSSSS", 1, 5, Down, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := feed(state{}, tt.give, thresholds{tt.fall, tt.rise})
			if got.verdict != tt.want || got.deciding() != tt.wantDeciding {
				t.Errorf("after %q: %s, deciding %t; want %s, %t",
					tt.give, got.verdict, got.deciding(), tt.want, tt.wantDeciding)
			}
		})
	}
}

// believed is the specification said slowly: the latest run of equal results
// that was long enough decides.
func believed(history []bool, t thresholds) Verdict {
	for end := len(history); end > 0; end-- {
		last := history[end-1]
		need, verdict := t.fall, Down
		if last {
			need, verdict = t.rise, Healthy
		}
		start := end
		for start > 0 && history[start-1] == last {
			start--
		}
		if end-start >= need {
			return verdict
		}
	}
	return Unknown
}

func TestVerdictIsWhatTheLatestLongEnoughRunSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := thresholds{rapid.IntRange(1, 6).Draw(t, "fall"), rapid.IntRange(1, 6).Draw(t, "rise")}
		history := rapid.SliceOfN(rapid.Bool(), 0, 60).Draw(t, "history")
		var s state
		for i, success := range history {
			before := s
			s = next(s, success, limits)
			if want := believed(history[:i+1], limits); s.verdict != want {
				t.Fatalf("after %v: %s, want %s", history[:i+1], s.verdict, want)
			}
			if s.streak < -limits.fall || s.streak > limits.rise || s.streak == 0 {
				t.Fatalf("streak %d is out of bounds", s.streak)
			}
			if s.verdict != before.verdict && s.deciding() {
				t.Fatalf("still deciding right after moving to %s", s.verdict)
			}
			if agrees := (s.verdict == Healthy && success) || (s.verdict == Down && !success); agrees && s.deciding() {
				t.Fatalf("%s doubted after a result that agrees", s.verdict)
			}
		}
	})
}

func TestVerdictsAndEventKindsHaveNames(t *testing.T) {
	tests := []struct{ give, want string }{
		{Unknown.String(), "unknown"},
		{Healthy.String(), "healthy"},
		{Down.String(), "down"},
		{Verdict(9).String(), "invalid"},
		{ProbeDone.String(), "probe_done"},
		{VerdictChanged.String(), "verdict_changed"},
		{PauseDetected.String(), "pause_detected"},
		{EventKind(0).String(), "invalid"},
	}
	for _, tt := range tests {
		if tt.give != tt.want {
			t.Errorf("got %q, want %q", tt.give, tt.want)
		}
	}
}
