package nameserver

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// seeds are queries of every kind, whole and damaged.
func seeds(t testing.TB) (all [][]byte) {
	t.Helper()
	for _, name := range []string{".", "failover.example.", "ShOp.failover.example.", "web.cdn.failover.example.", "nothere.failover.example.", "elsewhere."} {
		for _, qtype := range []dnswire.Type{dnswire.TypeA, dnswire.TypeTXT, dnswire.TypeANY, dnswire.TypeAXFR, dnswire.TypeNS} {
			m := question(name, qtype)
			all = append(all, packed(t, m))
			m.OPTs, m.EDNS = 1, dnswire.EDNS{UDPSize: 4096, DO: true, Cookie: []byte("12345678abcdefghijklmnop")}
			b := packed(t, m)
			all = append(all, b, b[:len(b)-3], append(bytes.Clone(b), 0))
		}
	}
	m := question("shop.failover.example.", dnswire.TypeIXFR)
	m.Authority = []dnswire.Record{{Name: "failover.example.", Type: dnswire.TypeSOA, SOA: dnswire.SOA{NS: ".", Mailbox: "."}}}
	return append(all, packed(t, m))
}

// crowded is a zone with answers of every size.
func crowded(t testing.TB) *Server {
	world := newWorld()
	for i := range 100 {
		world.addrs["us"] = append(world.addrs["us"], netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	world.pointer.Via = []string{strings.Repeat("x", 700)}
	s := world.server(t)
	s.current(start)
	return s
}

// checkAnswer says what holds for the answer to any bytes: there is at most one,
// it is a message, it repeats the id and the question, it fits, and over UDP it
// is at most so many times larger than what it answers, plus the OPT record.
func checkAnswer(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Server, msg []byte, from netip.AddrPort, tcp bool) {
	t.Helper()
	w := worker{s: s}
	out := w.handle([]byte("prefix"), msg, from, tcp, start)
	if string(out[:6]) != "prefix" {
		t.Fatalf("what was there before is %q", out[:6])
	}
	if out = out[6:]; len(out) == 0 {
		return
	}
	var m dnswire.Message
	if err := dnswire.Parse(out, &m); err != nil {
		t.Fatalf("%x is answered with %x: %v", msg, out, err)
	}
	limit := dnswire.MaxSize
	if !tcp {
		limit = min(max(maxAmplification*len(msg), 60), dnswire.MaxUDPSize)
	}
	switch {
	case len(msg) < dnswire.HeaderLen, msg[2]&0x80 != 0:
		t.Fatalf("%x was answered", msg)
	case !m.Response || m.RecursionAvailable || !bytes.Equal(out[:2], msg[:2]) || byte(m.Opcode) != msg[2]>>3&0xf:
		t.Fatalf("%x is answered with the head %x", msg, out[:12])
	case len(m.Questions) > 1 || m.OPTs > 1:
		t.Fatalf("%d questions, %d OPTs", len(m.Questions), m.OPTs)
	case len(m.Questions) == 1 && !bytes.HasPrefix(msg[12:], out[12:16]):
		t.Fatalf("%x is answered with another question: %x", msg, out)
	case len(out) > limit:
		t.Fatalf("%d bytes are answered with %d, limit %d", len(msg), len(out), limit)
	}
}

func FuzzHandle(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b, false)
	}
	s := crowded(f)
	f.Fuzz(func(t *testing.T, msg []byte, tcp bool) { checkAnswer(t, s, msg, remote, tcp) })
}

// FuzzRead compares our reading with the library's: what we take for a query,
// the library must read the same way. It refuses more: options whose content it
// knows. We refuse nothing that it reads but what is said below.
func FuzzRead(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var q query
		var m dnswire.Message
		got, err := q.read(msg), dnswire.Parse(msg, &m)
		if err != nil || m.Response {
			if got == isQuery && len(q.question) == 0 {
				t.Fatalf("%x is a query without a question", msg)
			}
			return
		}
		if got != isQuery {
			counted := msg[6]|msg[8]|msg[10] == 0 && int(msg[7])+int(msg[9])+int(msg[11]) == len(m.Answer)+len(m.Authority)+len(m.Additional)+m.OPTs
			// The library doesn't mind what follows the last record.
			more := [6]byte(msg[6:12]) == [6]byte{} && len(msg) > dnswire.HeaderLen+len(q.question)
			if len(m.Questions) == 1 && m.OPTs <= 1 && counted && !more && q.question != nil {
				t.Fatalf("%x is refused, the library has %+v", msg, m)
			}
			return // a compressed question, several, a count that is a lie, two OPTs
		}
		key := make([]byte, 0, maxName)
		if n, err := newName(m.Questions[0].Name); err == nil {
			key = append(key, n.key...)
		}
		if len(m.Questions) != 1 || string(q.key) != string(key) || q.qtype != m.Questions[0].Type || q.class != m.Questions[0].Class {
			t.Fatalf("%x: %q %v %v, the library has %+v", msg, q.key, q.qtype, q.class, m.Questions)
		}
		if q.opt != (m.OPTs == 1) || q.opt && (q.size != m.EDNS.UDPSize || q.version != m.EDNS.Version || q.do != m.EDNS.DO) {
			t.Fatalf("%x: OPT %v of size %d, version %d, DO %v, the library has %+v", msg, q.opt, q.size, q.version, q.do, m.EDNS)
		}
		if len(q.cookie) != len(m.EDNS.Cookie) && bytes.Count(msg, []byte{0, optionCookie}) < 2 {
			t.Fatalf("%x: cookie %x, the library has %x", msg, q.cookie, m.EDNS.Cookie)
		}
	})
}

// Queries that are right but for a few bytes reach deeper than any bytes do.
func TestDamagedQueriesAreAnsweredSafely(t *testing.T) {
	s := crowded(t)
	all := seeds(t)
	rapid.Check(t, func(t *rapid.T) {
		msg := bytes.Clone(all[rapid.IntRange(0, len(all)-1).Draw(t, "seed")])
		for range rapid.IntRange(0, 4).Draw(t, "damages") {
			msg[rapid.IntRange(0, len(msg)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		msg = msg[:len(msg)-rapid.IntRange(0, 5).Draw(t, "cut")]
		checkAnswer(t, s, msg, remote, rapid.Bool().Draw(t, "tcp"))
	})
}

// Whatever the names asked for, nobody without a cookie gets more than ten
// times what they sent. The test tells the most there is, in this zone.
func TestTheServerIsNoAmplifier(t *testing.T) {
	zones := map[string]*Server{"plain": newWorld().server(t), "100 addresses and a long text": crowded(t)}
	for zone, s := range zones {
		worst, most := "", 0.0
		for _, name := range []string{"failover.example.", "shop.failover.example.", "us.shop.failover.example.", "us.web.cdn.failover.example.", "x.failover.example."} {
			for _, qtype := range []dnswire.Type{dnswire.TypeA, dnswire.TypeTXT, dnswire.TypeNS, dnswire.TypeSOA, dnswire.TypeANY, 46} {
				for _, opts := range []int{0, 1} {
					m := question(name, qtype)
					m.OPTs, m.EDNS.UDPSize = opts, 4096
					w, b := worker{s: s}, packed(t, m)
					factor := float64(len(w.handle(nil, b, remote, false, start))) / float64(len(b))
					if factor > most {
						most, worst = factor, name+" "+qtype.String()
					}
				}
			}
		}
		t.Logf("%s: %.1f times, for %s", zone, most, worst)
		if most > maxAmplification {
			t.Errorf("%s: %.1f times, for %s", zone, most, worst)
		}
	}
}

// What a name costs isn't up to how many labels it has or where the zone's bytes
// stand in it.
func TestLongestNames(t *testing.T) {
	s := newWorld().server(t)
	deep := strings.Repeat("a.", (maxName-1-len("failover.example."))/2) + "failover.example."
	m := ask(t, s, question(deep, dnswire.TypeA), start)
	if got := brief(&m); !strings.HasPrefix(got, "NXDOMAIN aa; auth: failover.example. 5 SOA ns1.failover.example. ") {
		t.Errorf("got %s", got)
	}
	long := rawQuery(t, func(b []byte) []byte {
		name := append(bytes.Repeat([]byte{1, 'a'}, 128), 0) // 257 bytes
		return append(append(b[:12:12], name...), 0, 1, 0, 1)
	})
	w := worker{s: s}
	if m := parsed(t, w.handle(nil, long, remote, false, time.Now())); m.Rcode != dnswire.RcodeFormatError {
		t.Errorf("a name of 257 bytes: %s", brief(&m))
	}
}
