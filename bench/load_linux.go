package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// load drives one proxy over kept-alive connections from one thread. It is not safe for concurrent use; close ends its
// connections.
type load struct {
	poll     *poller
	timer    int
	addr     netip.AddrPort
	requests [][]byte // sent in turn
	size     int64    // of every response's body
	conns    []*loadConn
	turn     int
	sink     []byte // where bodies would go if they were not thrown away by the kernel
}

type loadConn struct {
	fd     int
	busy   bool  // a request is under way
	due    int64 // when that request should have been sent
	head   []byte
	n      int   // bytes in head
	inBody bool  // the head has been read and was right
	left   int64 // bytes of body still to come
}

// No response for this long ends a measurement with an error.
const stallLimit = 5 * time.Second

// Number of the timer in the poller; connections have their index.
const timerID = -1

var (
	errClosed          = errors.New("connection closed by the proxy")
	errNothingInWindow = errors.New("no response within the window")
)

// newLoad opens the connections.
func newLoad(addr netip.AddrPort, conns int, paths []string, size int64) (*load, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &load{poll: poll, timer: -1, addr: addr, size: size, sink: make([]byte, 1<<20)}
	for _, p := range paths {
		l.requests = append(l.requests, requestFor(p))
	}
	for range conns {
		if err := l.connect(); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *load) connect() error {
	fd, err := dialSocket(l.addr)
	if err != nil {
		return err
	}
	l.conns = append(l.conns, &loadConn{fd: fd, head: make([]byte, 4096)})
	return l.poll.add(fd, unix.EPOLLIN|unix.EPOLLRDHUP, int32(len(l.conns)-1))
}

func (l *load) close() {
	for _, c := range l.conns {
		unix.Close(c.fd)
	}
	if l.timer >= 0 {
		unix.Close(l.timer)
	}
	l.poll.close()
}

// send starts the next request on an idle connection.
func (l *load) send(c *loadConn, due int64) error {
	request := l.requests[l.turn]
	l.turn++
	if l.turn == len(l.requests) {
		l.turn = 0
	}
	n, err := unix.Write(c.fd, request)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if n < len(request) {
		return errors.New("send: short write on an idle connection")
	}
	c.busy, c.due, c.n, c.inBody = true, due, 0, false
	return nil
}

// receive takes what has come. It returns true when the response is complete. A read that got less than it asked for
// has emptied the socket; only if the peer is ending is there something more to read, its end.
func (l *load) receive(c *loadConn, ending bool) (bool, error) {
	for {
		into := c.head[c.n:]
		if c.inBody {
			into = l.sink[:min(c.left, int64(len(l.sink)))]
		}
		n, err := c.read(into)
		if again(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		done, err := l.account(c, n)
		if done || err != nil || n < len(into) && !ending {
			return done, err
		}
	}
}

// read takes bytes off the socket; those of a body are counted by the kernel but not copied (tcp(7), MSG_TRUNC).
func (c *loadConn) read(into []byte) (int, error) {
	for {
		var n int
		var err error
		if c.inBody {
			n, _, err = unix.Recvfrom(c.fd, into, unix.MSG_TRUNC)
		} else {
			n, err = unix.Read(c.fd, into)
		}
		switch {
		case err == unix.EINTR:
			continue
		case again(err):
			return 0, err
		case err != nil:
			return 0, fmt.Errorf("receive: %w", err)
		case n == 0:
			return 0, errClosed
		}
		return n, nil
	}
}

// account checks n bytes that have come.
func (l *load) account(c *loadConn, n int) (done bool, err error) {
	if !c.busy {
		return false, errors.New("bytes after the end of a response")
	}
	if c.inBody {
		c.left -= int64(n)
	} else {
		c.n += n
		head, err := checkHead(c.head[:c.n], l.size)
		if err != nil {
			return false, err
		}
		if head == 0 {
			if c.n == len(c.head) {
				return false, fmt.Errorf("response head over %d bytes", len(c.head))
			}
			return false, nil
		}
		c.inBody, c.left = true, l.size-int64(c.n-head)
	}
	if c.left < 0 {
		return false, errors.New("bytes after the end of a response")
	}
	if c.left == 0 {
		c.busy = false
	}
	return !c.busy, nil
}

// window is the part of a run that counts: from the end of the warm-up to the end.
type window struct {
	Requests  int
	Wall, CPU time.Duration
	Latency   histogram
}

// rate is requests a second.
func (w *window) rate() float64 { return float64(w.Requests) / w.Wall.Seconds() }

// cpuEach is CPU time a request, in microseconds.
func (w *window) cpuEach() float64 { return inMicros(w.CPU) / float64(w.Requests) }

func (w *window) count(c *loadConn, now int64) {
	w.Requests++
	w.Latency.add(time.Duration(now - c.due))
}

// closedLoop keeps every connection busy. cpu is read when the window opens and when it closes.
func (l *load) closedLoop(ctx context.Context, warmup, length time.Duration, cpu func() (time.Duration, error)) (*window, error) {
	start := monotonic()
	for _, c := range l.conns {
		if err := l.send(c, start); err != nil {
			return nil, err
		}
	}
	if err := l.until(ctx, start+int64(warmup), l.send); err != nil {
		return nil, err
	}
	w := new(window)
	before, err := cpu()
	if err != nil {
		return nil, err
	}
	opened := monotonic()
	err = l.until(ctx, opened+int64(length), func(c *loadConn, now int64) error {
		w.count(c, now)
		return l.send(c, now)
	})
	if err != nil {
		return nil, err
	}
	after, err := cpu()
	if err != nil {
		return nil, err
	}
	w.Wall, w.CPU = time.Duration(monotonic()-opened), after-before
	if w.Requests == 0 {
		return nil, errNothingInWindow
	}
	return w, nil
}

// until handles responses up to the moment end; done is called with each connection that has become idle.
func (l *load) until(ctx context.Context, end int64, done func(c *loadConn, now int64) error) error {
	last := monotonic()
	for {
		now := monotonic()
		if now >= end {
			return nil
		}
		if now-last > int64(stallLimit) {
			return fmt.Errorf("no response for %v", stallLimit)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		completed, err := l.turnOver(min(int(time.Duration(end-now)/time.Millisecond)+1, 100), done)
		if err != nil {
			return err
		}
		if completed > 0 {
			last = now
		}
	}
}

// turnOver waits once for events, up to ms milliseconds, and handles them all; it returns how many responses were
// completed.
func (l *load) turnOver(ms int, done func(c *loadConn, now int64) error) (completed int, err error) {
	events, err := l.poll.wait(ms)
	if err != nil {
		return 0, err
	}
	for _, ev := range events {
		if ev.Fd == timerID {
			continue
		}
		c := l.conns[ev.Fd]
		whole, err := l.receive(c, ev.Events&unix.EPOLLRDHUP != 0)
		if err != nil {
			return completed, err
		}
		if !whole {
			continue
		}
		completed++
		if err := done(c, monotonic()); err != nil {
			return completed, err
		}
	}
	return completed, nil
}

// openLoop sends rate requests a second, evenly spaced, whether or not earlier ones were answered: a request that finds
// no idle connection waits for one, and its wait is part of its latency. Requests due in the warm-up don't count.
func (l *load) openLoop(ctx context.Context, warmup, length time.Duration, rate float64) (*window, error) {
	if err := l.startTimer(); err != nil {
		return nil, err
	}
	interval := float64(time.Second) / rate
	start := monotonic()
	counted := start + int64(warmup)
	// However low the rate, one request at least is due after the warm-up.
	total := max(int((warmup+length).Seconds()*rate), int(warmup.Seconds()*rate)+2)
	due := func(i int) int64 { return start + int64(float64(i)*interval) }

	w := new(window)
	idle := slices.Clone(l.conns) // a queue, so that every connection is used
	sent, received := 0, 0
	armed := int64(0)
	for received < total {
		now := monotonic()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if now > due(total)+int64(stallLimit) {
			return nil, fmt.Errorf("%d of %d requests unanswered at %.0f a second", total-received, total, rate)
		}
		for sent < total && due(sent) <= now && len(idle) > 0 {
			c := idle[0]
			idle = idle[1:]
			if err := l.send(c, due(sent)); err != nil {
				return nil, err
			}
			sent++
		}
		if sent < total && len(idle) > 0 && armed != due(sent) {
			armed = due(sent)
			if err := l.setTimer(armed - monotonic()); err != nil {
				return nil, err
			}
		}
		completed, err := l.turnOver(100, func(c *loadConn, now int64) error {
			if c.due >= counted {
				w.count(c, now)
			}
			idle = append(idle, c)
			return nil
		})
		if err != nil {
			return nil, err
		}
		received += completed
	}
	return w, nil
}

func (l *load) startTimer() error {
	if l.timer >= 0 {
		return nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	l.timer = fd
	return l.poll.add(fd, unix.EPOLLIN, timerID)
}

// setTimer makes the poller wake up in ns nanoseconds. The poller's own time-out counts whole milliseconds, too coarse
// for tens of thousands of requests a second. Being edge-triggered, the timer need not be read.
func (l *load) setTimer(ns int64) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(ns, 1))}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	return nil
}

// oneEach opens n more connections, with one request on each, one after the other, and leaves them idle.
func (l *load) oneEach(ctx context.Context, n int) error {
	for range n {
		if err := l.connect(); err != nil {
			return err
		}
		c := l.conns[len(l.conns)-1]
		if err := l.send(c, monotonic()); err != nil {
			return err
		}
		limit := monotonic() + int64(stallLimit)
		for c.busy {
			if _, err := l.turnOver(100, func(*loadConn, int64) error { return nil }); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if monotonic() > limit {
				return fmt.Errorf("no response for %v", stallLimit)
			}
		}
	}
	return nil
}
