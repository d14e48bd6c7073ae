package http2

import "sync"

// A Stream is one request and its response. The fields are set before the
// handler is called, and they and what they point to are valid until it returns;
// after that the Stream serves another request of its connection.
//
// The handler may read the body in one goroutine and write the response in
// another, both of its own, which must have ended when it returns.
type Stream struct {
	// Value is the handler's own. It stays when the Stream is used again.
	Value any

	Method    []byte
	Scheme    []byte // http or https, unless Refusal is 400
	Authority []byte // of :authority or Host
	Path      []byte // with the query; "*" for an OPTIONS of the whole server
	Protocol  []byte // of an extended CONNECT (RFC 8441): websocket, unless Refusal is 501; else nil
	// Fields are the head's other fields in their order, without Host, with the
	// crumbs of a cookie in one.
	Fields []Field
	// Length is the body's length if it was stated, 0 if there is no body, else -1.
	Length int64
	// HasBody says that the head did not end the stream: a body, if an empty
	// one, will come.
	HasBody bool
	// Refusal is the status that the request must be answered with, 0 if it
	// may be served: 400 for a scheme other than http and https, 405 for
	// CONNECT, 431 for too large a head and 414 if its path alone is, of
	// which only pseudo-fields may be here, and 501 for an extended CONNECT to something other than WebSocket.
	Refusal int

	c          *Conn
	head, tail section

	// Guarded by c.mu.
	id                      uint32
	turn                    uint64
	state                   streamState
	given                   bool // to a worker
	begun                   bool // the handler runs, or is about to: Begin has returned
	err                     error
	stopped                 stop
	received                receipt
	window                  int       // towards the client
	list                    *waitList // that it is in
	served                  bool      // it was this stream's turn to use the connection
	readable                sync.Cond
	writable                sync.Cond
	nextInSlot, nextInQueue *Stream

	// The response: the handler's own, but for sent.
	encoded  []byte // a field block that was not sent yet
	answered bool   // the final head is in encoded, or was sent
	bodiless bool   // a response to HEAD, 204 or 304
	sent     bool   // our END_STREAM is among what has gathered; guarded by c.mu
}

// streamState is where a stream is, as far as its number is concerned. The two
// halves of an open one are received.ended and sent.
type streamState uint8

const (
	streamIdle   streamState = iota // in nobody's hands
	streamOpen                      // in the table
	streamClosed                    // out of it; the handler may still run
)

// stop is which of a handler's calls were interrupted.
type stop uint8

const (
	stopRead stop = 1 << iota
	stopWrite
)

// newStreamLocked returns a stream for a new number.
func (c *Conn) newStreamLocked(id uint32) *Stream {
	var s *Stream
	if n := len(c.free); n > 0 {
		s = c.free[n-1]
		c.free[n-1] = nil
		c.free = c.free[:n-1]
	} else {
		s = &Stream{c: c}
		s.readable.L, s.writable.L = &c.mu, &c.mu
	}
	s.Method, s.Scheme, s.Authority, s.Path, s.Protocol, s.Fields = nil, nil, nil, nil, nil, nil
	s.Length, s.HasBody, s.Refusal = -1, false, 0
	s.head.reset()
	s.tail.reset()
	s.id, s.err, s.stopped = id, nil, 0
	s.encoded, s.answered, s.bodiless, s.sent, s.served = s.encoded[:0], false, false, false, false
	return s
}

// openLocked opens a stream whose head is here. end says that its body has ended too.
func (c *Conn) openLocked(s *Stream, end bool) {
	s.state = streamOpen
	s.window = c.peerWindow
	s.received = receipt{window: c.srv.cfg.StreamWindow, length: s.Length, ended: end}
	c.acceptedID = s.id
	c.open++
	c.requests++
	c.table.add(s)
	c.fresh = append(c.fresh, s)
}

// closeLocked takes a stream out of the table. mayCome says that the client
// may not have ended it yet.
func (c *Conn) closeLocked(s *Stream, mayCome bool) {
	s.state = streamClosed
	c.open--
	c.table.remove(s)
	if mayCome {
		c.resets.add(s.id)
	} else {
		c.finished.add(s.id)
	}
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// lostLocked notes that the owner has to be told. Only the reader may call it.
func (c *Conn) lostLocked(s *Stream) {
	if s.begun {
		c.left = append(c.left, s)
	}
}

// leaveLocked ends a stream because the client has. Only the reader may call it.
func (c *Conn) leaveLocked(s *Stream) {
	s.err = ErrLeft
	c.lostLocked(s)
	c.dropLocked(s)
	c.closeLocked(s, false)
}

// resetLocked ends a stream by RST_STREAM. err is what the handler will get.
func (c *Conn) resetLocked(s *Stream, code ErrCode, err error) {
	s.err = err
	c.appendLocked(appendReset(c.scratch[:0], s.id, code))
	c.dropLocked(s)
	c.closeLocked(s, true)
}

// endReceivedLocked notes the client's END_STREAM.
func (c *Conn) endReceivedLocked(s *Stream) {
	s.received.ended = true
	s.readable.Signal()
	if s.sent {
		c.closeLocked(s, false)
	}
}

// endSentLocked notes our END_STREAM.
func (c *Conn) endSentLocked(s *Stream) {
	s.sent = true
	c.creditLocked(creditResponse)
	if s.received.ended {
		c.closeLocked(s, false)
	}
}

// Conn is the connection that the stream belongs to.
func (s *Stream) Conn() *Conn { return s.c }

// ID is the stream's number.
func (s *Stream) ID() uint32 { return s.id }

// Turn is the number of this use of the Stream, for Interrupt. It is for Begin and
// the handler to ask: others keep what these were told.
func (s *Stream) Turn() uint64 { return s.turn }

// Left reports whether the client has reset the stream, is gone, or was reset
// itself for what it did on the stream.
func (s *Stream) Left() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err == ErrLeft || s.err == ErrBody
}

// Interrupt makes ReadBody and every write return ErrInterrupted, those that
// are blocked and those to come, until Revive. turn is what Turn returned to
// the handler: nothing happens if it has returned meanwhile. Interrupt may be
// called by any goroutine.
func (s *Stream) Interrupt(turn uint64) { s.interrupt(turn, stopRead|stopWrite) }

// InterruptRead is an Interrupt of ReadBody alone.
func (s *Stream) InterruptRead(turn uint64) { s.interrupt(turn, stopRead) }

func (s *Stream) interrupt(turn uint64, which stop) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.turn == turn {
		s.stopped |= which
		s.readable.Broadcast()
		s.writable.Broadcast()
	}
}

// Revive undoes Interrupt, so that the handler can still answer.
func (s *Stream) Revive() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.stopped = 0
}

// Reset ends the stream with RST_STREAM, so that what was sent of a response
// can't be taken for whole. A stream that has ended stays as it is.
func (s *Stream) Reset(code ErrCode) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state == streamOpen {
		c.resetLocked(s, code, ErrEnded)
		c.doneLocked()
	}
}
