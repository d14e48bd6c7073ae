package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

const (
	ns1 = "192.0.2.53:53"
	ns2 = "192.0.2.54:53"
)

var errPortClosed = errors.New("connection refused")

// A query is what a scripted server was asked.
type query struct {
	network, server string
	dnswire.Question
	dnswire.Message
}

// A reply is what it does. The zero value is silence until the time-out.
type reply struct {
	after time.Duration
	err   error
	msgs  []dnswire.Message // sent one after the other
}

// A script is a network of nameservers in a bubble's time.
type script struct {
	t *testing.T

	mu     sync.Mutex
	answer func(query) reply
	asked  []query
}

func newScript(t *testing.T, answer func(query) reply) *script {
	return &script{t: t, answer: answer}
}

// set changes what the servers do from now on.
func (s *script) set(answer func(query) reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// count is the number of queries for which match holds.
func (s *script) count(match func(query) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, q := range s.asked {
		if match(q) {
			n++
		}
	}
	return n
}

func (s *script) total() int { return s.count(func(query) bool { return true }) }

// forget empties the log.
func (s *script) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

func (s *script) exchange(ctx context.Context, network, server string, packed []byte, accept func([]byte) bool) error {
	q := query{network: network, server: server}
	if err := dnswire.Parse(packed, &q.Message); err != nil {
		s.t.Errorf("a query that can't be parsed: %v", err)
		return err
	}
	q.Question = q.Questions[0]
	if q.Response || !q.RecursionDesired || len(q.Questions) != 1 || q.Class != dnswire.ClassIN {
		s.t.Errorf("an odd query: %+v", q.Message)
	}
	s.mu.Lock()
	s.asked = append(s.asked, q)
	r := s.answer(q)
	s.mu.Unlock()
	if r.after > 0 {
		select {
		case <-time.After(r.after):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.err != nil {
		return r.err
	}
	for _, m := range r.msgs {
		b, err := m.Append(nil)
		if err != nil {
			s.t.Errorf("the script's message: %v", err)
			return err
		}
		if accept(b) {
			return nil
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// respond begins a response to q as a recursive server sends it.
func (q query) respond() dnswire.Message {
	m := dnswire.Message{ID: q.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, Questions: q.Questions, OPTs: q.OPTs}
	m.EDNS.UDPSize = dnswire.MaxUDPSize
	return m
}

func sends(m dnswire.Message) reply { return reply{msgs: []dnswire.Message{m}} }

func (q query) code(c dnswire.Rcode) reply {
	m := q.respond()
	m.Rcode = c
	return sends(m)
}

// records answers with those of the records that are of the question's type or
// aliases, and as having none if there are none.
func (q query) records(records ...dnswire.Record) reply {
	m := q.respond()
	for _, rec := range records {
		if rec.Type == q.Type || rec.Type == dnswire.TypeCNAME {
			m.Answer = append(m.Answer, rec)
		}
	}
	if len(m.Answer) == 0 {
		m.Authority = []dnswire.Record{soa(".")}
	}
	return sends(m)
}

func soa(zone string) dnswire.Record {
	return dnswire.Record{Name: zone, Type: dnswire.TypeSOA, TTL: 60, SOA: dnswire.SOA{NS: "ns.invalid.", Mailbox: "h.invalid.", Minimum: 60}}
}

func addr(name string, ttl uint32, ip string) dnswire.Record {
	a := netip.MustParseAddr(ip)
	t := dnswire.TypeA
	if a.Is6() {
		t = dnswire.TypeAAAA
	}
	return dnswire.Record{Name: name, Type: t, TTL: ttl, Addr: a}
}

func alias(name string, ttl uint32, target string) dnswire.Record {
	return dnswire.Record{Name: name, Type: dnswire.TypeCNAME, TTL: ttl, Target: target}
}

// has answers every question with addresses of that name.
func has(ttl uint32, ips ...string) func(query) reply {
	return func(q query) reply {
		var records []dnswire.Record
		for _, ip := range ips {
			records = append(records, addr(q.Name, ttl, ip))
		}
		return q.records(records...)
	}
}

func coded(c dnswire.Rcode) func(query) reply {
	return func(q query) reply { return q.code(c) }
}

func silent(query) reply { return reply{} }

// A log collects events as lines of text.
type eventLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := e.Kind.String()
	switch e.Kind {
	case Changed:
		line += fmt.Sprintf(" %s -> %s", ips(e.Old), ips(e.New))
	case Failing:
		line += fmt.Sprintf(" stale=%t: %v", e.Stale, e.Err)
	case Recovered:
		line += fmt.Sprintf(" failed=%d", e.Failed)
	case Expired:
		line += " " + ips(e.Old)
	}
	l.lines = append(l.lines, line)
}

// take gives the lines since the last take.
func (l *eventLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func ips(addrs []netip.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return "[" + strings.Join(s, " ") + "]"
}

// start makes a Resolver that the script answers, and closes it when the
// bubble's function ends.
func start(t *testing.T, s *script, cfg Config) *Resolver {
	t.Helper()
	if cfg.Servers == nil {
		cfg.Servers = []string{ns1}
	}
	r, err := newResolver(cfg, s.exchange)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// wantAddrs looks host up and compares.
func wantAddrs(t *testing.T, r *Resolver, host string, want ...string) {
	t.Helper()
	got, err := r.Lookup(t.Context(), host)
	if err != nil {
		t.Errorf("%s: %v, want %v", host, err, want)
		return
	}
	if ips(got) != "["+strings.Join(want, " ")+"]" {
		t.Errorf("%s: %s, want %v", host, ips(got), want)
	}
}

// wantKind looks host up and expects an error.
func wantKind(t *testing.T, r *Resolver, host string, want Kind) *Error {
	t.Helper()
	got, err := r.Lookup(t.Context(), host)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Errorf("%s: %s and error %v, want a *Error", host, ips(got), err)
		return &Error{Err: err}
	}
	if e.Kind != want || e.Host != host {
		t.Errorf("%s: %v of kind %s and host %q, want %s", host, err, e.Kind, e.Host, want)
	}
	return e
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got events\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
