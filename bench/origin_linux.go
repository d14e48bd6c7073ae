package main

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// origin is the server behind every proxy: one thread, responses built once, a read and a write a request. It listens
// at two addresses, so that a primary and a secondary can be told apart.
type origin struct {
	poll      *poller
	listeners []int
	conns     []*originConn // by descriptor
	responses map[int64][]byte
	date      string
}

type originConn struct {
	fd   int
	buf  []byte // what came of a request so far
	n    int
	left []byte // what the socket did not take yet of the response
}

// runOrigin prints its two addresses on one line and serves until it is ended.
func runOrigin() error {
	o, err := newOrigin()
	if err != nil {
		return err
	}
	for _, fd := range o.listeners {
		name, err := unix.Getsockname(fd)
		if err != nil {
			return fmt.Errorf("getsockname: %w", err)
		}
		fmt.Printf("127.0.0.1:%d ", name.(*unix.SockaddrInet4).Port)
	}
	fmt.Println()
	spareProcessor()
	return o.serve()
}

func newOrigin() (*origin, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	o := &origin{poll: poll, responses: map[int64][]byte{}, date: time.Now().UTC().Format(http.TimeFormat)}
	for range 2 {
		fd, _, err := listenSocket()
		if err != nil {
			return nil, err
		}
		if err := poll.add(fd, unix.EPOLLIN, int32(fd)); err != nil {
			return nil, err
		}
		o.listeners = append(o.listeners, fd)
	}
	return o, nil
}

func (o *origin) serve() error {
	for {
		events, err := o.poll.wait(-1)
		if err != nil {
			return err
		}
		for _, ev := range events {
			fd := int(ev.Fd)
			switch {
			case fd == o.listeners[0] || fd == o.listeners[1]:
				if err := o.accept(fd); err != nil {
					return err
				}
			case fd < len(o.conns) && o.conns[fd] != nil:
				c := o.conns[fd]
				if !o.advance(c, ev.Events&unix.EPOLLRDHUP != 0) {
					o.conns[fd] = nil
					unix.Close(fd)
				}
			}
		}
	}
}

func (o *origin) accept(listener int) error {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case again(err):
			return nil
		case err == unix.EINTR || err == unix.ECONNABORTED:
			continue
		case err != nil:
			return fmt.Errorf("accept: %w", err)
		}
		if err := prepareSocket(fd); err != nil {
			unix.Close(fd)
			continue
		}
		for fd >= len(o.conns) {
			o.conns = append(o.conns, make([]*originConn, 256)...)
		}
		o.conns[fd] = &originConn{fd: fd, buf: make([]byte, 4096)}
		if err := o.poll.add(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP, int32(fd)); err != nil {
			return err
		}
	}
}

// advance writes what is left, then answers what has come. It returns false when the connection is over. A read that
// did not fill the buffer has emptied the socket, so the read that would only say EAGAIN is left out, unless the peer
// has announced its end.
func (o *origin) advance(c *originConn, ending bool) bool {
	for drained := false; ; {
		if alive, blocked := c.flush(); !alive || blocked {
			return alive
		}
		if end := bytes.Index(c.buf[:c.n], headEnd); end >= 0 {
			c.left = o.response(requestedSize(c.buf[:end]))
			c.n = copy(c.buf, c.buf[end+len(headEnd):c.n])
			continue
		}
		if drained {
			return true
		}
		n, err := unix.Read(c.fd, c.buf[c.n:])
		switch {
		case again(err):
			return true
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return false // the peer left, or its head is longer than the buffer
		}
		c.n += n
		drained = c.n < len(c.buf) && !ending
	}
}

func (o *origin) response(size int64) []byte {
	r, ok := o.responses[size]
	if !ok {
		r = responseOf(size, o.date)
		o.responses[size] = r
	}
	return r
}

// flush writes as much as the socket takes; blocked means that the rest has to wait for room.
func (c *originConn) flush() (alive, blocked bool) {
	for len(c.left) > 0 {
		n, err := unix.Write(c.fd, c.left)
		switch {
		case again(err):
			return true, true
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, false
		}
		c.left = c.left[n:]
	}
	return true, false
}
