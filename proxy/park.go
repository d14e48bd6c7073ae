package proxy

import (
	"context"
	"sync"
	"time"
)

// knockEvery is how often an origin that requests are parked for is asked
// whether it accepts connections again.
const knockEvery = 250 * time.Millisecond

// parkUntil parks the request once more, within one park_timeout for all the
// times, whose end it keeps in until. It reports whether the request goes on;
// else the client has been answered.
func (x *exchange) parkUntil(until *int64) bool {
	if *until == 0 {
		*until = x.srv.clock.now() + int64(x.route.policy.ParkTimeout())
		x.route.stats.parked.Add(1) // requests, not times
	}
	if r := x.park(*until); r != nil {
		x.refuse(r)
		return false
	}
	return true
}

// park holds an unsent uncovered request, outside the permits and with its
// body unread, until the pointer moves, the origin accepts, or until comes.
// It returns nil when the request may be tried again, with its permit.
func (x *exchange) park(until int64) *refusal {
	from := x.srv.clock.now()
	x.release()
	x.route.stats.parkedNow.Add(1)
	r := x.awaitOrigin(until)
	x.route.stats.parkedNow.Add(-1)
	x.parked += time.Duration(x.srv.clock.now() - from)
	if r == nil {
		r = x.acquire(x.route.bulk.Reacquire)
	}
	return r
}

// awaitOrigin blocks until a parked request may go on.
func (x *exchange) awaitOrigin(until int64) *refusal {
	// The channel is taken before the pointer is read, so that no flip falls
	// between the two.
	flipped := x.route.pointer.Changed()
	if x.route.pointer.Pointer().Generation != x.pointer.Generation {
		return nil
	}
	if c := x.enter(phaseWait, x.watch.until); c != causeNone {
		return x.refuseCause(c)
	}
	ctx, done := x.context()
	defer done()
	accepts, leave := x.leg.gate.wait(x.leg.knock)
	defer leave()
	timer := time.NewTimer(time.Duration(until - x.srv.clock.now()))
	defer timer.Stop()
	select {
	case <-flipped:
		return nil
	case <-accepts:
		x.knocked = true
		return nil
	case <-x.snap.replaced:
		return nil // a reload may have brought an origin that accepts
	case <-timer.C:
		return refuseParked
	case <-ctx.Done():
		return x.refuseCause(x.interrupted())
	}
}

// gate lets parked requests wait for one origin to accept connections. While
// anybody waits, one goroutine knocks.
type gate struct {
	mu      sync.Mutex
	open    chan struct{} // guarded by mu; closed when a knock is answered
	waiting int           // guarded by mu
	stop    context.CancelFunc
}

// wait returns a channel that is closed when the origin accepts; leave must
// be called when the wait is over.
func (g *gate) wait(knock func(context.Context) error) (open <-chan struct{}, leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
	if g.waiting++; g.waiting == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		g.stop = cancel
		go g.knocking(ctx, knock)
	}
	return g.open, g.leave
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting--; g.waiting == 0 {
		g.stop()
	}
}

func (g *gate) knocking(ctx context.Context, knock func(context.Context) error) {
	ticker := time.NewTicker(knockEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if knock(ctx) == nil && ctx.Err() == nil {
			g.mu.Lock()
			close(g.open)
			g.open = make(chan struct{})
			g.mu.Unlock()
		}
	}
}
