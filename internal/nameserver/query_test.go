package nameserver

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/fairlead/fairlead/internal/dnswire"
)

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
