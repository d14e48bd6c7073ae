package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/upstream"
)

// resolveWithin bounds how long those who only look wait for addresses.
const resolveWithin = 100 * time.Millisecond

// OriginStats is an origin at one moment.
type OriginStats struct {
	Origin string

	// Open are the connections to it, idle, in use or being opened, over all
	// routes. Limit is how many there may be, 0 for no limit.
	Open, Limit int

	// Addresses are what a new connection would try now, in that order. There are
	// none if the name does not resolve.
	Addresses []string

	// Drained says that an operator has taken it out of service: see SetDrained.
	Drained bool
}

// Origins reports on every origin, in the order of the configuration. It may be
// called from any goroutine. It asks Config.Resolve for the addresses, and waits
// no longer than 100 ms for all of them together.
func (s *Server) Origins() []OriginStats {
	ctx, cancel := context.WithTimeout(context.Background(), resolveWithin)
	defer cancel()
	origins := s.current().table.listed
	all := make([]OriginStats, len(origins))
	for i, o := range origins {
		addresses, _ := o.upstream.Addresses(ctx) // why there are none is for a request or a probe to meet
		all[i] = OriginStats{
			Origin: o.name, Open: o.upstream.Open(), Limit: max(o.cfg.MaxConnections, 0),
			Addresses: addresses, Drained: o.drained.Load(),
		}
	}
	return all
}

// AddressesChanged says which addresses a host has now, for whoever watches DNS.
// Of the origins with that host, in whatever case, idle connections to any
// other address are closed at once, and busy ones when their exchange is over.
// No addresses at all withdraw them all. It doesn't block, and may be called
// whether Run is at work or not.
func (s *Server) AddressesChanged(host string, addrs []netip.Addr) {
	for _, o := range s.current().table.origins {
		if o.hostname != "" && strings.EqualFold(relative(o.hostname), relative(host)) {
			o.upstream.SetAddresses(addrs)
		}
	}
}

// relative is a host name without the dot that may end it.
func relative(host string) string { return strings.TrimSuffix(host, ".") }

// ConnectOrigin opens a connection to the origin of that name as the next
// request would, without TLS: for health probes, which so see what requests
// see. It is bounded by the origin's ConnectTimeout and by ctx, and counts as
// none of its MaxConnections. The error is that of the lookup or of the connect
// itself. The caller must close the connection.
func (s *Server) ConnectOrigin(ctx context.Context, origin string) (net.Conn, error) {
	o := s.current().table.origins[origin]
	if o == nil {
		return nil, fmt.Errorf("no origin %q", origin)
	}
	nc, err := o.upstream.Connect(ctx)
	if e, ok := errors.AsType[*upstream.DialError](err); ok {
		return nil, e.Err // the caller knows which origin it is
	}
	return nc, err
}
