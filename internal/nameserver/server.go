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
	cfg     Config        // Listen, Serial and OnError count, the rest is the first plan's
	version atomic.Uint64 // counts the updates
	zone    atomic.Pointer[zone]
	limiter atomic.Pointer[limiter] // nil: no limit

	mu      sync.Mutex // held while a zone is built
	plan    *plan      // guarded by mu
	builder *builder   // guarded by mu
	serials serials    // guarded by mu
	rate    int        // the limiter's; guarded by mu

	cookies cookies
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
	s := &Server{cfg: cfg, started: time.Now()}
	s.use(p, cfg.RateLimit)
	s.lastReported.Store(-int64(time.Hour))
	s.conns.init()
	return s, nil
}

// use answers by another plan from the next query on.
func (s *Server) use(p *plan, rate int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.builder = p, newBuilder(p, &s.serials, s.cfg.Serial)
	s.completeLocked()
	if rate != s.rate {
		var l *limiter
		if rate > 0 {
			l = newLimiter(rate, time.Now())
		}
		s.rate = rate
		s.limiter.Store(l)
	}
	s.Update()
}

// completeLocked fills in what only the socket knows: where a host's name is
// listened at.
func (s *Server) completeLocked() {
	if s.udp == nil || len(s.plan.nsAddrs) > 0 {
		return
	}
	bound := s.udp.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if !bound.IsUnspecified() {
		s.plan.nsAddrs = []netip.Addr{bound}
	}
}

// Prepare checks a configuration that is to take the place of the one in use:
// zone, nameservers, groups and rate limit. Commit, which can't fail, puts it to use: the
// next query is answered by it. Who doesn't call commit has nothing to undo. The
// sockets, open connections, counters and the secret of the cookies stay, and
// the serial goes on growing; so do Serial and OnError stay what they were.
//
// Listen must be as it was: for another address, make another Server, with
// Serial taken from this one.
func (s *Server) Prepare(cfg Config) (commit func(), err error) {
	if cfg.Listen != s.cfg.Listen {
		return nil, fmt.Errorf("nameserver: listen: a server at %s can't move to %s; make another one", s.cfg.Listen, cfg.Listen)
	}
	p, err := newPlan(&cfg)
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { s.use(p, cfg.RateLimit) }), nil
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
