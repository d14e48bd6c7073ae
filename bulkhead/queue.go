package bulkhead

import (
	"context"
	"time"
)

// A waiter is one caller of Acquire in the queue.
type waiter struct {
	prev, next *waiter
	granted    bool          // guarded by Bulkhead.mu
	ready      chan struct{} // holds one token from grant to the end of the wait
	timer      *time.Timer   // stopped between waits; nil until first needed
}

// grant gives w the permit that its caller has counted. It never blocks: the
// channel has room for the only token of this wait.
func (w *waiter) grant() {
	w.granted = true
	w.ready <- struct{}{}
}

// wait returns nil when w was granted a permit, ErrQueueTimeout, or the
// context's cause. When several happen at once any of them may be returned, so
// the caller asks Bulkhead.leave what became of w.
func (w *waiter) wait(ctx context.Context, timeout time.Duration) error {
	var expired <-chan time.Time
	if timeout > 0 {
		if w.timer == nil {
			w.timer = time.NewTimer(timeout)
		} else {
			w.timer.Reset(timeout)
		}
		defer w.timer.Stop()
		expired = w.timer.C
	}
	select {
	case <-w.ready:
		return nil
	case <-expired:
		return ErrQueueTimeout
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A queue is a doubly linked list of waiters, first in, first out, that also
// keeps the waiters that have left for the next ones: an overload is the worst
// moment to make garbage. It holds as many as once waited together. The spares
// are kept here and not in a sync.Pool for all bulkheads, because channels
// and timers made inside a synctest bubble may not be used outside of it.
//
// Everything is guarded by Bulkhead.mu.
type queue struct {
	first, last *waiter
	len         int
	spare       *waiter // singly linked by next
}

// push adds a waiter at the end.
func (q *queue) push() *waiter {
	w := q.spare
	if w == nil {
		w = &waiter{ready: make(chan struct{}, 1)}
	} else {
		q.spare, w.next = w.next, nil
	}
	w.prev = q.last
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.len++
	return w
}

// pop removes the first waiter. The queue must not be empty.
func (q *queue) pop() *waiter {
	w := q.first
	q.remove(w)
	return w
}

// remove takes w, which is in the queue, out of it.
func (q *queue) remove(w *waiter) {
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	q.len--
}

// recycle keeps w, which has left the queue, for the next push.
func (q *queue) recycle(w *waiter) {
	select {
	case <-w.ready: // granted, but the time-out or the context was seen first
	default:
	}
	w.granted = false
	w.next, q.spare = q.spare, w
}
