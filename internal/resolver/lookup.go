package resolver

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// lookup asks for all addresses of host. If one family has some while the other
// one's answer takes longer than resolutionDelay, early is called with what is
// there. The errors in results have their Host.
func (r *Resolver) lookup(ctx context.Context, host string, early func(result)) result {
	res := r.lookupAnywhere(ctx, host, early)
	for i := range res {
		if err := res[i].err; err != nil {
			err.Host = host
		}
	}
	return res
}

// lookupAnywhere goes through the sources: what needs no server, the system's
// files, the servers.
func (r *Resolver) lookupAnywhere(ctx context.Context, host string, early func(result)) result {
	if ip, err := netip.ParseAddr(host); err == nil {
		return fixed([]netip.Addr{ip.Unmap()}, "", math.MaxInt64)
	}
	if !isHost(host) {
		return nothing(&Error{Kind: NotFound, Err: errBadName})
	}
	s := r.setup()
	bare := strings.TrimSuffix(host, ".")
	switch addrs, ok := s.hosts[bare]; {
	case ok:
		return fixed(addrs, bare+".", untimedTTL)
	case bare == "localhost" || strings.HasSuffix(bare, ".localhost"):
		// RFC 6761, section 6.3: not a question for servers.
		return fixed([]netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}, bare+".", untimedTTL)
	case s.system != nil:
		return lookupSystem(ctx, s, host)
	}
	var res result
	for i, name := range s.candidates(host) {
		got := r.lookupBoth(ctx, s, name, early)
		// A failure ends the search: what stands behind it may be another
		// name, and which of them is meant must not depend on the weather.
		if err := verdictOf(got); err == nil || !err.negative() {
			return got
		}
		if i == 0 || verdictOf(got).Kind == NoAddress {
			res = got
		}
	}
	return res
}

// verdictOf is nil if there are addresses.
func verdictOf(r result) *Error {
	if r[0].err == nil || r[1].err == nil {
		return nil
	}
	return verdict(r[0].err, r[1].err, false)
}

// isHost reports whether host can be asked for: a name without escapes.
func isHost(host string) bool {
	return len(host) <= 254 && !strings.Contains(host, `\`) && strings.Trim(host, ".") != "" && dnswire.IsName(host)
}

// fixed is the result with addresses from anywhere but DNS.
func fixed(addrs []netip.Addr, name string, ttl time.Duration) result {
	var res result
	now := time.Now()
	for i := range res {
		res[i] = outcome{err: &Error{Kind: NoAddress, Err: errNoAddress}}
	}
	for _, a := range addrs {
		i := 1
		if a.Is4() {
			i = 0
		}
		res[i] = outcome{addrs: append(res[i].addrs, a), name: name, ttl: ttl, at: now}
	}
	return res
}

func nothing(err *Error) result { return result{{err: err}, {err: err}} }

// families are the questions, in a result's order.
var families = [2]dnswire.Type{dnswire.TypeA, dnswire.TypeAAAA}

// lookupBoth asks for both families of one absolute name at once.
func (r *Resolver) lookupBoth(ctx context.Context, s *setup, name string, early func(result)) result {
	ctx, cancel := context.WithTimeout(ctx, s.budget())
	defer cancel()
	type answer struct {
		i int
		outcome
	}
	answers := make(chan answer, len(families))
	for i, t := range families {
		go func() { answers <- answer{i, r.follow(ctx, s, name, t)} }()
	}
	res := nothing(&Error{Kind: Timeout, Err: errPending})
	first := <-answers // both goroutines are waited for here
	res[first.i] = first.outcome
	delay := time.NewTimer(resolutionDelay)
	defer delay.Stop()
	for {
		select {
		case second := <-answers:
			res[second.i] = second.outcome
			return res
		case <-delay.C:
			if first.err == nil {
				early(res)
			}
		}
	}
}

// follow asks for one type of one name, and asks on where a chain of aliases
// leads out of the answer.
func (r *Resolver) follow(ctx context.Context, s *setup, name string, t dnswire.Type) outcome {
	c := newChain(name, t)
	out := outcome{}
	for {
		m, server, err := r.querier.query(ctx, s, dnswire.Question{Name: c.name, Type: t, Class: dnswire.ClassIN})
		if err != nil {
			return outcome{err: err}
		}
		if out.at.IsZero() {
			out.at = time.Now()
		}
		done, err := c.read(m)
		if err != nil {
			err.Server = server
			return outcome{err: err}
		}
		if done {
			break
		}
	}
	out.addrs, out.name, out.ttl = usable(c.records), c.name, c.duration()
	if len(out.addrs) == 0 {
		return outcome{err: &Error{Kind: NoAddress, Err: errNoAddress}}
	}
	return out
}

// usable picks the addresses that a connection can be opened to. Loopback may
// be what is meant.
func usable(records []dnswire.Record) []netip.Addr {
	var addrs []netip.Addr
	for _, rec := range records {
		a := rec.Addr.Unmap()
		if a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && len(addrs) < maxAddrs && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
