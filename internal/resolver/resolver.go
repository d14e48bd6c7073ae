package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// A Resolver looks names up and remembers the answers. Make it with [New]. Its
// methods are safe for concurrent use.
//
// It remembers every watched name, and of the others the 1024 that were used
// last. It looks up at most 16 names at once, and each name once at a time.
type Resolver struct {
	cfg     Config
	limits  limits
	querier querier
	setup   func() *setup // whom to ask now

	ctx    context.Context // of all lookups
	cancel context.CancelFunc
	work   sync.WaitGroup
	slots  chan struct{} // one for each lookup at work

	mu     sync.RWMutex
	closed bool
	names  map[string]*entry // by host in lower case
}

// New returns a Resolver that has asked nobody yet. Every problem of cfg is in
// the error. The caller owns the Resolver and must Close it.
func New(cfg Config) (*Resolver, error) { return newResolver(cfg, exchange) }

func newResolver(cfg Config, network exchanger) (*Resolver, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	r := &Resolver{
		cfg:    cfg,
		limits: limits{cfg.MinTTL, cfg.MaxTTL, cfg.StaleMax, cfg.NegativeTTL},
		slots:  make(chan struct{}, maxLookups),
		names:  make(map[string]*entry),
	}
	r.querier.exchange = network
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if len(cfg.Servers) > 0 {
		s := fixedSetup(cfg)
		r.setup = func() *setup { return s }
	} else {
		r.setup = newFiles(cfg).current
	}
	return r, nil
}

// Close ends all lookups and watches and waits for them, and for callbacks
// that run; so none of those may call it. What is cached can still be had
// afterwards.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	for _, e := range r.names {
		e.stopTimer()
	}
	r.mu.Unlock()
	r.cancel()
	r.work.Wait()
}

// Lookup gives host's addresses, IPv6 first and at least one, unless there is
// an error, an [*Error]. The slice is shared and must not be changed. Host is
// a name or an IP address, which stands for itself.
//
// It returns at once if any usable answer is cached: a fresh one, a stale one
// within StaleMax, or an error that still holds, which that of a watched name
// does until the next lookup has ended. Otherwise it waits, until ctx
// is done, for the one lookup of the name that is under way, which goes on
// without it. What is about to end or stale is looked up again behind its
// back.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	e := r.find(host)
	if e == nil {
		if ip, err := netip.ParseAddr(host); err == nil {
			return []netip.Addr{ip.Unmap()}, nil
		}
		var err error
		if e, err = r.findOrAdd(host); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	e.used.Store(int64(now.Sub(epoch)))
	s := e.state.Load()
	if addrs, ok := r.serve(e, s, now); ok {
		return addrs, nil
	}
	if s.denies(now, e.watched.Load()) {
		return nil, s.err
	}
	return r.await(ctx, e)
}

// serve gives the addresses of a usable state, and sees to newer ones.
func (r *Resolver) serve(e *entry, s *state, now time.Time) ([]netip.Addr, bool) {
	if !s.usable(now, r.limits.staleMax) {
		return nil, false
	}
	if !s.fresh(now) {
		e.staleUsed.Add(1)
	}
	if !now.Before(s.late) && !e.busy.Load() {
		r.wake(e)
	}
	return s.addrs, true
}

// await waits for the flight of e, which it starts if there is none.
func (r *Resolver) await(ctx context.Context, e *entry) ([]netip.Addr, error) {
	f := r.wake(e)
	if f == nil {
		return nil, &Error{Host: e.host, Kind: Closed, Err: errClosed}
	}
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, &Error{Host: e.host, Kind: Canceled, Err: context.Cause(ctx)}
	}
	s := e.state.Load()
	switch {
	case s.usable(time.Now(), r.limits.staleMax), len(s.addrs) > 0 && s.err == nil:
		return s.addrs, nil
	case s.err != nil:
		return nil, s.err
	case r.ctx.Err() != nil:
		return nil, &Error{Host: e.host, Kind: Closed, Err: errClosed}
	}
	return nil, &Error{Host: e.host, Kind: Timeout, Err: errTooStale}
}

// An Answer is what is cached of a name.
type Answer struct {
	Addrs []netip.Addr  // at least one, IPv6 first; must not be changed
	Left  time.Duration // until the TTL ends; 0 if it has
	Stale bool          // the TTL has ended

	// Name is the one at the end of the aliases, absolute and in lower case;
	// empty where the source tells none.
	Name string
}

// Peek gives the usable answer that is cached, if any. It causes no query.
func (r *Resolver) Peek(host string) (Answer, bool) {
	e := r.find(host)
	if e == nil {
		return Answer{}, false
	}
	now := time.Now()
	s := e.state.Load()
	if !s.usable(now, r.limits.staleMax) {
		return Answer{}, false
	}
	return Answer{Addrs: s.addrs, Left: max(s.until.Sub(now), 0), Stale: !s.fresh(now), Name: s.name}, true
}

// Text asks server, "ip:port", and nobody else for the TXT records of name,
// which counts as absolute. Each text is one record, its character-strings
// joined. The TTL is the server's, in whole seconds, and nothing is cached.
// The error is an [*Error]; without one there is at least one text.
func (r *Resolver) Text(ctx context.Context, server, name string) (texts []string, ttl time.Duration, err error) {
	fail := func(e *Error) ([]string, time.Duration, error) {
		e.Host = name
		return nil, 0, e
	}
	if !isHost(name) {
		return fail(&Error{Kind: NotFound, Err: errBadName})
	}
	if !r.begin() {
		return fail(&Error{Kind: Closed, Err: errClosed})
	}
	defer r.work.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()

	s := *r.setup()
	s.servers = []string{server}
	alone := querier{exchange: r.querier.exchange}
	limited, cancelLimit := context.WithTimeout(ctx, s.budget())
	defer cancelLimit()
	c := newChain(name, dnswire.TypeTXT)
	for done := false; !done; {
		m, _, failure := alone.query(limited, &s, dnswire.Question{Name: c.name, Type: c.want, Class: dnswire.ClassIN})
		if failure == nil {
			done, failure = c.read(m)
		}
		if failure != nil {
			if failure.Kind == NoAddress {
				failure.Err = errNoRecord
			}
			failure.Server = server
			return fail(failure)
		}
	}
	for _, rec := range c.records {
		texts = append(texts, strings.Join(rec.Text, ""))
	}
	return texts, c.duration(), nil
}

// begin reports whether the Resolver is open, and if so makes Close wait for
// r.work.Done.
func (r *Resolver) begin() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return false
	}
	r.work.Add(1)
	return true
}

// NameStats is how the lookups of one name went.
type NameStats struct {
	Host      string
	Watched   bool
	Addrs     []netip.Addr  // usable now; must not be changed
	Left      time.Duration // until their TTL ends; 0 if it has
	Lookups   uint64        // made, each with all its queries
	Failures  uint64        // of those, the ones that brought neither addresses nor a denial
	StaleUsed uint64        // calls of Lookup that got a stale answer
	LastError error         // an [*Error], the last lookup's; nil if it brought addresses
}

// Stats tells of every name that is cached, sorted by name.
func (r *Resolver) Stats() []NameStats {
	r.mu.RLock()
	all := make([]NameStats, 0, len(r.names))
	now := time.Now()
	for _, e := range r.names {
		all = append(all, r.statsLocked(e, now))
	}
	r.mu.RUnlock()
	sortStats(all)
	return all
}

func (r *Resolver) statsLocked(e *entry, now time.Time) NameStats {
	s := e.state.Load()
	n := NameStats{
		Host: e.host, Watched: len(e.watchers) > 0,
		Lookups: e.lookups.Load(), Failures: e.failures.Load(), StaleUsed: e.staleUsed.Load(),
	}
	if s.err != nil {
		n.LastError = s.err
	}
	if s.usable(now, r.limits.staleMax) {
		n.Addrs, n.Left = s.addrs, max(s.until.Sub(now), 0)
	}
	return n
}
