package proxy

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/upstream"
)

// phase is what an exchange or its connection is doing now, as far as time is
// concerned.
type phase int64

const (
	phaseIdle      phase = iota // waits for a request; limit: idle_timeout
	phaseHead                   // has part of a head; limit: request_header_timeout
	phaseWait                   // queued, parked, connecting or waiting for a head; limits: the attempt's and the route's
	phaseUpload                 // as phaseWait, while the request's body is on its way; limits: body_idle_timeout and the route's
	phaseBody                   // the response's body is on its way; limit: body_idle_timeout
	phaseTunnel                 // a tunnel, or what a client may still send after the last response: it may end its side alone
	phaseHandshake              // TLS is being agreed on; limit: the handshake's
	phaseBits      = 7
)

// cause says why an exchange was interrupted.
type cause uint8

const (
	causeNone          cause = iota
	causeLeft                // the client went away
	causeIdle                // no request came, or no handshake
	causeHeadTimeout         // the request's head took too long
	causeHeaderTimeout       // the attempt's response head took too long
	causeTimeout             // the route's timeout ran out
	causeBodyIdle            // no byte of a body moved
	causeBadBody             // the request's body is malformed
	causeBodyTooLarge        // the request's body is over the route's limit
	causeForced              // the drain ended before the exchange did
)

// noLimit is the mark's time where there is no deadline.
const noLimit = math.MaxInt64 &^ phaseBits

// forever is longer than any process runs.
const forever = 20 * 365 * 24 * time.Hour

// watch is how the sweeper sees an exchange and reaches into it. The exchange
// says in one atomic word what it is doing and until when; the sweeper looks
// at that word a few times a second and, when the time has come or the client
// has left, interrupts whatever the exchange is blocked in. So a request sets
// no timer and no socket deadline.
type watch struct {
	// mark is the deadline, in nanoseconds of the server's clock, with the
	// phase in its lowest bits.
	mark atomic.Int64

	mu     sync.Mutex
	cause  cause              // guarded by mu; the first one stays
	until  int64              // guarded by mu: end of the route's timeout, or noLimit
	origin *upstream.Conn     // guarded by mu: interrupted with the exchange
	cancel context.CancelFunc // guarded by mu: for waits that take a context
	wake   func()             // wakes reads and writes on the client's side; set once
	revive func()             // undoes wake; set once
}

// at is what mark holds for a phase that ends at a time.
func at(p phase, deadline int64) int64 { return deadline&^phaseBits | int64(p) }

// after is the end of a period that begins now; a period of zero has none.
func after(now int64, d time.Duration) int64 {
	if d <= 0 {
		return noLimit
	}
	return now + int64(d)
}

// awake begins an exchange. An interrupt that only meant the wait for it came
// too late and is forgotten.
func (w *watch) awake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = noLimit
	w.mark.Store(at(phaseWait, noLimit))
	if w.cause == causeIdle || w.cause == causeHeadTimeout {
		w.cause = causeNone
		w.revive()
	}
}

// nudge makes the exchange look at its origin's connection again: an event
// that came before it began to wait may have been missed.
func (w *watch) nudge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.origin != nil {
		w.origin.Nudge()
	}
}

// originFull reports whether the attempt's origin takes nothing now.
func (w *watch) originFull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.origin != nil && w.origin.Full()
}

// limit sets the end of the route's timeout for the attempts to come.
func (w *watch) limit(until int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = until
}

// enter says what the exchange does now and until when. It fails when the
// exchange has been interrupted.
func (w *watch) enter(p phase, deadline int64) cause {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mark.Store(at(p, deadline))
	return w.cause
}

// attach makes origin part of what an interrupt reaches, until detach.
func (w *watch) attach(origin *upstream.Conn, p phase, deadline int64) cause {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == causeNone {
		w.origin = origin
		w.mark.Store(at(p, min(deadline, w.until)))
	}
	return w.cause
}

// detach takes the origin's connection out of reach: after it, nobody else
// touches the connection.
func (w *watch) detach() cause {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.origin = nil
	return w.cause
}

// extend moves the deadline while bytes move. It keeps the phase, and within
// the attempts' phases the route's limit.
func (w *watch) extend(deadline int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := phase(w.mark.Load() & phaseBits)
	if p == phaseUpload {
		deadline = min(deadline, w.until)
	}
	if p == phaseUpload || p == phaseBody || p == phaseTunnel {
		w.mark.Store(at(p, deadline))
	}
}

// prolong moves the deadline, if there is one: for so long nobody could do what
// it waits for. The end of the route's timeout stays, so what begins after it
// still finds no time left.
func (w *watch) prolong(by int64) {
	mark := w.mark.Load()
	if deadline := mark &^ phaseBits; deadline != noLimit {
		w.mark.CompareAndSwap(mark, at(phase(mark&phaseBits), deadline+by)) // or else it is a new one
	}
}

// uploaded ends phaseUpload: from here on the origin's time counts.
func (w *watch) uploaded(deadline int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if phase(w.mark.Load()&phaseBits) == phaseUpload {
		w.mark.Store(at(phaseWait, min(deadline, w.until)))
	}
}

// context returns a context that an interrupt ends. done must be called when
// the wait is over. For the slow paths only: it allocates.
func (w *watch) context() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != causeNone {
		cancel()
	}
	w.cancel = cancel
	return ctx, func() {
		w.mu.Lock()
		w.cancel = nil
		w.mu.Unlock()
		cancel()
	}
}

// interrupted is the cause of the interrupt, if there was one.
func (w *watch) interrupted() cause {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// unlessInterrupted calls f, which undoes a deadline, unless it would undo that
// of an interrupt.
func (w *watch) unlessInterrupted(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == causeNone {
		f()
	}
}

// forgive forgets an interrupt that ended only one attempt, and the deadline
// that caused it.
func (w *watch) forgive(c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == c {
		w.cause = causeNone
		w.mark.Store(at(phaseWait, w.until))
	}
}

// renew ends an attempt's deadline, if it has come too: what follows has the
// route's time.
func (w *watch) renew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == causeHeaderTimeout {
		w.cause = causeNone
	}
	w.mark.Store(at(phaseWait, w.until))
}

// over ends an exchange: its deadlines are none of the next one's.
func (w *watch) over() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = noLimit
	w.mark.Store(at(phaseWait, noLimit))
	if w.cause == causeTimeout {
		w.cause = causeNone
	}
}

// interrupt ends whatever the exchange is blocked in.
func (w *watch) interrupt(c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interruptLocked(c)
}

// leave is an interrupt of a client that is found not to take what it is sent:
// whatever else seemed to end the exchange in the meantime came of that.
func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = causeNone
	w.interruptLocked(causeLeft)
}

func (w *watch) interruptLocked(c cause) {
	if w.cause != causeNone && c != causeForced {
		return
	}
	w.cause = c
	if w.origin != nil {
		w.origin.Interrupt()
	}
	if w.cancel != nil {
		w.cancel()
	}
	switch c {
	case causeHeaderTimeout, causeTimeout, causeBodyTooLarge, causeBadBody:
		// The client will be answered, unless its answer has begun.
		if p := phase(w.mark.Load() & phaseBits); p == phaseBody || p == phaseTunnel {
			w.wake()
		}
	default:
		w.wake()
	}
}

// interruptIdle ends the wait for a request, or the handshake before it, if
// there is one.
func (w *watch) interruptIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := phase(w.mark.Load() & phaseBits); p == phaseIdle || p == phaseHandshake {
		w.interruptLocked(causeIdle)
	}
}

// expire interrupts the exchange if the deadline in mark is still the one that
// the sweeper saw pass. stuck says of an upload that it waits for the origin.
func (w *watch) expire(mark, now int64, stuck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mark.Load() != mark {
		return
	}
	switch phase(mark & phaseBits) {
	case phaseIdle, phaseHandshake:
		w.interruptLocked(causeIdle)
	case phaseHead:
		w.interruptLocked(causeHeadTimeout)
	case phaseWait, phaseUpload:
		switch {
		case now >= w.until:
			w.interruptLocked(causeTimeout)
		case phase(mark&phaseBits) == phaseUpload && !stuck:
			w.interruptLocked(causeBodyIdle)
		default:
			w.interruptLocked(causeHeaderTimeout)
		}
	case phaseBody, phaseTunnel:
		w.interruptLocked(causeBodyIdle)
	}
}
