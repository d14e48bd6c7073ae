package nameserver

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// What a query costs without its socket.
func BenchmarkHandle(b *testing.B) {
	s := newWorld().server(b)
	s.limiter.Store(newLimiter(1<<30, start))
	for _, bench := range []struct {
		name   string
		qtype  dnswire.Type
		cookie []byte
	}{
		{"shop.failover.example.", dnswire.TypeA, nil},
		{"shop.failover.example.", dnswire.TypeA, []byte("8 bytes.")},
		{"shop.failover.example.", dnswire.TypeTXT, nil},
		{"nothere.failover.example.", dnswire.TypeA, nil},
	} {
		m := question(bench.name, bench.qtype)
		if bench.cookie != nil {
			m.OPTs, m.EDNS = 1, dnswire.EDNS{UDPSize: 1232, Cookie: bench.cookie}
		}
		b.Run(fmt.Sprintf("%s/%s/cookie=%v", bench.name, bench.qtype, bench.cookie != nil), func(b *testing.B) {
			q, w, out := packed(b, m), worker{s: s}, make([]byte, 0, dnswire.MaxUDPSize)
			b.ReportAllocs()
			for b.Loop() {
				if out = w.handle(out[:0], q, remote, false, start); len(out) == 0 {
					b.Fatal("no answer")
				}
			}
		})
	}
}

// The alternative to packed answers: the library reads each query and packs
// each answer.
func BenchmarkHandleByTheLibrary(b *testing.B) {
	q, out := packed(b, question("shop.failover.example.", dnswire.TypeA)), make([]byte, 0, dnswire.MaxUDPSize)
	addrs := addrsOf("192.0.2.1", "192.0.2.2")
	var m dnswire.Message
	b.ReportAllocs()
	for b.Loop() {
		if err := dnswire.Parse(q, &m); err != nil {
			b.Fatal(err)
		}
		m.Response, m.Authoritative = true, true
		for _, a := range addrs {
			m.Answer = append(m.Answer, dnswire.Record{Name: m.Questions[0].Name, Type: dnswire.TypeA, TTL: 5, Addr: a})
		}
		var err error
		if out, err = m.Append(out[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// What an update costs the query that comes after it.
func BenchmarkUpdateOf1000Groups(b *testing.B) {
	world := newWorld()
	s := world.server(b, func(c *Config) {
		c.Groups = nil
		for i := range 1000 {
			c.Groups = append(c.Groups, Group{
				Name: fmt.Sprintf("shop%d", i), TTL: 5 * time.Second, Pointer: world.at,
				Origins: []Origin{world.origin("eu", ""), world.origin("us", "")},
			})
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		s.Update()
		s.current(start)
	}
}

// One client that waits for each answer: what the system calls cost. How many
// queries a core answers is for dnsperf to say.
func BenchmarkOverUDP(b *testing.B) {
	for _, network := range []string{"udp", "tcp"} {
		b.Run(network, func(b *testing.B) {
			s := newWorld().server(b)
			c := dial(b, network, serve(b, s))
			q, answer := packed(b, question("shop.failover.example.", dnswire.TypeA)), make([]byte, dnswire.MaxUDPSize)
			if network == "tcp" {
				q = framed(b, question("shop.failover.example.", dnswire.TypeA))
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(q); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Clients of many prefixes take from the limiter at once.
func BenchmarkLimiter(b *testing.B) {
	l := newLimiter(1000, start)
	b.RunParallel(func(pb *testing.PB) {
		for i := uint32(0); pb.Next(); i++ {
			l.take(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), start)
		}
	})
}
