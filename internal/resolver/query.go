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

	// lead is the server that answered last. It is asked first, so that only
	// one lookup pays for a dead server at the head of the list.
	lead atomic.Pointer[string]
}

// query asks the servers in turn until one answers, be it that there is no such
// name, attempts times round at most. Errors have no Host yet.
func (q *querier) query(ctx context.Context, s *setup, question dnswire.Question) (*dnswire.Message, string, *Error) {
	servers := s.servers
	if lead := q.lead.Load(); lead != nil {
		if i := slices.Index(servers, *lead); i > 0 {
			servers = slices.Concat(servers[i:i+1], servers[:i], servers[i+1:])
		}
	}
	var last *Error
	for range s.attempts {
		for _, server := range servers {
			m, err := q.ask(ctx, server, s.timeout, question)
			if err == nil {
				q.lead.Store(&server)
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
