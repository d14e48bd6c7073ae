package proxy

import (
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/failover"
)

// routeStats counts what became of a route's requests:
// accepted = served + failed over + shed + failed + left.
type routeStats struct {
	accepted  atomic.Uint64
	durations [resultRefused]durations // by result; their counts are the results'
	saved     atomic.Uint64
	sent      [3]atomic.Uint64 // by failover.Role
	parked    atomic.Uint64
	connRetry atomic.Uint64
	parkedNow atomic.Int64
}

// count counts a request that was accepted and is over after so many
// nanoseconds.
func (s *routeStats) count(r result, took int64) {
	if r < resultRefused {
		s.durations[r].add(took)
	}
}

// RouteStats is a route's counters at one moment. Once all requests have
// ended, Accepted is the sum of Served, FailedOver, Shed, Failed and Left.
type RouteStats struct {
	Route string

	Accepted   uint64 // requests that found the route and were not malformed
	Served     uint64 // answered by the first candidate
	FailedOver uint64 // answered by the other origin, or after a redirect by a breaker
	Shed       uint64 // refused by the bulkhead or a connection limit
	Failed     uint64 // answered with an error of ours, or broken off
	Left       uint64 // the client went away first, or spoilt its own request

	Parked    uint64 // requests that were parked, each once however often it was
	ConnRetry uint64 // dead pooled connections that were replaced

	InUse     int // permits held now
	Queued    int // requests in the queue now
	ParkedNow int // requests parked now

	Saved         uint64 // of FailedOver: those whose response is no failure, and would have been one without the other origin
	SentPrimary   uint64 // attempts of which something was sent to the primary
	SentSecondary uint64 // the same to the secondary

	// Durations are those of the requests that are over, by result in the order
	// of Results, from the end of the head to the end of the response. A tunnel
	// is over with its connection.
	Durations [resultRefused]Histogram
}

// Results lists what may become of a request that a route has accepted, in the
// order of RouteStats.Durations.
func Results() []string { return slices.Clone(resultNames[:resultRefused]) }

// Duration is the Histogram of a result, one of Results.
func (s *RouteStats) Duration(result string) (h Histogram, ok bool) {
	i := slices.Index(resultNames[:resultRefused], result)
	if i < 0 {
		return Histogram{}, false
	}
	return s.Durations[i], true
}

// Stats reports on every route, in the order of the configuration. It may be
// called from any goroutine.
func (s *Server) Stats() []RouteStats {
	routes := s.current().table.routes
	stats := make([]RouteStats, len(routes))
	for i, r := range routes {
		stats[i] = r.counted()
	}
	return stats
}

// counted reads a route's counters.
func (r *routeState) counted() RouteStats {
	s := RouteStats{
		Route:         r.name,
		Accepted:      r.stats.accepted.Load(),
		Parked:        r.stats.parked.Load(),
		ConnRetry:     r.stats.connRetry.Load(),
		InUse:         r.bulk.InUse(),
		Queued:        r.bulk.Queued(),
		ParkedNow:     int(r.stats.parkedNow.Load()),
		Saved:         r.stats.saved.Load(),
		SentPrimary:   r.stats.sent[failover.RolePrimary].Load(),
		SentSecondary: r.stats.sent[failover.RoleSecondary].Load(),
	}
	for i := range s.Durations {
		s.Durations[i] = r.stats.durations[i].counted()
	}
	s.Served, s.FailedOver = s.Durations[resultServed].Count(), s.Durations[resultFailedOver].Count()
	s.Shed, s.Failed, s.Left = s.Durations[resultShed].Count(), s.Durations[resultFailed].Count(), s.Durations[resultLeft].Count()
	return s
}

// Refused counts the requests that no route has accepted: malformed ones, those
// that no route matches, those whose body is known to be too large for their
// route, and redirects to https.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// Connections are those of clients: how many are open, and how many may be.
func (s *Server) Connections() (open, limit int) {
	s.seats.mu.Lock()
	defer s.seats.mu.Unlock()
	return s.seats.open, s.seats.limit
}

// atRest reports whether every request that was accepted is over.
func (s *RouteStats) atRest() bool {
	return s.InUse == 0 && s.Accepted == s.Served+s.FailedOver+s.Shed+s.Failed+s.Left
}

// LogFields are the counters as they stand in the log.
func (s *RouteStats) LogFields() []zap.Field {
	return []zap.Field{
		zap.String("route", s.Route), zap.Uint64("accepted", s.Accepted), zap.Uint64("served", s.Served),
		zap.Uint64("failed_over", s.FailedOver), zap.Uint64("saved", s.Saved), zap.Uint64("shed", s.Shed), zap.Uint64("failed", s.Failed),
		zap.Uint64("left", s.Left), zap.Uint64("parked", s.Parked), zap.Uint64("conn_retry", s.ConnRetry),
		zap.Int("in_use", s.InUse), zap.Int("queued", s.Queued),
	}
}
