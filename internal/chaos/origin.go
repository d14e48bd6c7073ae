package chaos

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// conn is one accepted connection, served by one goroutine.
type conn struct {
	origin    *Origin
	raw       net.Conn
	nc        net.Conn // raw, or TLS over it
	br        *bufio.Reader
	number    int
	requests  int
	idle      bool // the goroutine ended between two requests
	once      sync.Once
	unplugged chan struct{} // closed when the origin wants the connection reset
	ended     chan struct{} // closed when the goroutine is gone
}

var longAgo = time.Unix(1, 0) // a deadline that interrupts

// unplug makes the connection's goroutine reset it. The order of the two steps matters to wait.
func (c *conn) unplug() {
	c.once.Do(func() {
		close(c.unplugged)
		_ = c.raw.SetDeadline(longAgo)
	})
}

func (c *conn) close() { _ = c.nc.Close() }

// reset makes the peer see ECONNRESET instead of an orderly end. On a unix socket it only closes.
func (c *conn) reset() {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.raw.Close()
}

func (c *conn) closeWrite() {
	for _, nc := range []net.Conn{c.nc, c.raw} { // TLS ends only its own side by itself
		if half, ok := nc.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
}

func (c *conn) serve() {
	defer close(c.ended)
	defer c.origin.left(c)
	p := c.origin.plan.Load()
	if onAccept := p.find("").onAccept; onAccept != nil {
		onAccept(c)
	} else if c.handshake(p.hello()) {
		for c.exchange(nil) {
		}
	}
	select {
	case <-c.unplugged:
		c.lastRequest()
		c.reset()
	default:
		c.close()
	}
}

// lastRequest records the request that waits unread in the socket of an unplugged connection, if there is one.
func (c *conn) lastRequest() {
	if !c.idle {
		return
	}
	_ = c.nc.SetDeadline(time.Now().Add(time.Millisecond))
	c.exchange(&Behaviour{name: "Down", serve: func(k *call) bool { return k.receive() }})
}

// exchange serves one request with the behaviour that the plan has for its path, or with the one given, and reports
// whether the connection goes on.
func (c *conn) exchange(b *Behaviour) bool {
	head, err := readHead(c.br)
	c.idle = head.Raw == ""
	if c.idle {
		return false
	}
	c.requests++
	k := &call{conn: c, arrival: &Arrival{Head: head, Origin: c.origin.name, ID: head.Get(FieldID), Conn: c.number,
		OnConn: c.requests, Time: time.Now(), HeadWhole: err == nil}}
	k.size, _ = strconv.ParseInt(head.Get(FieldSize), 10, 64)
	k.parse(err)
	path := k.arrival.Path()
	if b == nil {
		b = c.origin.plan.Load().find(path)
	}
	k.arrival.Behaviour = b.name
	c.origin.journal.add(k.arrival)
	if k.arrival.Fault != "" {
		k.write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		return false
	}
	if err != nil {
		return false
	}
	return b.serve(k)
}

// call is one request that is being answered.
type call struct {
	*conn
	arrival *Arrival
	size    int64 // what the request asked for, 0 for nothing
	body    *body
	digest  hash.Hash
}

// parse fills in the arrival from its head, before it is recorded.
func (k *call) parse(err error) {
	a := k.arrival
	method, rest, _ := strings.Cut(a.Line, " ")
	target, version, _ := strings.Cut(rest, " ")
	a.Method, a.Target = method, target
	if err != nil {
		if isMalformed(err) {
			a.Fault = err.Error()
		}
		return
	}
	a.Fault = a.fault()
	if a.Fault == "" && (method == "" || target == "" || version != "HTTP/1.1" && version != "HTTP/1.0") {
		a.Fault = "bad request line " + strconv.Quote(a.Line)
	}
	if a.Fault == "" && version == "HTTP/1.1" && len(a.Values("Host")) != 1 {
		a.Fault = "not one Host"
	}
	framing, length, err := a.frame(framingNone)
	if err != nil && a.Fault == "" {
		a.Fault = err.Error()
	}
	k.body = &body{br: k.br, framing: framing, left: length}
	k.digest = sha256.New()
}

// receive reads the request's body to its end and completes the arrival. It sends 100 (Continue) if it is expected.
func (k *call) receive() bool {
	if k.body.framing != framingNone && strings.EqualFold(k.arrival.Get("Expect"), "100-continue") {
		k.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	var n int64
	var err error
	if k.body.framing != framingNone { // Copy would allocate its buffer for nothing
		n, err = io.Copy(k.digest, k.body)
	}
	k.origin.journal.update(func() {
		a := k.arrival
		a.BodyLen = n
		a.BodyWhole = err == nil
		a.Trailers = k.body.trailers
		if err == nil {
			k.digest.Sum(a.BodyHash[:0])
		} else if isMalformed(err) {
			a.Fault = err.Error()
		}
	})
	return err == nil
}

func (k *call) write(p []byte) bool {
	n, err := k.nc.Write(p)
	k.origin.out.Add(int64(n))
	return err == nil
}

// want is the body's size: the request's wish before the behaviour's own.
func (k *call) want(size int64) int64 {
	if k.arrival.Get(FieldSize) != "" {
		return max(k.size, 0)
	}
	return size
}

// head makes the head of a response with a body of size bytes; more are further whole field lines.
func (k *call) head(status int, size int64, more ...string) []byte {
	b := make([]byte, 0, 256)
	b = fmt.Appendf(b, "HTTP/1.1 %d %s\r\n%s: %s\r\n%s: %s\r\n%s: %d\r\nContent-Type: text/plain\r\n",
		status, reason(status), FieldOrigin, k.origin.name, FieldID, k.arrival.ID, FieldSize, size)
	for _, field := range more {
		b = append(b, field...)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func length(n int64) string { return "Content-Length: " + strconv.FormatInt(n, 10) }

// send writes a head and the first n bytes of a body of size bytes; no body at all for HEAD.
func (k *call) send(head []byte, n, size int64) bool {
	if k.arrival.Method == "HEAD" {
		n = 0
	}
	content := io.LimitReader(newContent(k.origin.name, k.arrival.ID, size), n)
	buf := make([]byte, len(head)+int(min(n, 32<<10)))
	at := copy(buf, head)
	for {
		m, err := io.ReadFull(content, buf[at:])
		if at+m > 0 && !k.write(buf[:at+m]) {
			return false
		}
		if err != nil || at+m == 0 || n == 0 {
			return true
		}
		at = 0
	}
}

// keep reports whether the request lets the connection go on.
func (k *call) keep() bool {
	return !k.arrival.names("Connection", "close") && strings.HasSuffix(k.arrival.Line, "HTTP/1.1")
}

// pause waits for d, or until the connection has ended: then it reports false.
func (k *call) pause(d time.Duration) bool {
	ready := make(chan struct{})
	timer := time.AfterFunc(d, func() { close(ready) })
	defer timer.Stop()
	return k.wait(ready)
}

// wait blocks until ready is closed; false when the connection ended first, at either end. nil is never ready.
func (k *call) wait(ready <-chan struct{}) bool {
	left := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for k.br.Buffered() < k.br.Size() { // a pipelined request is no reason to stop watching
			if _, err := k.br.Peek(k.br.Buffered() + 1); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					close(left)
				}
				return
			}
		}
	}()
	select {
	case <-ready:
	case <-left:
		return false
	case <-k.unplugged:
		<-watched
		return false
	}
	_ = k.nc.SetReadDeadline(longAgo) // calls the watcher back
	<-watched
	_ = k.nc.SetReadDeadline(time.Time{})
	select {
	case <-k.unplugged: // whose deadline the line above may have undone
		return false
	default:
		return true
	}
}
