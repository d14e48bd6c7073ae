package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/internal/http2"
	"github.com/fairlead/fairlead/internal/upstream"
)

const (
	defaultMaxHead = 32 << 10
	// maxBackoff bounds the pause after an accept that failed.
	maxBackoff = time.Second
)

// Errors of Run.
var (
	// ErrForced: requests were still in flight when the drain ended, and were
	// interrupted.
	ErrForced = errors.New("requests were interrupted at the end of the drain")
)

// Server is the proxy. Make it with New, bind it with Listen, run it with Run.
// Its methods may be called from any goroutine.
type Server struct {
	cfg      Config
	maxHead  int
	table    *table
	clock    *clock
	instance []byte       // this instance's name in CDN-Loop
	access   zapcore.Core // nil: no access log
	log      *zap.Logger

	moves    chan breakerMove
	conns    roster
	slots    chan struct{} // one for each connection that may be open
	work     sync.WaitGroup
	refused  atomic.Uint64 // requests that no route accepted
	draining atomic.Bool
	force    chan struct{}
	forced   sync.Once

	mu        sync.Mutex
	listeners []listener // guarded by mu

	http2            *http2.Server
	ends             http2Ends
	tls              *tls.Config // of every TLS listener; nil without
	shakes           *handshakes
	handshakeTimeout time.Duration
	httpsPort        atomic.Int32 // of the first TLS listener; 0: none, or not bound yet
}

// listener is a bound address and what is spoken on it.
type listener struct {
	net.Listener
	secure bool
}

// New builds a Server from cfg, or reports everything that is wrong with it.
// It opens nothing yet.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, maxHead: cfg.MaxHeaderBytes, log: cfg.Log, moves: make(chan breakerMove, 64), force: make(chan struct{})}
	s.cfg.TrustedProxies = slices.Clone(cfg.TrustedProxies)
	if s.maxHead <= 0 {
		s.maxHead = defaultMaxHead
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if cfg.AccessLog != nil {
		s.access = cfg.AccessLog.Core()
	}
	limit := cfg.MaxConnections
	if limit <= 0 {
		limit = connectionLimit()
	}
	s.slots = make(chan struct{}, limit)
	if len(cfg.TLSListen) > 0 && cfg.TLS == nil {
		return nil, errors.New("TLSListen needs TLS")
	}
	s.tls, s.shakes = secureConfig(cfg.TLS), newHandshakes(cfg.MaxHandshakes)
	if s.handshakeTimeout = cfg.HandshakeTimeout; s.handshakeTimeout <= 0 {
		s.handshakeTimeout = defaultHandshakeTimeout
	}
	s.instance = fmt.Appendf(nil, "fairlead-%08x", rand.Uint32())
	table, err := newTable(&s.cfg, s.moves, upstream.NewBudget(originLimit(limit)))
	if err != nil {
		return nil, err
	}
	s.table, s.clock = table, newClock()
	s.http2 = newHTTP2Server(s)
	return s, nil
}

// Listen binds every configured address and returns them as bound: those of
// Listen and then those of TLSListen, in the order of the configuration. If one
// can't be bound, none stays bound.
func (s *Server) Listen() ([]net.Addr, error) {
	var bound []listener
	var addrs []net.Addr
	for i, a := range slices.Concat(s.cfg.Listen, s.cfg.TLSListen) {
		l, err := listen(a)
		if err != nil {
			for _, l := range bound {
				_ = l.Close()
			}
			return nil, fmt.Errorf("listen on %s: %w", a, err)
		}
		bound = append(bound, listener{l, i >= len(s.cfg.Listen)})
		addrs = append(addrs, l.Addr())
	}
	if n := len(s.cfg.Listen); n < len(addrs) {
		s.httpsPort.Store(portOf(addrs[n]))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, bound...)
	return addrs, nil
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
	if c, derr := net.DialTimeout("unix", path, time.Second); derr == nil {
		_ = c.Close()
		return nil, err
	}
	if rerr := os.Remove(path); rerr != nil {
		return nil, rerr
	}
	return net.Listen("unix", path)
}

// Run serves until ctx ends, then drains: it accepts nothing new, finishes what
// is in flight within DrainTimeout, and interrupts the rest. It returns nil
// when everything was finished, and ErrForced otherwise. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	stop := make(chan struct{})
	var helpers, accepts sync.WaitGroup
	helpers.Go(func() { s.sweep(stop) })
	helpers.Go(func() { s.logMoves(stop) })
	s.mu.Lock()
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, l := range listeners {
		accepts.Go(func() { s.accept(ctx, l) })
	}
	<-ctx.Done()
	s.draining.Store(true)
	for _, l := range listeners {
		_ = l.Close()
	}
	accepts.Wait()
	err := s.drain()
	close(stop)
	helpers.Wait()
	s.table.close()
	return err
}

// Close ends the drain of Run now, or makes the one to come end at once.
func (s *Server) Close() { s.forced.Do(func() { close(s.force) }) }

// drain finishes what is in flight.
func (s *Server) drain() error {
	s.log.Info("draining", zap.Int("connections", s.conns.size()), zap.Duration("limit", s.cfg.DrainTimeout))
	for _, c := range s.conns.all() {
		c.retire()
	}
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
	case <-s.force:
	}
	n := 0
	for _, c := range s.conns.all() {
		if _, idle := c.waits(); !idle {
			n++
		}
	}
	s.interruptAll(done)
	if n == 0 {
		return nil
	}
	s.log.Warn("drain ended early", zap.Int("interrupted", n))
	return ErrForced
}

// interruptAll interrupts every exchange until all have ended. Once is not
// enough for one that is about to set a deadline of its own.
func (s *Server) interruptAll(done <-chan struct{}) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		for _, c := range s.conns.all() {
			c.interrupt(causeForced)
		}
		select {
		case <-done:
			return
		case <-again.C:
		}
	}
}

// accept takes connections from one listener until ctx ends. At the limit it
// holds one more, unserved: room is made only for a client that is there.
func (s *Server) accept(ctx context.Context, l listener) {
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			if !s.takeSlot(ctx) {
				_ = nc.Close()
				return
			}
			pause = 0
			if l.secure {
				s.work.Go(func() { s.serveTLS(nc) })
			} else {
				s.work.Go(func() { s.serveConn(nc) })
			}
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		// Out of file descriptors, or a connection that died in the backlog.
		// Never spin: the error may last.
		if pause == 0 {
			s.log.Warn("accept", zap.Error(err))
		}
		pause = min(max(2*pause, 5*time.Millisecond), maxBackoff)
		s.conns.evict()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// takeSlot waits until one more connection may be open. When all are taken, the
// connection that has been idle the longest makes room.
func (s *Server) takeSlot(ctx context.Context) bool {
	for {
		select {
		case s.slots <- struct{}{}:
			return true
		default:
		}
		s.conns.evict()
		select {
		case s.slots <- struct{}{}:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(sweepEvery):
		}
	}
}

// idleTimeout is how long a connection may wait for a request. It is never
// without a limit, so that evict sees who came first.
func (s *Server) idleTimeout() time.Duration {
	if s.cfg.IdleTimeout <= 0 {
		return forever
	}
	return s.cfg.IdleTimeout
}

// serveConn is the goroutine of one client connection.
func (s *Server) serveConn(nc net.Conn) { s.serve(newConn(s, nc)) }

// serveTLS is the goroutine of one client connection of a TLS listener.
func (s *Server) serveTLS(nc net.Conn) { s.serve(newTLSConn(s, nc)) }

func (s *Server) serve(c *conn) {
	s.conns.add(c)
	c.serve()
	s.conns.remove(c)
	<-s.slots
}

// logMoves logs what the breakers do.
func (s *Server) logMoves(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case m := <-s.moves:
			s.log.Info("breaker moved", zap.String("route", m.Route), zap.String("origin", m.Origin),
				zap.String("from", m.From), zap.String("to", m.To))
		}
	}
}

// panicked reports a defect of ours; it has cost one connection.
func (s *Server) panicked(v any) {
	s.log.Error("panic while serving a connection, please report it", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
}
