package proxy

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/netx"
)

// conn is one client's HTTP/1.1 connection: a front door. One goroutine
// serves it; only the sweeper and an upload reach in from outside, in the ways
// that watch and bodySource say.
type conn struct {
	srv *Server
	nc  net.Conn        // the socket; deadlines and the close are for it
	tcp *net.TCPConn    // nil on a unix socket
	raw syscall.RawConn // nil where a connection can't be waited for without a buffer

	stream io.ReadWriter // what HTTP is read from and written to: nc, or the TLS over it
	sec    *secure       // that TLS; nil on a plain connection

	// Of the sweeper.
	slot   int   // guarded by the roster's mu
	swept  int64 // the mark at the last visit
	looked bool  // whether what is done once in each wait was done

	// served is set as soon as a request was answered.
	served atomic.Bool

	// many is set as soon as HTTP/2 is spoken; x is not used any more then.
	many atomic.Pointer[multiplex]

	// intro is nil as soon as it is known who the peer is.
	intro *introduction

	// Of the connection's goroutine.
	x       exchange
	bufs    *buffers // nil while the connection waits for a request
	r, w    int      // bufs.in[r:w] is unread
	skipped int      // empty lines before the head count towards its limit
	scanned int      // bytes of the head that were searched for its end
	headBy  int64    // when the head must be there; 0: none has begun
	next    next
	last    bool                  // the wait is over: only what is here already is served
	ready   func(fd uintptr) bool // onReadable, bound once
	fd      uintptr               // the socket's, while onReadable runs; else noFD

	clientBody clientBody
	pending    []byte // a response's head that has not left yet
	chunked    bool   // the response's body is sent in chunks
	untilClose bool   // the response's body ends with the connection
	lingering  bool   // what the client still sends is taken before the close
	aborted    bool   // the response was broken off, and must look so
	up, down   limitedSource
}

// next is what a connection's goroutine does next.
type next uint8

const (
	nextRead      next = iota // needs more bytes from the client
	nextServe                 // has a request whose serving reads from the client
	nextHTTP2                 // has the beginning of an HTTP/2 connection
	nextHandshake             // has a PROXY header, and TLS follows
	nextClose                 // is at its end
)

func newConn(s *Server, door *listener, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, stream: nc, fd: noFD}
	c.tcp, _ = nc.(*net.TCPConn)
	if sc, ok := nc.(syscall.Conn); ok && netx.CanTry {
		c.raw, _ = sc.SyscallConn()
	}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.setPeer(a.AddrPort().Addr().Unmap().WithZone(""))
	}
	c.x.srv, c.x.door, c.x.client, c.x.proto, c.x.plain = s, door, c, "http", true
	c.x.call, c.x.space = c.x.callOrigin, c.x.respSpace
	c.x.wake, c.x.revive = c.wake, c.revive
	c.ready = c.onReadable
	c.x.until = noLimit
	c.x.mark.Store(at(phaseIdle, noLimit))
	speaks := door.speaks.Load()
	if speaks.tls != nil { // its client has to agree on TLS first
		c.x.proto, c.x.plain = "https", false
		c.sec = newSecure(c, speaks.tls)
		c.stream = c.sec
	}
	if speaks.proxied {
		c.expectHeader()
	}
	return c
}

// setPeer says who the client is.
func (c *conn) setPeer(ip netip.Addr) {
	c.x.peer, c.x.ip, c.x.trust = ip.AppendTo(nil), ip, nil
}

// wake ends whatever the connection's goroutine is blocked in on the client's
// side. It never closes the connection: while its goroutine waits inside a
// RawConn, Close would wait for that goroutine.
func (c *conn) wake() { _ = c.nc.SetDeadline(longAgo) }

// revive undoes wake.
func (c *conn) revive() { _ = c.nc.SetDeadline(time.Time{}) }

// gone reports whether the client closed its side. It is the sweeper's.
func (c *conn) gone() bool { return c.raw != nil && netx.PeerClosed(c.raw) }

// stuck reports whether an upload waits for the origin to take what is here,
// rather than for the client. A byte of a client that drips may be here just now;
// that alone says nothing about the origin. It is the sweeper's.
func (c *conn) stuck() bool {
	return c.x.body.writing.Load() || c.raw != nil && netx.Dead(c.raw) && c.x.originFull()
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.close()
	if c.sec != nil && !c.handshake() {
		return
	}
	if c.awaitsHeader() {
		c.awaitHeader()
	} else {
		c.rest()
	}
	for {
		switch c.await() {
		case nextServe:
			c.x.serve()
			if !c.turn() {
				return
			}
		case nextHTTP2:
			early := slices.Clone(c.unread())
			c.dropBuffers()
			c.srv.serveHTTP2(c, c.nc, early)
			return
		case nextHandshake:
			if c.startTLS(); !c.handshake() {
				return
			}
			c.rest()
		case nextClose:
			c.endIntroduction()
			return
		}
	}
}

// place implements slots' member: where the connection is on the roster.
func (c *conn) place() *int { return &c.slot }

// retire has the connection end when what is under way on it is finished; in a
// hurry, also its wait for a request.
func (c *conn) retire(v leaving) {
	if m := c.many.Load(); m != nil {
		m.retire()
	} else if v == hurried {
		c.x.interruptIdle()
	}
}

// makeRoom ends the connection if it does nothing but wait.
func (c *conn) makeRoom() {
	if m := c.many.Load(); m != nil {
		m.h2.EndIfIdle()
		return
	}
	c.x.interruptIdle()
}

// interrupt ends whatever is under way on the connection.
func (c *conn) interrupt(why cause) {
	if m := c.many.Load(); m != nil {
		m.interrupt(why)
		return
	}
	c.x.interrupt(why)
}

// waits reports whether the connection does nothing but wait, for a request, a
// handshake or a PROXY header, and until when it would.
func (c *conn) waits() (until int64, ok bool) {
	if m := c.many.Load(); m != nil {
		since, ok := m.resting()
		return since + int64(c.srv.current().idleTimeout()), ok
	}
	mark := c.x.mark.Load()
	until = mark &^ phaseBits
	switch phase(mark & phaseBits) {
	case phaseIdle:
		return until, true
	case phaseHandshake:
		// As if it had the time of a wait for a request.
		return until + int64(c.srv.current().idleTimeout()-c.greetFor()), true
	}
	return 0, false
}

// serveBuffered serves the requests whose bytes are here. It returns nextRead
// when they are used up, and nextServe for one whose serving needs the
// client's side: that must be done outside a RawConn's callback.
func (c *conn) serveBuffered() next {
	for c.bufs != nil {
		if c.intro != nil {
			if n, done := c.introduce(); done {
				return n
			}
		}
		ok, err := c.parse()
		if err == errHTTP2 {
			return nextHTTP2
		}
		if err != nil {
			c.refuseHead(refuseHead(err))
			return nextClose
		}
		if !ok {
			break
		}
		if c.x.body.streamed() || c.x.req.Upgrade != nil {
			return nextServe
		}
		c.x.serve()
		if !c.turn() {
			return nextClose
		}
	}
	return nextRead
}

// turn prepares for the next request. It reports whether there may be one.
func (c *conn) turn() bool {
	c.pending = nil
	c.headBy, c.scanned, c.skipped = 0, 0, 0
	if c.x.closeAfter || c.x.interrupted() != causeNone {
		// A client that did not ask for the end may have sent more, and a close
		// in the face of it would be a reset.
		more := !c.x.req.Close || c.x.body.unread() || c.r < c.w
		// Over TLS a client's goodbye is bytes, too.
		more = more || c.sec != nil && c.raw != nil && netx.Dead(c.raw)
		c.lingering = !c.aborted && (c.lingering || more && c.x.result < resultLeft)
		return false
	}
	if !c.served.Load() {
		c.served.Store(true)
	}
	if c.r == c.w {
		c.rest()
	}
	return true
}

// rest gives the buffers back and begins the wait for a request.
func (c *conn) rest() {
	c.dropBuffers()
	c.beginWait()
}

// beginWait begins the wait for a request.
func (c *conn) beginWait() {
	c.x.mark.Store(at(phaseIdle, after(c.srv.clock.coarse.Load(), c.srv.current().idleTimeout())))
	// After the mark: a drain either finds the connection idle or is seen here.
	if _, now := c.x.door.leaves(); now {
		c.last = true
	}
}

// dropBuffers gives the buffers back, in which nothing is unread.
func (c *conn) dropBuffers() {
	if c.bufs != nil {
		c.x.giveBuffers()
		c.bufs = nil
	}
	c.r, c.w = 0, 0
}

// parse looks for a request in what is buffered. ok is false when its head is
// not complete.
func (c *conn) parse() (ok bool, err error) {
	if c.scanned <= 1 { // an empty line may have been cut after its CR
		n := http1.EmptyLines(c.unread())
		if c.r += n; n > 0 {
			c.scanned = 0
		}
		c.skipped += n
	}
	if c.r == c.w {
		if c.skipped > c.srv.current().maxHead {
			return false, http1.TooLarge(nil)
		}
		return false, nil
	}
	in := c.unread()
	end, err := http1.HeadEnd(in, c.scanned)
	if err != nil {
		return false, err
	}
	if end == 0 || end > c.srv.current().maxHead {
		if end > 0 || len(in) >= c.srv.current().maxHead {
			return false, http1.TooLarge(in[:min(len(in), c.srv.current().maxHead)])
		}
		c.scanned = len(in)
		c.awaitHead()
		return false, nil
	}
	if c.srv.current().cfg.H2C && c.sec == nil && c.x.start == 0 && string(in[:end]) == h2cHead {
		return false, errHTTP2
	}
	if err := c.x.req.Parse(in[:end]); err != nil {
		return false, err
	}
	c.r += end
	return true, c.setBody()
}

// awaitHead begins the time in which a head that has begun must be there.
func (c *conn) awaitHead() {
	if c.headBy == 0 {
		c.headBy = after(c.srv.clock.now(), c.srv.current().cfg.RequestHeaderTimeout)
		c.x.mark.Store(at(phaseHead, c.headBy))
	}
}

// setBody tells the exchange what body the request has, and how much of it is
// here.
func (c *conn) setBody() error {
	req, b := &c.x.req, &c.clientBody
	b.kind, b.remain = req.Body, req.Length
	switch req.Body {
	case http1.BodyLength:
		here := min(int64(c.w-c.r), b.remain)
		ready := c.bufs.in[c.r : c.r+int(here)]
		c.r += int(here)
		b.remain -= here
		c.x.body.set(c, req.Body, req.Length, ready, b.remain == 0)
	case http1.BodyChunked:
		b.chunks.Reset()
		data, n, err := b.chunks.Decode(c.unread())
		if err != nil {
			return err
		}
		c.r += n
		c.x.body.set(c, req.Body, -1, data, b.chunks.Done())
	default:
		c.x.body.set(c, http1.BodyNone, 0, nil, true)
	}
	return nil
}

// unread is what has come from the client and was not used yet.
func (c *conn) unread() []byte { return c.bufs.in[c.r:c.w] }

// space is where the next bytes from the client go; it is never empty.
func (c *conn) space() []byte {
	if c.bufs == nil {
		c.bufs = c.x.takeBuffers()
	}
	b := c.bufs
	if c.r > 0 {
		copy(b.in, b.in[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
	}
	if c.w == len(b.in) {
		// A reload may have made the limit smaller than what is here.
		grown := make([]byte, min(2*len(b.in), max(c.srv.current().maxHead, len(b.in))+inSize))
		copy(grown, b.in[:c.w])
		b.in = grown
	}
	return b.in[c.w:]
}

// close ends the connection. What a client has still on its way is taken for
// a moment, so that the last response is not destroyed by a reset.
func (c *conn) close() {
	if v := recover(); v != nil {
		c.srv.panicked(v)
		c.x.abandon()
		c.abort()
	}
	if c.lingering {
		c.drainClient()
	} else if c.sec != nil && !c.aborted {
		c.farewell()
	}
	c.dropBuffers()
	_ = c.nc.Close()
}
