package upstream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A waiter is a Dial that waits for one of the origin's places.
type waiter struct {
	pool  *Pool
	ready chan struct{} // closed by grant
	conn  *Conn         // set before ready is closed; nil: a place to dial with
}

func (w *waiter) grant(c *Conn) {
	w.conn = c
	close(w.ready)
}

// place gets the right to have one more connection: nil for the right to dial
// it, or a connection that another request of the same pool just gave back.
// Nobody overtakes those who wait.
func (p *Pool) place(ctx context.Context) (*Conn, error) {
	o := p.origin
	for {
		o.mu.Lock()
		roomy := o.roomyLocked() && len(o.waiters) == 0
		if roomy && o.cfg.Budget.take() {
			o.open++
			o.mu.Unlock()
			return nil, nil
		}
		if c := p.popLocked(); c != nil {
			// Came back since the caller asked Idle.
			o.mu.Unlock()
			if c.fit(true) {
				return c, nil
			}
			c.Close()
			continue
		}
		if c := o.oldestIdleLocked(); c != nil {
			o.mu.Unlock()
			c.closeKeepingPlace()
			return nil, nil
		}
		if roomy {
			o.mu.Unlock()
			return nil, &DialError{Origin: o.cfg.Name, Phase: PhaseLimit, Err: errBudget}
		}
		w := &waiter{pool: p, ready: make(chan struct{})}
		o.waiters = append(o.waiters, w)
		o.mu.Unlock()
		return o.wait(ctx, w)
	}
}

// roomyLocked reports whether MaxConnections allows one more.
func (o *Origin) roomyLocked() bool { return o.maxConnections <= 0 || o.open < o.maxConnections }

// overLocked reports whether there are more than MaxConnections allows, since it
// was made smaller.
func (o *Origin) overLocked() bool { return o.maxConnections > 0 && o.open > o.maxConnections }

var errWaited = errors.New("no place became free within the connect timeout")

// wait waits for w's turn. The time-out is the whole of ConnectTimeout: a wait
// for our own limit takes nothing from the time that the origin gets.
func (o *Origin) wait(ctx context.Context, w *waiter) (*Conn, error) {
	timer := time.NewTimer(o.timeout())
	defer timer.Stop()
	var why error
	select {
	case <-w.ready:
	case <-ctx.Done():
		why = context.Cause(ctx)
	case <-timer.C:
		why = errWaited
	}
	if why != nil && o.leave(w) {
		return nil, &DialError{Origin: o.cfg.Name, Phase: PhaseLimit, Err: why}
	}
	// Granted, perhaps at the very moment that the wait ended. What was
	// granted must be used or given back, and using it is simpler.
	if c := w.conn; c != nil {
		if c.fit(true) {
			return c, nil
		}
		c.closeKeepingPlace()
	}
	return nil, nil
}

// leave takes w out of the queue. It is false if w was granted before.
func (o *Origin) leave(w *waiter) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.Index(o.waiters, w)
	if i < 0 {
		return false
	}
	o.waiters = slices.Delete(o.waiters, i, i+1)
	return true
}
