package upstream

import (
	"slices"
	"time"
)

// unchecked is how long a pooled connection may have been idle and still be
// handed out without a look at its socket, which is a system call. It is for
// connections that go from one request straight to the next, under load. Any
// other is looked at: an origin that closed it has then been heard of, and so
// has one that sent more than it was asked for, whose bytes must not be taken
// for the answer to another request.
const unchecked = time.Millisecond

// epoch is what idle times count from. A time since then is a reading of the
// monotonic clock alone, at little more than half the cost of time.Now.
var epoch = time.Now()

// Pool holds one route's idle connections to one origin. Safe for concurrent
// use.
type Pool struct {
	origin *Origin

	// All of these are guarded by origin.mu.
	maxIdle int
	idle    []*Conn // the most recently used last
	closed  bool
}

// Idle takes the connection that was used most recently out of the pool; nil
// if there is none to be had. Connections that died while they were idle are
// closed on the way. A connection is looked at if check is set or it has been
// idle for more than a millisecond; a younger one may have been closed by the origin
// without its showing here, so pass check for a request that has no second
// chance. Even then the origin may close it a moment later.
//
// The caller owns the connection and must Put or Close it.
func (p *Pool) Idle(check bool) *Conn {
	for {
		p.origin.mu.Lock()
		c := p.popLocked()
		p.origin.mu.Unlock()
		if c == nil || c.fit(check) {
			return c
		}
		c.Close()
	}
}

// Put gives back a connection whose exchange is complete, in both directions,
// and whose stream stands at the beginning of the next response. The pool
// closes it instead if it has enough idle ones, if the pool is closed or if
// the connection is of no more use: it was interrupted, half closed, an
// Exchange on it failed, or [Origin.SetAddresses] no longer has its address. If requests wait for one of the origin's
// MaxConnections, the first of them gets the connection or its place.
//
// It panics if the connection is in a pool already or belongs to another one:
// two requests would share it.
func (p *Pool) Put(c *Conn) {
	if c.pool != p {
		panic("upstream: Put of another pool's connection")
	}
	if !c.reusable() {
		c.Close()
		return
	}
	if !c.deadline.IsZero() {
		c.SetDeadline(time.Time{})
	}
	c.reused = true
	c.idleSince = time.Since(epoch)
	if !p.keep(c) {
		c.retire()
	}
}

// keep hands c to the first who waits or makes it idle. False: nobody has use
// for it, or he who waits belongs to another pool and needs but its place.
func (p *Pool) keep(c *Conn) bool {
	o := p.origin
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.pooled {
		panic("upstream: Put of a connection that is in the pool")
	}
	if p.closed || !o.currentLocked(c) || o.overLocked() {
		return false
	}
	if len(o.waiters) > 0 {
		if o.waiters[0].pool != p {
			return false
		}
		o.popWaiterLocked().grant(c)
		return true
	}
	if len(p.idle) >= p.maxIdle {
		return false
	}
	c.pooled = true
	p.idle = append(p.idle, c)
	return true
}

// popLocked takes the youngest idle connection, nil if there is none.
func (p *Pool) popLocked() *Conn {
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	c.pooled = false
	return c
}

// shiftLocked takes the oldest idle connection. There must be one.
func (p *Pool) shiftLocked() *Conn {
	c := p.idle[0]
	p.idle = slices.Delete(p.idle, 0, 1)
	c.pooled = false
	return c
}

// Prune closes the connections that at now have been idle for the origin's
// IdleTimeout or longer.
func (p *Pool) Prune(now time.Time) {
	for c := p.expired(now); c != nil; c = p.expired(now) {
		c.retire()
	}
}

func (p *Pool) expired(now time.Time) *Conn {
	p.origin.mu.Lock()
	defer p.origin.mu.Unlock()
	if len(p.idle) == 0 || now.Sub(epoch)-p.idle[0].idleSince < p.origin.cfg.IdleTimeout {
		return nil
	}
	return p.shiftLocked()
}

// Close closes the idle connections, and from now on each connection that is
// put back. Those in use stay usable, and Dial still works, so that requests
// that are under way can end.
func (p *Pool) Close() {
	o := p.origin
	o.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	o.pools = slices.DeleteFunc(o.pools, func(q *Pool) bool { return q == p })
	for _, c := range idle {
		c.pooled = false
	}
	o.mu.Unlock()
	for _, c := range idle {
		c.retire()
	}
}

// SetMaxIdle changes how many idle connections are kept. Those over it are
// closed as they expire, or are used.
func (p *Pool) SetMaxIdle(n int) {
	p.origin.mu.Lock()
	defer p.origin.mu.Unlock()
	p.maxIdle = n
}

// Idles is the number of idle connections.
func (p *Pool) Idles() int {
	p.origin.mu.Lock()
	defer p.origin.mu.Unlock()
	return len(p.idle)
}
