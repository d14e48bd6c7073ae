//go:build unix

package netx

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A question is one call of poll(2) with a time-out of zero. Questions are
// pooled because RawConn.Control takes a func value, and a closure made for
// each call would be an allocation for each call.
type question struct {
	fds    [1]unix.PollFd
	answer int16
	ask    func(fd uintptr)
}

var questions = sync.Pool{New: func() any {
	q := new(question)
	q.ask = q.poll
	return q
}}

// poll leaves in answer which of the events, or of the conditions that poll
// always reports (error, hang-up, bad descriptor), hold now.
func (q *question) poll(fd uintptr) {
	q.fds[0].Fd = int32(fd)
	for {
		q.fds[0].Revents = 0
		_, err := unix.Poll(q.fds[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			q.fds[0].Revents = 0 // no answer is no reason to give up a connection
		}
		q.answer = q.fds[0].Revents
		return
	}
}

// holds reports whether one of events, or a condition, holds on rc now. A
// connection that we closed ourselves counts.
func holds(rc syscall.RawConn, events int16) bool {
	q := questions.Get().(*question)
	defer questions.Put(q)
	q.fds[0].Events = events
	if rc.Control(q.ask) != nil {
		return true
	}
	return q.answer != 0
}

func dead(rc syscall.RawConn) bool { return holds(rc, unix.POLLIN) }

func full(rc syscall.RawConn) bool { return !holds(rc, unix.POLLOUT) }
