package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/fairlead/fairlead/internal/netx"
)

// One exchange by Write and Read takes three system calls: write, a read that
// is too early and gives EAGAIN, and the read after the netpoller's wake-up.
// The early read is not idle: it is how a reader learns of what arrived before
// it began to listen. Exchange leaves it out. What follows is why it may.
//
// The runtime keeps one flag for each socket and direction, "has become ready
// since", set by epoll's edge-triggered events. RawConn.Read does, with the
// socket's read lock held (internal/poll.FD.RawRead):
//
//	reset the flag       (runtime.poll_runtime_pollReset)
//	for !callback(fd) {
//		wait             (runtime.poll_runtime_pollWait: if the flag is set,
//	}                     unset it and go on, else sleep until it would be)
//
// Our callback writes the request when it is called first and says false;
// afterwards it reads, and says false again if that gives EAGAIN. So:
//
//   - The answer's edge is not lost. The reset comes before the write, and the
//     answer comes after it. Nothing between the write and the wait resets the
//     flag; so either it is set when the wait begins, and the wait returns at
//     once, or the goroutine is asleep by then, and the edge wakes it.
//   - No later edge is lost. A wait unsets the flag before the read that follows
//     it. What arrives after that read sets it again.
//   - An edge that is too old, whose bytes were read by the last exchange, or
//     which epoll had reported but the runtime not yet recorded at the reset,
//     only causes one read that gives EAGAIN.
//   - Deadlines and Close work as always: the wait looks at them.
//
// What can be lost is an edge before the reset: whatever the origin did to a
// pooled connection between our last read and this exchange. There are three
// cases. (a) It closed the connection, or its process died. Then the write
// fails, or the origin's kernel answers it with RST, which is a new edge; on a
// unix socket the write fails at once. (b) It half closed it, and still takes
// our bytes without a word, as a server does that closes "lingeringly"; or it
// closed it and the RST is lost on the way. Its FIN was the last edge there
// will ever be, and we would sleep until the deadline. (c) It sent something
// unasked and then nothing, with the same result.
// Idle's look at the socket leaves for (b) and (c) the time since that look, or
// the millisecond for which it does not look. Nudge is for that rest: it ends the
// wait, and the plain Read that follows looks before it waits. A deadline in
// the past is the only means to wake a reader from outside; it is undone
// before Exchange returns.

// call holds the arguments and results of a Conn's one running Exchange, since
// a closure made for each call would be an allocation for each call.
type call struct {
	step func(fd uintptr) bool // the callback, made once; nil over TLS

	req, buf []byte
	buffer   func() []byte // gives buf where that is nil
	wrote    bool          // write was called
	sent     int           // what it wrote
	writeErr error         // what it failed with, EAGAIN excepted
	read     bool          // read gave n or readErr
	n        int
	readErr  error

	state atomic.Uint32 // what Nudge may do
	mu    sync.Mutex    // held by Nudge while it acts
}

// States of a call. Exchange moves it from idle to waiting and, whatever it is
// then, back to idle; Nudge moves it from waiting to nudged.
const (
	callIdle uint32 = iota
	callWaiting
	callNudged
)

// prepareCall makes the callback.
func (c *Conn) prepareCall() { c.call.step = c.call.run }

func (c *Conn) exchange(req, buf []byte, buffer func() []byte) (int, error) {
	k := &c.call
	if k.step == nil {
		return c.writeThenRead(req, 0, buf, buffer)
	}
	k.req, k.buf, k.buffer = req, buf, buffer
	k.wrote, k.sent, k.writeErr = false, 0, nil
	k.read, k.n, k.readErr = false, 0, nil
	k.state.Store(callWaiting)
	err := c.rc.Read(k.step)
	nudged := k.state.Swap(callIdle) == callNudged
	buf = k.buf
	k.req, k.buf, k.buffer = nil, nil, nil
	if nudged {
		c.undoNudge()
	}
	switch {
	case k.writeErr != nil:
		return c.readRefusal(buf, buffer, &WriteError{Sent: k.sent, Err: c.opError("write", k.writeErr)})
	case k.read:
		return c.readResult()
	case err != nil && !(nudged && errors.Is(err, os.ErrDeadlineExceeded)):
		return 0, c.waitFailed(req, err)
	}
	// Nudged, or the socket's buffer was full.
	return c.writeThenRead(req, k.sent, buf, buffer)
}

// run is the callback of RawConn.Read: true ends the call.
func (k *call) run(fd uintptr) bool {
	if !k.wrote {
		k.wrote = true
		k.sent, _, k.writeErr = netx.TryWrite(fd, k.req)
		return k.writeErr != nil || k.sent < len(k.req)
	}
	if k.buf == nil {
		k.buf = k.buffer()
	}
	var again bool
	k.n, again, k.readErr = netx.TryRead(fd, k.buf)
	k.read = !again
	return k.read
}

func (c *Conn) readResult() (int, error) {
	switch k := &c.call; {
	case k.readErr != nil:
		return 0, c.opError("read", k.readErr)
	case k.n == 0:
		return 0, io.EOF
	default:
		return k.n, nil
	}
}

// waitFailed explains that RawConn.Read gave up: the connection was closed, or
// its deadline passed.
func (c *Conn) waitFailed(req []byte, err error) error {
	if c.call.sent < len(req) {
		return &WriteError{Sent: c.call.sent, Err: err}
	}
	return err
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{
		Op:     op,
		Net:    c.raw.LocalAddr().Network(),
		Source: c.raw.LocalAddr(),
		Addr:   c.raw.RemoteAddr(),
		Err:    os.NewSyscallError(op, err),
	}
}

func (c *Conn) nudge() {
	k := &c.call
	if k.state.Load() != callWaiting {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.CompareAndSwap(callWaiting, callNudged) {
		c.raw.SetReadDeadline(past)
	}
}

// undoNudge waits until a Nudge that began has done what it does, and gives the
// socket back the deadline that its owner set.
func (c *Conn) undoNudge() {
	c.call.mu.Lock()
	defer c.call.mu.Unlock()
	c.raw.SetReadDeadline(c.deadline)
	c.stayInterrupted()
}
