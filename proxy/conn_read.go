package proxy

import (
	"time"

	"github.com/fairlead/fairlead/internal/netx"
)

// noFD is a connection's descriptor outside a RawConn's callback.
const noFD = ^uintptr(0)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// await waits for bytes from the client and serves what it can of them.
func (c *conn) await() next {
	for {
		n, err := c.readAndServe()
		if err == nil {
			return n
		}
		switch c.x.interrupted() {
		case causeHeadTimeout:
			c.refuseHead(refuseHeadTimeout)
			return nextClose
		case causeIdle:
			// The end of the wait and a request may have crossed. What is
			// here already is served.
			if c.last {
				return nextClose
			}
			c.last = true
			c.x.forgive(causeIdle)
			c.revive()
		default:
			return nextClose
		}
	}
}

// readAndServe reads once there is something to read and serves it. The error
// is that of the wait.
func (c *conn) readAndServe() (next, error) {
	if c.raw == nil {
		return c.readPlain()
	}
	c.next = nextClose
	err := c.raw.Read(c.ready)
	return c.next, err
}

// onReadable is called by RawConn.Read at first and each time the socket has
// become readable. It reads without blocking, serves every request that is
// there, and returns false to wait for more.
//
// Serving inside the callback is what spares a system call a request: a new
// RawConn.Read begins by clearing the poller's readiness, so it has to try a
// read first, which on a connection that waits for its client always fails
// with EAGAIN. Within one RawConn.Read the readiness is not cleared but
// consumed by each wait, before the read that follows it; so a read that did
// not fill its buffer has drained the socket, and whatever comes later wakes
// the next wait. What that can't see is a FIN that came together with the last
// bytes, since it gives no event of its own: the sweeper looks for it once in
// each wait.
//
// The price: until the callback returns true, the connection's read side is
// locked. Nothing in here may read from the client or close the connection.
func (c *conn) onReadable(fd uintptr) bool {
	c.fd = fd
	if c.sec != nil {
		c.sec.sock.drained = false
	}
	defer c.leaveCallback()
	for {
		if c.bufs != nil && c.w > c.r && c.scanned < c.w-c.r {
			if c.next = c.serveBuffered(); c.next != nextRead {
				return true
			}
		}
		p := c.space()
		n, again, more, err := c.tryRead(p)
		if again {
			c.pause()
			c.next = nextClose
			return c.last
		}
		if n <= 0 || err != nil {
			c.next = nextClose
			return true
		}
		c.w += n
		if c.last {
			_, c.last = c.x.door.leaves()
		}
		if c.next = c.serveBuffered(); c.next != nextRead {
			return true
		}
		if !more && !c.last {
			return false
		}
	}
}

// tryRead reads what is there, within onReadable. more is true if there may be more.
func (c *conn) tryRead(p []byte) (n int, again, more bool, err error) {
	if c.sec != nil {
		if c.last {
			c.sec.sock.drained = false // no event will tell of what has come since
		}
		return c.sec.tryRead(p)
	}
	n, again, err = netx.TryRead(c.fd, p)
	return n, again, n == len(p), err
}

// pause prepares for the wait for what did not come yet. A part of a TLS record
// is the beginning of a head: who sends one in drops is as late as who does so
// in plain.
func (c *conn) pause() {
	switch {
	case c.r < c.w:
	case c.awaitsHeader():
		c.dropBuffers()
	case c.sec != nil && c.sec.sock.records.within():
		c.dropBuffers()
		c.awaitHead()
	default:
		c.headBy = 0
		c.rest()
	}
}

// leaveCallback ends the time in which the connection's descriptor may be used
// directly.
func (c *conn) leaveCallback() { c.fd = noFD }

// readPlain is readAndServe where there is no RawConn: it holds a buffer while
// it waits.
func (c *conn) readPlain() (next, error) {
	for {
		if c.bufs != nil && c.w > c.r && c.scanned < c.w-c.r {
			if n := c.serveBuffered(); n != nextRead {
				return n, nil
			}
		}
		if c.last {
			return nextClose, nil
		}
		n, err := c.stream.Read(c.space())
		if err != nil {
			return nextClose, err
		}
		c.w += n
		if n := c.serveBuffered(); n != nextRead {
			return n, nil
		}
	}
}
