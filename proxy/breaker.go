package proxy

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker stands between one route and one origin. It is the only door to
// gobreaker. A nil breaker lets everything through.
//
// What gobreaker leaves to its caller, and where it is done:
//   - half-open has no time limit: each call is an attempt, and each attempt
//     ends by a deadline of its own, so a trial's result is always reported.
//   - its callback runs under its mutex: moves are handed to a channel that
//     never blocks, and are logged elsewhere.
//   - a call that was nobody's failure (the client left, our own limit) is
//     excluded, which counts neither as a success nor as a failure.
type breaker struct {
	cb      *gobreaker.CircuitBreaker[struct{}]
	trials  uint32
	openFor time.Duration

	// What its callback was told last, for those who only look: gobreaker itself
	// moves when it is asked for its state.
	made time.Time
	last atomic.Uint32 // a gobreaker.State
	open atomic.Int64  // when it opened, in nanoseconds since made
}

// What an attempt tells its breaker.
var (
	errFailed   = errors.New("attempt failed")
	errExcluded = errors.New("attempt was nobody's failure")
)

// breakerMove is a change of a breaker's state, for the log.
type breakerMove struct {
	Route, Origin string
	From, To      string
}

// newBreaker returns nil when the configuration wants none. Moves are sent to
// moves without blocking: a full channel loses the log line, never a request.
func newBreaker(cfg BreakerConfig, route, origin string, moves chan<- breakerMove) *breaker {
	if cfg.ConsecutiveFailures <= 0 {
		return nil
	}
	limit := uint32(cfg.ConsecutiveFailures)
	b := &breaker{trials: uint32(max(cfg.HalfOpenTrials, 1)), openFor: max(cfg.OpenFor, time.Millisecond), made: time.Now()}
	b.cb = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        route + "/" + origin,
		MaxRequests: b.trials,
		Timeout:     b.openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= limit },
		IsExcluded:  func(err error) bool { return err == errExcluded },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			b.open.Store(int64(time.Since(b.made)))
			b.last.Store(uint32(to))
			select {
			case moves <- breakerMove{Route: route, Origin: origin, From: from.String(), To: to.String()}:
			default:
			}
		},
	})
	return b
}

// run calls attempt unless the breaker is open. The attempt returns nil,
// errFailed or errExcluded, and leaves its result where the caller finds it.
func (b *breaker) run(attempt func() (struct{}, error)) {
	if b == nil {
		_, _ = attempt()
		return
	}
	_, _ = b.cb.Execute(attempt)
}

// refuses reports whether the breaker is open now. A trial that it would still
// refuse half-open is not foreseen.
func (b *breaker) refuses() bool { return b != nil && b.cb.State() == gobreaker.StateOpen }

// peek is the breaker's state now, "closed", "open", "half-open" or "off", and
// whether it would refuse a request, a trial included. It changes nothing.
func (b *breaker) peek() (state string, refuses bool) {
	if b == nil {
		return "off", false
	}
	last := gobreaker.State(b.last.Load())
	if last == gobreaker.StateOpen && int64(time.Since(b.made))-b.open.Load() > int64(b.openFor) {
		last = gobreaker.StateHalfOpen // as the next request will find it
	}
	switch last {
	case gobreaker.StateOpen:
		refuses = true
	case gobreaker.StateHalfOpen:
		c := b.cb.Counts()
		refuses = c.Requests-min(c.TotalExclusions, c.Requests) >= b.trials
	}
	return last.String(), refuses
}
