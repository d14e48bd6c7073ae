package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Origin is an HTTP/1.1 server on raw sockets whose behaviour can be changed at any moment. It is made by [NewOrigin],
// [NewUnixOrigin], [NewTLSOrigin], [Listen] or [ListenTLS] and safe for concurrent use. A new origin is up and behaves as
// OK(1024).
type Origin struct {
	name    string
	network string
	address string
	dir     string        // to be removed by Close, "" for none
	tb      TB            // nil without a test
	certs   *Certificates // nil without TLS

	plan    atomic.Pointer[plan]
	journal journal
	out     atomic.Int64
	serving sync.WaitGroup

	mu       sync.Mutex
	planning sync.Mutex         // serialises changes of plan
	faulting sync.Mutex         // serialises faults; taken before the others
	undo     func() error       // ends what the fault at hand does besides its behaviour, nil for nothing
	listener net.Listener       // nil while down
	conns    map[*conn]struct{} // open connections
	accepted int
	closed   bool
	silent   *silence            // nil unless connects go unanswered
	fillers  map[string]struct{} // our own connections, by address, that fill the silent listener's queue
}

// NewOrigin opens an origin on a free port of 127.0.0.1 and closes it when the test ends.
func NewOrigin(tb TB, name string) *Origin {
	tb.Helper()
	return adopt(tb)(Listen(name, "tcp", "127.0.0.1:0"))
}

// NewUnixOrigin opens an origin on a unix socket in a directory of its own and closes it when the test ends.
func NewUnixOrigin(tb TB, name string) *Origin {
	tb.Helper()
	// A test's own directory may be longer than the 104 bytes that a socket's path may have.
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		tb.Fatalf("open origin %s: %v", name, err)
	}
	o, err := Listen(name, "unix", filepath.Join(dir, "origin.sock"))
	if err != nil {
		_ = os.RemoveAll(dir)
		tb.Fatalf("open origin %s: %v", name, err)
	}
	o.dir = dir
	return adopt(tb)(o, nil)
}

func adopt(tb TB) func(*Origin, error) *Origin {
	return func(o *Origin, err error) *Origin {
		tb.Helper()
		if err != nil {
			tb.Fatalf("%v", err)
		}
		o.tb = tb
		tb.Cleanup(o.Close)
		return o
	}
}

// listenLow picks a port below those that the system hands out by itself (32768 and up on Linux, 49152 on macOS and
// Windows). Otherwise, while the origin is down, some outgoing connection could take its port, or a connect to it could
// by chance start from that very port and be connected to itself.
func listenLow(name, host string, certs *Certificates) (*Origin, error) {
	var last error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		o, err := openAt(name, "tcp", net.JoinHostPort(host, strconv.Itoa(port)), certs)
		if err == nil {
			return o, nil
		}
		last = err
	}
	return nil, last
}

// Listen opens an origin at an address: network is "tcp" or "unix". Port 0 takes a free one that the system gives to
// nobody while the origin is down. The caller closes it.
func Listen(name, network, address string) (*Origin, error) {
	return listenAt(name, network, address, nil)
}

func listenAt(name, network, address string, certs *Certificates) (*Origin, error) {
	if host, port, err := net.SplitHostPort(address); network == "tcp" && err == nil && port == "0" {
		return listenLow(name, host, certs)
	}
	return openAt(name, network, address, certs)
}

func openAt(name, network, address string, certs *Certificates) (*Origin, error) {
	o := &Origin{name: name, network: network, address: address, certs: certs, conns: make(map[*conn]struct{})}
	o.Set(OK(1024))
	if err := o.open(); err != nil {
		return nil, fmt.Errorf("open origin %s: %w", name, err)
	}
	return o, nil
}

// open starts to listen; o.mu is not held.
func (o *Origin) open() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.listener != nil {
		return nil
	}
	if o.network == "unix" {
		_ = os.Remove(o.address) // left by Down
	}
	listener, err := net.Listen(o.network, o.address)
	if err != nil {
		return err
	}
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // a socket that nobody listens on refuses; a missing file is another error
	}
	o.listener = listener
	if actual := listener.Addr().String(); actual != o.address {
		o.address = actual // port 0 has become a port; only ever at the first time
	}
	o.serving.Go(func() { o.accept(listener) })
	return nil
}

// Name returns the origin's name.
func (o *Origin) Name() string { return o.name }

// Network returns "tcp" or "unix".
func (o *Origin) Network() string { return o.network }

// Addr returns host:port or the socket's path. It stays the same for the origin's life.
func (o *Origin) Addr() string { return o.address }

// URL returns the address as a configuration has it: http://host:port, https://host:port or unix:/path.
func (o *Origin) URL() string {
	if o.network == "unix" {
		return "unix:" + o.address
	}
	if o.certs != nil {
		return "https://" + o.address
	}
	return "http://" + o.address
}

// Down unplugs the origin: the listener is closed, so that connects are refused, and every connection is reset. It
// returns when that is done. A request that had reached the socket of an idle connection, though the origin had not yet
// read it, is recorded, so that one which a proxy sends again after the reset is seen to come twice; connections that
// were not accepted yet are refused without a trace.
func (o *Origin) Down() {
	o.mu.Lock()
	if o.listener != nil {
		_ = o.listener.Close()
		o.listener = nil
	}
	o.endSilenceLocked()
	o.mu.Unlock()
	o.ResetConns()
}

// Up listens again at the same address. The error, which a test that NewOrigin was given has reported already, means
// that somebody else took the address. An origin that is up or closed is left as it is.
func (o *Origin) Up() error {
	if err := o.open(); err != nil {
		err = fmt.Errorf("open origin %s again: %w", o.name, err)
		if o.tb != nil {
			o.tb.Errorf("%v", err)
		}
		return err
	}
	return nil
}

// ResetConns resets every open connection as Down does and goes on listening.
func (o *Origin) ResetConns() {
	o.mu.Lock()
	open := slices.Collect(maps.Keys(o.conns))
	o.mu.Unlock()
	for _, c := range open {
		c.unplug()
	}
	for _, c := range open {
		<-c.ended
	}
}

// Close takes the origin down for good, its fault with it, and waits until its goroutines have ended. The ledger stays
// readable.
func (o *Origin) Close() {
	o.mu.Lock()
	first := !o.closed
	o.closed = true // from here on Up does nothing
	o.mu.Unlock()
	o.Down()
	_ = o.mend() // may wait for the fault's own goroutine
	o.serving.Wait()
	if first && o.network == "unix" {
		_ = os.Remove(o.address)
	}
	if first && o.dir != "" {
		_ = os.RemoveAll(o.dir)
	}
}

// OpenConns returns how many connections are open now.
func (o *Origin) OpenConns() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns)
}

// Accepted returns how many connections were ever accepted.
func (o *Origin) Accepted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.accepted
}

// BytesOut returns how many bytes the origin's sockets took from it, over all connections.
func (o *Origin) BytesOut() int64 { return o.out.Load() }

func (o *Origin) accept(listener net.Listener) {
	for {
		nc, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil && o.silenced(err) {
			continue
		}
		if err != nil {
			time.Sleep(time.Millisecond) // out of descriptors, or a peer that left the backlog
			continue
		}
		o.welcome(nc, listener)
	}
}

func (o *Origin) welcome(nc net.Conn, listener net.Listener) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ours := o.fillers[nc.RemoteAddr().String()]; ours {
		delete(o.fillers, nc.RemoteAddr().String())
		_ = nc.Close()
		return
	}
	c := &conn{origin: o, raw: nc, nc: o.secure(nc), unplugged: make(chan struct{}), ended: make(chan struct{})}
	c.br = bufio.NewReader(c.nc)
	if o.listener != listener { // Down came between
		c.reset()
		return
	}
	o.accepted++
	c.number = o.accepted
	o.conns[c] = struct{}{}
	o.serving.Go(c.serve)
}

func (o *Origin) left(c *conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, c)
}
