package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers for one zone.
//
// What it answers is a snapshot that doesn't change. The first query after an
// Update makes the next snapshot, in the goroutine that answers it: so nobody
// waits for a timer, and a storm of updates costs no more than the queries do.
type Server struct {
	cfg     Config
	plan    *plan
	version atomic.Uint64 // counts the updates
	zone    atomic.Pointer[zone]

	mu      sync.Mutex // held while a zone is built
	builder *builder   // guarded by mu

	cookies cookies
	limiter *limiter // nil: no limit
	counts  counts
	conns   connTable

	distrustLoopback bool // for tests, whose clients have no other address

	udp          *net.UDPConn
	tcp          *net.TCPListener
	lastReported atomic.Int64 // when OnError was called, in nanoseconds since started
	started      time.Time
}

// New checks cfg. The error names each field that is wrong. Nothing is bound
// and nobody is asked before Listen and Run.
func New(cfg Config) (*Server, error) {
	p, err := newPlan(&cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, plan: p, builder: newBuilder(p), started: time.Now()}
	s.lastReported.Store(-int64(time.Hour))
	s.conns.init()
	if cfg.RateLimit > 0 {
		s.limiter = newLimiter(cfg.RateLimit, s.started)
	}
	return s, nil
}

// Update says that something may have changed: a pointer, an origin's
// addresses. Every answer to a query that arrives afterwards shows it. It never
// blocks, and any goroutine may call it at any time.
func (s *Server) Update() { s.version.Add(1) }

// current gives the zone as it is now.
func (s *Server) current(now time.Time) *zone {
	if z := s.zone.Load(); s.fresh(z, now) {
		return z
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if z := s.zone.Load(); s.fresh(z, now) {
		return z
	}
	version := s.version.Load() // before anything is read
	z := s.builder.build(now)
	z.version = version
	s.zone.Store(z)
	return z
}

func (s *Server) fresh(z *zone, now time.Time) bool {
	return z != nil && z.version == s.version.Load() && (z.refreshAt.IsZero() || now.Before(z.refreshAt))
}

// Listen binds UDP and TCP, and returns the address, with the port that both
// have. It is called once, before Run, which closes what it bound; Close does
// where Run isn't going to be called.
func (s *Server) Listen() (net.Addr, error) {
	const attempts = 20 // a port that is free for TCP may be taken for UDP
	err := errors.New("no port was tried")
	for range attempts {
		if err = s.bind(); err == nil {
			break
		}
		if _, port, _ := net.SplitHostPort(s.cfg.Listen); port != "0" && port != "" {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("nameserver: %w", err)
	}
	bound := s.udp.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if len(s.plan.nsAddrs) == 0 && !bound.IsUnspecified() { // listened at a host's name
		s.plan.nsAddrs = []netip.Addr{bound}
	}
	return s.udp.LocalAddr(), nil
}

func (s *Server) bind() error {
	host, _, _ := net.SplitHostPort(s.cfg.Listen)
	family := ""
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		family = "4" // or 0.0.0.0 would be every address of IPv6 too
	}
	tcp, err := net.Listen("tcp"+family, s.cfg.Listen)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(tcp.Addr().String())
	udp, err := net.ListenPacket("udp"+family, net.JoinHostPort(host, port))
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	s.tcp, s.udp = tcp.(*net.TCPListener), udp.(*net.UDPConn)
	_ = s.udp.SetReadBuffer(readBuffer) // as much of it as the system allows
	return nil
}

// Close closes what Listen bound, for who doesn't call Run.
func (s *Server) Close() error {
	if s.udp == nil {
		return nil
	}
	return errors.Join(s.udp.Close(), s.tcp.Close())
}

// ErrNotListening says that Run was called before Listen.
var ErrNotListening = errors.New("nameserver: Run before Listen")

// Run answers until ctx ends, and returns nil when all of its goroutines have
// ended. It is called once. Errors of the sockets go to OnError, and don't end
// it.
func (s *Server) Run(ctx context.Context) error {
	if s.udp == nil {
		return ErrNotListening
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.serveUDP(ctx) })
	wg.Go(func() { s.acceptTCP(ctx, &wg) })
	<-ctx.Done()
	_ = s.Close()
	s.conns.closeAll()
	wg.Wait()
	return nil
}

// readBuffer is what may wait in the UDP socket, in bytes: a burst is answered
// late rather than lost.
const readBuffer = 1 << 20

// report counts an error and tells OnError, at most once a second.
func (s *Server) report(err error) {
	s.counts.errors.Add(1)
	if s.cfg.OnError == nil {
		return
	}
	now, last := int64(time.Since(s.started)), s.lastReported.Load()
	if now-last >= int64(time.Second) && s.lastReported.CompareAndSwap(last, now) {
		s.cfg.OnError(err)
	}
}

// retry deals with an error of accepting or reading: it reports whether to go
// on. After the first one that is at once, since one client's doing must not
// hold up the others; then after a pause, up to maxPause.
func (s *Server) retry(ctx context.Context, err error, failures int) bool {
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	s.report(err)
	if failures == 0 {
		return true
	}
	pause := time.NewTimer(min(time.Millisecond<<min(failures, 10), maxPause))
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-pause.C:
		return true
	}
}

const maxPause = 100 * time.Millisecond
