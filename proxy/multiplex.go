package proxy

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/internal/http2"
)

// protoHTTP2 is what a client and Config.TLS agree on for HTTP/2 (RFC 9113,
// section 3.2).
const protoHTTP2 = "h2"

// h2cHead is how a client begins that speaks HTTP/2 without TLS (RFC 9113,
// section 3.4): the part of the preface that reads like a request's head.
const h2cHead = "PRI * HTTP/2.0\r\n\r\n"

// errHTTP2 says that a client on a plain listener has begun with that.
var errHTTP2 = errors.New("HTTP/2")

// multiplex is what a connection is as soon as HTTP/2 is spoken on it: a front
// door to many exchanges at once. The connection stays on the roster, and hands
// on what the sweeper, a drain and an eviction ask of it.
type multiplex struct {
	conn *conn
	h2   *http2.Conn

	mu      sync.Mutex
	streams slots[*stream] // those that are being served; guarded by mu
	rested  int64          // since when there has been none, in the server's time; guarded by mu
	leaving bool           // it was asked to end; guarded by mu
	seen    []*stream      // the sweep's own copy
}

// newHTTP2Server makes what all HTTP/2 connections share.
func newHTTP2Server(s *Server, n *snapshot) *http2.Server {
	return http2.NewServer(http2.Config{
		Begin:           func(hs *http2.Stream) { streamOf(hs).begin() },
		Handler:         func(hs *http2.Stream) { streamOf(hs).serve() },
		Left:            func(hs *http2.Stream) { streamOf(hs).x.interrupt(causeLeft) },
		Panicked:        s.panicked,
		MaxHeaderBytes:  n.maxHead,
		HeaderTimeout:   n.cfg.RequestHeaderTimeout,
		IdleTimeout:     n.cfg.IdleTimeout,
		BodyIdleTimeout: n.cfg.BodyIdleTimeout,
	})
}

// serveHTTP2 serves c to its end on nc, its socket or the TLS over that. early
// is what was read from it already.
func (s *Server) serveHTTP2(c *conn, nc net.Conn, early []byte) {
	m := &multiplex{conn: c, rested: s.clock.coarse.Load()}
	m.h2 = s.current().http2.NewConn(nc, early)
	m.h2.Value = m
	c.x.mark.Store(at(phaseTunnel, noLimit)) // the connection's own exchange does nothing more
	c.many.Store(m)
	c.aborted = true // all that is to be said at the end is said by HTTP/2
	// After the store: a drain either finds the multiplex or is seen here.
	if soon, _ := c.x.door.leaves(); soon {
		m.h2.Shutdown()
	}
	s.ends.note(s.log, c, m.h2.Serve())
}

// http2Ends counts the HTTP/2 connections that ended otherwise than by either
// side's wish, and logs some of them: one a second at most.
type http2Ends struct {
	broken atomic.Uint64 // the client broke the protocol
	calmed atomic.Uint64 // the client was too much
	slow   atomic.Uint64 // the client was too slow
	logged atomic.Int64  // when, in the server's time
}

// HTTP2Stats are the counters of HTTP/2 connections that Fairlead ended.
type HTTP2Stats struct {
	Broken uint64 // the client broke the protocol
	Calmed uint64 // the client was too much: ENHANCE_YOUR_CALM
	Slow   uint64 // the client left a frame unfinished, or took nothing
}

// HTTP2 reports on HTTP/2 connections. It may be called from any goroutine.
func (s *Server) HTTP2() HTTP2Stats {
	return HTTP2Stats{Broken: s.ends.broken.Load(), Calmed: s.ends.calmed.Load(), Slow: s.ends.slow.Load()}
}

func (e *http2Ends) note(log *zap.Logger, c *conn, err error) {
	bad, ok := errors.AsType[*http2.ConnError](err)
	switch {
	case ok && bad.Code == http2.CodeEnhanceYourCalm:
		e.calmed.Add(1)
	case ok:
		e.broken.Add(1)
	case errors.Is(err, http2.ErrTimeout):
		e.slow.Add(1)
	default:
		return
	}
	now, last := c.srv.clock.coarse.Load(), e.logged.Load()
	if now-last >= int64(time.Second) && e.logged.CompareAndSwap(last, now) {
		log.Warn("HTTP/2 connection ended", zap.ByteString("client", c.x.peer), zap.Error(err))
	}
}

// streamOf is the exchange's side of an HTTP/2 stream. It stays with it, from
// request to request.
func streamOf(hs *http2.Stream) *stream {
	st, ok := hs.Value.(*stream)
	if !ok {
		st = newStream(hs.Conn().Value.(*multiplex), hs)
		hs.Value = st
	}
	return st
}

func (m *multiplex) add(st *stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams.add(st)
}

func (m *multiplex) remove(st *stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams.remove(st)
	if len(m.streams) == 0 {
		m.rested = m.conn.srv.clock.coarse.Load()
	}
}

// resting is since when nothing has been served; not ok while something is.
func (m *multiplex) resting() (since int64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rested, len(m.streams) == 0
}

// sweep looks at every exchange. That its client has left is told by Left.
func (m *multiplex) sweep(now int64) {
	for _, st := range m.snapshot() {
		st.sweep(now)
	}
}

// prolong moves the deadline of every exchange.
func (m *multiplex) prolong(by int64) {
	for _, st := range m.snapshot() {
		st.x.prolong(by)
	}
}

// snapshot lists the streams that are being served now. Only the sweeper may call
// it; the result is valid until its next call.
func (m *multiplex) snapshot() []*stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.seen)
	m.seen = append(m.seen[:0], m.streams...)
	return m.seen
}

// interrupt ends every exchange, and the connection if it was interrupted
// before.
func (m *multiplex) interrupt(c cause) {
	m.mu.Lock()
	streams, again := slices.Clone(m.streams), m.leaving
	m.leaving = true
	m.mu.Unlock()
	for _, st := range streams {
		st.x.interrupt(c)
	}
	if again && len(streams) == 0 {
		m.h2.Close()
	}
}

// retire asks the client to go elsewhere. What is under way is finished.
func (m *multiplex) retire() {
	m.mu.Lock()
	m.leaving = true
	m.mu.Unlock()
	m.h2.Shutdown()
}
