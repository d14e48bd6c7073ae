package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	defaultHandshakeTimeout = 10 * time.Second
	// handshakeQueue is how many handshakes, for each that may compute, wait
	// for their turn. It is a fraction of a second's work with any usual key:
	// a longer queue would only be served to clients that have given up.
	handshakeQueue = 256
)

// errHandshakeQueue: more handshakes wait for their turn than make sense.
var errHandshakeQueue = errors.New("too many handshakes")

// HandshakeStats are the counters of TLS handshakes. A connection that came to
// a TLS listener counts in one of Done, Failed, TimedOut and Refused.
type HandshakeStats struct {
	Done     uint64 // completed
	Resumed  uint64 // of Done: resumed a session, without a certificate
	Failed   uint64 // broken off by either side, or no TLS at all
	TimedOut uint64 // not complete in HandshakeTimeout, or ended by a drain or for a connection over the limit
	Refused  uint64 // not begun, since too many were waiting for their turn
	Waiting  int    // waiting for their turn now
}

// handshakes bounds and counts handshakes. What is bounded are those that
// compute at the same time: a turn lasts from when a client's message is there
// to when the answer has left, and not while the client is waited for. So a
// client that stalls keeps nobody else out, while a flood of handshakes takes
// turns and what is established is served in between.
type handshakes struct {
	turns   chan struct{}
	waiting atomic.Int64

	done, resumed, failed, timedOut, refused atomic.Uint64
}

func newHandshakes(limit int) *handshakes {
	if limit <= 0 {
		limit = runtime.GOMAXPROCS(0)
	}
	return &handshakes{turns: make(chan struct{}, limit)}
}

// Handshakes reports on TLS handshakes. It may be called from any goroutine.
func (s *Server) Handshakes() HandshakeStats {
	h := s.shakes
	return HandshakeStats{
		Done:     h.done.Load(),
		Resumed:  h.resumed.Load(),
		Failed:   h.failed.Load(),
		TimedOut: h.timedOut.Load(),
		Refused:  h.refused.Load(),
		Waiting:  int(h.waiting.Load()),
	}
}

// take waits for a turn until the connection is interrupted. One that has
// had a turn already is not sent away, since that work would be lost.
func (h *handshakes) take(w *watch, first bool) error {
	select {
	case h.turns <- struct{}{}:
		return nil
	default:
	}
	if n := h.waiting.Add(1); first && n > int64(cap(h.turns))*handshakeQueue {
		h.waiting.Add(-1)
		return errHandshakeQueue
	}
	defer h.waiting.Add(-1)
	ctx, done := w.context()
	defer done()
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// takeTurn and endTurn enclose the time in which a handshake computes.
func (s *socket) takeTurn() error {
	err := s.c.srv.shakes.take(&s.c.x.watch, !s.greeted)
	s.turn = err == nil
	return err
}

func (s *socket) endTurn() {
	if s.turn {
		s.turn = false
		<-s.c.srv.shakes.turns
	}
}

// secureConfig is what every TLS listener uses: one configuration for all, since
// the keys of session tickets are its own. crypto/tls asks for a
// connection's configuration when it has read the ClientHello, before the
// first dear computation, so that is where the first turn is taken.
func secureConfig(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return nil
	}
	own, choose := cfg.Clone(), cfg.GetConfigForClient
	own.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		s := hello.Conn.(*socket)
		if err := s.takeTurn(); err != nil {
			return nil, err
		}
		s.greeted = true
		if choose == nil {
			return nil, nil
		}
		return choose(hello)
	}
	return own
}

// handshake makes the connection a TLS one. It reports whether HTTP/1.1 is to
// be served on it.
func (c *conn) handshake() bool {
	s, sock := c.srv, &c.sec.sock
	if c.headBy == 0 { // no PROXY header was awaited before, within the same time
		c.headBy = after(s.clock.now(), s.current().cfg.HandshakeTimeout)
	}
	c.x.mark.Store(at(phaseHandshake, c.headBy))
	c.headBy = 0
	// After the mark: a drain either finds the handshake or is seen here.
	if _, now := c.x.door.leaves(); now {
		s.shakes.timedOut.Add(1)
		return false
	}
	defer sock.endTurn()
	if err := c.sec.tls.Handshake(); err != nil {
		sock.endTurn()
		c.refuseHandshake(err)
		return false
	}
	sock.endTurn()
	sock.greeted, c.intro = false, nil
	state := c.sec.tls.ConnectionState()
	s.shakes.done.Add(1)
	if state.DidResume {
		s.shakes.resumed.Add(1)
	}
	if state.NegotiatedProtocol == protoHTTP2 {
		s.serveHTTP2(c, c.sec.tls, nil)
		return false
	}
	sock.bound = true
	return true
}

// plainToTLS is the answer to a client that speaks HTTP where TLS is spoken.
var plainToTLS = &refusal{status: 400, text: "this port speaks HTTPS, and the request came in plain HTTP", proxyError: "http_request_error", end: true}

// refuseHandshake ends a connection whose handshake failed. crypto/tls has
// sent its alert; where the client may be there still, the close must not be a
// reset that destroys it.
func (c *conn) refuseHandshake(err error) {
	h := c.srv.shakes
	c.sec, c.stream = nil, c.nc
	switch {
	case errors.Is(err, errHandshakeQueue):
		h.refused.Add(1)
		return
	case c.x.interrupted() == causeIdle, c.x.interrupted() == causeForced:
		h.timedOut.Add(1)
		return
	}
	h.failed.Add(1)
	if bad, ok := errors.AsType[tls.RecordHeaderError](err); ok && bad.Conn != nil && !c.refuseStranger(bad.RecordHeader[:]) && soundsLikeHTTP(bad.RecordHeader) {
		c.refuseHead(plainToTLS)
	}
	_, fromSocket := errors.AsType[*net.OpError](err)
	c.lingering = !fromSocket && err != io.EOF && err != io.ErrUnexpectedEOF
}

// soundsLikeHTTP reports whether what should have been a record's header is
// the beginning of a method and its space: capital letters at least.
func soundsLikeHTTP(head [recordHead]byte) bool {
	for i, b := range head {
		if b == ' ' && i >= 3 {
			return true
		}
		if b < 'A' || b > 'Z' {
			return false
		}
	}
	return true
}
