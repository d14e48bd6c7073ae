package nameserver

import (
	"sync/atomic"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// Stats counts since New.
type Stats struct {
	UDP, TCP Counts
	Ignored  uint64 // messages that aren't queries: too short or long, or responses
	Dropped  uint64 // responses that the rate limit held back
	Slipped  uint64 // and those that it made empty
	// Truncated is how many answers didn't fit; those over the rate aren't
	// among them.
	Truncated   uint64
	Cookies     uint64 // queries with a valid server cookie
	Connections int    // over TCP, open now
	// ConnectionsRefused were one too many, and ConnectionsEvicted, which were idle,
	// made room for others.
	ConnectionsRefused, ConnectionsEvicted uint64

	Errors uint64 // of the sockets
	Serial uint32 // of the zone as it was last asked for; 0: never
}

// Counts are those of one transport.
type Counts struct {
	Queries uint64
	Rcodes  map[string]uint64 // answers by their code, such as "NXDOMAIN"; those with 0 are left out
}

type counts struct {
	queries [2]atomic.Uint64 // UDP, TCP
	rcodes  [2][maxRcode + 1]atomic.Uint64

	ignored, dropped, slipped, truncated, cookies, refused, evicted, errors atomic.Uint64
}

const maxRcode = dnswire.RcodeBadVers // the greatest that is sent

func transport(tcp bool) int {
	if tcp {
		return 1
	}
	return 0
}

func (c *counts) query(tcp bool) { c.queries[transport(tcp)].Add(1) }

func (c *counts) answer(tcp bool, rcode dnswire.Rcode) { c.rcodes[transport(tcp)][rcode].Add(1) }

func (c *counts) of(transport int) Counts {
	n := Counts{Queries: c.queries[transport].Load(), Rcodes: make(map[string]uint64)}
	for rcode := range c.rcodes[transport] {
		if v := c.rcodes[transport][rcode].Load(); v > 0 {
			n.Rcodes[dnswire.Rcode(rcode).String()] = v
		}
	}
	return n
}

// Stats gives the counters. Any goroutine may call it at any time.
func (s *Server) Stats() Stats {
	st := Stats{
		UDP: s.counts.of(0), TCP: s.counts.of(1),
		Ignored: s.counts.ignored.Load(), Dropped: s.counts.dropped.Load(), Slipped: s.counts.slipped.Load(),
		Truncated: s.counts.truncated.Load(), Cookies: s.counts.cookies.Load(), ConnectionsRefused: s.counts.refused.Load(),
		ConnectionsEvicted: s.counts.evicted.Load(), Errors: s.counts.errors.Load(), Connections: s.conns.open(),
	}
	if z := s.zone.Load(); z != nil {
		st.Serial = z.serial
	}
	return st
}
