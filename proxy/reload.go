package proxy

import (
	"slices"
	"sync"

	"go.uber.org/zap"
)

// Reload puts cfg in the place of the configuration that is at work. If it
// returns an error, nothing has changed. Requests in flight go on with what they
// began with; those that come later, and parked ones, meet the new one.
//
// What is the same stays as it is. A listener is the same if its address is
// written the same, whatever is spoken on it; an origin if it has the same name,
// URL and TLS, which is compared by pointer; a route if it has the same name.
// An origin keeps its connections, a route its permits and counters, and also
// its breakers, if they are set the same. A group is what its Pointer is. New
// limits apply to the next request, and to HTTP/2 with its next connection.
//
// A listener that is gone drains like a Server that leaves (see Leave). New ones
// are bound before anything changes. Log, Resolve, Inherit, OnBreaker, OnDrill and
// MaxHandshakes stay what they were in New. The error may be ErrStopped.
func (s *Server) Reload(cfg Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.stage == stopping {
		return ErrStopped
	}
	all, added, gone, err := s.bind(cfg.listeners(), s.listeners)
	if err != nil {
		return err
	}
	old := s.current()
	next, err := s.newSnapshot(&cfg, old)
	if err != nil {
		for _, l := range added {
			l.shut()
		}
		return err
	}
	s.listeners = all
	next.table.endDrills(old.table, s.clock.now()) // before a request of another origin could be picked
	s.adopt(next)
	s.address(next)
	close(old.replaced)
	s.former.add(next.table.replace(old.table))
	if s.stage == running {
		for _, l := range added {
			s.begin(l)
		}
		s.depart(gone)
		return nil
	}
	for _, l := range gone {
		l.shut()
	}
	return nil
}

// adopt puts a snapshot to work.
func (s *Server) adopt(n *snapshot) {
	if n.cfg.MaxConnections > n.clients {
		s.log.Warn("max_connections is more than the file-descriptor limit allows",
			zap.Int("max_connections", n.cfg.MaxConnections), zap.Int("limit", n.clients))
	}
	s.seats.resize(n.clients)
	s.budget.Resize(n.origins)
	s.live.Store(n)
}

// address says on every listener what is spoken there.
func (s *Server) address(n *snapshot) {
	port := int32(0)
	for i, w := range n.cfg.listeners() {
		sp := &speech{proxied: slices.Contains(n.cfg.ProxyProtocol, w.address)}
		if w.secure {
			sp.tls = n.tls
			if port == 0 {
				port = portOf(s.listeners[i].Addr())
			}
		}
		s.listeners[i].speaks.Store(sp)
	}
	s.httpsPort.Store(port)
}

// formerRoutes are those that a reload has removed while they had requests.
type formerRoutes struct {
	mu     sync.Mutex
	routes []*routeState // guarded by mu
}

func (f *formerRoutes) add(routes []*routeState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes = append(f.routes, routes...)
}

// settle logs the totals of those whose last request is over, and forgets them.
func (f *formerRoutes) settle(log *zap.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes = slices.DeleteFunc(f.routes, func(r *routeState) bool {
		stats := r.counted()
		if !stats.atRest() {
			return false
		}
		log.Info("route totals", append(stats.LogFields(), zap.Bool("removed", true))...)
		return true
	})
}
