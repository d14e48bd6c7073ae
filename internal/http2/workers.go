package http2

// dispatch gives the streams that were opened by the last input to workers. It
// waits for the end of the input, so that a body that came with its head is
// there when its handler begins, and a reset that came with it spares the handler.
func (c *Conn) dispatch() {
	if len(c.fresh) == 0 {
		return
	}
	c.mu.Lock()
	spawn := 0
	for i, s := range c.fresh {
		c.fresh[i] = nil
		if s.state != streamOpen {
			c.freeLocked(s)
			continue
		}
		c.running++
		s.given = true
		c.queue.push(s)
		if c.idle > 0 {
			c.idle--
			c.workCond.Signal()
		} else {
			spawn++
		}
	}
	c.fresh = c.fresh[:0]
	c.mu.Unlock()
	for range spawn {
		c.workers.Go(c.work)
	}
}

// work runs handlers, one after the other, until the connection ends or has
// rested for a while.
func (c *Conn) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		s := c.queue.pop()
		if s == nil {
			if c.closing {
				return
			}
			if c.dismiss > 0 {
				c.dismiss--
				return
			}
			c.idle++
			c.workCond.Wait()
			continue
		}
		if s.state == streamOpen {
			c.mu.Unlock()
			c.handle(s)
			c.mu.Lock()
		}
		c.finishLocked(s)
	}
}

// handle lets the owner prepare and calls the handler, unless the stream has
// ended by then. Only from then on the owner is told that its client has left,
// so what Begin sets is there for Left.
func (c *Conn) handle(s *Stream) {
	if c.srv.cfg.Panicked != nil {
		defer func() {
			if v := recover(); v != nil {
				c.srv.cfg.Panicked(v)
			}
		}()
	}
	if c.srv.cfg.Begin != nil {
		c.srv.cfg.Begin(s)
	}
	if c.handleBegins(s) {
		c.srv.cfg.Handler(s)
	}
}

// handleBegins notes that the handler is about to run. It reports false if
// nobody waits for it any more.
func (c *Conn) handleBegins(s *Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.begun = s.state == streamOpen
	return s.begun
}

// finishLocked ends what a handler that has returned left open: a response
// that is not complete is reset, and what comes of a request that nobody reads
// to its end is dropped.
func (c *Conn) finishLocked(s *Stream) {
	switch {
	case s.state != streamOpen:
	case s.sent:
		c.outlastLocked(s)
	default:
		c.resetLocked(s, CodeInternal, ErrEnded)
	}
	c.running--
	c.freeLocked(s)
	c.doneLocked()
}

// freeLocked makes a stream ready for another request.
func (c *Conn) freeLocked(s *Stream) {
	c.dropLocked(s)
	s.turn++
	s.given, s.begun = false, false
	s.state = streamIdle
	if cap(s.encoded) > keepRoom {
		s.encoded = nil
	}
	c.free = append(c.free, s)
}
