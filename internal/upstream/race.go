package upstream

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// headStart is how long an attempt to connect may be silent before the
	// next one is begun beside it (RFC 8305, section 5).
	headStart = 250 * time.Millisecond

	// minHeadStart is the least head start that RFC 8305 allows.
	minHeadStart = 10 * time.Millisecond
)

// reached is where an attempt to connect to some targets ended.
type reached struct {
	raw    net.Conn   // nil: none of the targets accepted
	at     target     // the one that accepted
	rest   []target   // those that have neither accepted nor failed
	failed *DialError // the furthest failure, nil if there was none
}

// reach connects to the first of the targets that accepts, until ctx, which has
// a deadline, is done. There must be a target. Failures are remembered;
// a success is for the caller to remember, who knows what else it takes.
func (o *Origin) reach(ctx context.Context, targets []target) reached {
	if len(targets) > 1 {
		return o.race(ctx, targets)
	}
	t := targets[0]
	raw, err := o.dialer(ctx, o.cfg.Network, t.address)
	if err != nil {
		return reached{failed: o.fault(ctx, t, phaseOfConnect(ctx, err), err)}
	}
	return reached{raw: raw, at: t}
}

// fault makes the error of a target that failed and remembers the failure,
// unless it is no doing of the address's.
func (o *Origin) fault(ctx context.Context, t target, phase Phase, err error) *DialError {
	if phase != PhaseLimit && !errors.Is(ctx.Err(), context.Canceled) {
		o.chooser.failure(t.ip, time.Now())
	}
	return &DialError{Origin: o.cfg.Name, Phase: phase, Addr: t.address, Err: err}
}

// A race is several attempts to connect, the next of which begins when the last
// one has been silent for the head start, or at once when any of them fails. The
// first that connects wins and ends the others (RFC 8305, section 5). It belongs
// to one goroutine, which waits for those of the attempts.
type race struct {
	origin    *Origin
	targets   []target
	headStart time.Duration
	timer     *time.Timer // of the next attempt
	begun     []time.Time // of targets[:len(begun)]
	failed    []bool      // of all targets
	running   int
	results   chan tried // has room for all
	attempts  sync.WaitGroup
}

// tried is how one attempt of a race ended.
type tried struct {
	i   int // of the target
	raw net.Conn
	err error
}

func (o *Origin) race(ctx context.Context, targets []target) (end reached) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &race{
		origin: o, targets: targets, headStart: headStartFor(ctx, len(targets)),
		failed: make([]bool, len(targets)), results: make(chan tried, len(targets)),
	}
	r.timer = time.NewTimer(r.headStart)
	defer r.timer.Stop()
	r.begin(ctx)
	for r.running > 0 {
		select {
		case won := <-r.results:
			r.running--
			if won.err == nil {
				now := time.Now()
				cancel()
				end.raw, end.at, end.rest = won.raw, targets[won.i], r.settle(won.i, now)
				return end
			}
			r.failed[won.i] = true
			end.failed = further(end.failed, o.fault(ctx, targets[won.i], phaseOfConnect(ctx, won.err), won.err))
			if ctx.Err() == nil {
				r.begin(ctx)
			}
		case <-r.timer.C:
			r.begin(ctx)
		}
	}
	return end
}

// headStartFor is shorter than usual if the time would be over before each of n
// targets had its turn.
func headStartFor(ctx context.Context, n int) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return headStart
	}
	return max(minHeadStart, min(headStart, time.Until(end)/time.Duration(n)))
}

// begin starts the next attempt, if there is one.
func (r *race) begin(ctx context.Context) {
	i := len(r.begun)
	if i == len(r.targets) {
		return
	}
	r.begun = append(r.begun, time.Now())
	r.running++
	r.timer.Reset(r.headStart)
	r.attempts.Go(func() {
		raw, err := r.origin.dialer(ctx, r.origin.cfg.Network, r.targets[i].address)
		r.results <- tried{i, raw, err}
	})
}

// settle waits for the attempts that were cancelled at now, when one of them
// won, and closes what they opened nevertheless. It gives the targets that might
// still accept, those that nobody tried first. One that had its whole head start
// and more is among them and yet counts as failed from now on: or each
// dial that begins with it would wait for it again.
func (r *race) settle(won int, now time.Time) (rest []target) {
	r.attempts.Wait()
	close(r.results)
	for late := range r.results {
		if late.err == nil {
			_ = late.raw.Close()
		}
	}
	rest = append(rest, r.targets[len(r.begun):]...)
	for i, begun := range r.begun {
		if i == won || r.failed[i] {
			continue
		}
		rest = append(rest, r.targets[i])
		if now.Sub(begun) >= r.headStart {
			r.origin.chooser.failure(r.targets[i].ip, now)
		}
	}
	return rest
}
