package proxy

import (
	"sync/atomic"

	"go.uber.org/zap"
)

// routeStats counts what became of a route's requests:
// accepted = served + failed over + shed + failed + left.
type routeStats struct {
	accepted  atomic.Uint64
	results   [resultRefused]atomic.Uint64
	parked    atomic.Uint64
	connRetry atomic.Uint64
	parkedNow atomic.Int64
}

func (s *routeStats) count(r result) {
	if r < resultRefused {
		s.results[r].Add(1)
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

	Parked    uint64 // requests that were parked, however often
	ConnRetry uint64 // dead pooled connections that were replaced

	InUse     int // permits held now
	Queued    int // requests in the queue now
	ParkedNow int // requests parked now
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
	return RouteStats{
		Route:      r.name,
		Accepted:   r.stats.accepted.Load(),
		Served:     r.stats.results[resultServed].Load(),
		FailedOver: r.stats.results[resultFailedOver].Load(),
		Shed:       r.stats.results[resultShed].Load(),
		Failed:     r.stats.results[resultFailed].Load(),
		Left:       r.stats.results[resultLeft].Load(),
		Parked:     r.stats.parked.Load(),
		ConnRetry:  r.stats.connRetry.Load(),
		InUse:      r.bulk.InUse(),
		Queued:     r.bulk.Queued(),
		ParkedNow:  int(r.stats.parkedNow.Load()),
	}
}

// atRest reports whether every request that was accepted is over.
func (s *RouteStats) atRest() bool {
	return s.InUse == 0 && s.Accepted == s.Served+s.FailedOver+s.Shed+s.Failed+s.Left
}

// LogFields are the counters as they stand in the log.
func (s *RouteStats) LogFields() []zap.Field {
	return []zap.Field{
		zap.String("route", s.Route), zap.Uint64("accepted", s.Accepted), zap.Uint64("served", s.Served),
		zap.Uint64("failed_over", s.FailedOver), zap.Uint64("shed", s.Shed), zap.Uint64("failed", s.Failed),
		zap.Uint64("left", s.Left), zap.Uint64("parked", s.Parked), zap.Uint64("conn_retry", s.ConnRetry),
		zap.Int("in_use", s.InUse), zap.Int("queued", s.Queued),
	}
}
