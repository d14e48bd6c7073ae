package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// An EventKind says which fields of an [Event] mean something.
type EventKind uint8

const (
	// ProbeDone comes after every probe that was not cancelled, with Result.
	ProbeDone EventKind = iota + 1
	// VerdictChanged comes after the ProbeDone that moved the verdict, with
	// From, To and that probe's Result.
	VerdictChanged
	// PauseDetected says that our own process stood still, with Pause.
	PauseDetected
)

// String is the kind as it stands in logs.
func (k EventKind) String() string {
	switch k {
	case ProbeDone:
		return "probe_done"
	case VerdictChanged:
		return "verdict_changed"
	case PauseDetected:
		return "pause_detected"
	}
	return "invalid"
}

// An Event is something that a [Checker] noticed.
type Event struct {
	Kind   EventKind
	Origin string
	At     time.Time

	// Result is the probe's; for ProbeDone and VerdictChanged.
	Result Result

	// From and To are the verdicts before and after the probe; for ProbeDone
	// and VerdictChanged.
	From, To Verdict

	// Pause is about how long nothing ran; for PauseDetected.
	Pause time.Duration
}

// A Checker probes one origin and keeps its verdict. Make it with [NewChecker].
// Its methods are safe for concurrent use, but only one Run at a time.
type Checker struct {
	cfg     Config
	prober  *prober
	onEvent func(Event)

	verdict atomic.Uint32
	running atomic.Bool

	// hurry holds a token from a call of Hurry until Run takes it. A send
	// that finds it full returns without taking the channel's lock.
	hurry chan struct{}

	history history

	// now is time.Now. A test shifts it to stand for a stopped process,
	// which a bubble's clock can't.
	now func() time.Time

	// What follows belongs to Run's goroutine.
	state    state
	pulse    pulse
	fastLeft int // probes to start at FastInterval since the last hurry
}

// NewChecker returns a Checker that has not probed yet; [Checker.Run] starts
// it. Every problem of cfg is in the error.
//
// onEvent, unless nil, is called from Run's goroutine, in order, with no lock
// held and after Verdict shows the change. The next probe waits for it, so it
// must not block.
func NewChecker(cfg Config, onEvent func(Event)) (*Checker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("health check of origin %s: %w", cfg.Origin, err)
	}
	if onEvent == nil {
		onEvent = func(Event) {}
	}
	c := &Checker{
		cfg:     cfg,
		prober:  newProber(cfg),
		onEvent: onEvent,
		hurry:   make(chan struct{}, 1),
		now:     time.Now,
		pulse:   newPulse(cfg.Timeout),
	}
	c.history.since = c.now()
	return c, nil
}

// Verdict returns the present verdict; Unknown before the first one. It costs
// an atomic load.
func (c *Checker) Verdict() Verdict { return Verdict(c.verdict.Load()) }

// Hurry says that a real request failed. The next probe starts at once, or as
// soon as FastInterval has passed since the start of the last one, and it and
// those after it, Fall in all, come every FastInterval. Each call renews this,
// so probes stay fast as long as requests fail, whatever the verdict is.
//
// It never blocks and costs next to nothing; any goroutine may call it any
// number of times.
func (c *Checker) Hurry() {
	select {
	case c.hurry <- struct{}{}:
	default:
	}
}

// Run probes until ctx is done and returns ctx's cause, never another error.
// The first probe starts at once; only one is in flight at a time. When Run
// returns, the last probe has ended too, without having counted.
//
// A second Run beside a first one panics. A Run after another one goes on with
// its verdict.
func (c *Checker) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		panic("health: Run called while another Run is at work")
	}
	defer c.running.Store(false)
	var probes sync.WaitGroup
	defer probes.Wait()

	last, due := time.Time{}, c.now()
	for {
		start, err := c.wait(ctx, last, due)
		if err != nil {
			return err
		}
		result, pause, err := c.await(ctx, c.launch(ctx, &probes), start)
		if err != nil {
			return err
		}
		c.count(result, pause)
		last, due = start, start.Add(c.delay(rand.Float64()))
	}
}

// wait blocks until the next probe is due and returns that time. Due is
// brought forward, though never closer to the last probe than FastInterval, by
// a real request that fails meanwhile or failed before.
func (c *Checker) wait(ctx context.Context, last, due time.Time) (start time.Time, err error) {
	due = latest(due, c.now()) // a probe that outlasted the delay is no pause
	timer := time.NewTimer(due.Sub(c.now()))
	defer timer.Stop()
	hurry := c.hurry
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-hurry:
			hurry = nil // once is enough: a flood of calls must not wake us each time
			c.fastLeft = c.cfg.Fall
			if fast := last.Add(jitter(c.cfg.FastInterval, rand.Float64())); fast.Before(due) {
				due = latest(fast, c.now())
				timer.Reset(due.Sub(c.now()))
			}
		case <-timer.C:
			select {
			case <-c.hurry: // came again, or just as we start anyway
				c.fastLeft = c.cfg.Fall
			default:
			}
			now := c.now()
			if pause := c.pulse.pause(now.Sub(due)); pause > 0 {
				c.onEvent(Event{Kind: PauseDetected, Origin: c.cfg.Origin, At: now, Pause: pause})
			}
			return now, nil
		}
	}
}

// launch starts one probe. Its channel is its own: a result that comes after
// await gave up is read by nobody and so moves nothing.
func (c *Checker) launch(ctx context.Context, probes *sync.WaitGroup) <-chan Result {
	results := make(chan Result, 1)
	probes.Go(func() { results <- c.prober.probe(ctx) })
	c.fastLeft = max(c.fastLeft-1, 0)
	return results
}

// await returns the result of the probe in flight, and how long our process
// stood still meanwhile. Its error is ctx's cause: a cancelled probe has no
// result.
//
// A probe ends by itself at its time-out. Should its Dial hang on, await goes
// on without it, a little later. It counts beats rather than time, so that a
// pause leaves an answer that waits in the socket its chance to be read.
func (c *Checker) await(ctx context.Context, results <-chan Result, start time.Time) (result Result, pause time.Duration, err error) {
	const patience = beatsPerTimeout + beatsPerTimeout/4
	ticker := time.NewTicker(c.pulse.every)
	defer ticker.Stop()
	c.pulse.last = start
	for range patience {
		select {
		case <-ctx.Done():
			return Result{}, 0, context.Cause(ctx)
		case result := <-results:
			if ctx.Err() != nil {
				return Result{}, 0, context.Cause(ctx)
			}
			pause += c.pulse.beat(c.now())
			return result, pause, nil
		case <-ticker.C:
			pause += c.pulse.beat(c.now())
		}
	}
	return Result{
		Start: start,
		Took:  c.now().Sub(start),
		Err:   &ProbeError{Origin: c.cfg.Origin, Phase: PhaseDial, Err: fmt.Errorf("%w and did not return", ErrTimeout)},
	}, pause, nil
}

// count feeds the machine with a result and tells of it. A failure that
// straddles a pause of our own, or that came of our want of file descriptors, is
// no evidence against the origin; a success is one for it all the same.
func (c *Checker) count(result Result, pause time.Duration) {
	e := Event{Origin: c.cfg.Origin, At: c.now()}
	result.Dropped = errors.Is(result.Err, syscall.EMFILE) || errors.Is(result.Err, syscall.ENFILE)
	if pause > 0 {
		result.Dropped = result.Err != nil
		e.Kind, e.Pause = PauseDetected, pause
		c.onEvent(e)
		e.Pause = 0
	}
	e.Result, e.From = result, c.state.verdict
	if !result.Dropped {
		c.state = next(c.state, result.Err == nil, thresholds{c.cfg.Fall, c.cfg.Rise})
	}
	e.Kind, e.To = ProbeDone, c.state.verdict
	c.history.add(result, e.From != e.To, e.At)
	c.verdict.Store(uint32(c.state.verdict))
	c.onEvent(e)
	if e.From != e.To {
		e.Kind = VerdictChanged
		c.onEvent(e)
	}
}

// delay is the time from the start of the last probe to that of the next.
func (c *Checker) delay(random float64) time.Duration {
	if c.fastLeft > 0 || c.state.deciding() {
		return jitter(c.cfg.FastInterval, random)
	}
	return jitter(c.cfg.Interval, random)
}

// jitter takes up to a tenth off d, for random in [0, 1), so that the probes of
// many checkers don't stay in step. It adds nothing: the promised times to a
// verdict are sums of whole intervals.
func jitter(d time.Duration, random float64) time.Duration {
	return d - time.Duration(random*float64(d)/10)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
