package proxy

import (
	"net"
	"strconv"
	"testing"

	"github.com/fairlead/fairlead/failover"
)

// BenchmarkSweep is one visit to all of so many idle connections, which takes
// place twenty times a second.
func BenchmarkSweep(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s, err := New(Config{Groups: []Group{{Pointer: failover.NewGroup(failover.GroupConfig{})}}})
			if err != nil {
				b.Fatal(err)
			}
			ours, _ := net.Pipe()
			l := &listener{}
			l.speaks.Store(&speech{})
			for range n {
				s.conns.add(newConn(s, l, ours))
			}
			b.ReportAllocs()
			for b.Loop() {
				mono := s.clock.now()
				for _, c := range s.conns.snapshot() {
					c.sweep(mono)
				}
			}
		})
	}
}
