package resolver

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// A querier asks servers questions. Its methods are safe for concurrent use.
type querier struct {
	exchange exchanger

	// lead is the server that answered last, if it isn't the first. It is asked
	// first for a while, so that a dead server at the head of the list costs
	// one lookup in leadFor a time-out, and yet has its place when it is back.
	lead atomic.Pointer[leader]
}

// A leader is a server that stands in for those before it.
type leader struct {
	server string
	until  time.Time
}

// leadFor is how long a server leads.
const leadFor = 30 * time.Second

// order is servers in the order in which they are asked now.
func (q *querier) order(servers []string) []string {
	lead := q.lead.Load()
	if lead == nil || time.Now().After(lead.until) {
		return servers
	}
	if i := slices.Index(servers, lead.server); i > 0 {
		return slices.Concat(servers[i:i+1], servers[:i], servers[i+1:])
	}
	return servers
}

// answered notes who answered. It doesn't prolong a lead, or the first server
// would never be asked again.
func (q *querier) answered(servers []string, server string) {
	lead := q.lead.Load()
	switch {
	case server == servers[0]:
		if lead != nil {
			q.lead.Store(nil)
		}
	case lead == nil || lead.server != server || time.Now().After(lead.until):
		q.lead.Store(&leader{server, time.Now().Add(leadFor)})
	}
}

// query asks the servers in turn until one answers, be it that there is no such
// name, attempts times round at most. Errors have no Host yet.
func (q *querier) query(ctx context.Context, s *setup, question dnswire.Question) (*dnswire.Message, string, *Error) {
	servers := q.order(s.servers)
	var last *Error
	for range s.attempts {
		for _, server := range servers {
			m, err := q.ask(ctx, server, s.timeout, question)
			if err == nil {
				q.answered(s.servers, server)
				return m, server, nil
			}
			if last == nil || ctx.Err() == nil {
				last = err
			}
			if ctx.Err() != nil {
				return nil, "", last
			}
		}
	}
	return nil, "", last
}

// ask asks one server: with EDNS, without if the server doesn't know it (RFC
// 6891, section 7), and each over TCP if the response was truncated (RFC 7766,
// section 5). The message is an answer: NOERROR or NXDOMAIN.
func (q *querier) ask(ctx context.Context, server string, timeout time.Duration, question dnswire.Question) (*dnswire.Message, *Error) {
	m, err := q.askWith(ctx, server, timeout, question, true)
	if err == nil && refusesEDNS(m.Rcode) {
		m, err = q.askWith(ctx, server, timeout, question, false)
	}
	switch {
	case err != nil:
		return nil, err
	case m.Rcode == dnswire.RcodeNameError:
		return m, nil
	case m.Rcode != dnswire.RcodeSuccess:
		return nil, &Error{Kind: ServerFailure, Server: server, Err: rcodeError(m.Rcode)}
	case len(m.Answer) == 0 && !m.Authoritative && !m.RecursionAvailable:
		return nil, &Error{Kind: Lame, Server: server, Err: errLame}
	}
	return m, nil
}

func (q *querier) askWith(ctx context.Context, server string, timeout time.Duration, question dnswire.Question, edns bool) (*dnswire.Message, *Error) {
	m, err := q.transfer(ctx, "udp", server, timeout, question, edns)
	if err == nil && m.Truncated {
		m, err = q.transfer(ctx, "tcp", server, timeout, question, edns)
		if err == nil && m.Truncated {
			return nil, &Error{Kind: Malformed, Server: server, Err: errTruncated}
		}
	}
	return m, err
}

// transfer is one query and its response.
func (q *querier) transfer(ctx context.Context, network, server string, timeout time.Duration, question dnswire.Question, edns bool) (*dnswire.Message, *Error) {
	ask := dnswire.Message{
		ID:               uint16(rand.Uint32()), // ChaCha8, seeded by the system: not to be guessed
		RecursionDesired: true,
		Questions:        []dnswire.Question{question},
	}
	if edns {
		ask.OPTs, ask.EDNS.UDPSize = 1, dnswire.MaxUDPSize
	}
	packed, err := ask.Append(make([]byte, 0, dnswire.MinUDPSize))
	if err != nil {
		return nil, &Error{Kind: NotFound, Err: errBadName}
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m := new(dnswire.Message)
	err = q.exchange(limited, network, server, packed, func(msg []byte) bool {
		return accept(&ask, msg, m, network == "udp")
	})
	if err != nil {
		return nil, exchangeError(ctx, server, timeout, err)
	}
	return m, nil
}

// accept reads msg into m and reports whether it is the response to ask (RFC
// 5452, section 9.1). The source was the socket's care.
//
// Two are accepted without their question: a code that refuses EDNS, from
// servers that copy the header and no more, and a truncated message that ends
// within a record. Neither is used for more than asking again.
func accept(ask *dnswire.Message, msg []byte, m *dnswire.Message, udp bool) bool {
	err := dnswire.Parse(msg, m)
	if len(msg) < dnswire.HeaderLen || m.ID != ask.ID || !m.Response || m.Opcode != ask.Opcode {
		return false
	}
	if err != nil {
		return m.Truncated && udp
	}
	if len(m.Questions) == 0 && ask.OPTs > 0 {
		return refusesEDNS(m.Rcode)
	}
	q := ask.Questions[0]
	return len(m.Questions) == 1 && m.Questions[0].Type == q.Type && m.Questions[0].Class == q.Class &&
		dnswire.Canonical(m.Questions[0].Name) == dnswire.Canonical(q.Name)
}

func refusesEDNS(c dnswire.Rcode) bool {
	return c == dnswire.RcodeFormatError || c == dnswire.RcodeNotImplemented || c == dnswire.RcodeBadVers
}
