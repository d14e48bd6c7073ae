package nameserver

import (
	"encoding/binary"
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

// rawQuery is a query for shop's A as bytes, to be damaged.
func rawQuery(t testing.TB, edit func(b []byte) []byte) []byte {
	return edit(packed(t, question("shop.failover.example.", dnswire.TypeA)))
}

// opt is an OPT record with the options given as bytes.
func opt(size uint16, version byte, options ...byte) []byte {
	b := []byte{0, 0, typeOPT, byte(size >> 8), byte(size), 0, version, 0, 0, 0, byte(len(options))}
	return append(b, options...)
}

// withRecords adds raw records to the additional section.
func withRecords(records ...[]byte) func(b []byte) []byte {
	return func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[10:], uint16(len(records)))
		for _, r := range records {
			b = append(b, r...)
		}
		return b
	}
}

func set(at int, v ...byte) func(b []byte) []byte {
	return func(b []byte) []byte {
		copy(b[at:], v)
		return b
	}
}

func cut(n int) func(b []byte) []byte { return func(b []byte) []byte { return b[:n] } }

// What is said about messages that aren't plain queries. "": nothing.
func TestOddMessages(t *testing.T) {
	tsig := append([]byte{1, 'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 17}, append([]byte{1, 'h', 0}, make([]byte, 14)...)...)
	const good = "NOERROR aa; shop.failover.example. 5 A 192.0.2.1; shop.failover.example. 5 A 192.0.2.2"
	tests := []struct {
		name    string
		edit    func(b []byte) []byte
		want    string
		wantQ   int
		wantOPT int
	}{
		{"nothing", cut(0), "", 0, 0},
		{"less than a header", cut(11), "", 0, 0},
		{"a response", set(2, 0x81), "", 0, 0},
		{"a response with an odd opcode", set(2, 0xa9), "", 0, 0},
		{"a header alone that counts a question", cut(12), "FORMERR", 0, 0},
		{"a name that is cut short", cut(20), "FORMERR", 0, 0},
		{"a question without its class", cut(38), "FORMERR", 0, 0},
		{"no question", set(4, 0, 0), "FORMERR", 0, 0},
		{"two questions", set(4, 0, 2), "FORMERR", 0, 0},
		{"65535 questions", set(4, 255, 255), "FORMERR", 0, 0},
		{"a compressed question", set(12, 0xc0, 12), "FORMERR", 0, 0},
		{"a label of an unknown kind", set(12, 0x41), "FORMERR", 0, 0},
		{"a record that is missing", set(11, 1), "FORMERR", 1, 0},
		{"an answer that is missing", set(7, 1), "FORMERR", 1, 0},
		{"class CH", set(38-1, 0, 3), "REFUSED", 1, 0},
		{"class ANY", set(38-1, 0, 255), "REFUSED", 1, 0},
		{"opcode IQUERY", set(2, 1<<3), "NOTIMP", 1, 0},
		{"opcode STATUS", set(2, 2<<3), "NOTIMP", 1, 0},
		{"opcode NOTIFY", set(2, 4<<3), "NOTIMP", 1, 0},
		{"opcode UPDATE", set(2, 5<<3), "NOTIMP", 1, 0},
		{"opcode 15", set(2, 15<<3), "NOTIMP", 1, 0},
		{"another opcode, cut short", func(b []byte) []byte { b[2] = 5 << 3; return b[:20] }, "NOTIMP", 0, 0},
		{"an OPT", withRecords(opt(1232, 0)), good, 1, 1},
		{"an OPT that allows 0 bytes", withRecords(opt(0, 0)), good, 1, 1},
		{"two OPTs", withRecords(opt(1232, 0), opt(1232, 0)), "FORMERR", 1, 0},
		{"EDNS version 1", withRecords(opt(1232, 1)), "BADVERS", 1, 1},
		{"EDNS version 255, for a name elsewhere", func(b []byte) []byte { b[13] = 'x'; return withRecords(opt(1232, 255))(b) }, "BADVERS", 1, 1},
		{"an unknown option", withRecords(opt(1232, 0, 0xff, 0xfe, 0, 2, 1, 2)), good, 1, 1},
		{"an option that is cut short", withRecords(opt(1232, 0, 0, 99, 0, 9, 1)), "FORMERR", 1, 1},
		{"half an option's head", withRecords(opt(1232, 0, 0, 99, 0)), "FORMERR", 1, 1},
		{"an OPT whose length is a lie", withRecords(append(opt(1232, 0)[:10], 200)), "FORMERR", 1, 0},
		{"a record before the OPT", withRecords(tsig, opt(1232, 0)), good, 1, 1},
		{"a signature of unknown key", withRecords(tsig), good, 1, 0},
		{"a cookie of 7 bytes", withRecords(opt(1232, 0, 0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7)), "FORMERR", 1, 1},
		{"an empty cookie", withRecords(opt(1232, 0, 0, 10, 0, 0)), "FORMERR", 1, 1},
		{"a cookie of 15 bytes", withRecords(opt(1232, 0, append([]byte{0, 10, 0, 15}, make([]byte, 15)...)...)), "FORMERR", 1, 1},
		{"a cookie of 41 bytes", withRecords(opt(1232, 0, append([]byte{0, 10, 0, 41}, make([]byte, 41)...)...)), "FORMERR", 1, 1},
	}
	s := newWorld().server(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, tcp := range []bool{false, true} {
				w := worker{s: s}
				b := w.handle(nil, rawQuery(t, tt.edit), local, tcp, start)
				if tt.want == "" {
					if len(b) > 0 {
						t.Errorf("tcp %v: an answer: %x", tcp, b)
					}
					continue
				}
				m := parsed(t, b)
				if got := brief(&m); got != tt.want {
					t.Errorf("tcp %v: got %s, want %s", tcp, got, tt.want)
				}
				if m.ID != 0x1234 || len(m.Questions) != tt.wantQ || m.OPTs != tt.wantOPT || m.EDNS.Version != 0 {
					t.Errorf("tcp %v: id %x, %d questions, %d OPTs of version %d", tcp, m.ID, len(m.Questions), m.OPTs, m.EDNS.Version)
				}
			}
		})
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

// A query that says it comes from an address that can't be answered isn't.
func TestSourcesThatCannotBeAnswered(t *testing.T) {
	s := newWorld().server(t)
	for _, from := range []string{"192.0.2.1:0", "224.0.0.251:5353", "[ff02::fb]:5353", "0.0.0.0:53", "[::]:53"} {
		w := worker{s: s}
		if b := w.handle(nil, rawQuery(t, cut(39)), netip.MustParseAddrPort(from), false, start); len(b) > 0 {
			t.Errorf("%s got an answer", from)
		}
	}
	if got := s.Stats().Ignored; got != 5 {
		t.Errorf("%d counted as ignored, want 5", got)
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

// The answer after Update is the new one; without Update it stays. The serial
// grows with each flip and change of addresses, and with nothing else.
func TestUpdateShowsInTheNextAnswerAndTheSerialGrows(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	serial := func(now time.Time) uint32 {
		m := ask(t, s, question("failover.example.", dnswire.TypeSOA), now)
		return m.Answer[0].SOA.Serial
	}
	first := func() string {
		m := ask(t, s, question("shop.failover.example.", dnswire.TypeA), start)
		return m.Answer[0].Addr.String()
	}
	if got := serial(start); got != uint32(start.Unix()) {
		t.Errorf("the first serial is %d, want the time, %d", got, start.Unix())
	}
	world.set(func() { world.pointer.Target, world.pointer.Generation = "us", 8 })
	if got := first(); got != "192.0.2.1" {
		t.Errorf("without Update the answer became %s", got)
	}
	steps := []struct {
		name   string
		change func()
		now    time.Time
		want   uint32
	}{
		{"a flip in the same second", func() {}, start, uint32(start.Unix()) + 1},
		{"nothing", func() {}, start, uint32(start.Unix()) + 1},
		{"another order of addresses", func() { world.addrs["eu"] = addrsOf("192.0.2.2", "2001:db8::1", "192.0.2.1") }, start, uint32(start.Unix()) + 1},
		{"another address", func() { world.addrs["eu"] = addrsOf("192.0.2.3") }, start, uint32(start.Unix()) + 2},
		{"a flip and back, later", func() { world.pointer.Generation += 2 }, start.Add(time.Hour), uint32(start.Unix()) + 3600},
	}
	for _, step := range steps {
		world.set(step.change)
		s.Update()
		if got := serial(step.now); got != step.want {
			t.Errorf("%s: serial %d, want %d", step.name, got, step.want)
		}
	}
	if got := first(); got != "192.0.2.9" {
		t.Errorf("after the flip the answer is %s", got)
	}
}

func TestSerialsGrowPastTheirEnd(t *testing.T) {
	tests := []struct {
		serial uint32
		now    int64
		want   uint32
	}{
		{1795000000, 1795000009, 1795000009},
		{1795000000, 1795000000, 1795000001},
		{1795000009, 1795000000, 1795000010},
		{1<<32 - 1, 1<<32 - 1, 0},
		{1<<32 - 1, 1<<32 + 5, 5},
	}
	for _, tt := range tests {
		if got := nextSerial(tt.serial, time.Unix(tt.now, 0)); got != tt.want {
			t.Errorf("nextSerial(%d, %d) = %d, want %d", tt.serial, tt.now, got, tt.want)
		}
	}
}

// The first serial is the time also when that has its highest bit set, as from
// 2038 on.
func TestTheFirstSerialIsTheTime(t *testing.T) {
	for _, year := range []int{2026, 2040, 2105} {
		now := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		m := ask(t, newWorld().server(t), question("failover.example.", dnswire.TypeSOA), now)
		if got := m.Answer[0].SOA.Serial; got != uint32(now.Unix()) {
			t.Errorf("in %d it is %d, want %d", year, got, uint32(now.Unix()))
		}
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
