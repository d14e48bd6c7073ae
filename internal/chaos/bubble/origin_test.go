package bubble

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A conduct is how an origin treats a probe.
type conduct uint8

const (
	up         conduct = iota
	refuses            // the connection
	status503          // answers, but badly
	blackholes         // the connection is never made
	mute               // takes the probe and never answers
	tooLate            // answers, after any time-out
	slow               // is up, and takes nine tenths of a time-out
)

func (c conduct) String() string {
	return [...]string{"up", "refuses", "answers 503", "blackholes", "mute", "too late", "slow"}[c]
}

// good reports whether a probe that is treated so succeeds.
func (c conduct) good() bool { return c == up || c == slow }

// How long an origin takes that is too late, and one that is slow.
const (
	lateness = 90 * time.Second
	slowness = 900 * time.Millisecond
)

// A schedule says what an origin does at a time since the beginning.
type schedule func(at time.Duration) conduct

// always is an origin that never changes.
func always(does conduct) schedule { return func(time.Duration) conduct { return does } }

// between is an origin that does something from one time to another and is up
// otherwise.
func between(from, to time.Duration, does conduct) schedule {
	return func(at time.Duration) conduct {
		if at >= from && at < to {
			return does
		}
		return up
	}
}

// A fakeOrigin answers probes in memory. Its methods may be called from any
// goroutine.
type fakeOrigin struct {
	began time.Time
	does  schedule

	mu     sync.Mutex
	probes []probed
	open   int // connections that have not been closed
	most   int // the highest open has been
}

// A probed is one probe, as its origin saw it.
type probed struct {
	at   time.Duration
	does conduct
}

func (o *fakeOrigin) now() conduct { return o.does(time.Since(o.began)) }

// dial is health.Config's Dial.
func (o *fakeOrigin) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	does := o.now()
	o.mu.Lock()
	o.probes = append(o.probes, probed{time.Since(o.began), does})
	o.mu.Unlock()
	switch does {
	case refuses:
		return nil, syscall.ECONNREFUSED
	case blackholes:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open++
	o.most = max(o.most, o.open)
	return &fakeConn{origin: o, does: does, closed: make(chan struct{})}, nil
}

// log returns the probes so far.
func (o *fakeOrigin) log() []probed {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clip(o.probes)
}

// connections returns how many are open and how many were at most.
func (o *fakeOrigin) connections() (open, most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open, o.most
}

// A fakeConn is a connection whose other end has its answer ready. It has no
// goroutine and no pipe: an hour has thousands of them.
type fakeConn struct {
	net.Conn // nil: a probe needs no more than what is here
	origin   *fakeOrigin
	does     conduct
	closed   chan struct{}
	once     sync.Once
	answered bool
}

func (c *fakeConn) Write(b []byte) (int, error) { return len(b), nil }

func (c *fakeConn) Read(b []byte) (int, error) {
	if c.answered {
		return 0, io.EOF
	}
	var answer <-chan time.Time // nil: never
	text := "HTTP/1.1 204 No Content\r\n\r\n"
	switch c.does {
	case status503:
		text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
	case tooLate:
		answer = time.After(lateness)
	case slow:
		answer = time.After(slowness)
	}
	if c.does == mute || answer != nil {
		select {
		case <-c.closed:
			return 0, net.ErrClosed
		case <-answer:
		}
	}
	c.answered = true
	return copy(b, text), nil
}

func (c *fakeConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.origin.mu.Lock()
		c.origin.open--
		c.origin.mu.Unlock()
	})
	return nil
}
