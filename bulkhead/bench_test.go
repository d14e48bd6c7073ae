package bulkhead

import (
	"context"
	"testing"

	"golang.org/x/sync/semaphore"
)

func BenchmarkUncontended(b *testing.B) {
	b.Run("bulkhead", func(b *testing.B) {
		bh := New(Config{MaxConcurrent: 10})
		var p Permit
		b.ReportAllocs()
		for b.Loop() {
			if bh.TryAcquire(&p) {
				p.Release()
			}
		}
	})
	b.Run("semaphore", func(b *testing.B) {
		s := semaphore.NewWeighted(10)
		b.ReportAllocs()
		for b.Loop() {
			if s.TryAcquire(1) {
				s.Release(1)
			}
		}
	})
}

// Every processor wants one of ten permits all the time.
func BenchmarkParallel(b *testing.B) {
	b.Run("bulkhead", func(b *testing.B) {
		bh := New(Config{MaxConcurrent: 10})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			var p Permit
			for pb.Next() {
				if bh.TryAcquire(&p) {
					p.Release()
				}
			}
		})
	})
	b.Run("semaphore", func(b *testing.B) {
		s := semaphore.NewWeighted(10)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if s.TryAcquire(1) {
					s.Release(1)
				}
			}
		})
	})
}

// A permit that goes from holder to waiter and back.
func BenchmarkHandOver(b *testing.B) {
	b.Run("bulkhead", func(b *testing.B) {
		bh := New(Config{MaxConcurrent: 1, MaxQueue: 1000})
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			var p Permit
			for pb.Next() {
				if bh.Acquire(context.Background(), &p) == nil {
					p.Release()
				}
			}
		})
	})
	b.Run("semaphore", func(b *testing.B) {
		s := semaphore.NewWeighted(1)
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if s.Acquire(context.Background(), 1) == nil {
					s.Release(1)
				}
			}
		})
	})
}
