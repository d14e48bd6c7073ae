package dnsfault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/resolver"
)

const host = "eu.test"

// newServer opens a server with one name.
func newServer(t *testing.T) *Server {
	t.Helper()
	chaos.CheckLeaks(t)
	s := New(t)
	s.Put(host, time.Minute, "192.0.2.1", "2001:db8::1")
	return s
}

// ask looks the name up with a resolver that remembers nothing.
func ask(t *testing.T, s *Server, name string) ([]string, error) {
	t.Helper()
	r, err := resolver.New(resolver.Config{Servers: []string{s.Address()}, Timeout: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := r.Lookup(t.Context(), name)
	var addrs []string
	for _, addr := range found {
		addrs = append(addrs, addr.String())
	}
	slices.Sort(addrs)
	return addrs, err
}

// answers reports whether the zone's addresses come.
func answers(t *testing.T, s *Server) bool {
	t.Helper()
	got, err := ask(t, s, host)
	return err == nil && fmt.Sprint(got) == "[192.0.2.1 2001:db8::1]"
}

func TestEachModeDoesWhatItSays(t *testing.T) {
	kinds := map[string]resolver.Kind{
		"servfail":         resolver.ServerFailure,
		"nxdomain":         resolver.NotFound,
		"refused":          resolver.ServerFailure,
		"timeout":          resolver.Timeout,
		"truncated_no_tcp": resolver.Unreachable,
		"wrong_id":         resolver.Timeout,
		"wrong_question":   resolver.Timeout,
		"garbage":          resolver.Timeout,
		"empty":            resolver.NoAddress,
		"lame":             resolver.Lame,
		"cname_loop":       resolver.Malformed,
		"cname_endless":    resolver.Malformed,
	}
	s := newServer(t)
	for _, m := range Modes() {
		t.Run(m.Name, func(t *testing.T) {
			s.Set(m)
			before, start := s.OverTCP(), time.Now()
			got, err := ask(t, s, host)
			e, failed := errors.AsType[*resolver.Error](err)
			if failed != m.Fails || failed && e.Kind != kinds[m.Name] {
				t.Errorf("got %v, %v, want %v", got, err, kinds[m.Name])
			}
			if !failed && fmt.Sprint(got) != "[192.0.2.1 2001:db8::1]" {
				t.Errorf("got %v", got)
			}
			if m.delay > time.Since(start) {
				t.Errorf("answered after %v", time.Since(start))
			}
			if tcp := s.OverTCP() > before; tcp != strings.HasPrefix(m.Name, "truncated") {
				t.Errorf("asked over TCP: %v", tcp)
			}
			if found, ok := ModeByName(m.Name); !ok || found.Text != m.Text || m.Text == "" {
				t.Errorf("not found by its name, or without a text: %q", m.Text)
			}
			s.Set(OK())
			if !answers(t, s) {
				t.Error("not well afterwards")
			}
		})
	}
	if _, ok := ModeByName("none"); ok {
		t.Error("a mode that is none is found")
	}
}

// The client of the standard library is another judge.
func TestTheStandardLibraryUnderstandsTheAnswers(t *testing.T) {
	s := newServer(t)
	standard := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Address())
	}}
	for _, m := range Modes() {
		if m.Fails && m.Name != "nxdomain" { // what it does about the others takes it 20 s
			continue
		}
		s.Set(m)
		got, err := standard.LookupHost(t.Context(), host+".")
		slices.Sort(got)
		if m.Fails {
			if e, ok := errors.AsType[*net.DNSError](err); !ok || !e.IsNotFound {
				t.Errorf("%s: got %v, %v", m.Name, got, err)
			}
		} else if err != nil || fmt.Sprint(got) != "[192.0.2.1 2001:db8::1]" {
			t.Errorf("%s: got %v, %v", m.Name, got, err)
		}
	}
}

func TestTheZoneChangesAndNamesFailAlone(t *testing.T) {
	s := newServer(t)
	s.Put("US.test.", time.Second, "192.0.2.2")
	s.SetName(host, ServFail())
	if answers(t, s) {
		t.Error("a name answers in spite of its own mode")
	}
	if got, err := ask(t, s, "us.test"); err != nil || fmt.Sprint(got) != "[192.0.2.2]" {
		t.Errorf("the other name: %v, %v", got, err)
	}
	s.Put("us.test", time.Second, "192.0.2.3")
	if got, err := ask(t, s, "us.test"); err != nil || fmt.Sprint(got) != "[192.0.2.3]" {
		t.Errorf("changed: %v, %v", got, err)
	}
	before := s.Asked("us.test")
	s.Remove("us.test")
	if got, err := ask(t, s, "us.test"); err == nil {
		t.Errorf("removed: %v", got)
	}
	if s.Asked("us.test") == before || s.Queries() < s.Asked("us.test")+s.Asked(host) {
		t.Errorf("%d queries, %d of them for us.test", s.Queries(), s.Asked("us.test"))
	}
	s.Put("bare.test", time.Second)
	_, err := ask(t, s, "bare.test")
	if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.NoAddress {
		t.Errorf("without an address: %v", err)
	}
}

func TestATTLIsThatOfTheZoneOrNone(t *testing.T) {
	q, ok := parse([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02eu\x04test\x00\x00\x01\x00\x01"))
	if !ok || q.name != host || q.typ != typeA || q.edns {
		t.Fatalf("parsed %+v, %v", q, ok)
	}
	s := New(t)
	s.Put(host, 90*time.Second, "192.0.2.1")
	q.entry, q.known = s.zone[host], true
	const until = "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x02eu\x04test\x00\x00\x01\x00\x01\x02eu\x04test\x00\x00\x01\x00\x01"
	for _, tt := range []struct {
		mode Mode
		want string
	}{
		{OK(), until + "\x00\x00\x00\x5a\x00\x04\xc0\x00\x02\x01"},
		{TTLZero(), until + "\x00\x00\x00\x00\x00\x04\xc0\x00\x02\x01"},
	} {
		if got := string(tt.mode.answer(q)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.mode.Name, got, tt.want)
		}
	}
}

func TestWhatIsNoQueryGetsNoAnswer(t *testing.T) {
	const head = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	for _, give := range []string{"", "short", head, head + "\x02e", head + "\x00\x00\x01", head + "\xc0\x0c\x00\x01\x00\x01",
		"\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", "\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01"} {
		if q, ok := parse([]byte(give)); ok {
			t.Errorf("%q was parsed as %+v", give, q)
		}
	}
}

func TestCloseFreesWhoeverWaits(t *testing.T) {
	chaos.CheckLeaks(t)
	s := New(t)
	s.Set(Slow(time.Hour))
	r := chaos.Dial(t, "tcp", s.Address())
	_ = r.Send("\x00\x19\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02eu\x04test\x00\x00\x01\x00\x01")
	chaos.Await(t, 5*time.Second, "query", func() bool { return s.Asked(host) == 1 })
	s.Close()
	s.Close()
	if !r.Closed() {
		t.Error("the connection is open")
	}
}
