package proxy

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A breakerStep is one thing that happens to a breaker: an attempt wants to go,
// the n-th one in flight ends in some way, or time passes.
type breakerStep struct {
	what  string
	n     int
	pause time.Duration
}

func (s breakerStep) String() string { return fmt.Sprintf("%s %d %s", s.what, s.n, s.pause) }

var breakerEnds = map[string]error{"succeeds": nil, "fails": errFailed, "is nobody's": errExcluded}

var drawBreakerStep = rapid.Custom(func(t *rapid.T) breakerStep {
	s := breakerStep{what: rapid.SampledFrom([]string{
		"wants", "wants", "wants", "wants", "succeeds", "succeeds", "fails", "fails", "fails", "is nobody's", "passes",
	}).Draw(t, "what")}
	switch s.what {
	case "wants":
	case "passes":
		s.pause = rapid.SampledFrom([]time.Duration{1, time.Second, breakerOpenFor - 1, breakerOpenFor, breakerOpenFor + 1}).Draw(t, "pause")
	default:
		s.n = rapid.IntRange(0, 5).Draw(t, "n")
	}
	return s
})

const breakerOpenFor = 5 * time.Second

// A breakerModel is a breaker as the specification tells it.
type breakerModel struct {
	failures, trials int // the configuration

	state    string
	era      int // one more with each change of state: results of an older one come too late
	inARow   int // failures if closed, successes if half-open
	out      int // trials that ended well or have not ended
	openedAt time.Time
	flying   []*flight
}

// A flight is an attempt that was let through and has not ended.
type flight struct {
	era    int
	ends   chan error
	landed chan struct{}
}

func (m *breakerModel) move(state string) {
	m.state, m.inARow, m.out = state, 0, 0
	m.openedAt = time.Now()
	m.era++
}

// wake lets time have its effect: an open breaker is half-open when more than
// its time has passed.
func (m *breakerModel) wake() {
	if m.state == "open" && time.Since(m.openedAt) > breakerOpenFor {
		m.move("half-open")
	}
}

// admits reports whether an attempt would be let through.
func (m *breakerModel) admits() bool {
	m.wake()
	return m.state == "closed" || m.state == "half-open" && m.out < m.trials
}

// end takes note of how an attempt ended. One from before the last change of
// state says nothing about now.
func (m *breakerModel) end(f *flight, result error) {
	m.wake()
	if f.era != m.era {
		return
	}
	switch {
	case result == errExcluded:
		m.out-- // its trial is another one's
	case result == nil && m.state == "closed":
		m.inARow = 0
	case result == nil:
		if m.inARow++; m.inARow >= m.trials {
			m.move("closed")
		}
	case m.state == "half-open":
		m.move("open")
	default:
		if m.inARow++; m.inARow >= m.failures {
			m.move("open")
		}
	}
}

// launch starts an attempt, which goes on until its ends channel says how it
// ends, and reports whether the breaker let it through.
func launch(b *breaker, era int) (f *flight, through bool) {
	f = &flight{era: era, ends: make(chan error), landed: make(chan struct{})}
	began := false
	go func() {
		defer close(f.landed)
		b.run(func() (struct{}, error) { began = true; return struct{}{}, <-f.ends })
	}()
	synctest.Wait()
	return f, began
}

// do does s to the breaker and to the model.
func (m *breakerModel) do(b *breaker, s breakerStep) error {
	switch s.what {
	case "passes":
		time.Sleep(s.pause)
	case "wants":
		want := m.admits()
		f, got := launch(b, m.era)
		if got {
			m.out++
			m.flying = append(m.flying, f)
		}
		if got != want {
			return fmt.Errorf("let through: %t, want %t", got, want)
		}
	default:
		if len(m.flying) == 0 {
			return nil
		}
		i := s.n % len(m.flying)
		f := m.flying[i]
		m.flying = slices.Delete(m.flying, i, i+1)
		m.land(f, breakerEnds[s.what])
	}
	return nil
}

func (m *breakerModel) land(f *flight, result error) {
	f.ends <- result
	<-f.landed
	m.end(f, result)
}

// ground ends what is in flight, for nobody's fault.
func (m *breakerModel) ground() {
	for _, f := range m.flying {
		m.land(f, errExcluded)
	}
	m.flying = nil
}

// check looks at the breaker without moving it, and then asks it.
func (m *breakerModel) check(b *breaker) error {
	admits := m.admits()
	for range 2 { // having looked changes nothing
		if state, refuses := b.peek(); state != m.state || refuses == admits {
			return fmt.Errorf("peek says %s, refuses %t; want %s, %t", state, refuses, m.state, !admits)
		}
	}
	if got := b.refuses(); got != (m.state == "open") {
		return fmt.Errorf("refuses %t in state %s", got, m.state)
	}
	return nil
}

// heals wants the breaker closed after its time and as many successes as it has
// trials, wherever the story has left it: no abandoned trial may be missing.
func (m *breakerModel) heals(b *breaker) error {
	m.ground()
	time.Sleep(breakerOpenFor + 1)
	for n := range m.trials {
		f, through := launch(b, m.era)
		if !through {
			return fmt.Errorf("at rest, trial %d of %d was refused", n+1, m.trials)
		}
		m.land(f, nil)
	}
	if state, _ := b.peek(); state != "closed" {
		return fmt.Errorf("after %d trials that succeeded it is %s", m.trials, state)
	}
	return nil
}

func playBreaker(failures, trials int, steps []breakerStep) error {
	moves := make(chan breakerMove, 1000)
	b := newBreaker(BreakerConfig{ConsecutiveFailures: failures, OpenFor: breakerOpenFor, HalfOpenTrials: trials}, "shop", "eu", moves)
	m := &breakerModel{failures: failures, trials: trials, state: "closed"}
	defer m.ground() // nothing may be left in the bubble, also when a step went wrong
	for i, s := range steps {
		if err := m.do(b, s); err != nil {
			return fmt.Errorf("step %d, %v: %w", i, s, err)
		}
		if err := m.check(b); err != nil {
			return fmt.Errorf("step %d, %v: %w", i, s, err)
		}
	}
	if len(moves) != m.era {
		return fmt.Errorf("told of %d moves, want %d", len(moves), m.era)
	}
	return m.heals(b)
}

// Any number of attempts at once, that end in any order and in any way, whenever:
// no more trials than configured are under way half-open, one that was nobody's
// failure gives its place to another, a result from before the last change of state
// counts for nothing, and the breaker heals.
func TestAnyStoryOfABreakerIsTheModels(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		failures, trials := rapid.IntRange(1, 4).Draw(rt, "failures"), rapid.IntRange(1, 3).Draw(rt, "trials")
		steps := rapid.SliceOfN(drawBreakerStep, 40, 120).Draw(rt, "steps")
		var err error
		synctest.Test(t, func(*testing.T) { err = playBreaker(failures, trials, steps) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
