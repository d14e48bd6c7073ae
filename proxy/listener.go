package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxBackoff bounds the pause after an accept that failed.
const maxBackoff = time.Second

// leaving says how a listener's connections come to their end.
type leaving int32

const (
	staying   leaving = iota
	unhurried         // the next response on each is its last
	hurried           // and those that wait for a request end at once
)

// listener is a bound address, what is spoken on it, and its connections.
type listener struct {
	net.Listener
	address   string
	speaks    atomic.Pointer[speech]
	leaving   atomic.Int32   // a leaving, which only grows
	closed    chan struct{}  // closed by shut
	accepting sync.WaitGroup // the goroutine that accepts
	work      sync.WaitGroup // its connections
}

// speech is what is spoken on a listener.
type speech struct {
	tls     *tls.Config // nil: plain
	proxied bool        // connections begin with a PROXY header
}

// shut closes the socket. It must be called once.
func (l *listener) shut() {
	close(l.closed)
	_ = l.Close()
}

// keepFile lets shut leave a unix socket's file where it is, for the process
// that accepts from the socket now.
func (l *listener) keepFile() {
	if unix, ok := l.Listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
}

// retire makes the listener leave in the way of v, or goes on with a faster one.
func (l *listener) retire(v leaving) {
	for {
		old := l.leaving.Load()
		if old >= int32(v) || l.leaving.CompareAndSwap(old, int32(v)) {
			return
		}
	}
}

// leaves reports whether the listener's connections are to end, and whether
// those that only wait have to end now.
func (l *listener) leaves() (soon, now bool) {
	v := leaving(l.leaving.Load())
	return v >= unhurried, v >= hurried
}

// wanted is an address that is to be listened on.
type wanted struct {
	address string
	secure  bool
}

// listeners lists what a configuration wants, the plain ones first.
func (c *Config) listeners() []wanted {
	all := make([]wanted, 0, len(c.Listen)+len(c.TLSListen))
	for _, a := range c.Listen {
		all = append(all, wanted{a, false})
	}
	for _, a := range c.TLSListen {
		all = append(all, wanted{a, true})
	}
	return all
}

// bind gives a listener for each address that is wanted, in their order: the
// one that is there already, or a new one. Added are the new ones, and gone those
// of old that are of no more use. If one can't be bound, none is added.
func (s *Server) bind(want []wanted, old []*listener) (all, added, gone []*listener, err error) {
	all = make([]*listener, len(want))
	gone = slices.Clone(old)
	for i, w := range want {
		if at := slices.IndexFunc(gone, func(l *listener) bool { return l.address == w.address }); at >= 0 {
			all[i] = gone[at]
			gone = slices.Delete(gone, at, at+1)
		}
	}
	for i, w := range want {
		if all[i] != nil {
			continue
		}
		if all[i], err = s.listen(w, gone); err != nil {
			for _, l := range added {
				l.shut()
			}
			return nil, nil, nil, err
		}
		added = append(added, all[i])
	}
	return all, added, gone, nil
}

// listen makes one listener, from a socket that was handed over, if there is one.
// It may overlap with those that are gone as soon as it is there.
func (s *Server) listen(w wanted, gone []*listener) (*listener, error) {
	l := &listener{address: w.address, closed: make(chan struct{})}
	var err error
	if s.cfg.Inherit != nil {
		if l.Listener, err = s.cfg.Inherit(w.address); err != nil {
			return nil, fmt.Errorf("listen on %s: the socket that was handed over: %w", w.address, err)
		}
	}
	if l.Listener == nil {
		l.Listener, err = listen(w.address)
		if errors.Is(err, syscall.EADDRINUSE) {
			l.Listener, err = listenBeside(w.address, gone, err)
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", w.address, err)
		}
	}
	return l, nil
}

// overlapping are those of the listeners that have the port of an address, which
// is taken: ":80" can't be bound beside "127.0.0.1:80".
func overlapping(address string, listeners []*listener) (taken []*net.TCPListener) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	for _, l := range listeners {
		tcp, ok := l.Listener.(*net.TCPListener)
		if ok && strconv.Itoa(int(portOf(l.Addr()))) == port {
			taken = append(taken, tcp)
		}
	}
	return taken
}

// listen binds one address. A unix socket that nobody listens on any more is
// replaced.
func listen(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		return net.Listen("tcp", address)
	}
	l, err := net.Listen("unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if info, serr := os.Lstat(path); serr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, err
	}
	c, derr := net.DialTimeout("unix", path, time.Second)
	if derr == nil {
		_ = c.Close()
	}
	if !errors.Is(derr, syscall.ECONNREFUSED) {
		return nil, err // somebody listens; on Linux EAGAIN says that the queue is full
	}
	if rerr := os.Remove(path); rerr != nil {
		return nil, rerr
	}
	return net.Listen("unix", path)
}

// begin starts to accept.
func (s *Server) begin(l *listener) { l.accepting.Go(func() { s.accept(l) }) }

// accept takes connections from one listener until it is shut. At the limit it
// holds one more, unserved: room is made only for a client that is there.
func (s *Server) accept(l *listener) {
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			if !s.takeSeat(l) {
				_ = nc.Close()
				return
			}
			if !s.spare(l, nc) {
				s.seats.give()
				_ = nc.Close()
				return
			}
			limitUnsent(nc)
			l.work.Go(func() { s.serve(l, nc) })
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Out of file descriptors, or a connection that died in the backlog,
		// which is no reason to close another. Never spin: the error may last.
		s.short(err)
		pause = min(max(2*pause, 5*time.Millisecond), maxBackoff)
		if outOfDescriptors(err) {
			s.conns.evict()
		}
		select {
		case <-l.closed:
		case <-time.After(pause):
		}
	}
}

// takeSeat waits until one more connection may be open. When all seats are
// taken, the connection that has been idle the longest makes room.
func (s *Server) takeSeat(l *listener) bool {
	for {
		if s.seats.take() {
			return true
		}
		select {
		case <-s.seats.freed:
			continue // it may be of long ago, and then costs nobody a connection
		default:
		}
		s.conns.evict()
		if _, now := l.leaves(); now {
			return false
		}
		select {
		case <-s.seats.freed:
		case <-time.After(sweepEvery):
		}
	}
}

// seats bounds the connections that are open. The bound may change.
type seats struct {
	mu    sync.Mutex
	open  int           // guarded by mu
	limit int           // guarded by mu
	freed chan struct{} // holds a token after open fell or limit grew
}

func newSeats(limit int) *seats { return &seats{limit: limit, freed: make(chan struct{}, 1)} }

// take reports whether one more may be open.
func (s *seats) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.limit {
		return false
	}
	s.open++
	return true
}

// give returns what take took.
func (s *seats) give() {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
	s.wake()
}

// resize changes the bound. Who is over it stays until it leaves.
func (s *seats) resize(limit int) {
	s.mu.Lock()
	s.limit = limit
	s.mu.Unlock()
	s.wake()
}

func (s *seats) wake() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// serve is the goroutine of one client connection.
func (s *Server) serve(l *listener, nc net.Conn) {
	defer s.seats.give()
	c := newConn(s, l, nc)
	s.conns.add(c)
	defer s.conns.remove(c)
	c.serve()
}
