package http2

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// flushWithin bounds the writing of the last frames to a peer, and
	// lingerFor and lingerBytes what it may still send after them.
	flushWithin = time.Second
	lingerFor   = time.Second
	lingerBytes = 256 << 10
	// brieflyFor is both for a connection that has to go at once, with nothing
	// on its way that matters.
	brieflyFor = 50 * time.Millisecond
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// A Conn is one client's connection. Its methods may be called by any goroutine.
type Conn struct {
	// Value is the owner's: what its handlers need to know of the connection.
	// It is set before Serve and not touched here.
	Value any

	srv *Server
	nc  net.Conn

	// The reader's own.
	in      input
	dec     decoder
	block   block
	data    dataFrame
	greeted bool      // the preface was read
	settled bool      // the peer's first SETTINGS came
	fresh   []*Stream // opened, and not yet given to a worker
	left    []*Stream // their handlers run, and the owner was not yet told
	units   uint64    // counts steps that show that the peer moves

	mark    atomic.Uint64 // units and stage, for the tick
	resting atomic.Bool   // the next tick is far off
	wrote   atomic.Uint64 // counts the writer's steps; odd while one is under way

	mu       sync.Mutex // guards what follows
	table    streamTable
	halves   []halfClosed
	resets   closedRing // streams that we have reset, on which frames may come
	finished closedRing // streams that the client has ended
	free     []*Stream
	credit   int
	cancels  int // see cancelledLocked

	open       int  // streams in the table and half-closed ones
	running    int  // handlers that run or are about to
	opening    bool // a head is being received whose stream will be open
	lastID     uint32
	acceptedID uint32 // the last stream that may have been acted upon
	requests   uint64

	sendWindow int
	recvWindow int
	consumed   int // received bytes that the peer was not told to be free yet
	peerWindow int // the first window of a stream towards the peer

	out        *outBuffer
	scratch    [32]byte // for a frame that goes to out
	writeCond  sync.Cond
	writerIdle bool
	forWindow  waitList // streams that wait for the connection's window
	passing    bool     // one of forWindow was woken and has not yet run
	forRoom    waitList // streams that wait for what has gathered to leave
	writerDone chan struct{}

	queue    waitQueue // streams that wait for a worker
	workCond sync.Cond
	idle     int // workers without work
	dismiss  int // workers that have to go
	workers  sync.WaitGroup

	draining bool  // a GOAWAY was sent that warns
	final    bool  // a GOAWAY was sent that names the last stream
	closing  bool  // nothing is added to out any more
	ended    error // why, if not at our own wish
	begun    bool  // Serve was called
	brief    bool  // the end waits brieflyFor
	over     bool  // the clock has stopped for good
	timer    *time.Timer
	watched  watched // the tick's own
}

// Serve serves the connection until it has ended, and closes it. It returns
// when all that runs for the connection has ended, so not before the last
// handler. The error is nil if the end was wished for by one side (Shutdown,
// the client closed, an idle time-out), a *ConnError if the client broke the
// protocol or was too much, ErrTimeout if it was too slow, else the
// connection's own.
func (c *Conn) Serve() error {
	c.begin()
	err := c.readLoop()
	return c.end(err)
}

// begin greets the client and starts the writer and the clock.
func (c *Conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
	c.appendLocked(c.srv.greeting)
	c.startTicksLocked()
	if c.draining && !c.closing {
		c.draining = false
		c.shutdownLocked()
	}
	go c.writeLoop()
}

// readLoop takes frames until the connection ends.
func (c *Conn) readLoop() error {
	for {
		need, err := c.takeInput()
		c.dispatch()
		c.tellLeft()
		if err == nil {
			c.publish(need)
			err = c.in.fill(c.nc, need)
		}
		if err != nil {
			return err
		}
		if c.resting.Load() {
			c.wakeTick()
		}
	}
}

// end ends what is left of the connection. err is the reader's.
func (c *Conn) end(err error) error {
	polite, wait := c.stop(err)
	_ = c.nc.SetWriteDeadline(time.Now().Add(min(wait, flushWithin)))
	<-c.writerDone
	c.in.release()
	if polite {
		c.linger(wait)
	}
	_ = c.nc.Close()
	c.workers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.timer.Stop()
	if c.out != nil {
		c.out.put()
		c.out = nil
	}
	return c.ended
}

// stop ends every stream and lets the writer write what is there. It reports
// whether the peer may still be reading, and how long to wait for it.
func (c *Conn) stop(err error) (polite bool, wait time.Duration) {
	c.mu.Lock()
	wait = lingerFor
	if c.brief {
		wait = brieflyFor
	}
	var broken *ConnError
	switch {
	case c.closing:
		polite = c.ended == nil
		if errors.As(err, &broken) && !errors.Is(c.ended, net.ErrClosed) {
			c.ended = err // it says more than a connection that can't be written to
		}
	case errors.As(err, &broken):
		polite = true
		c.ended = err
		c.goAwayLocked(broken.Code, broken.Reason)
	case err != io.EOF:
		c.ended = err
	}
	c.closing = true
	for s := range c.table.all() {
		c.leaveLocked(s)
	}
	c.open -= len(c.halves)
	c.halves = nil
	c.writeCond.Signal()
	c.workCond.Broadcast()
	c.mu.Unlock()
	c.tellLeft()
	return polite, wait
}

// tellLeft tells the owner of the streams that their clients have left.
func (c *Conn) tellLeft() {
	for i, s := range c.left {
		if c.srv.cfg.Left != nil {
			c.srv.cfg.Left(s)
		}
		c.left[i] = nil
	}
	c.left = c.left[:0]
}

// linger ends the sending side and takes what the client has still on its way,
// so that the last frames are not lost to a reset.
func (c *Conn) linger(wait time.Duration) {
	w, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	buf := c.in.small[:]
	for n := 0; n < lingerBytes; {
		m, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		n += m
	}
}

// Shutdown lets the client know that it should open no more streams, and ends
// the connection when those that are open have ended. Those that are on their
// way get a round trip, or a second or two if the client doesn't answer;
// without an open stream it is a quarter of a second, and
// another 50 ms if it has been without one for a while. Shutdown returns at
// once, and Serve then with nil.
func (c *Conn) Shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shutdownLocked()
}

// shutdownLocked sends a GOAWAY that only warns, since requests may be on their
// way, and a ping whose answer says that those have come (RFC 9113, 6.8).
func (c *Conn) shutdownLocked() {
	if c.draining || c.closing {
		return
	}
	c.draining = true
	if !c.begun {
		return // begin does it, after the greeting
	}
	c.out = c.out.orNew()
	c.out.b = appendGoAway(c.out.b, maxStreamID, CodeNo, "")
	c.out.b = appendPing(c.out.b, 0, drainPing[:])
	c.wakeWriterLocked()
	c.watched.drainAt = time.Now()
	c.resting.Store(false)
	c.timer.Reset(c.drainPeriodLocked(c.tickPeriod()))
}

// EndIfIdle ends the connection now if no stream is open, no handler runs and
// nothing is being written, and reports whether that was so. The client gets a
// GOAWAY that names the last stream, and 50 ms to take it and what it has not
// read before. EndIfIdle returns at once, and Serve then with nil. A connection
// that isn't served yet is not idle.
func (c *Conn) EndIfIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun || c.busyLocked() || !c.closing && !c.writerIdle {
		return false
	}
	if c.closing {
		return true
	}
	c.brief = true
	_ = c.nc.SetWriteDeadline(time.Now().Add(brieflyFor))
	c.finalLocked()
	c.doneLocked()
	return true
}

// busyLocked reports whether there is a stream that the connection must not end before.
func (c *Conn) busyLocked() bool { return c.open+c.running > 0 || c.opening }

var drainPing = [8]byte{'g', 'o', 'i', 'n', 'g'}

// finalLocked names the last stream that will be served.
func (c *Conn) finalLocked() {
	if c.final || c.closing {
		return
	}
	c.draining = true
	c.goAwayLocked(CodeNo, "")
	c.doneLocked()
}

// goAwayLocked sends the last GOAWAY.
func (c *Conn) goAwayLocked(code ErrCode, reason string) {
	c.final = true
	c.acceptedID = c.lastID
	c.out = c.out.orNew()
	c.out.b = appendGoAway(c.out.b, c.acceptedID, code, reason)
	c.wakeWriterLocked()
}

// doneLocked ends a connection that was drained, when nothing is left to do.
func (c *Conn) doneLocked() {
	if c.final && !c.busyLocked() && !c.closing {
		c.closing = true
		c.writeCond.Signal()
	}
}

// Close ends the connection now: streams are broken off. It returns at once;
// Serve returns when the handlers have.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killLocked(net.ErrClosed)
}

// killLocked ends the connection because of err. Only the reader closes it.
func (c *Conn) killLocked(err error) {
	if c.ended == nil {
		c.ended = err
	}
	c.closing = true
	_ = c.nc.SetDeadline(longAgo)
	c.writeCond.Signal()
}

// Streams is how many streams are open. One whose request was answered before
// its end counts until the client has ended it too, two seconds at most.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}
