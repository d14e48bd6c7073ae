package nameserver

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of TCP (RFC 7766, 6).
const (
	maxConns          = 256
	maxConnsPerPrefix = 32       // of a /24 or /56, loopback aside
	maxQuery          = 4 << 10  // bytes; longer ones end the connection
	flushAt           = 32 << 10 // bytes of answers that wait for the rest of a pipeline

	idleTimeout  = 10 * time.Second // for the next whole query
	writeTimeout = 5 * time.Second
)

// connTable is the open connections.
type connTable struct {
	idle time.Duration // a connection's time-out; idleTimeout but in tests

	mu       sync.Mutex
	closed   bool
	conns    map[*conn]struct{}
	prefixes map[netip.Prefix]int
}

// conn is one connection. Its goroutine serves it; others may close it.
type conn struct {
	*net.TCPConn
	from   netip.AddrPort
	prefix netip.Prefix
	// idleSince is when the last query came; guarded by the table.
	idleSince time.Time
}

func (t *connTable) init() {
	t.idle = idleTimeout
	t.conns = make(map[*conn]struct{})
	t.prefixes = make(map[netip.Prefix]int)
}

func (t *connTable) open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// add takes a connection in. When all places are taken, the one that has been
// idle the longest goes. Not ok: there is no place, or the server ends.
func (t *connTable) add(c *conn, now time.Time) (evicted, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.idleSince = now
	if t.closed || !c.from.Addr().IsLoopback() && t.prefixes[c.prefix] >= maxConnsPerPrefix {
		return false, false
	}
	if len(t.conns) >= maxConns {
		var oldest *conn
		for other := range t.conns {
			if oldest == nil || other.idleSince.Before(oldest.idleSince) {
				oldest = other
			}
		}
		t.removeLocked(oldest)
		_ = oldest.Close()
		evicted = true
	}
	t.conns[c] = struct{}{}
	t.prefixes[c.prefix]++
	return evicted, true
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(c)
}

func (t *connTable) removeLocked(c *conn) {
	if _, known := t.conns[c]; !known {
		return
	}
	delete(t.conns, c)
	if t.prefixes[c.prefix]--; t.prefixes[c.prefix] == 0 {
		delete(t.prefixes, c.prefix)
	}
}

// touch says that a connection has just been of use.
func (t *connTable) touch(c *conn, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.idleSince = now
}

// closeAll ends all connections, and those that come later.
func (t *connTable) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.conns {
		_ = c.Close()
	}
}

// acceptTCP adds the connections' goroutines to wg.
func (s *Server) acceptTCP(ctx context.Context, wg *sync.WaitGroup) {
	failures := 0
	for {
		accepted, err := s.tcp.AcceptTCP()
		if err != nil {
			if !s.retry(ctx, err, failures) {
				return
			}
			failures++
			continue
		}
		failures = 0
		c := newConn(accepted)
		evicted, ok := s.conns.add(c, time.Now())
		if evicted {
			s.counts.evicted.Add(1)
		}
		if !ok {
			s.counts.refused.Add(1)
			_ = c.Close()
			continue
		}
		wg.Go(func() { s.serveTCP(c) })
	}
}

func newConn(accepted *net.TCPConn) *conn {
	c := &conn{TCPConn: accepted}
	if addr, ok := accepted.RemoteAddr().(*net.TCPAddr); ok {
		from := addr.AddrPort()
		c.from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	}
	bits := 56
	if c.from.Addr().Is4() {
		bits = 24
	}
	c.prefix, _ = c.from.Addr().Prefix(bits)
	return c
}

// serveTCP answers a connection's queries in the order in which they come, as
// many at a time as have arrived. It ends when the client does, when no whole
// query came for idleTimeout, however many pieces of one did, or at the first
// message that has no answer.
func (s *Server) serveTCP(c *conn) {
	defer s.conns.remove(c)
	defer c.Close()
	w := &worker{s: s}
	in := make([]byte, 0, 2+maxQuery)
	var out []byte
	_ = c.SetReadDeadline(time.Now().Add(s.conns.idle))
	for {
		n, err := c.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		now := time.Now()
		rest := in[:len(in)+n]
		for next := full; next == full; {
			out, rest, next = w.pipeline(out[:0], rest, c.from, now)
			if len(out) > 0 && !s.send(c, out, now) || next == broken {
				return
			}
		}
		in = in[:copy(in[:cap(in)], rest)]
	}
}

// send writes answers, after which the client has its time for a query again.
func (s *Server) send(c *conn, out []byte, now time.Time) bool {
	s.conns.touch(c, now) // before the client knows
	_ = c.SetWriteDeadline(now.Add(writeTimeout))
	if _, err := c.Write(out); err != nil {
		return false
	}
	_ = c.SetReadDeadline(now.Add(s.conns.idle))
	return true
}

// outcome is why a run over a pipeline's queries ended.
type outcome uint8

const (
	hungry outcome = iota // the next query isn't whole yet
	full                  // there are enough answers to be sent
	broken                // the connection is of no more use
)

// pipeline appends the answers to the queries that in begins with, and returns
// what is left of it.
func (w *worker) pipeline(out, in []byte, from netip.AddrPort, now time.Time) (answers, rest []byte, next outcome) {
	for len(in) >= 2 {
		size := int(binary.BigEndian.Uint16(in))
		switch {
		case size > maxQuery:
			return out, in, broken
		case len(in) < 2+size:
			return out, in, hungry
		case len(out) >= flushAt:
			return out, in, full
		}
		var ok bool
		if out, ok = w.frame(out, in[2:2+size], from, now); !ok {
			return out, in, broken
		}
		in = in[2+size:]
	}
	return out, in, hungry
}

// frame appends the answer to one query, with its length in front.
func (w *worker) frame(out, msg []byte, from netip.AddrPort, now time.Time) (framed []byte, ok bool) {
	at := len(out)
	out = append(out, 0, 0)
	out = w.handle(out, msg, from, true, now)
	if len(out) == at+2 {
		return out[:at], false
	}
	binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-2))
	return out, true
}
