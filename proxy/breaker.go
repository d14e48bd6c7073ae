package proxy

import (
	"errors"
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
	cb *gobreaker.CircuitBreaker[struct{}]
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
	return &breaker{cb: gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        route + "/" + origin,
		MaxRequests: uint32(max(cfg.HalfOpenTrials, 1)),
		Timeout:     max(cfg.OpenFor, time.Millisecond),
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= limit },
		IsExcluded:  func(err error) bool { return err == errExcluded },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			select {
			case moves <- breakerMove{Route: route, Origin: origin, From: from.String(), To: to.String()}:
			default:
			}
		},
	})}
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

// state is the breaker's state now: "closed", "open" or "half-open".
func (b *breaker) state() string {
	if b == nil {
		return "closed"
	}
	return b.cb.State().String()
}
