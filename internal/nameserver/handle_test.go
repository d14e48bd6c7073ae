package nameserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// What each name of the zone answers to each type.
func TestAnswers(t *testing.T) {
	const (
		typeMX = dnswire.Type(15)
		typeDS = dnswire.Type(43)
	)
	soa := fmt.Sprintf("failover.example. 5 SOA ns1.failover.example. dns\\.admin.failover.example. %d 5", start.Unix())
	nodata := "NOERROR aa; auth: " + soa
	txt := `["target=eu generation=7 since=2026-11-23T03:14:15Z reason=primary_down"]`
	euA := "eu.shop.failover.example. 5 A 192.0.2.1; eu.shop.failover.example. 5 A 192.0.2.2"

	tests := []struct {
		name  string
		qtype dnswire.Type
		want  string
	}{
		{"failover.example.", dnswire.TypeSOA, "NOERROR aa; " + soa},
		{"failover.example.", dnswire.TypeNS, "NOERROR aa; failover.example. 3600 NS ns1.failover.example.; failover.example. 3600 NS ns.elsewhere.example.; add: ns1.failover.example. 3600 A 127.0.0.1"},
		{"failover.example.", dnswire.TypeA, nodata},
		{"failover.example.", dnswire.TypeTXT, nodata},
		{"failover.example.", dnswire.TypeANY, `NOERROR aa; failover.example. 3600 HINFO ["RFC8482" ""]`},

		{"ns1.failover.example.", dnswire.TypeA, "NOERROR aa; ns1.failover.example. 3600 A 127.0.0.1"},
		{"ns1.failover.example.", dnswire.TypeAAAA, nodata},

		{"shop.failover.example.", dnswire.TypeA, "NOERROR aa; shop.failover.example. 5 A 192.0.2.1; shop.failover.example. 5 A 192.0.2.2"},
		{"shop.failover.example.", dnswire.TypeAAAA, "NOERROR aa; shop.failover.example. 5 AAAA 2001:db8::1"},
		{"shop.failover.example.", dnswire.TypeTXT, "NOERROR aa; shop.failover.example. 5 TXT " + txt},
		{"shop.failover.example.", dnswire.TypeCNAME, nodata},
		{"shop.failover.example.", typeMX, nodata},
		{"shop.failover.example.", typeDS, nodata},
		{"shop.failover.example.", dnswire.TypeSOA, nodata},
		{"shop.failover.example.", dnswire.TypeHINFO, nodata},
		{"shop.failover.example.", dnswire.TypeANY, `NOERROR aa; shop.failover.example. 3600 HINFO ["RFC8482" ""]`},

		{"eu.shop.failover.example.", dnswire.TypeA, "NOERROR aa; " + euA},
		{"us.shop.failover.example.", dnswire.TypeA, "NOERROR aa; us.shop.failover.example. 5 A 192.0.2.9"},
		{"us.shop.failover.example.", dnswire.TypeAAAA, nodata},
		{"eu.shop.failover.example.", dnswire.TypeTXT, nodata},

		{"web.cdn.failover.example.", dnswire.TypeA, "NOERROR aa; web.cdn.failover.example. 20 CNAME eu.origins.example."},
		{"web.cdn.failover.example.", dnswire.TypeCNAME, "NOERROR aa; web.cdn.failover.example. 20 CNAME eu.origins.example."},
		{"web.cdn.failover.example.", typeMX, "NOERROR aa; web.cdn.failover.example. 20 CNAME eu.origins.example."},
		{"web.cdn.failover.example.", dnswire.TypeANY, "NOERROR aa; web.cdn.failover.example. 20 CNAME eu.origins.example."},
		{"web.cdn.failover.example.", dnswire.TypeTXT, "NOERROR aa; web.cdn.failover.example. 20 TXT " + txt},
		{"eu.web.cdn.failover.example.", dnswire.TypeAAAA, "NOERROR aa; eu.web.cdn.failover.example. 20 CNAME eu.origins.example."},
		{"eu.web.cdn.failover.example.", dnswire.TypeTXT, "NOERROR aa; eu.web.cdn.failover.example. 20 CNAME eu.origins.example."},
		{"us.web.cdn.failover.example.", dnswire.TypeA, "NOERROR aa; us.web.cdn.failover.example. 20 A 192.0.2.9"},
		{"us.web.cdn.failover.example.", dnswire.TypeCNAME, nodata},

		{"cdn.failover.example.", dnswire.TypeA, nodata}, // a name between
		{"cdn.failover.example.", dnswire.TypeANY, nodata},
		{"sock.failover.example.", dnswire.TypeA, nodata},
		{"unix.sock.failover.example.", dnswire.TypeAAAA, nodata},

		{"nothere.failover.example.", dnswire.TypeA, "NXDOMAIN aa; auth: " + soa},
		{"nothere.eu.shop.failover.example.", dnswire.TypeTXT, "NXDOMAIN aa; auth: " + soa},
		{"*.failover.example.", dnswire.TypeANY, "NXDOMAIN aa; auth: " + soa},

		{"elsewhere.example.", dnswire.TypeA, "REFUSED"},
		{"example.", dnswire.TypeNS, "REFUSED"},
		{".", dnswire.TypeNS, "REFUSED"},
		{"xfailover.example.", dnswire.TypeA, "REFUSED"},
		{`x\008failover.example.`, dnswire.TypeA, "REFUSED"}, // the zone's bytes, but not its labels
		{"failover.example.", dnswire.TypeAXFR, "REFUSED"},
		{"failover.example.", dnswire.TypeIXFR, "REFUSED"},
		{"shop.failover.example.", dnswire.TypeAXFR, "REFUSED"},
	}
	s := newWorld().server(t)
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.qtype.String(), func(t *testing.T) {
			for _, tcp := range []bool{false, true} {
				w := worker{s: s}
				m := parsed(t, w.handle(nil, packed(t, question(tt.name, tt.qtype)), local, tcp, start))
				if got := brief(&m); got != tt.want {
					t.Errorf("tcp %v:\ngot  %s\nwant %s", tcp, got, tt.want)
				}
				if m.ID != 0x1234 || !m.Response || !m.RecursionDesired || m.OPTs != 0 || len(m.Questions) != 1 {
					t.Errorf("tcp %v: a wrong head or an OPT that nobody asked for: %+v", tcp, m)
				}
			}
		})
	}
}

// The answer's question is the query's byte for byte, and the records go by its
// name, whatever its case (RFC 1035, 2.3.3, and resolvers that check it).
func TestTheCaseOfTheQuestionIsKept(t *testing.T) {
	s := newWorld().server(t)
	for _, name := range []string{"ShOp.FAILOVER.exAMple.", "NOTHERE.failOver.EXAMPLE.", "CDN.Failover.example.", "Else.WHERE."} {
		for range 2 { // packed now, and packed before
			m := ask(t, s, question(name, dnswire.TypeA), start)
			if m.Questions[0].Name != name {
				t.Errorf("asked %s, the answer is about %s", name, m.Questions[0].Name)
			}
			for _, r := range m.Answer {
				if r.Name != name {
					t.Errorf("asked %s, got a record of %s", name, r.Name)
				}
			}
		}
	}
}

// Over UDP an answer is as large as the client can take, never more than
// 1232 bytes, and one that is larger has no records and says so. Over TCP it is
// whole.
func TestTruncation(t *testing.T) {
	tests := []struct {
		name      string
		addresses int
		edns      int // -1: none
		wantTC    bool
	}{
		{"what fits 512 bytes", 29, -1, false},
		{"what doesn't", 30, -1, true},
		{"what fits 512 bytes with an OPT", 28, 100, false},
		{"a size below 512 counts as 512", 29, 100, true},
		{"more room", 60, 1100, false},
		{"1232 bytes", 73, 4096, false},
		{"never more", 74, 65535, true},
		{"500 addresses", 500, 65535, true},
		{"5000 addresses", 5000, 65535, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			world := newWorld()
			world.addrs["eu"] = nil
			for i := range tt.addresses {
				world.addrs["eu"] = append(world.addrs["eu"], netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
			}
			s, w := world.server(t), worker{}
			w.s = s
			q := question("shop.failover.example.", dnswire.TypeA)
			limit := 512
			if tt.edns >= 0 {
				q.OPTs, q.EDNS.UDPSize = 1, uint16(tt.edns)
				limit = min(max(tt.edns, 512), 1232)
			}
			b := w.handle(nil, packed(t, q), local, false, start)
			m := parsed(t, b)
			if len(b) > limit || m.Truncated != tt.wantTC || m.Truncated != (len(m.Answer) == 0) || len(m.Questions) != 1 || m.OPTs != q.OPTs {
				t.Errorf("UDP: %d bytes, limit %d, truncated %v, %d records", len(b), limit, m.Truncated, len(m.Answer))
			}
			m = parsed(t, w.handle(nil, packed(t, q), local, true, start))
			if m.Truncated || len(m.Answer) != min(tt.addresses, maxAddresses) {
				t.Errorf("TCP: truncated %v, %d records", m.Truncated, len(m.Answer))
			}
		})
	}
}

// Pointers at nothing, at somebody unknown, and at an origin that isn't
// resolved: the TXT record says which, and an address that is only unknown
// for the moment is no denial.
func TestPointersWithoutAddresses(t *testing.T) {
	tests := []struct {
		name            string
		change          func(*world)
		wantA, wantText string
	}{
		{"none", func(w *world) { w.pointer.Target = "" }, "NOERROR aa; auth", "target=none "},
		{"not resolved", func(w *world) { w.unknown["eu"] = true }, "SERVFAIL", "target=eu "},
		{"somebody unknown", func(w *world) { w.pointer.Target = "ap" }, "SERVFAIL", "target=ap "},
		{"resolved to nothing", func(w *world) { w.addrs["eu"] = nil }, "NOERROR aa; auth", "target=eu "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.change(w)
			s := w.server(t)
			for _, qtype := range []dnswire.Type{dnswire.TypeA, dnswire.TypeAAAA} {
				m := ask(t, s, question("shop.failover.example.", qtype), start)
				if got := brief(&m); !strings.HasPrefix(got, tt.wantA) {
					t.Errorf("%s: got %s, want %s", qtype, got, tt.wantA)
				}
			}
			m := ask(t, s, question("shop.failover.example.", dnswire.TypeTXT), start)
			if got := brief(&m); !strings.Contains(got, tt.wantText) {
				t.Errorf("TXT: got %s, want %s", got, tt.wantText)
			}
		})
	}
}

// The TXT record is one line of fields, whatever stands in them; via only when
// the pointer follows another; and cut into pieces when it is long.
func TestTextOfThePointer(t *testing.T) {
	since := start.In(time.FixedZone("", 3600)).Add(999 * time.Millisecond)
	long := strings.Repeat("x", 300)
	fixed := len("target=eu generation=0 since=2026-11-23T03:14:15Z reason= via=")
	tests := []struct {
		give Pointer
		want []string
	}{
		{Pointer{Target: "eu", Generation: 1<<64 - 1, Since: since, Reason: "manual"},
			[]string{"target=eu generation=18446744073709551615 since=2026-11-23T03:14:15Z reason=manual"}},
		{Pointer{Target: "", Since: since, Reason: "both_down", Via: []string{"a", "b"}},
			[]string{"target=none generation=0 since=2026-11-23T03:14:15Z reason=both_down via=a,b"}},
		{Pointer{Target: "eu", Since: since, Reason: "a b\n\x7f"},
			[]string{"target=eu generation=0 since=2026-11-23T03:14:15Z reason=a_b__"}},
		{Pointer{Target: "eu", Since: since, Via: []string{long}},
			[]string{"target=eu generation=0 since=2026-11-23T03:14:15Z reason= via=" + long[:255-fixed], long[255-fixed:]}},
	}
	for _, tt := range tests {
		w := newWorld()
		w.pointer = tt.give
		m := ask(t, w.server(t), question("shop.failover.example.", dnswire.TypeTXT), start)
		if got := m.Answer[0].Text; fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
}

// A TTL is never more than the group's, nor than what is left of the origin's
// answer, which runs down while the same packed answer is sent.
func TestTheTTLRunsDownWithTheOriginsAnswer(t *testing.T) {
	world := newWorld()
	world.left["eu"] = 6500 * time.Millisecond
	s := world.server(t)
	ttl := func(after time.Duration) uint32 {
		m := ask(t, s, question("shop.failover.example.", dnswire.TypeA), start.Add(after))
		if m.Answer[0].TTL != m.Answer[1].TTL {
			t.Errorf("after %v: TTLs %d and %d", after, m.Answer[0].TTL, m.Answer[1].TTL)
		}
		return m.Answer[0].TTL
	}
	tests := []struct {
		after time.Duration
		want  uint32
	}{{0, 5}, {1400 * time.Millisecond, 5}, {1501 * time.Millisecond, 4}, {2500 * time.Millisecond, 4}}
	for _, tt := range tests {
		world.set(func() { world.left["eu"] = 6500*time.Millisecond - tt.after })
		if got := ttl(tt.after); got != tt.want {
			t.Errorf("after %v: TTL %d, want %d", tt.after, got, tt.want)
		}
	}
	world.set(func() { world.left["eu"] = -time.Second })
	if got := ttl(time.Minute); got != 0 {
		t.Errorf("stale: TTL %d, want 0", got)
	}
	// Nobody calls Update when the resolver has only got the same answer again.
	world.set(func() { world.left["eu"] = time.Minute })
	if got := ttl(time.Minute + 1100*time.Millisecond); got != 5 {
		t.Errorf("resolved again: TTL %d, want 5", got)
	}
	m := ask(t, s, question("shop.failover.example.", dnswire.TypeTXT), start)
	if m.Answer[0].TTL != 5 {
		t.Errorf("TXT: TTL %d, want the group's", m.Answer[0].TTL)
	}
}

// The SOA's minimum, and with it the TTL of denials, follows the shortest TTL
// of a group, between 1 s and 30 s.
func TestNegativeTTL(t *testing.T) {
	tests := []struct {
		give time.Duration
		want uint32
	}{{0, 1}, {999 * time.Millisecond, 1}, {7 * time.Second, 7}, {time.Hour, 20}}
	for _, tt := range tests {
		s := newWorld().server(t, func(c *Config) { c.Groups[0].TTL = tt.give; c.Groups[2].TTL = time.Hour })
		m := ask(t, s, question("x.failover.example.", dnswire.TypeA), start)
		if r := m.Authority[0]; r.TTL != tt.want || r.SOA.Minimum != tt.want {
			t.Errorf("%v: TTL %d, minimum %d, want %d", tt.give, r.TTL, r.SOA.Minimum, tt.want)
		}
	}
}

// What happens on every query costs no allocation.
func TestAnswersAreMadeWithoutAllocation(t *testing.T) {
	world := newWorld()
	world.left["eu"] = time.Hour
	s := world.server(t)
	s.limiter.Store(newLimiter(1<<30, start))
	w := worker{s: s}
	out := make([]byte, 0, dnswire.MaxUDPSize)
	cookie := question("shop.failover.example.", dnswire.TypeA)
	cookie.OPTs, cookie.EDNS = 1, dnswire.EDNS{UDPSize: 1232, Cookie: []byte("12345678")}
	for _, m := range []dnswire.Message{
		question("shop.failover.example.", dnswire.TypeA), question("shop.failover.example.", dnswire.TypeTXT),
		question("nothere.failover.example.", dnswire.TypeA), question("failover.example.", dnswire.TypeNS),
		question("elsewhere.example.", dnswire.TypeA), cookie,
	} {
		q := packed(t, m)
		got := testing.AllocsPerRun(100, func() { out = w.handle(out[:0], q, remote, false, start) })
		if got != 0 || len(out) == 0 {
			t.Errorf("%v: %v allocations, %d bytes", m.Questions, got, len(out))
		}
	}
}

// The flags of the query that an answer repeats are RD and nothing else.
func TestFlagsOfTheAnswer(t *testing.T) {
	s := newWorld().server(t)
	w := worker{s: s}
	for _, rd := range []byte{0, 1} {
		q := rawQuery(t, set(2, 0x06|rd, 0xf0)) // AA, TC; RA, Z, AD, CD
		b := w.handle(nil, q, local, false, start)
		if b[2] != 0x84|rd || b[3] != 0 {
			t.Errorf("RD %d: flags %02x %02x, want QR, AA and RD alone", rd, b[2], b[3])
		}
	}
}
