package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/internal/netx"
)

// Conn is a connection to an origin. One goroutine owns it, between Idle or
// Dial and Put or Close; only Interrupt and Nudge may be called by others.
// While no Exchange runs, one goroutine may Read while another Writes.
type Conn struct {
	pool    *Pool
	stream  net.Conn        // what is read and written: a *tls.Conn, or the same as raw
	raw     net.Conn        // *net.TCPConn or *net.UnixConn
	rc      syscall.RawConn // of raw
	tcp     *net.TCPConn    // nil unless plain TCP
	records *counted        // what stream writes to over TLS; nil if plain
	remote  string
	ip      netip.Addr // the answer's address that was dialled; zero if nobody had to resolve

	reused      bool
	wary        bool // its socket is asked before each further exchange
	spent       bool // must not carry another request
	interrupted atomic.Bool
	closed      atomic.Bool
	deadline    time.Time // the owner's last SetDeadline

	idleSince  time.Duration // after epoch; set by Put
	pooled     bool          // guarded by pool.origin.mu
	generation uint64        // guarded by pool.origin.mu; the last at which ip was known to be current

	call call // Exchange's own state; nothing but on Linux
}

// newConn wraps a connection that was just opened to ip.
func newConn(p *Pool, raw net.Conn, ip netip.Addr) (*Conn, error) {
	rc, err := raw.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{pool: p, stream: raw, raw: raw, rc: rc, remote: remote(raw), ip: ip}
	if p.origin.cfg.TLS == nil {
		c.tcp, _ = raw.(*net.TCPConn)
		c.prepareCall()
	}
	return c, nil
}

func remote(raw net.Conn) string {
	a := raw.RemoteAddr()
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return a.String()
}

// shakeHands puts TLS on the connection.
func (c *Conn) shakeHands(ctx context.Context, cfg *tls.Config) error {
	c.records = &counted{Conn: c.raw}
	t := tls.Client(c.records, cfg)
	c.stream = t
	return t.HandshakeContext(ctx)
}

// counted counts the bytes that were written: what a failed tls.Conn.Write
// returns says nothing about whether a part of a record went out.
type counted struct {
	net.Conn
	written atomic.Int64 // the reader of a tls.Conn writes too: alerts, key updates
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// Read reads what has arrived, waiting for it. The errors are [net.Conn]'s.
func (c *Conn) Read(p []byte) (int, error) { return c.stream.Read(p) }

// Write writes all of p. The errors are [net.Conn]'s. With an error, n is zero
// only if nothing at all went out; over TLS, where a record may have gone out in
// part, it says no more than that.
func (c *Conn) Write(p []byte) (n int, err error) {
	n, err = c.write(p)
	return min(n, len(p)), err
}

// write writes all of p and tells how many bytes the kernel took, which over
// TLS are more than p's.
func (c *Conn) write(p []byte) (int, error) {
	if c.records == nil {
		return c.raw.Write(p)
	}
	before := c.records.written.Load()
	_, err := c.stream.Write(p)
	return int(c.records.written.Load() - before), err
}

// CloseWrite tells the origin that no more bytes come. The connection is not
// pooled again.
func (c *Conn) CloseWrite() error {
	c.spent = true
	return c.stream.(interface{ CloseWrite() error }).CloseWrite()
}

// SetDeadline sets the time at which Exchange, Read and Write fail with
// os.ErrDeadlineExceeded; the zero time means never. It doesn't undo an
// Interrupt. Put removes it.
func (c *Conn) SetDeadline(t time.Time) error {
	c.deadline = t
	err := c.raw.SetDeadline(t)
	c.stayInterrupted()
	return err
}

// past is a deadline that has gone by.
var past = time.Unix(1, 0)

// Interrupt makes Exchange, Read and Write fail with os.ErrDeadlineExceeded,
// those that are blocked now and all later ones. The connection is not pooled
// again; its owner still has to Close it. Safe to call from any goroutine, at
// any time. But whoever is not the owner must make sure, with a lock or the
// like, that the owner has not given the connection back: it may be carrying
// another request by then.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	c.raw.SetDeadline(past)
}

// stayInterrupted is called after each change of a deadline. Interrupt sets
// the flag first and then the deadline, the owner sets the deadline first and
// then reads the flag: whichever comes last, the deadline ends up in the past.
func (c *Conn) stayInterrupted() {
	if c.interrupted.Load() {
		c.raw.SetDeadline(past)
	}
}

// Remote is the origin's address as host:port, or unix: and the path.
func (c *Conn) Remote() string { return c.remote }

// Full tells whether the origin takes nothing now: what was written before fills
// the buffers. Safe for whom Interrupt is safe for.
func (c *Conn) Full() bool { return netx.Full(c.rc) }

// Reused tells whether the connection has carried a request before: only then
// can it have died unnoticed.
func (c *Conn) Reused() bool { return c.reused }

// Distrust makes Idle look at the connection's socket from now on, however
// short it was idle: for an origin that may say more than was asked of it.
func (c *Conn) Distrust() { c.wary = true }

// TCP gives the socket for splicing; nil for TLS and unix sockets. What goes
// through it is still subject to SetDeadline and Interrupt. The caller must
// not close it.
func (c *Conn) TCP() *net.TCPConn { return c.tcp }

// Close closes the connection at once and gives its place back to the origin.
// Only the first call counts.
func (c *Conn) Close() error { return c.close(c.raw) }

// retire closes a connection in good order; over TLS it says goodbye. Others
// are closed without: crypto/tls would wait seconds for an origin that does
// not read.
func (c *Conn) retire() { c.close(c.stream) }

func (c *Conn) close(through net.Conn) error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	err := through.Close()
	c.pool.origin.release()
	return err
}

// closeKeepingPlace closes a connection whose place its caller uses to dial
// another one.
func (c *Conn) closeKeepingPlace() {
	c.closed.Store(true)
	c.raw.Close()
}

// reusable tells whether an exchange may follow on this connection, for all
// that its owner knows.
func (c *Conn) reusable() bool {
	return !c.spent && !c.interrupted.Load() && !c.closed.Load()
}

// fit tells whether a connection that was idle may be used. If check is set,
// or it was idle for long, its socket is asked.
func (c *Conn) fit(check bool) bool {
	idle := time.Since(epoch) - c.idleSince
	if !c.reusable() || idle >= c.pool.origin.cfg.IdleTimeout {
		return false
	}
	return !check && !c.wary && idle <= unchecked || !c.dead()
}

// dead tells whether the origin closed the connection or sent what nobody
// asked for.
func (c *Conn) dead() bool {
	return netx.Dead(c.rc) || c.records != nil && c.deadBehindTLS()
}

// deadBehindTLS looks at what crypto/tls has read already, where netx can't
// see it: a read whose time is up touches no socket.
func (c *Conn) deadBehindTLS() bool {
	c.raw.SetReadDeadline(past)
	_, err := c.stream.Read(make([]byte, 1))
	c.raw.SetReadDeadline(time.Time{})
	c.stayInterrupted()
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
