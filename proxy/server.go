package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/upstream"
)

const defaultMaxHead = 32 << 10

// ErrStopped is returned by Reload of a Server whose Run is at its end or over.
var ErrStopped = errors.New("the server is stopping")

// Server is the proxy. Make it with New, bind it with Listen, run it with Run.
// Its methods may be called from any goroutine.
type Server struct {
	cfg      Config                   // what can't be reloaded of it: Log, Resolve, Inherit, OnBreaker, OnDrill, MaxHandshakes
	live     atomic.Pointer[snapshot] // all else
	clock    *clock
	instance []byte // this instance's name in CDN-Loop
	log      *zap.Logger
	budget   *upstream.Budget
	fds      descriptors

	moves   chan breakerMove
	conns   roster
	seats   *seats
	refused atomic.Uint64 // requests that no route accepted
	strays  memory        // what no route remembers
	hurry   chan struct{} // closed when a drain is to end idle connections
	force   chan struct{} // closed when a drain is to end all
	forced  sync.Once
	leave   chan struct{} // closed by Leave
	left    sync.Once

	// reloading is held by Listen, Reload, and Run's beginning and end: while
	// listeners and the snapshot change together.
	reloading sync.Mutex
	stage     stage
	listeners []*listener    // guarded by reloading; in the order of the configuration
	departing []*listener    // guarded by reloading; removed, with connections left
	farewells sync.WaitGroup // the drains of those
	cutShort  error          // guarded by reloading; of a farewell that ended within the drain of Run
	former    formerRoutes
	drilling  drilling
	pauses    pauses

	ends      http2Ends
	shakes    *handshakes
	headers   headerCounts
	httpsPort atomic.Int32 // of the first TLS listener; 0: none, or not bound yet
}

// stage is how far a Server's life has come.
type stage uint8

const (
	notRun stage = iota
	running
	stopping
)

// New builds a Server from cfg, or reports everything that is wrong with it.
// It opens nothing yet.
func New(cfg Config) (*Server, error) {
	s := &Server{
		cfg: cfg, log: cfg.Log, clock: newClock(), shakes: newHandshakes(cfg.MaxHandshakes),
		moves: make(chan breakerMove, 64), seats: newSeats(0), budget: upstream.NewBudget(0),
		hurry: make(chan struct{}), force: make(chan struct{}), leave: make(chan struct{}),
		instance: fmt.Appendf(nil, "fairlead-%08x", rand.Uint32()),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.fds.count()
	first, err := s.newSnapshot(&cfg, nil)
	if err != nil {
		return nil, err
	}
	s.adopt(first)
	return s, nil
}

// Listen binds every configured address and returns them as bound: those of
// Listen and then those of TLSListen, in the order of the configuration. If one
// can't be bound, none stays bound. It is called once, before Run. What a Reload
// before it has bound stays.
func (s *Server) Listen() ([]net.Addr, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	now := s.current()
	all, _, _, err := s.bind(now.cfg.listeners(), s.listeners)
	if err != nil {
		return nil, err
	}
	s.listeners = all
	s.address(now)
	return s.addresses(), nil
}

// addresses are those that the listeners are bound to.
func (s *Server) addresses() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Sockets are the listeners as they are bound now, by the configuration's
// addresses and in its order, to be handed to another process. They stay the
// Server's: nobody else may accept from them or close them.
func (s *Server) Sockets() (addresses []string, sockets []net.Listener) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	for _, l := range s.listeners {
		addresses, sockets = append(addresses, l.address), append(sockets, l.Listener)
	}
	return addresses, sockets
}

// Run serves until ctx ends, then drains: it accepts nothing new, finishes what
// is in flight within DrainTimeout, and interrupts the rest. It returns nil
// when everything was finished, and ErrForced otherwise. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	stop := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { s.sweep(stop) })
	helpers.Go(func() { s.logMoves(stop) })
	s.reloading.Lock()
	s.stage = running
	for _, l := range s.listeners {
		s.begin(l)
	}
	s.reloading.Unlock()
	select {
	case <-ctx.Done():
	case <-s.leave:
	}
	unwatch := context.AfterFunc(ctx, func() { close(s.hurry) })
	err := s.end(ctx.Err() != nil)
	unwatch()
	close(stop)
	helpers.Wait()
	s.sweepDrills(s.clock.now()) // of those that ended with the drain
	s.former.settle(s.log)
	s.current().table.close()
	return err
}

// end closes all listeners and drains their connections.
func (s *Server) end(hurry bool) error {
	s.reloading.Lock()
	s.stage = stopping
	s.EndDrills(failover.DrillStop)
	for _, l := range s.listeners {
		if s.hasLeft() {
			l.keepFile()
		}
		l.shut()
	}
	all := slices.Concat(s.listeners, s.departing)
	s.reloading.Unlock()
	err := s.drain(all, s.current().cfg.DrainTimeout, hurry)
	s.farewells.Wait()
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if err == nil {
		err = s.cutShort
	}
	return err
}

// Leave makes Run drain without hurry, for a Server whose listeners another
// process has taken over: connections that wait for a request may carry one
// more, for half of DrainTimeout. The end of Run's context brings the hurry back.
func (s *Server) Leave() { s.left.Do(func() { close(s.leave) }) }

func (s *Server) hasLeft() bool {
	select {
	case <-s.leave:
		return true
	default:
		return false
	}
}

// Close ends the drain of Run now, or makes the one to come end at once.
func (s *Server) Close() { s.forced.Do(func() { close(s.force) }) }

// logMoves logs what the breakers do.
func (s *Server) logMoves(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case m := <-s.moves:
			s.log.Info("breaker moved", zap.String("route", m.Route), zap.String("origin", m.Origin),
				zap.String("from", m.From), zap.String("to", m.To))
			if s.cfg.OnBreaker != nil {
				s.cfg.OnBreaker(m.Route, m.Origin, m.From, m.To)
			}
		}
	}
}

// panicked reports a defect of ours; it has cost one connection.
func (s *Server) panicked(v any) {
	s.log.Error("panic while serving a connection, please report it", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
}
