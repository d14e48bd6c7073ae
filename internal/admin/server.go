package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	mostConnections = 256
	mostStreams     = 64
	mostHeld        = 32 // wrong tokens that wait for their answer
	wrongDelay      = time.Second
)

// Server serves operators. Make it with New. Its methods may be called from any
// goroutine.
type Server struct {
	cfg     Config // what a reload leaves alone of it
	routes  []route
	files   map[string]*file
	access  atomic.Pointer[access]
	guard   *http.CrossOriginProtection
	seats   *seats
	brake   brake
	pulse   *pulse
	streams atomic.Int64
	readers time.Duration // the patience with readers of streams
	tell    teller

	mu      sync.Mutex
	stage   stage          // guarded by mu
	door    *door          // nil before Listen; guarded by mu
	serving sync.WaitGroup // doors, and their ends
	left    chan struct{}  // closed by Leave
	leave   func()
}

// stage is how far a Server's life has come.
type stage int

const (
	fresh stage = iota
	running
	ended
)

// access says who is let in. It is replaced as a whole.
type access struct {
	token    secret
	hosts    map[string]bool
	sessions *sessions
	over     chan struct{} // closed once another has taken its place
}

// New checks cfg. The error names each thing that is wrong. Nothing is bound and
// nobody is asked before Listen and Run.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if cfg.Backend == nil || cfg.Events == nil {
		return nil, errors.New("admin: a Backend and a Journal of events are needed")
	}
	s := &Server{
		cfg:   cfg,
		guard: http.NewCrossOriginProtection(),
		seats: newSeats(mostConnections),
		brake: brake{delay: wrongDelay, most: mostHeld},
		left:  make(chan struct{}),

		readers: patience,
	}
	s.leave = sync.OnceFunc(func() { close(s.left) })
	s.routes = s.table()
	var err error
	if s.files, err = readPage(cfg.Page); err != nil {
		return nil, fmt.Errorf("admin: the page: %w", err)
	}
	s.pulse = newPulse(cfg.Backend, cfg.Events, s.fault)
	s.tell.onChange = cfg.OnChange
	s.access.Store(newAccess(&cfg))
	return s, nil
}

func newAccess(cfg *Config) *access {
	a := &access{token: newSecret(cfg.Token), hosts: make(map[string]bool), sessions: &sessions{}, over: make(chan struct{})}
	for _, h := range cfg.Hosts {
		a.hosts[strings.ToLower(h)] = true
	}
	return a
}

// Listen binds Config.Listen, and returns the address, with the port where 0 was
// asked for. It is called once, before Run.
func (s *Server) Listen() (net.Addr, error) {
	l, err := listen(s.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin: listen on %s: %w", s.cfg.Listen, err)
	}
	return l.Addr(), s.ListenOn(l)
}

// ListenOn is Listen with a socket that is there already, such as that of a
// process before this one. It is the Server's from now on, also when there is an
// error.
func (s *Server) ListenOn(l net.Listener) error {
	if err := checkBound(l, s.access.Load().token.set); err != nil {
		return errors.Join(err, l.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door != nil || s.stage != fresh {
		return errors.Join(errors.New("admin: it listens already"), l.Close())
	}
	s.door = s.newDoor(s.cfg.Listen, l)
	return nil
}

// Run serves until ctx ends or Leave is called. Then streams end at once, and
// requests that are under way have 5 s to finish. It closes the listener, and
// may be called once. The error says that there is nothing to serve on.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.door == nil || s.stage != fresh {
		s.mu.Unlock()
		return errors.New("admin: Run needs one call of Listen before, and is called once")
	}
	s.stage = running
	s.serving.Go(s.door.serve)
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-s.left:
	}
	s.mu.Lock()
	s.stage = ended
	last := s.door
	s.mu.Unlock()
	last.end()
	s.serving.Wait()
	s.pulse.wait()
	return nil
}

// Close closes the listener of a Server whose Run isn't going to be called.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != fresh {
		return nil
	}
	s.stage = ended
	s.door.discard()
	return nil
}

// Prepare checks a configuration that is to take the place of the one in use, of
// which Listen, Token and Hosts count and the rest stays what it was. If the
// address is another one, it is bound. One of commit and abort is to be called.
// Commit can't fail: from then on requests are let in by the new token and names,
// and accepted at the new address only. Sessions and streams end where the token
// or the names are others; requests that are under way are finished. Both
// addresses are bound for a moment, so it can't go from 127.0.0.1 to 0.0.0.0 at
// one port.
func (s *Server) Prepare(cfg Config) (commit, abort func(), err error) {
	if err := cfg.check(); err != nil {
		return nil, nil, fmt.Errorf("admin: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door == nil || s.stage == ended {
		return nil, nil, errors.New("admin: it doesn't listen, so there is nothing to change")
	}
	l := s.door.listener
	var next *door
	if cfg.Listen != s.door.address {
		if l, err = listen(cfg.Listen); err != nil {
			return nil, nil, fmt.Errorf("admin: listen on %s: %w", cfg.Listen, err)
		}
		next = s.newDoor(cfg.Listen, l)
	}
	if err := checkBound(l, cfg.Token != ""); err != nil {
		next.discard()
		return nil, nil, err
	}
	var once sync.Once // whichever of the two comes first
	commit = func() { once.Do(func() { s.use(newAccess(&cfg), next) }) }
	abort = func() { once.Do(next.discard) }
	return commit, abort, nil
}

// use puts what Prepare has made to use.
func (s *Server) use(a *access, next *door) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.access.Load(); !old.same(a) {
		s.access.Store(a)
		close(old.over)
	}
	if next == nil {
		return
	}
	old := s.door
	if s.stage == ended {
		next.discard()
		return
	}
	s.door = next
	if s.stage == running {
		s.serving.Go(next.serve)
		s.serving.Go(old.end)
		return
	}
	old.discard()
}

func (a *access) same(b *access) bool {
	if a.token != b.token || len(a.hosts) != len(b.hosts) {
		return false
	}
	for h := range a.hosts {
		if !b.hosts[h] {
			return false
		}
	}
	return true
}

// Socket is the address as configured and the listener that is bound to it, nil
// before Listen, so that another process can be given the same. It stays the
// Server's.
func (s *Server) Socket() (address string, l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door == nil {
		return "", nil
	}
	return s.door.address, s.door.listener
}

// Leave ends Run, and lets the file of a unix socket be: another process has the
// socket.
func (s *Server) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door != nil {
		if l, ok := s.door.listener.(*net.UnixListener); ok {
			l.SetUnlinkOnClose(false)
		}
	}
	s.leave()
}

// Stats are counters and gauges of the server itself.
type Stats struct {
	Connections int    // open ones
	Streams     int    // of events and of the dashboard
	WrongTokens uint64 // since the start
}

// Stats tells them as they are now.
func (s *Server) Stats() Stats {
	return Stats{Connections: s.seats.count(), Streams: int(s.streams.Load()), WrongTokens: s.brake.count.Load()}
}

func (s *Server) fault(err error) {
	if s.cfg.OnError != nil {
		s.cfg.OnError(err)
	}
}
