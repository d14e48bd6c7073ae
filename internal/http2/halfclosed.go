package http2

// halfClosed is what is left of a stream that was answered before its request
// had ended: "half-closed (local)" in RFC 9113, 5.1. What comes on it is dropped.
// RST_STREAM would be allowed at once (8.1), but there are clients that forget
// a response when they read its end and a reset together, so they get time to
// stop by themselves.
type halfClosed struct {
	id     uint32
	window int  // what the client may still send; it isn't opened any more
	old    bool // it was here at the tick before
}

// outlastLocked keeps the number of a stream that we have ended and the client
// has not. It stays one of those that are open; the Stream is free.
func (c *Conn) outlastLocked(s *Stream) {
	s.state = streamClosed
	c.table.remove(s)
	c.halves = append(c.halves, halfClosed{id: s.id, window: s.received.window})
}

// findHalfLocked returns the place of a stream among the half-closed ones, -1
// if it isn't one.
func (c *Conn) findHalfLocked(id uint32) int {
	for i := range c.halves {
		if c.halves[i].id == id {
			return i
		}
	}
	return -1
}

// endHalfLocked notes that the client has ended a stream, if it is a half-closed one.
func (c *Conn) endHalfLocked(id uint32) {
	i := c.findHalfLocked(id)
	if i < 0 {
		return
	}
	c.forgetHalfLocked(i)
	c.finished.add(id)
	c.doneLocked()
}

func (c *Conn) forgetHalfLocked(i int) {
	last := len(c.halves) - 1
	c.halves[i] = c.halves[last]
	c.halves = c.halves[:last]
	c.open--
}

// faultHalfLocked resets a half-closed stream for what the peer did on it.
func (c *Conn) faultHalfLocked(i int, code ErrCode) error {
	c.resetHalfLocked(i, code)
	return c.faultedLocked()
}

func (c *Conn) resetHalfLocked(i int, code ErrCode) {
	id := c.halves[i].id
	c.forgetHalfLocked(i)
	c.resets.add(id)
	c.appendLocked(appendReset(c.scratch[:0], id, code))
}

// admitHalfLocked takes a DATA frame of a half-closed stream.
func (c *Conn) admitHalfLocked(i, length int, d *dataFrame) error {
	half := &c.halves[i]
	if length > half.window {
		d.drop = true
		return c.faultHalfLocked(i, CodeFlowControl)
	}
	half.window -= length
	return nil
}

// ageHalvesLocked asks the clients of half-closed streams to stop (RFC 9113,
// 8.1) when they had a whole tick to do so.
func (c *Conn) ageHalvesLocked() {
	for i := len(c.halves) - 1; i >= 0; i-- {
		if c.halves[i].old {
			c.resetHalfLocked(i, CodeNo)
		} else {
			c.halves[i].old = true
		}
	}
	c.doneLocked()
}
