package bulkhead

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A step is one thing that happens to a bulkhead. Who is meant by n depends on
// the state: the n-th holder or the n-th waiter, modulo how many there are.
type step struct {
	what string
	n    int
	cfg  Config
}

func (s step) String() string { return fmt.Sprintf("%s %d %v", s.what, s.n, s.cfg) }

var drawConfig = rapid.Custom(func(t *rapid.T) Config {
	return Config{
		MaxConcurrent: rapid.IntRange(1, 4).Draw(t, "permits"),
		MaxQueue:      rapid.IntRange(-1, 4).Draw(t, "queue"),
		QueueTimeout:  time.Duration(rapid.IntRange(-1, 3).Draw(t, "timeout")) * time.Second,
	}
})

var drawStep = rapid.Custom(func(t *rapid.T) step {
	s := step{what: rapid.SampledFrom([]string{
		"acquire", "acquire", "acquire", "reacquire", "try", "release", "release", "leave", "sleep", "resize",
	}).Draw(t, "what")}
	switch s.what {
	case "release", "leave":
		s.n = rapid.IntRange(0, 9).Draw(t, "n")
	case "sleep":
		s.n = rapid.IntRange(1, 1500).Draw(t, "ms")
	case "resize":
		s.cfg = drawConfig.Draw(t, "cfg")
	}
	return s
})

var errLeft = errors.New("left")

// A model is a bulkhead as the specification tells it: a list of holders and a
// list of those who wait, each with a deadline.
type model struct {
	cfg     Config
	holders []*caller
	waiters []*waiting
	want    map[*caller]error // what Acquire must have returned
}

type waiting struct {
	*caller
	until time.Time // zero: for ever
}

func (m *model) grant() {
	for len(m.holders) < m.cfg.MaxConcurrent && len(m.waiters) > 0 {
		c := m.waiters[0].caller
		m.waiters = m.waiters[1:]
		m.holders = append(m.holders, c)
		m.want[c] = nil
	}
}

func (m *model) expire(now time.Time) {
	m.waiters = slices.DeleteFunc(m.waiters, func(w *waiting) bool {
		late := !w.until.IsZero() && !now.Before(w.until)
		if late {
			m.want[w.caller] = ErrQueueTimeout
		}
		return late
	})
}

// do does s to the bulkhead and to the model.
func (m *model) do(b *Bulkhead, s step) error {
	switch s.what {
	case "acquire":
		m.acquire(call(b), false)
	case "reacquire":
		m.acquire(callAgain(b), true)
	case "try":
		c := &caller{done: make(chan struct{})}
		close(c.done)
		want := len(m.holders) < m.cfg.MaxConcurrent && len(m.waiters) == 0
		if got := b.TryAcquire(&c.permit); got != want {
			return fmt.Errorf("TryAcquire %v, want %v", got, want)
		}
		if want {
			m.holders = append(m.holders, c)
			m.want[c] = nil
		}
	case "release":
		if len(m.holders) > 0 {
			i := s.n % len(m.holders)
			m.holders[i].permit.Release()
			delete(m.want, m.holders[i])
			m.holders = slices.Delete(m.holders, i, i+1)
			m.grant()
		}
	case "leave":
		if len(m.waiters) > 0 {
			i := s.n % len(m.waiters)
			m.waiters[i].leave(errLeft)
			m.want[m.waiters[i].caller] = errLeft
			m.waiters = slices.Delete(m.waiters, i, i+1)
		}
	case "sleep":
		time.Sleep(time.Duration(s.n) * time.Millisecond)
		m.expire(time.Now())
	case "resize":
		b.Resize(s.cfg)
		m.cfg = s.cfg
		m.grant()
	}
	return nil
}

func (m *model) acquire(c *caller, admitted bool) {
	switch {
	case len(m.holders) < m.cfg.MaxConcurrent && len(m.waiters) == 0:
		m.holders = append(m.holders, c)
		m.want[c] = nil
	case len(m.waiters) >= m.cfg.MaxQueue && !admitted:
		m.want[c] = ErrFull
	default:
		w := &waiting{caller: c}
		if m.cfg.QueueTimeout > 0 {
			w.until = time.Now().Add(m.cfg.QueueTimeout)
		}
		m.waiters = append(m.waiters, w)
	}
}

// check compares the bulkhead, at rest, with the model.
func (m *model) check(b *Bulkhead) error {
	if b.InUse() != len(m.holders) || b.Queued() != len(m.waiters) {
		return fmt.Errorf("%d in use and %d queued, want %d and %d", b.InUse(), b.Queued(), len(m.holders), len(m.waiters))
	}
	for c, want := range m.want {
		if !c.returned() || c.err != want || c.permit.Held() != (want == nil) {
			return fmt.Errorf("a caller: returned %v with %v, holds %v; want %v", c.returned(), c.err, c.permit.Held(), want)
		}
	}
	for _, w := range m.waiters {
		if w.returned() {
			return fmt.Errorf("a caller returned with %v and should wait", w.err)
		}
	}
	return nil
}

// play runs the steps in a bubble, each to its end, then empties the bulkhead.
func play(cfg Config, steps []step) error {
	b := New(cfg)
	m := &model{cfg: cfg, want: make(map[*caller]error)}
	for i, s := range steps {
		if err := m.do(b, s); err != nil {
			return fmt.Errorf("step %d, %v: %w", i, s, err)
		}
		synctest.Wait()
		if err := m.check(b); err != nil {
			return fmt.Errorf("step %d, %v: %w", i, s, err)
		}
	}
	for len(m.holders) > 0 {
		_ = m.do(b, step{what: "release"})
		synctest.Wait()
	}
	return m.check(b)
}

func TestAnyStoryEndsAsTheModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := drawConfig.Draw(rt, "start")
		steps := rapid.SliceOfN(drawStep, 1, 40).Draw(rt, "steps")
		var err error
		synctest.Test(t, func(*testing.T) { err = play(cfg, steps) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
