package http2

import "time"

// tickEvery is how often a connection on which something moves is looked at.
// Time-outs are late by that much; no request sets a timer.
const tickEvery = time.Second

// shortDrain is how long a connection without a stream is drained whose client
// doesn't answer.
const shortDrain = 250 * time.Millisecond

// watched is what the tick remembers.
type watched struct {
	mark     uint64
	markAt   time.Time // since when the reader waits for the same
	wrote    uint64
	wroteAt  time.Time // since when the writer writes the same
	requests uint64
	restAt   time.Time // since when there is no stream
	last     time.Time
	drainAt  time.Time // since when it is drained
}

// tickPeriod is tickEvery, or less if a time-out is very short.
func (c *Conn) tickPeriod() time.Duration {
	cfg := &c.srv.cfg
	return min(tickEvery, cfg.HeaderTimeout/2, cfg.IdleTimeout/2, cfg.BodyIdleTimeout/2)
}

func (c *Conn) startTicksLocked() {
	c.resting.Store(false)
	if c.timer != nil {
		c.timer.Reset(c.tickPeriod())
		return
	}
	now := time.Now()
	c.watched = watched{markAt: now, wroteAt: now, last: now}
	c.mark.Store(uint64(stageHead))
	c.watched.mark = c.mark.Load()
	c.timer = time.AfterFunc(c.tickPeriod(), c.tick)
}

// wakeTick is called by the reader when a connection that rested moves again.
func (c *Conn) wakeTick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resting.Load() && !c.closing {
		c.startTicksLocked()
	}
}

// tick holds the connection against its time-outs.
func (c *Conn) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.closing && c.ended != nil {
		return
	}
	now := time.Now()
	w := &c.watched
	c.creditTimeLocked(now.Sub(w.last))
	w.last = now
	if c.stalledLocked(now) {
		c.killLocked(ErrTimeout)
		return
	}
	if c.closing {
		c.timer.Reset(c.tickPeriod())
		return
	}
	c.ageHalvesLocked()
	c.drainLocked(now)
	next := c.restLocked(now)
	c.timer.Reset(c.drainPeriodLocked(next))
}

// drainLocked goes on with a shutdown whose ping the client doesn't answer.
func (c *Conn) drainLocked(now time.Time) {
	if !c.draining || c.final {
		return
	}
	w := &c.watched
	limit := c.drainPeriodLocked(2 * c.tickPeriod())
	if now.Sub(w.drainAt) < limit {
		return
	}
	// A response that has ended just now may still be on its way.
	rested := w.requests == c.requests && !w.restAt.IsZero() && now.Sub(w.restAt) >= tickEvery
	c.brief = rested && !c.busyLocked()
	c.finalLocked()
}

// drainPeriodLocked is when to look again, less if a shutdown waits for it.
func (c *Conn) drainPeriodLocked(period time.Duration) time.Duration {
	if c.draining && !c.final && !c.busyLocked() {
		return min(period, shortDrain)
	}
	return period
}

// stalledLocked reports whether the peer has not moved for too long.
func (c *Conn) stalledLocked(now time.Time) bool {
	w, cfg := &c.watched, &c.srv.cfg
	if m := c.mark.Load(); m != w.mark {
		w.mark, w.markAt = m, now
	}
	if n := c.wrote.Load(); n != w.wrote {
		w.wrote, w.wroteAt = n, now
	}
	switch st := stage(w.mark & stageMask); {
	case c.closing: // the last frames are being written, and nothing is read
	case st == stageHead:
		if now.Sub(w.markAt) >= cfg.HeaderTimeout {
			return true
		}
	case st == stageData:
		if now.Sub(w.markAt) >= cfg.BodyIdleTimeout {
			return true
		}
	}
	return w.wrote%2 == 1 && now.Sub(w.wroteAt) >= cfg.BodyIdleTimeout
}

// restLocked ends a connection that has been without a stream for too long, and
// lets one that rests hold little. Frames don't matter to that, nor parts of
// them. It returns when to look again.
func (c *Conn) restLocked(now time.Time) time.Duration {
	w := &c.watched
	period := c.tickPeriod()
	if c.open+c.running > 0 {
		w.restAt = time.Time{}
		return period
	}
	if w.restAt.IsZero() || w.requests != c.requests {
		w.restAt, w.requests = now, c.requests
		return period
	}
	left := c.srv.cfg.IdleTimeout - now.Sub(w.restAt)
	if left <= 0 {
		c.finalLocked()
		return period
	}
	if c.draining || stage(w.mark&stageMask) != stageRest {
		return min(period, left)
	}
	c.resting.Store(true)
	c.dismiss += c.idle
	c.idle = 0
	c.free, c.halves = nil, nil
	c.workCond.Broadcast()
	return left
}
