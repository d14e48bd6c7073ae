package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/netx"
)

// farewellFor bounds the write of a close_notify where a socket can't be
// written to without blocking.
const farewellFor = 100 * time.Millisecond

// secure is TLS over a client's socket. One goroutine reads it at a time and
// one writes. It is never closed: its connection ends the socket itself, and
// says goodbye before only where the end is a good one.
type secure struct {
	tls    *tls.Conn
	sock   socket
	broken bool // a write failed: a record may have gone out in part; the writer's
}

func newSecure(c *conn, cfg *tls.Config) *secure {
	s := &secure{sock: socket{Conn: c.nc, c: c}}
	s.tls = tls.Server(&s.sock, cfg)
	return s
}

// Read reads what the client sent.
func (s *secure) Read(p []byte) (int, error) { return s.tls.Read(p) }

// Write sends p, in as many records as it takes. After an error nothing more
// can be sent.
func (s *secure) Write(p []byte) (int, error) {
	n, err := s.tls.Write(p)
	s.broken = s.broken || err != nil
	return n, err
}

// notify tells the client with a close_notify that it has got everything (RFC
// 8446, section 6.1). Nothing can be written after it.
func (s *secure) notify() error {
	if s.broken {
		return net.ErrClosed
	}
	err := s.tls.CloseWrite()
	s.sock.parted.Store(true)
	return err
}

// CloseWrite ends our side in both layers: some clients wait for the FIN.
func (s *secure) CloseWrite() error {
	if err := s.notify(); err != nil {
		return err
	}
	if w, ok := s.sock.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// tryRead reads what is there, within onReadable. again is true if it is less
// than a record; more is false if nothing but such a rest is left, neither in
// the socket nor in crypto/tls.
func (s *secure) tryRead(p []byte) (n int, again, more bool, err error) {
	n, err = s.tls.Read(p)
	if err == errNotYet {
		s.sock.records.whole = 0
		return 0, true, false, nil
	}
	if n > 0 {
		// An error that came with the bytes comes again with the next read.
		if n < len(p) && s.sock.drained && s.sock.records.whole <= 1 {
			s.sock.records.whole = 0
			return n, false, false, nil
		}
		return n, false, true, nil
	}
	return 0, false, false, err
}

// farewell says goodbye without waiting for a client that takes nothing.
func (c *conn) farewell() {
	if c.raw == nil {
		_ = c.nc.SetWriteDeadline(time.Now().Add(farewellFor))
		_ = c.sec.notify()
		return
	}
	_ = c.raw.Control(func(fd uintptr) {
		c.fd, c.sec.sock.once = fd, true
		_ = c.sec.notify()
		c.fd = noFD
	})
}

// socket is what crypto/tls reads from and writes to. Within onReadable it
// never blocks on a read: it fails with errNotYet, which crypto/tls bears like
// any time-out, keeping what it has of a record. So TLS is read in the same
// way as a plain socket is, in one RawConn.Read for all requests that come.
type socket struct {
	net.Conn // the client's
	c        *conn

	// Of the goroutine that reads.
	early   []byte // was read before TLS began; comes first
	drained bool   // nothing is left to read until the poller says so
	records records

	// Of the handshake.
	greeted bool // the ClientHello is there
	turn    bool // it may compute now

	// Of the goroutine that writes.
	once   bool        // what does not fit into the socket is given up
	bound  bool        // deadlines are the sweeper's, whatever crypto/tls sets
	parted atomic.Bool // a close_notify has gone out
}

// errNotYet says that the socket has nothing to read now.
var errNotYet net.Error = notYet{}

type notYet struct{}

func (notYet) Error() string   { return "nothing to read yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if len(s.early) > 0 {
		return s.readEarly(p), nil
	}
	if s.c.fd == noFD {
		return s.readWaiting(p)
	}
	if s.drained {
		return 0, errNotYet
	}
	n, again, err := netx.TryRead(s.c.fd, p)
	switch {
	case again:
		s.drained = true
		return 0, errNotYet
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	s.drained = n < len(p)
	s.records.saw(p[:n])
	return n, nil
}

// readEarly reads what came together with a PROXY header. It does not wait, so
// a handshake keeps its turn.
func (s *socket) readEarly(p []byte) int {
	n := copy(p, s.early)
	if s.early = s.early[n:]; len(s.early) == 0 {
		s.early = nil
	}
	s.records.saw(p[:n])
	return n
}

// readWaiting reads, blocking. A handshake gives up its turn for as long.
func (s *socket) readWaiting(p []byte) (int, error) {
	s.endTurn()
	n, err := s.Conn.Read(p)
	s.records.saw(p[:n])
	if err == nil && s.greeted {
		err = s.takeTurn()
	}
	return n, err
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (written int, err error) {
	if s.parted.Load() {
		return 0, net.ErrClosed
	}
	if s.c.fd != noFD {
		written, _, err = netx.TryWrite(s.c.fd, p)
		if err != nil || written == len(p) {
			return written, err
		}
		if s.once {
			return written, errNotYet
		}
	}
	n, err := s.Conn.Write(p[written:])
	return written + n, err
}

// SetWriteDeadline implements net.Conn. crypto/tls gives a close_notify five
// seconds, which would undo an interrupt.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if s.bound {
		return nil
	}
	return s.Conn.SetWriteDeadline(t)
}

// recordHead is the length of a record's header, whose last two bytes are the
// length of what follows (RFC 8446, section 5.1).
const recordHead = 5

// records follows the boundaries of records through the bytes that are read. It
// tells what crypto/tls does not: whether it may hold another whole record,
// or a part of one.
type records struct {
	whole int // that came since crypto/tls was known to hold none
	head  int // bytes of the current record's header that came
	left  int // bytes of the current record that did not come yet, once head is whole
}

// saw takes the next bytes.
func (r *records) saw(p []byte) {
	for len(p) > 0 {
		if r.head < recordHead {
			b := int(p[0])
			p = p[1:]
			switch r.head++; r.head {
			case recordHead - 1:
				r.left = b << 8
			case recordHead:
				r.left |= b
			}
		} else {
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
		}
		if r.head == recordHead && r.left == 0 {
			r.head = 0
			r.whole++
		}
	}
}

// within reports whether a record has come in part.
func (r *records) within() bool { return r.head > 0 }
