package proxy

import (
	"sync/atomic"

	"github.com/fairlead/fairlead/failover"
)

// legStats counts the attempts of one route at one origin by class, ClassNone
// for those that did not fail.
type legStats struct {
	attempts [failover.ClassBreakerOpen + 1]atomic.Uint64
}

func (s *legStats) count(c failover.Class) { s.attempts[c].Add(1) }

// LegStats is the way from one route to one of its origins, at one moment.
type LegStats struct {
	Route  string
	Origin string
	Role   string // "primary" or "secondary"

	// Attempts are those that are over, in the order of failover's classes and
	// beginning with "ok", the same classes each time. "status" is every status
	// that counts as a failure. An attempt that ended for a reason that is nobody's
	// failure (the client left, a connection limit) is not counted. One whose
	// response breaks off counts as "reset" or "malformed", unless it has
	// failed before.
	Attempts []ClassCount

	// Breaker is "closed", "open", "half-open", or "off" where there is none.
	// Looking at it moves no breaker: one that has been open for long enough is
	// reported as half-open, although no request has come yet.
	Breaker string

	// Idle are pooled connections that wait for a request.
	Idle int
}

// ClassCount is how many attempts came to one class.
type ClassCount struct {
	Class string
	Count uint64
}

// Legs reports on every way from a route to an origin: the routes in the order
// of the configuration, the primary before the secondary. It may be called from
// any goroutine.
func (s *Server) Legs() []LegStats {
	routes := s.current().table.routes
	all := make([]LegStats, 0, 2*len(routes))
	for _, r := range routes {
		for _, l := range r.legs {
			if l != nil {
				all = append(all, l.counted(r.name))
			}
		}
	}
	return all
}

func (l *leg) counted(route string) LegStats {
	attempts := make([]ClassCount, len(l.stats.attempts))
	for i := range attempts {
		attempts[i] = ClassCount{className(failover.Class(i)), l.stats.attempts[i].Load()}
	}
	state, _ := l.breaker.peek()
	return LegStats{Route: route, Origin: l.origin.name, Role: l.role.String(), Attempts: attempts, Breaker: state, Idle: l.pool.Idles()}
}

// className is a class, "ok" for none.
func className(c failover.Class) string {
	if c == failover.ClassNone {
		return "ok"
	}
	return c.String()
}

// why says in words what a class of failure means.
func why(o failover.Outcome) string {
	switch o.Class {
	case failover.ClassDNS:
		return "the origin's name has no address"
	case failover.ClassConnectRefused:
		return "the origin refused the connection, or it could not be made"
	case failover.ClassConnectTimeout:
		return "the origin did not accept a connection within connect_timeout"
	case failover.ClassTLS:
		return "the TLS handshake with the origin failed"
	case failover.ClassWrite:
		return "the origin stopped taking the request"
	case failover.ClassHeaderTimeout:
		return "the origin did not answer within response_header_timeout"
	case failover.ClassReset:
		return "the origin closed the connection before its response was whole"
	case failover.ClassMalformed:
		return "what the origin sent is not HTTP"
	case failover.ClassStatus:
		return "the response's status is one of failover_statuses"
	case failover.ClassBreakerOpen:
		return "the breaker is open: the origin was not asked"
	}
	return ""
}
