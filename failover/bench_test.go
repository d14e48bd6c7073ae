package failover

import (
	"sync"
	"testing"
	"time"
)

// What a request pays for the pointer.
func BenchmarkPointer(b *testing.B) {
	g := shopGroup(nil)
	b.ReportAllocs()
	var targets int
	for b.Loop() {
		targets += int(g.Pointer().Target)
	}
}

func BenchmarkPointerParallel(b *testing.B) {
	g := shopGroup(nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if g.Pointer().Target != RolePrimary {
				b.Fail()
			}
		}
	})
}

// The alternative that the atomic pointer replaced.
func BenchmarkPointerBehindRWMutexParallel(b *testing.B) {
	var mu sync.RWMutex
	s := newState(time.Now(), &shopPointer)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.RLock()
			target := s.Target
			mu.RUnlock()
			if target != RolePrimary {
				b.Fail()
			}
		}
	})
}

func BenchmarkPolicy(b *testing.B) {
	p := newPolicy(b, shop)
	method := []byte("GET")
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := p.Covers(method, false, false); !ok || p.Failed(p.Classify(200)) {
			b.Fatal("a plain GET that succeeded")
		}
	}
}

// What a checker pays for a verdict that repeats the last one.
func BenchmarkVerdictUnchanged(b *testing.B) {
	g := shopGroup(nil)
	b.ReportAllocs()
	for b.Loop() {
		g.Verdict(RolePrimary, true)
	}
}
