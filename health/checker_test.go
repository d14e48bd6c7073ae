package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A conduct is how an origin in memory treats one connection.
type conduct uint8

const (
	answers conduct = iota
	answers503
	refuses
	blackholes  // the connection is never made
	staysMute   // accepts, reads, never answers
	answersLate // after the probe's time-out
	dialsLate   // pays no heed to the time-out, and then answers
)

// late is when an origin that is late does what it does: after any time-out
// that tests use.
const late = 6 * time.Second

// A plan says what an origin does with the n-th probe, counted from 0.
type plan func(w *world, n int) conduct

// A world is an origin in memory with a Checker that probes it, in a bubble.
type world struct {
	*Checker
	began time.Time
	skew  atomic.Int64 // what the checker's clock is ahead by

	plan plan

	mu     sync.Mutex
	probes []time.Duration // when each was dialled, since began
	events []Event
}

// inWorld runs a Checker against an origin that follows p, and play beside them.
// Nothing may be left running when play is through.
func inWorld(t *testing.T, cfg Config, p plan, play func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), plan: p}
		w.Checker = w.newChecker(t, cfg)
		ctx, cancel := context.WithCancelCause(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := w.Run(ctx); !errors.Is(err, errOver) {
				t.Errorf("Run returned %v, want its context's cause", err)
			}
		})
		play(w)
		cancel(errOver)
		running.Wait()
	})
}

var errOver = errors.New("the play is over")

func (w *world) newChecker(t *testing.T, cfg Config) *Checker {
	cfg.Origin = "eu"
	cfg.URL = mustURL(t, "http://origin.test")
	if cfg.Dial == nil {
		cfg.Dial = w.dial
	}
	checker, err := NewChecker(cfg, w.record)
	if err != nil {
		t.Fatal(err)
	}
	checker.now = func() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }
	return checker
}

// stall lets our process stand still for d: its clock jumps.
func (w *world) stall(d time.Duration) { w.skew.Add(int64(d)) }

func (w *world) record(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	n := len(w.probes)
	w.probes = append(w.probes, time.Since(w.began))
	w.mu.Unlock()
	does := w.plan(w, n)
	switch does {
	case refuses:
		return nil, syscall.ECONNREFUSED
	case blackholes:
		<-ctx.Done()
		return nil, ctx.Err()
	case dialsLate:
		time.Sleep(late)
		does = answers
	}
	ours, theirs := net.Pipe()
	go serve(theirs, does)
	return ours, nil
}

func serve(conn net.Conn, does conduct) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	switch does {
	case answersLate:
		time.Sleep(late)
		fallthrough
	case answers:
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	case answers503:
		io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
	case staysMute:
		io.Copy(io.Discard, conn)
	}
}

// since is the time by the bubble's clock.
func (w *world) since() time.Duration { return time.Since(w.began) }

// probesSoFar returns when the probes were dialled.
func (w *world) probesSoFar() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.probes)
}

// seen returns the events of one kind.
func (w *world) seen(kind EventKind) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var events []Event
	for _, e := range w.events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

// turned returns when the verdict last became v, or -1.
func (w *world) turned(v Verdict) time.Duration {
	at := time.Duration(-1)
	for _, e := range w.seen(VerdictChanged) {
		if e.To == v {
			at = e.At.Sub(w.began)
		}
	}
	return at
}

func always(does conduct) plan {
	return func(*world, int) conduct { return does }
}

// script reads one letter a probe: S answers, F is refused; the last one goes
// on for ever.
func script(letters string) plan {
	return func(_ *world, n int) conduct {
		if letters[min(n, len(letters)-1)] == 'S' {
			return answers
		}
		return refuses
	}
}

const ms = time.Millisecond

// usual is the timing of the specification's example.
var usual = Config{Interval: 2 * time.Second, Timeout: time.Second, FastInterval: 250 * ms, Fall: 3, Rise: 3}

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
