package proxy

import (
	"errors"
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// fdReserve is kept for listeners, logs, probes and connections that are
	// between closing and being opened.
	fdReserve = 100
	// fdLast is how many of the last descriptors are no client's, whoever has
	// the others: probes, logs and connections to origins need one now and then.
	fdLast = 32
	// shortEvery is how often a shortage of descriptors is logged at most: it
	// may come and go many times in a second.
	shortEvery = 10 * time.Second
	// manyConnections is the limit where the system sets none.
	manyConnections = 1 << 20
)

// descriptors is how the process's file descriptors are shared out.
type descriptors struct {
	sockets int          // connections of clients and to origins together; 0: nobody can say
	pipes   atomic.Int64 // splices that may still begin; each takes two descriptors
	last    int          // a descriptor from this number on is one of the last
	logged  atomic.Int64 // when a shortage was logged, in the server's time
}

// reserve shares out the descriptors up to a limit of which so many are open
// already. Pipes count by themselves: the runtime keeps them a while after a
// splice.
func (d *descriptors) reserve(limit, open int) {
	n := limit - open
	pipes := n / 16
	d.sockets = max(n-min(fdReserve, n/2)-2*pipes, 2)
	d.pipes.Store(int64(pipes))
	d.last = limit - min(fdLast, n/8)
}

// boundless is reserve where nobody can say how many descriptors there may be.
func (d *descriptors) boundless() {
	d.sockets, d.last = 0, math.MaxInt
	d.pipes.Store(1 << 16)
}

// divide says how many connections clients may have, and how many there may be
// to origins; wanted is max_connections, 0 for as many as there can be. Clients
// get as much as origins, since each may need a connection there, and with a
// wish of its own up to three times as much.
func (d *descriptors) divide(wanted int) (clients, origins int) {
	switch {
	case d.sockets == 0 && wanted > 0:
		return wanted, 1 << 17
	case d.sockets == 0:
		return 1 << 16, 1 << 17
	case wanted > 0:
		clients = min(wanted, d.sockets-d.sockets/4)
	default:
		clients = d.sockets / 2
	}
	clients = max(clients, 1)
	return clients, max(d.sockets-clients, 1)
}

// takePipe reports whether a splice may begin; givePipe must follow.
func (d *descriptors) takePipe() bool {
	if d.pipes.Add(-1) >= 0 {
		return true
	}
	d.pipes.Add(1)
	return false
}

func (d *descriptors) givePipe() { d.pipes.Add(1) }

// scarce reports whether a connection has one of the last descriptors. The
// system gives the lowest that is free, so all below its number were in use.
func (d *descriptors) scarce(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	mine := 0
	_ = raw.Control(func(fd uintptr) { mine = int(fd) })
	return mine >= d.last
}

// outOfDescriptors reports whether an accept failed for want of a descriptor or
// of memory for one, which the end of another connection gives back.
func outOfDescriptors(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// spare holds nc back while it has one of the last descriptors, and makes room,
// as at the limit of connections. Whoever else has taken the descriptors, an
// eighth of the clients that there may be are let in all the same: they are not
// who holds the others, and a proxy that serves nobody protects nobody. It is
// false when l's connections are to end.
func (s *Server) spare(l *listener, nc net.Conn) bool {
	if !s.fds.scarce(nc) {
		return true
	}
	s.short(nil)
	for s.fds.taken() && s.conns.size() >= s.current().clients/8 {
		s.conns.evict()
		if _, now := l.leaves(); now {
			return false
		}
		<-time.After(sweepEvery)
	}
	return true
}

// short logs a shortage of descriptors, or an accept that failed.
func (s *Server) short(err error) {
	now, last := s.clock.coarse.Load(), s.fds.logged.Load()
	if last != 0 && now-last < int64(shortEvery) || !s.fds.logged.CompareAndSwap(last, max(now, 1)) {
		return
	}
	if err != nil {
		s.log.Warn("accept", zap.Error(err))
		return
	}
	s.log.Warn("file descriptors are short: clients wait", zap.Int("connections", s.conns.size()),
		zap.Int("limit", s.current().clients))
}
