package http2

// WriteInformational sends an interim response (1xx) at once. 101 doesn't exist
// in HTTP/2 (RFC 9113, 8.6), and neither do interim responses after the final one.
func (s *Stream) WriteInformational(status int, fields []Field) error {
	if s.answered {
		return ErrEnded
	}
	s.encoded = appendFields(appendStatus(s.encoded[:0], status), fields)
	return s.write(nil, false)
}

// WriteHead takes the final response's head. It leaves with what comes next:
// the first of the body, trailers or Flush. end says that nothing comes, and
// sends it now. Names may be in any case; fields that belong to HTTP/1.1's
// connections are left out. Nothing of fields is kept.
//
// The errors of this and every other write are ErrLeft, ErrInterrupted, ErrBody
// if the request turned out to be malformed, and ErrEnded after the response's end.
func (s *Stream) WriteHead(status int, fields []Field, end bool) error {
	if s.answered {
		return ErrEnded
	}
	s.answered = true
	s.bodiless = status == 204 || status == 304 || string(s.Method) == "HEAD"
	s.encoded = appendFields(appendStatus(s.encoded[:0], status), fields)
	if !end {
		return nil
	}
	return s.write(nil, true)
}

// WriteBody sends p as the next piece of the body, and returns when all of it
// has gathered for the connection's writer: it waits while the client's
// windows are closed or the connection is full. end ends the response. Of a
// response that has no body (to HEAD, 204, 304) nothing but the end is sent.
func (s *Stream) WriteBody(p []byte, end bool) error {
	if !s.answered {
		return ErrEnded
	}
	if s.bodiless {
		if p = nil; !end {
			return nil
		}
	}
	return s.write(p, end)
}

// Flush sends the head if it was not sent yet.
func (s *Stream) Flush() error { return s.WriteBody(nil, false) }

// WriteTrailers ends the response with fields.
func (s *Stream) WriteTrailers(fields []Field) error {
	if !s.answered {
		return ErrEnded
	}
	if s.bodiless || len(fields) == 0 {
		return s.write(nil, true)
	}
	if err := s.write(nil, false); err != nil {
		return err
	}
	s.encoded = appendFields(append(s.encoded[:0], noTable), fields)
	return s.write(nil, true)
}

// write sends the field block that is ready, if there is one, and p.
func (s *Stream) write(p []byte, end bool) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	err := s.writeHeadLocked(end && len(p) == 0)
	if err == nil && (len(p) > 0 || end && !s.sent) {
		err = s.writeDataLocked(p, end)
	}
	c.passLocked()
	return err
}

// writeErrLocked is why the handler may not write.
func (s *Stream) writeErrLocked() error {
	switch {
	case s.stopped&stopWrite != 0:
		return ErrInterrupted
	case s.err != nil:
		return s.err
	case s.sent:
		return ErrEnded
	case s.c.closing:
		return ErrLeft
	}
	return nil
}

// writeHeadLocked sends a field block, which needs no window.
func (s *Stream) writeHeadLocked(end bool) error {
	c := s.c
	for {
		if err := s.writeErrLocked(); err != nil {
			return err
		}
		if len(s.encoded) == 0 {
			return nil
		}
		if c.roomLocked() {
			break
		}
		c.waitLocked(s, &c.forRoom)
	}
	c.out = c.out.orNew()
	c.out.b = appendHeaders(c.out.b, s.id, s.encoded, end)
	s.encoded = s.encoded[:0]
	c.wakeWriterLocked()
	if end {
		c.endSentLocked(s)
	}
	return nil
}

// writeDataLocked sends p in frames, each as large as both windows allow. A
// stream that has sent one lets those go first that wait for the connection.
func (s *Stream) writeDataLocked(p []byte, end bool) error {
	c := s.c
	for {
		if err := s.writeErrLocked(); err != nil {
			return err
		}
		if len(p) > 0 && s.window <= 0 {
			s.served = false
			c.passLocked()
			s.writable.Wait()
			continue
		}
		if !c.roomLocked() || len(p) > 0 && (c.sendWindow <= 0 || !s.served && !c.forWindow.empty()) {
			c.waitLocked(s, c.listFor(p))
			continue
		}
		n := min(len(p), maxFrame, s.window, c.sendWindow)
		if len(p) == 0 {
			n = 0
		}
		c.sendDataLocked(s, p[:n], end && n == len(p), n < len(p) && n < maxFrame)
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
}

// listFor is where a stream waits for the connection.
func (c *Conn) listFor(p []byte) *waitList {
	if len(p) == 0 {
		return &c.forRoom
	}
	return &c.forWindow
}

// sendDataLocked sends one frame. cut says that a window made it shorter than
// it might have been: if it is tiny it earns nothing, see Config.Patience.
func (c *Conn) sendDataLocked(s *Stream, p []byte, end, cut bool) {
	c.out = c.out.orNew()
	c.out.b = appendData(c.out.b, s.id, p, end)
	c.wakeWriterLocked()
	s.served = false
	s.window -= len(p)
	c.sendWindow -= len(p)
	credit := creditData // what the updates of both windows cost
	if cut {
		credit = len(p) / creditBytes
		if len(p) >= creditSmall {
			credit = max(credit, creditData)
		}
	}
	c.creditLocked(credit)
	if end {
		c.endSentLocked(s)
	}
}

// waitLocked waits until it is the stream's turn, or it is ended or interrupted.
func (c *Conn) waitLocked(s *Stream, l *waitList) {
	s.served = false
	if s.list == nil {
		l.push(s)
	}
	s.writable.Wait()
	if s.list != nil {
		s.list.remove(s)
	}
	if s.served {
		c.passing = false
	}
}

// passLocked wakes those whose turn it is. Whoever was woken passes it on when
// it has done what it could, so one frame of a window never wakes everybody.
func (c *Conn) passLocked() {
	if !c.roomLocked() {
		return
	}
	if s := c.forRoom.pop(); s != nil {
		s.writable.Signal()
	}
	if c.sendWindow <= 0 || c.passing {
		return
	}
	if s := c.forWindow.pop(); s != nil {
		s.served, c.passing = true, true
		s.writable.Signal()
	}
}
