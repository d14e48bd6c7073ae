package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestAPauseOfOurOwnProcessMovesNoVerdict(t *testing.T) {
	tests := []struct {
		name  string
		stall time.Duration
		does  conduct // of the probes that are in flight meanwhile
		want  Verdict
		drops int
	}{
		{"ten seconds, then refused", 10 * time.Second, refuses, Healthy, 5},
		{"ten seconds, then a punctual time-out", 10 * time.Second, staysMute, Healthy, 5},
		{"ten seconds in a dial", 10 * time.Second, blackholes, Healthy, 5},
		{"most of a time-out", 900 * ms, refuses, Healthy, 5},
		{"ten seconds, yet the answer is there", 10 * time.Second, answers, Healthy, 0},
		{"a hiccup, which is no pause", 200 * ms, refuses, Down, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := func(w *world, n int) conduct {
				if n < 5 || n >= 10 {
					return answers
				}
				w.stall(tt.stall)
				return tt.does
			}
			inWorld(t, usual, plan, func(w *world) {
				for len(w.seen(ProbeDone)) < 10 {
					time.Sleep(10 * ms)
				}
				if v := w.Verdict(); v != tt.want {
					t.Errorf("verdict %s, want %s", v, tt.want)
				}
				drops := 0
				for _, e := range w.seen(ProbeDone) {
					if e.Result.Dropped {
						drops++
					}
				}
				if drops != tt.drops {
					t.Errorf("%d results dropped, want %d", drops, tt.drops)
				}
			})
		})
	}
}

// A probe for which there is no file descriptor says nothing about the origin:
// else whoever uses them up could move every pointer.
func TestWantOfDescriptorsMovesNoVerdict(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE} {
		short := func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errno}
		}
		inWorld(t, Config{Interval: time.Second, Dial: short}, nil, func(w *world) {
			time.Sleep(time.Minute)
			done := w.seen(ProbeDone)
			if len(done) < 50 || !done[0].Result.Dropped || !errors.Is(done[0].Result.Err, errno) {
				t.Errorf("%d probes, the first %+v; want it dropped, with its error", len(done), done[0].Result)
			}
			if v := w.Verdict(); v != Unknown {
				t.Errorf("verdict %v of probes that never were", v)
			}
		})
	}
}

func TestAPauseIsReportedWithItsLength(t *testing.T) {
	plan := func(w *world, n int) conduct {
		if n == 4 {
			w.stall(10 * time.Second)
			return refuses
		}
		return answers
	}
	inWorld(t, usual, plan, func(w *world) {
		time.Sleep(10 * time.Second)
		w.stall(10 * time.Second) // between two probes, most likely
		time.Sleep(10 * time.Second)
		pauses := w.seen(PauseDetected)
		if len(pauses) != 2 {
			t.Fatalf("%d pauses seen, want 2: %v", len(pauses), pauses)
		}
		for _, e := range pauses {
			if e.Origin != "eu" || e.Pause < 9*time.Second || e.Pause > 10*time.Second {
				t.Errorf("a pause of %s of origin %q, want about 10s of eu", e.Pause, e.Origin)
			}
		}
		if changes := w.seen(VerdictChanged); len(changes) != 1 {
			t.Errorf("verdicts moved: %v", changes)
		}
	})
}

func TestAfterAPauseProbesDoNotComeInABurst(t *testing.T) {
	inWorld(t, usual, always(answers), func(w *world) {
		time.Sleep(10 * time.Second)
		w.stall(time.Hour)
		before := len(w.probesSoFar())
		time.Sleep(10 * time.Second)
		if n := len(w.probesSoFar()) - before; n > 6 {
			t.Errorf("%d probes in the 10 seconds after a pause", n)
		}
	})
}

func TestAResultThatArrivesLateIsDropped(t *testing.T) {
	// A Dial that pays no heed to its context brings working connections, but
	// five seconds after the time-out.
	inWorld(t, usual, always(dialsLate), func(w *world) {
		time.Sleep(time.Minute)
		if at := w.turned(Down); w.Verdict() != Down || at > 4*time.Second {
			t.Errorf("verdict %s, down at %s; want down within 4s", w.Verdict(), at)
		}
		for _, e := range w.seen(ProbeDone) {
			if !errors.Is(e.Result.Err, ErrTimeout) {
				t.Errorf("result %v, want a time-out", e.Result.Err)
			}
		}
	})
}

func TestACancelledProbeIsNoResult(t *testing.T) {
	for _, does := range []conduct{staysMute, blackholes} {
		t.Run(fmt.Sprint(does), func(t *testing.T) {
			cfg := usual
			cfg.Fall = 1
			var w *world
			inWorld(t, cfg, always(does), func(started *world) {
				w = started
				time.Sleep(500 * ms)
			})
			if len(w.probes) != 1 || len(w.events) != 0 || w.Verdict() != Unknown {
				t.Errorf("%d probes, events %v, verdict %s; want 1, none, unknown", len(w.probes), w.events, w.Verdict())
			}
		})
	}
}
