// Package bulkhead limits how many requests of one route are in flight and
// lets a bounded number of others wait their turn.
//
//	b := bulkhead.New(bulkhead.Config{MaxConcurrent: 10, MaxQueue: 20, QueueTimeout: 500 * time.Millisecond})
//
//	var permit bulkhead.Permit
//	if !b.TryAcquire(&permit) {
//		if err := b.Acquire(ctx, &permit); err != nil {
//			return err // ErrFull, ErrQueueTimeout, or why ctx ended
//		}
//	}
//	defer permit.Release()
//
// The queue is first in, first out. Nobody overtakes a waiter, neither
// TryAcquire nor a later Acquire, and a waiter that leaves costs those behind it
// nothing.
//
// The package refuses to weigh requests, to rank them, and to take a permit back
// from its holder. It knows no clock but the timer of a waiter, starts no
// goroutine and keeps no history.
//
// One mutex guards everything. A counter changed by compare-and-swap would
// spare a few nanoseconds, but then the hand-over from the last holder to the
// first waiter needs a second protocol beside the counter, and that is where
// lost wake-ups live.
package bulkhead

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrFull is returned by Acquire when every permit is taken and the queue
	// has no room.
	ErrFull = errors.New("bulkhead: full")

	// ErrQueueTimeout is returned by Acquire when the caller waited for
	// Config.QueueTimeout in vain.
	ErrQueueTimeout = errors.New("bulkhead: queue timeout")
)

// Config is the size of a Bulkhead.
type Config struct {
	// MaxConcurrent is the number of permits. It must be at least 1.
	MaxConcurrent int

	// MaxQueue is how many callers may wait in Acquire. Zero or less: nobody
	// waits, a full bulkhead refuses at once.
	MaxQueue int

	// QueueTimeout is the longest wait in the queue. Zero or less: a caller
	// waits for as long as its context lets it.
	QueueTimeout time.Duration
}

func (c Config) check() {
	if c.MaxConcurrent < 1 {
		panic("bulkhead: MaxConcurrent must be at least 1")
	}
}

// A Bulkhead hands out permits. Make one with New. All methods may be called
// from any goroutine.
type Bulkhead struct {
	mu    sync.Mutex // guards what follows
	cfg   Config
	inUse int
	queue queue
}

// New returns a Bulkhead with all its permits free. It panics if
// cfg.MaxConcurrent is below 1.
func New(cfg Config) *Bulkhead {
	cfg.check()
	return &Bulkhead{cfg: cfg}
}

// A Permit is the right to one request in flight. Its zero value is not held.
// It lives inside its owner's struct and is used again and again; it must not
// be copied. Acquiring into a permit that is held panics.
type Permit struct {
	of atomic.Pointer[Bulkhead] // who gets it back; nil: not held
}

// Held reports whether the permit is held. It may be called from any goroutine.
func (p *Permit) Held() bool { return p.of.Load() != nil }

// Release gives the permit back, or straight to the first waiter. It must be
// called exactly once for each permit acquired, from any goroutine; releasing
// a permit that is not held panics, since the second release would free a
// permit that someone else holds.
func (p *Permit) Release() {
	b := p.of.Swap(nil)
	if b == nil {
		panic("bulkhead: release of a permit that is not held")
	}
	b.release()
}

func (p *Permit) mustBeFree() {
	if p.Held() {
		panic("bulkhead: acquire into a permit that is held")
	}
}

// TryAcquire takes a permit into p if one is free and nobody waits for it. It
// never blocks and never queues.
func (b *Bulkhead) TryAcquire(p *Permit) bool {
	p.mustBeFree()
	b.mu.Lock()
	ok := b.tryLocked()
	b.mu.Unlock()
	if ok {
		p.of.Store(b)
	}
	return ok
}

// Acquire takes a permit into p, and waits in the queue if none is free.
//
// It returns nil when p is held. Otherwise p is not held, and the error is
// ErrFull if the queue has no room, ErrQueueTimeout if Config.QueueTimeout
// passed, or context.Cause(ctx) if ctx ended first. A context that has ended
// gets no permit, even if one is free.
func (b *Bulkhead) Acquire(ctx context.Context, p *Permit) error {
	return b.acquire(ctx, p, false)
}

// Reacquire is Acquire for a caller that gave its permit back while it could
// not go on, and now can. It was admitted before, so it is not refused for want
// of room: it queues behind the others, however many they are, and the error is
// never ErrFull.
func (b *Bulkhead) Reacquire(ctx context.Context, p *Permit) error {
	return b.acquire(ctx, p, true)
}

func (b *Bulkhead) acquire(ctx context.Context, p *Permit, admitted bool) error {
	p.mustBeFree()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.mu.Lock()
	if b.tryLocked() {
		b.mu.Unlock()
		p.of.Store(b)
		return nil
	}
	if b.queue.len >= b.cfg.MaxQueue && !admitted {
		b.mu.Unlock()
		return ErrFull
	}
	w := b.queue.push()
	timeout := b.cfg.QueueTimeout
	b.mu.Unlock()

	err := w.wait(ctx, timeout)
	granted := b.leave(w)
	switch {
	case !granted:
		return err
	case ctx.Err() != nil:
		b.release() // the caller has gone: the permit is the next one's
		return context.Cause(ctx)
	default:
		// Even if err is ErrQueueTimeout: a permit that came in the same
		// instant is of use.
		p.of.Store(b)
		return nil
	}
}

// Resize changes the limits. Nobody who holds a permit or waits is turned
// away: a smaller MaxConcurrent is reached as permits come back, a smaller
// MaxQueue and another QueueTimeout apply to those who come later. It panics if
// cfg.MaxConcurrent is below 1.
func (b *Bulkhead) Resize(cfg Config) {
	cfg.check()
	b.mu.Lock()
	b.cfg = cfg
	b.grantLocked()
	b.mu.Unlock()
}

// InUse returns the number of permits that are held. After Resize to fewer it
// may be above MaxConcurrent for a while.
func (b *Bulkhead) InUse() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inUse
}

// Queued returns the number of callers that wait in Acquire.
func (b *Bulkhead) Queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.len
}

// tryLocked takes a free permit. It can't overtake anyone: while somebody waits
// no permit is free, because release and Resize hand over before they unlock.
func (b *Bulkhead) tryLocked() bool {
	if b.inUse >= b.cfg.MaxConcurrent {
		return false
	}
	b.inUse++
	return true
}

func (b *Bulkhead) release() {
	b.mu.Lock()
	b.inUse--
	if b.queue.len > 0 {
		b.grantLocked()
	}
	b.mu.Unlock()
}

// grantLocked gives free permits to the waiters at the front.
func (b *Bulkhead) grantLocked() {
	for b.inUse < b.cfg.MaxConcurrent && b.queue.len > 0 {
		b.inUse++
		b.queue.pop().grant()
	}
}

// leave ends a wait and reports whether w was granted a permit meanwhile. The
// caller may not touch w afterwards.
func (b *Bulkhead) leave(w *waiter) (granted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	granted = w.granted
	if !granted {
		b.queue.remove(w)
	}
	b.queue.recycle(w)
	return granted
}
