package http2

import "time"

// tickEvery is how often a connection on which something moves is looked at.
// Time-outs are late by that much; no request sets a timer.
const tickEvery = time.Second

// watched is what the tick remembers.
type watched struct {
	mark       uint64
	markAt     time.Time // since when the reader waits for the same
	wrote      uint64
	wroteAt    time.Time // since when the writer writes the same
	requests   uint64
	restAt     time.Time // since when there is no stream
	last       time.Time
	drainTicks int
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
	if c.closing {
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
	if c.draining && !c.final {
		if w.drainTicks++; w.drainTicks > 1 {
			c.finalLocked()
		}
	}
	next := c.restLocked(now)
	if !c.closing {
		c.timer.Reset(next)
	}
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
	switch stage(w.mark & stageMask) {
	case stageHead:
		if now.Sub(w.markAt) >= cfg.HeaderTimeout {
			return true
		}
	case stageData:
		if now.Sub(w.markAt) >= cfg.BodyIdleTimeout {
			return true
		}
	}
	return w.wrote%2 == 1 && now.Sub(w.wroteAt) >= cfg.BodyIdleTimeout
}

// restLocked ends a connection that has been without a stream for too long, and
// lets one that rests hold little. It returns when to look again.
func (c *Conn) restLocked(now time.Time) time.Duration {
	w := &c.watched
	period := c.tickPeriod()
	if c.open+c.running > 0 || stage(w.mark&stageMask) != stageRest {
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
	if c.draining {
		return period
	}
	c.resting.Store(true)
	c.dismiss += c.idle
	c.idle = 0
	c.free = nil
	c.workCond.Broadcast()
	return left
}
