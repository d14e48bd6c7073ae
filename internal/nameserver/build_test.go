package nameserver

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// Whatever changes in whatever order, a zone that was made out of the last one
// answers like one that was made from nothing, but for its serial, which moves
// exactly when a pointer or an address did.
func TestAZoneMadeOfTheLastOneIsAsGoodAsNew(t *testing.T) {
	names := []string{
		"failover.example.", "shop.failover.example.", "eu.shop.failover.example.", "us.shop.failover.example.",
		"web.cdn.failover.example.", "eu.web.cdn.failover.example.", "us.web.cdn.failover.example.", "cdn.failover.example.",
	}
	types := []dnswire.Type{dnswire.TypeA, dnswire.TypeAAAA, dnswire.TypeTXT, dnswire.TypeCNAME, dnswire.TypeANY}
	rapid.Check(t, func(rt *rapid.T) {
		world := newWorld()
		s, now := world.server(t), start
		serial := s.current(now).serial
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "tenths")) * 100 * time.Millisecond)
			moved := world.change(rt)
			s.Update()
			if got := s.current(now).serial; (got != serial) != moved || int32(got-serial) < 0 {
				rt.Fatalf("the serial went from %d to %d, moved %v", serial, got, moved)
			}
			serial = s.current(now).serial
			fresh := world.server(t)
			for _, name := range names {
				for _, qtype := range types {
					got, want := answerWithoutSerial(t, s, name, qtype, now), answerWithoutSerial(t, fresh, name, qtype, now)
					if got != want {
						rt.Fatalf("%s %s:\ngot  %s\nwant %s", name, qtype, got, want)
					}
				}
			}
		}
	})
}

// change does one thing, and reports whether the serial has to move.
func (w *world) change(t *rapid.T) (moved bool) {
	origin := rapid.SampledFrom([]string{"eu", "us"}).Draw(t, "origin")
	switch rapid.IntRange(0, 5).Draw(t, "change") {
	case 0:
		w.pointer.Target = rapid.SampledFrom([]string{"eu", "us", "", "ap"}).Draw(t, "target")
		w.pointer.Generation++
		return true
	case 1:
		w.addrs[origin] = append(w.addrs[origin], netip.AddrFrom4([4]byte{10, byte(len(w.addrs[origin])), 1, 1}))
		return true
	case 2: // another order
		if a := w.addrs[origin]; len(a) > 1 {
			w.addrs[origin] = append(a[1:len(a):len(a)], a[0])
		}
	case 3:
		w.left[origin] = time.Duration(rapid.IntRange(0, 30).Draw(t, "left")) * 500 * time.Millisecond
	case 4:
		w.unknown[origin] = !w.unknown[origin]
		return true
	}
	return false
}

func answerWithoutSerial(t *testing.T, s *Server, name string, qtype dnswire.Type, now time.Time) string {
	m := ask(t, s, question(name, qtype), now)
	for i := range m.Authority {
		m.Authority[i].SOA.Serial = 0
	}
	return brief(&m)
}

// An update is little work: what didn't change isn't made again, packed answers
// included.
func TestAnUpdateKeepsWhatDidNotChange(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	ask(t, s, question("us.shop.failover.example.", dnswire.TypeA), start)
	before := s.current(start)
	world.set(func() { world.pointer.Generation++; world.addrs["eu"] = addrsOf("192.0.2.77") })
	s.Update()
	after := s.current(start)
	for name, wantSame := range map[string]bool{"shop": false, "eu.shop": false, "us.shop": true, "unix.sock": true, "sock": true} {
		n, err := newName(name + ".failover.example.")
		if err != nil {
			t.Fatal(err)
		}
		slot := after.slots[n.key]
		if same := before.nodes[slot] == after.nodes[slot]; same != wantSame {
			t.Errorf("%s: the same %v, want %v", name, same, wantSame)
		}
	}
}
