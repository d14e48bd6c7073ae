package chaos

import (
	"errors"
	"net"
	"os"
	"time"
)

// silence is a listener that accepts nothing, so that with its queue full the system drops every SYN that comes.
type silence struct {
	parked chan struct{} // closed when accept has stopped
	over   chan struct{} // closed when it may go on, or the listener is closed
}

const (
	fillTimeout = 100 * time.Millisecond // of a connect on this machine that would be answered within a millisecond
	maxFill     = 64                     // connections that fill a queue made as short as can be
)

var errNotSilent = errors.New("this system answers a connect though the listener's queue is full")

// blackhole leaves connects unanswered, without any privilege: the listener's queue is made as short as can be, filled
// with connections of our own, and not read.
func blackhole(o *Origin, _ <-chan struct{}) (end func() error, err error) {
	s, err := o.silence()
	if err != nil {
		return nil, err
	}
	var fillers []net.Conn
	end = func() error {
		o.speak(s)
		for _, nc := range fillers {
			_ = nc.Close()
		}
		return o.Up() // for those who took it down meanwhile
	}
	for range maxFill {
		nc, err := net.DialTimeout("tcp", o.address, fillTimeout)
		if isTimeout(err) {
			o.ResetConns()
			return end, nil
		}
		if err != nil {
			return nil, errors.Join(errNotSilent, err, end())
		}
		fillers = append(fillers, nc)
		o.mu.Lock()
		o.fillers[nc.LocalAddr().String()] = struct{}{}
		o.mu.Unlock()
	}
	return nil, errors.Join(errNotSilent, end())
}

// silence makes the origin stop accepting and returns when it has.
func (o *Origin) silence() (*silence, error) {
	o.mu.Lock()
	listener, ok := o.listener.(*net.TCPListener)
	if !ok {
		o.mu.Unlock()
		return nil, errors.New("it is down")
	}
	s := &silence{parked: make(chan struct{}), over: make(chan struct{})}
	o.silent, o.fillers = s, make(map[string]struct{})
	_ = listener.SetDeadline(longAgo)
	err := setBacklog(listener, 0)
	o.mu.Unlock()
	if err != nil {
		o.speak(s)
		return nil, err
	}
	select {
	case <-s.parked:
	case <-s.over:
	}
	return s, nil
}

// speak ends a silence, unless Down did.
func (o *Origin) speak(s *silence) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silent != s {
		return
	}
	if listener, ok := o.listener.(*net.TCPListener); ok {
		_ = setBacklog(listener, maxBacklog)
		_ = listener.SetDeadline(time.Time{})
	}
	o.endSilenceLocked()
}

func (o *Origin) endSilenceLocked() {
	if o.silent != nil {
		close(o.silent.over)
		o.silent = nil
	}
}

const maxBacklog = 65535 // systems take the largest that they allow instead

// silenced waits for the end of a silence after Accept was called back from waiting by one.
func (o *Origin) silenced(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	o.mu.Lock()
	s := o.silent
	o.mu.Unlock()
	if s != nil {
		close(s.parked)
		<-s.over
	}
	return true
}
