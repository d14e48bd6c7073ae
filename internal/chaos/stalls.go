package chaos

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stalls is how much time a busy machine takes from this process: how much later than asked for it gets to run. With it a
// bound in time can be as tight as what it proves and yet hold anywhere. Safe for concurrent use. Make it with
// [MeasureStalls].
type Stalls struct {
	total, worst atomic.Int64
	stop         func()
}

// stallBeat is how often the process looks at the clock. What is late by no more than that is not counted.
const stallBeat = 10 * time.Millisecond

// MeasureStalls measures until Stop.
func MeasureStalls() *Stalls {
	s := &Stalls{}
	stop, done := make(chan struct{}), make(chan struct{})
	s.stop = sync.OnceFunc(func() { close(stop); <-done })
	go func() {
		defer close(done)
		s.measure(stop)
	}()
	return s
}

func (s *Stalls) measure(stop <-chan struct{}) {
	for {
		from := time.Now()
		select {
		case <-stop:
			return
		case <-time.After(stallBeat):
		}
		if late := time.Since(from) - stallBeat; late > stallBeat {
			s.total.Add(int64(late))
			s.worst.Store(max(s.worst.Load(), int64(late)))
		}
	}
}

// Stop ends the measurement. It may be called again.
func (s *Stalls) Stop() { s.stop() }

// Total returns all that was taken so far.
func (s *Stalls) Total() time.Duration { return time.Duration(s.total.Load()) }

// Worst returns the longest time that was taken at once.
func (s *Stalls) Worst() time.Duration { return time.Duration(s.worst.Load()) }

// Allowance returns what to add to a bound: twice the total, since what waits for one late step is often late with the next.
func (s *Stalls) Allowance() time.Duration { return 2 * s.Total() }
