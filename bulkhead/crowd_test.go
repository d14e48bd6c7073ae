package bulkhead

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A visit is one caller of a crowd. Times are in whole units, few of them, so that
// arrivals, departures, time-outs and releases fall on the same instants: what
// comes first is then open, as it is on real threads.
type visit struct {
	comes   int
	patient int // units after which its client leaves; 0: it stays
	works   int // units for which it keeps its permit
	again   bool
}

const unit = 100 * time.Millisecond

var drawVisit = rapid.Custom(func(t *rapid.T) visit {
	return visit{
		comes:   rapid.IntRange(0, 6).Draw(t, "comes"),
		patient: rapid.IntRange(0, 4).Draw(t, "patient"),
		works:   rapid.IntRange(0, 4).Draw(t, "works"),
		again:   rapid.IntRange(0, 5).Draw(t, "again") == 0,
	}
})

// A crowd counts what its callers saw, which is all that can be known from outside.
type crowd struct {
	b   *Bulkhead
	cfg Config

	mu     sync.Mutex
	inside int
	faults []error
}

func (c *crowd) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

// enter is told of a permit that was granted to v after a wait.
func (c *crowd) enter(v visit, waited time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside++; c.inside > c.cfg.MaxConcurrent {
		c.fault("%+v is the %dth inside, the limit is %d", v, c.inside, c.cfg.MaxConcurrent)
	}
	c.bound(v, waited)
}

// refuse is told of an error that v got after a wait.
func (c *crowd) refuse(v visit, waited time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	patience := time.Duration(v.patient) * unit
	honest := errors.Is(err, ErrFull) && waited == 0 && !v.again ||
		errors.Is(err, ErrQueueTimeout) && waited == c.cfg.QueueTimeout ||
		errors.Is(err, errLeft) && waited == patience
	if !honest {
		c.fault("%+v was refused after %v: %w", v, waited, err)
	}
	c.bound(v, waited)
}

// bound holds a wait against the longest that v may have.
func (c *crowd) bound(v visit, waited time.Duration) {
	patience := time.Duration(v.patient) * unit
	if c.cfg.QueueTimeout > 0 && waited > c.cfg.QueueTimeout || patience > 0 && waited > patience {
		c.fault("%+v waited for %v", v, waited)
	}
}

// take is one visit from beginning to end.
func (c *crowd) take(v visit) {
	time.Sleep(time.Duration(v.comes) * unit)
	ctx, leave := context.WithCancelCause(context.Background())
	defer leave(nil)
	if v.patient > 0 {
		timer := time.AfterFunc(time.Duration(v.patient)*unit, func() { leave(errLeft) })
		defer timer.Stop()
	}
	acquire, began := c.b.Acquire, time.Now()
	if v.again {
		acquire = c.b.Reacquire
	}
	var p Permit
	if err := acquire(ctx, &p); err != nil {
		c.refuse(v, time.Since(began), err)
		return
	}
	c.enter(v, time.Since(began))
	time.Sleep(time.Duration(v.works) * unit)
	c.mu.Lock()
	c.inside--
	c.mu.Unlock()
	p.Release()
}

// visited runs all visits at once and returns what was wrong, looking at each
// instant for a permit that is free while somebody waits.
func visited(cfg Config, visits []visit) error {
	c := &crowd{b: New(cfg), cfg: cfg}
	var all sync.WaitGroup
	for _, v := range visits {
		all.Go(func() { c.take(v) })
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-time.After(unit):
		}
		synctest.Wait()
		c.mu.Lock()
		if used, queued := c.b.InUse(), c.b.Queued(); used != c.inside || queued > 0 && used < cfg.MaxConcurrent {
			c.fault("%d in use, %d inside, %d queued", used, c.inside, queued)
		}
		c.mu.Unlock()
	}
	if c.b.InUse() != 0 || c.b.Queued() != 0 {
		c.fault("%d in use and %d queued at rest", c.b.InUse(), c.b.Queued())
	}
	return errors.Join(c.faults...)
}

// Where everything happens at once the model can't say who wins. Yet no more than
// the limit are inside, no permit is lost or free while somebody waits, nobody
// waits for longer than the queue or their client lets them, and no refusal is
// made up.
func TestNoCrowdBreaksTheLimitOrLosesAPermit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{
			MaxConcurrent: rapid.IntRange(1, 3).Draw(rt, "permits"),
			MaxQueue:      rapid.IntRange(0, 5).Draw(rt, "queue"),
			QueueTimeout:  time.Duration(rapid.IntRange(0, 4).Draw(rt, "timeout")) * unit,
		}
		visits := rapid.SliceOfN(drawVisit, 1, 30).Draw(rt, "visits")
		var err error
		synctest.Test(t, func(*testing.T) { err = visited(cfg, visits) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
