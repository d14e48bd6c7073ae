package http2

import "io"

// dataFrame is the DATA frame that is being received. It is taken as it comes,
// so that a slow one holds no buffer.
type dataFrame struct {
	id   uint32
	left int // data to come
	pad  int // padding to come after it
	end  bool
	drop bool // nobody wants it
}

func (d *dataFrame) rest() bool { return d.left+d.pad > 0 }

// receipt is what was received of a request's body.
type receipt struct {
	window   int   // what the client may still send
	consumed int   // what the handler has read and the client was not told of
	length   int64 // as stated, -1 if it wasn't
	got      int64
	ended    bool // END_STREAM came
	chunks   chunkList
}

// complete reports whether the body is as long as was stated.
func (r *receipt) complete() bool { return r.length < 0 || r.got == r.length }

// beginData takes the head of a DATA frame (RFC 9113, 6.1), and of its payload p
// the length of the padding. It returns how much of p that was.
func (c *Conn) beginData(h *frameHeader, p []byte) (n int, err error) {
	d := dataFrame{id: h.id, left: h.length, end: h.has(flagEndStream)}
	if h.has(flagPadded) {
		if h.length == 0 {
			return 0, &ConnError{CodeFrameSize, "no room for the length of the padding"}
		}
		n, d.pad = 1, int(p[0])
		if d.left -= 1 + d.pad; d.left < 0 {
			return 0, &ConnError{CodeProtocol, "more padding than payload"}
		}
	}
	if h.id == 0 || h.id > c.lastID {
		return 0, &ConnError{CodeProtocol, "DATA on an idle stream"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.length > c.recvWindow {
		return 0, &ConnError{CodeFlowControl, "more DATA than the connection's window"}
	}
	c.recvWindow -= h.length
	if d.left == 0 && !d.end {
		err = c.chargeLocked(costFrame, "empty frames")
	}
	if err == nil {
		err = c.admitLocked(h, &d)
	}
	if err != nil {
		return 0, err
	}
	c.consumeLocked(n)
	c.data = d
	if !d.rest() {
		c.endDataLocked()
	}
	return n, nil
}

// admitLocked finds out whether the data is wanted.
func (c *Conn) admitLocked(h *frameHeader, d *dataFrame) error {
	s := c.table.find(d.id)
	if s == nil {
		if half := c.findHalfLocked(d.id); half >= 0 {
			return c.admitHalfLocked(half, h.length, d)
		}
		d.drop = true
		if c.mayComeLocked(d.id) {
			return c.chargeLocked(costFrame, "frames on closed streams")
		}
		return &ConnError{CodeStreamClosed, "DATA on a closed stream"}
	}
	r := &s.received
	r.got += int64(d.left)
	code, err := CodeNo, ErrLeft
	switch {
	case r.ended:
		code = CodeStreamClosed
	case h.length > r.window:
		code = CodeFlowControl
	case r.length >= 0 && r.got > r.length, d.end && !r.complete():
		code, err = CodeProtocol, ErrBody
	}
	if code != CodeNo {
		d.drop = true
		return c.faultLocked(s, code, err)
	}
	r.window -= h.length
	c.returnLocked(s, h.length-d.left)
	return nil
}

// takeData takes what is here of a DATA frame, and returns how much that was.
func (c *Conn) takeData(p []byte) int {
	d := &c.data
	data := p[:min(len(p), d.left)]
	pad := min(len(p)-len(data), d.pad)
	d.left -= len(data)
	d.pad -= pad
	c.units++
	c.mu.Lock()
	defer c.mu.Unlock()
	c.consumeLocked(pad)
	s := c.table.find(d.id)
	switch {
	case d.drop || s == nil:
		c.consumeLocked(len(data))
	case len(data) > 0:
		s.received.chunks.write(data)
		s.readable.Signal()
	}
	if !d.rest() {
		c.endDataLocked()
	}
	return len(data) + pad
}

// endDataLocked ends a DATA frame that is here whole.
func (c *Conn) endDataLocked() {
	d := &c.data
	if d.end && !d.drop {
		if s := c.table.find(d.id); s != nil {
			c.endReceivedLocked(s)
			c.doneLocked()
		} else {
			c.endHalfLocked(d.id)
		}
	}
	c.data = dataFrame{}
}

// consumeLocked opens the connection's window again by n bytes, which nobody
// holds any more. The client is told when it is worth a frame.
func (c *Conn) consumeLocked(n int) {
	c.consumed += n
	if c.consumed >= c.srv.cfg.ConnWindow/4 {
		c.appendLocked(appendWindowUpdate(c.scratch[:0], 0, c.consumed))
		c.recvWindow += c.consumed
		c.consumed = 0
	}
}

// dropLocked gives up what nobody will read of a body.
func (c *Conn) dropLocked(s *Stream) {
	if n := s.received.chunks.drop(); n > 0 {
		c.consumeLocked(n)
	}
}

// ReadBody reads what has come of the request's body, and waits if nothing has.
// It returns io.EOF with the last bytes or after them. Other errors are
// ErrLeft, ErrInterrupted, ErrBody, and ErrEnded after Reset. What was read is
// what the client may send anew, so a handler that doesn't read holds it back.
func (s *Stream) ReadBody(p []byte) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &s.received
	for {
		switch {
		case s.stopped&stopRead != 0:
			return 0, ErrInterrupted
		case s.err != nil:
			return 0, s.err
		case r.chunks.size > 0:
			n := r.chunks.read(p)
			c.consumeLocked(n)
			c.returnLocked(s, n)
			if r.ended && r.chunks.size == 0 {
				return n, io.EOF
			}
			return n, nil
		case r.ended:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		s.readable.Wait()
	}
}

// returnLocked opens the stream's window again by n bytes. The client is told
// when it is worth a frame.
func (c *Conn) returnLocked(s *Stream, n int) {
	r := &s.received
	r.consumed += n
	if r.consumed >= c.srv.cfg.StreamWindow/4 && !r.ended && s.state == streamOpen {
		c.appendLocked(appendWindowUpdate(c.scratch[:0], s.id, r.consumed))
		r.window += r.consumed
		r.consumed = 0
	}
}

// Buffered is how many bytes ReadBody will return without waiting. whole says
// that they are all that is left of the body.
func (s *Stream) Buffered() (n int, whole bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.received.chunks.size, s.received.ended
}

// Trailers are the fields that came after the body, nil before ReadBody has
// returned all of it: they may be here before the body has been read.
func (s *Stream) Trailers() []Field {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.tail.ready || s.received.chunks.size > 0 {
		return nil
	}
	return s.tail.fields
}
