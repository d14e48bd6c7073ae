package nameserver

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

var (
	start  = time.Date(2026, 11, 23, 3, 14, 15, 0, time.UTC)
	local  = netip.MustParseAddrPort("127.0.0.1:4711")
	remote = netip.MustParseAddrPort("198.51.100.7:4711") // nobody vouches for it
)

const aWhile = 100 * 365 * 24 * time.Hour // as long as a literal address holds

// world is what the groups of a test's zone are like at the moment.
type world struct {
	mu      sync.Mutex
	pointer Pointer
	addrs   map[string][]netip.Addr
	left    map[string]time.Duration
	unknown map[string]bool
}

func newWorld() *world {
	return &world{
		pointer: Pointer{Target: "eu", Generation: 7, Since: start, Reason: "primary_down"},
		addrs: map[string][]netip.Addr{
			"eu": addrsOf("192.0.2.1", "192.0.2.2", "2001:db8::1"),
			"us": addrsOf("192.0.2.9"),
		},
		left:    map[string]time.Duration{},
		unknown: map[string]bool{},
	}
}

func addrsOf(texts ...string) (addrs []netip.Addr) {
	for _, s := range texts {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) at() Pointer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pointer
}

func (w *world) origin(name, host string) Origin {
	return Origin{Name: name, Host: host, Addresses: func() ([]netip.Addr, time.Duration, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		left, ok := w.left[name]
		if !ok {
			left = aWhile
		}
		return w.addrs[name], left, !w.unknown[name]
	}}
}

// config has a group with two origins, one whose pointer answers with a CNAME
// where it can, below a name that has nothing itself, and one whose only origin
// is a unix socket.
func (w *world) config() Config {
	return Config{
		Listen: "127.0.0.1:0",
		Zone:   "failover.example",
		NS:     []string{"ns1.failover.example.", "ns.elsewhere.example."},
		Admin:  "dns.admin@failover.example",
		Groups: []Group{
			{Name: "shop", TTL: 5 * time.Second, Pointer: w.at, Origins: []Origin{w.origin("eu", "eu.origins.example"), w.origin("us", "")}},
			{Name: "web.cdn", TTL: 20 * time.Second, CNAME: true, Pointer: w.at, Origins: []Origin{w.origin("eu", "eu.origins.example"), w.origin("us", "")}},
			{Name: "sock", TTL: 5 * time.Second, Pointer: func() Pointer { return Pointer{Target: "unix", Since: start} }, Origins: []Origin{{Name: "unix"}}},
		},
	}
}

func (w *world) server(t testing.TB, edit ...func(*Config)) *Server {
	t.Helper()
	cfg := w.config()
	for _, e := range edit {
		e(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// question makes a query's Message. The class is IN.
func question(name string, qtype dnswire.Type) dnswire.Message {
	return dnswire.Message{
		ID: 0x1234, RecursionDesired: true,
		Questions: []dnswire.Question{{Name: name, Type: qtype, Class: dnswire.ClassIN}},
	}
}

func packed(t testing.TB, m dnswire.Message) []byte {
	t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parsed(t testing.TB, b []byte) dnswire.Message {
	t.Helper()
	var m dnswire.Message
	if err := dnswire.Parse(b, &m); err != nil {
		t.Fatalf("the answer %x: %v", b, err)
	}
	return m
}

// ask has s answer as if over UDP from its own machine.
func ask(t testing.TB, s *Server, m dnswire.Message, now time.Time) dnswire.Message {
	t.Helper()
	w := worker{s: s}
	b := w.handle(nil, packed(t, m), local, false, now)
	if len(b) == 0 {
		t.Fatalf("no answer to %+v", m)
	}
	return parsed(t, b)
}

// brief writes an answer on one line: code, flags, and each section's records.
func brief(m *dnswire.Message) string {
	var b strings.Builder
	b.WriteString(m.Rcode.String())
	for _, f := range []struct {
		set  bool
		name string
	}{{m.Authoritative, " aa"}, {m.Truncated, " tc"}, {m.RecursionAvailable, " ra"}} {
		if f.set {
			b.WriteString(f.name)
		}
	}
	for _, section := range []struct {
		name    string
		records []dnswire.Record
	}{{"", m.Answer}, {"auth", m.Authority}, {"add", m.Additional}} {
		for i, r := range section.records {
			b.WriteString("; ")
			if i == 0 && section.name != "" {
				b.WriteString(section.name + ": ")
			}
			b.WriteString(record(r))
		}
	}
	return b.String()
}

func record(r dnswire.Record) string {
	data := r.Target
	switch r.Type {
	case dnswire.TypeA, dnswire.TypeAAAA:
		data = r.Addr.String()
	case dnswire.TypeTXT, dnswire.TypeHINFO:
		data = fmt.Sprintf("%q", r.Text)
	case dnswire.TypeSOA:
		data = fmt.Sprintf("%s %s %d %d", r.SOA.NS, r.SOA.Mailbox, r.SOA.Serial, r.SOA.Minimum)
	}
	return fmt.Sprintf("%s %d %s %s", r.Name, r.TTL, r.Type, data)
}
