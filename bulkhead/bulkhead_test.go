package bulkhead

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A caller is a goroutine in Acquire.
type caller struct {
	permit Permit
	leave  context.CancelCauseFunc
	done   chan struct{} // closed when Acquire has returned err
	err    error
}

// call has a goroutine ask for a permit, callAgain for one like it had before.
func call(b *Bulkhead) *caller      { return enter(b.Acquire) }
func callAgain(b *Bulkhead) *caller { return enter(b.Reacquire) }

func enter(acquire func(context.Context, *Permit) error) *caller {
	ctx, leave := context.WithCancelCause(context.Background())
	c := &caller{leave: leave, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = acquire(ctx, &c.permit)
	}()
	return c
}

func (c *caller) returned() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// full returns a bulkhead of one permit, and that permit.
func full(queue int, timeout time.Duration) (*Bulkhead, *Permit) {
	b := New(Config{MaxConcurrent: 1, MaxQueue: queue, QueueTimeout: timeout})
	var p Permit
	b.TryAcquire(&p)
	return b, &p
}

func wantCounts(t *testing.T, b *Bulkhead, inUse, queued int) {
	t.Helper()
	if b.InUse() != inUse || b.Queued() != queued {
		t.Errorf("%d in use and %d queued, want %d and %d", b.InUse(), b.Queued(), inUse, queued)
	}
}

func TestPermitsAreLimitedAndComeBack(t *testing.T) {
	b := New(Config{MaxConcurrent: 2})
	var p [3]Permit
	if !b.TryAcquire(&p[0]) || !b.TryAcquire(&p[1]) {
		t.Fatal("two of two permits were not granted")
	}
	if b.TryAcquire(&p[2]) || p[2].Held() {
		t.Fatal("a third permit was granted")
	}
	if err := b.Acquire(t.Context(), &p[2]); err != ErrFull || p[2].Held() {
		t.Fatalf("Acquire without a queue: %v, want ErrFull", err)
	}
	wantCounts(t, b, 2, 0)
	p[0].Release()
	if err := b.Acquire(t.Context(), &p[2]); err != nil || !p[2].Held() {
		t.Fatalf("Acquire of a free permit: %v", err)
	}
	p[1].Release()
	p[2].Release()
	wantCounts(t, b, 0, 0)
}

func TestMisusePanics(t *testing.T) {
	b := New(Config{MaxConcurrent: 2})
	tests := []struct {
		name string
		give func()
	}{
		{"release of the zero permit", func() { new(Permit).Release() }},
		{"second release", func() {
			var p Permit
			b.TryAcquire(&p)
			p.Release()
			p.Release()
		}},
		{"TryAcquire into a held permit", func() {
			var p Permit
			b.TryAcquire(&p)
			defer p.Release()
			b.TryAcquire(&p)
		}},
		{"Acquire into a held permit", func() {
			var p Permit
			b.TryAcquire(&p)
			defer p.Release()
			_ = b.Acquire(context.Background(), &p)
		}},
		{"New without permits", func() { New(Config{}) }},
		{"Resize without permits", func() { b.Resize(Config{MaxQueue: 1}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				wantCounts(t, b, 0, 0)
			}()
			tt.give()
		})
	}
}

func TestTheQueueIsBoundedAndFirstInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := full(2, 0)
		first := call(b)
		synctest.Wait()
		second := call(b)
		synctest.Wait()
		third := call(b)
		synctest.Wait()
		if !third.returned() || third.err != ErrFull {
			t.Fatalf("third caller of a queue of two: %v, want ErrFull", third.err)
		}
		p.Release()
		synctest.Wait()
		if !first.permit.Held() || second.returned() {
			t.Fatal("the permit did not go to the first in the queue")
		}
		first.permit.Release()
		synctest.Wait()
		if !second.permit.Held() {
			t.Fatal("the permit did not go to the second in the queue")
		}
		second.permit.Release()
		wantCounts(t, b, 0, 0)
	})
}

func TestTheQueueTimeoutIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := full(1, 500*time.Millisecond)
		for range 2 { // the second wait uses the first one's waiter
			start := time.Now()
			c := call(b)
			<-c.done
			if waited := time.Since(start); c.err != ErrQueueTimeout || waited != 500*time.Millisecond {
				t.Errorf("%v after %v, want ErrQueueTimeout after 500ms", c.err, waited)
			}
			wantCounts(t, b, 1, 0)
		}
		p.Release()
	})
}

func TestWithoutAQueueTimeoutOnlyTheContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := full(1, 0)
		gone := errors.New("client left")
		c := call(b)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		wantCounts(t, b, 1, 1)
		c.leave(gone)
		<-c.done
		if c.err != gone {
			t.Errorf("Acquire: %v, want the context's cause", c.err)
		}
		wantCounts(t, b, 1, 0)
		p.Release()
	})
}

func TestAnEndedContextGetsNoPermit(t *testing.T) {
	b := New(Config{MaxConcurrent: 1, MaxQueue: 1})
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("client left")
	cancel(gone)
	var p Permit
	if err := b.Acquire(ctx, &p); err != gone || p.Held() {
		t.Errorf("Acquire: %v, want the context's cause", err)
	}
	wantCounts(t, b, 0, 0)
}

// The waiter is granted the permit and its context ends before it can run:
// the permit must not be lost.
func TestAPermitGrantedToOneWhoLeftGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := full(2, 0)
		first := call(b)
		synctest.Wait()
		second := call(b)
		synctest.Wait()
		b.mu.Lock() // holds the first one back in leave
		first.leave(nil)
		b.inUse--
		b.grantLocked()
		p.of.Store(nil)
		b.mu.Unlock()
		synctest.Wait()
		if first.err != context.Canceled || first.permit.Held() || !second.permit.Held() {
			t.Fatalf("first: %v, second held: %v", first.err, second.permit.Held())
		}
		second.permit.Release()
		wantCounts(t, b, 0, 0)
	})
}

// Release and time-out fall on one instant. Which comes first is open, but
// the permit is either used or free.
func TestAPermitGrantedAtTheTimeoutIsNotLost(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			b, p := full(1, time.Second)
			c := call(b)
			synctest.Wait()
			time.Sleep(time.Second)
			p.Release()
			<-c.done
			switch c.err {
			case nil:
				wantCounts(t, b, 1, 0)
				c.permit.Release()
			case ErrQueueTimeout:
			default:
				t.Errorf("Acquire: %v", c.err)
			}
			wantCounts(t, b, 0, 0)
		})
	}
}

func TestNobodyOvertakesAWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := full(2, 0)
		waiting := call(b)
		synctest.Wait()
		p.Release() // the permit is the waiter's now, even before it runs
		var late Permit
		if b.TryAcquire(&late) {
			t.Error("TryAcquire overtook a waiter")
		}
		<-waiting.done
		waiting.permit.Release()
	})
}

func TestResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := full(3, 0)
		var callers []*caller
		for range 3 {
			callers = append(callers, call(b))
			synctest.Wait()
		}
		b.Resize(Config{MaxConcurrent: 3, MaxQueue: 0})
		synctest.Wait()
		wantCounts(t, b, 3, 1)
		if !callers[0].permit.Held() || !callers[1].permit.Held() {
			t.Error("new permits did not go to the first waiters")
		}

		b.Resize(Config{MaxConcurrent: 1})
		p.Release()
		callers[0].permit.Release()
		synctest.Wait()
		wantCounts(t, b, 1, 1) // shrunk: nothing is granted until one permit is back

		callers[1].permit.Release()
		synctest.Wait()
		wantCounts(t, b, 1, 0) // the one who waited when the queue shrank was not turned away
		callers[2].permit.Release()
		wantCounts(t, b, 0, 0)
	})
}

func TestAWaitAllocatesNothingOnceAnotherHasEnded(t *testing.T) {
	b, p := full(1, time.Hour)
	defer p.Release()
	ctx := &leftAfterAcquire{Context: context.Background(), done: make(chan struct{})}
	close(ctx.done)
	var q Permit
	wait := func() {
		ctx.asked = false
		if err := b.Acquire(ctx, &q); err != context.Canceled {
			t.Fatal(err)
		}
	}
	wait()
	if n := testing.AllocsPerRun(100, wait); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// leftAfterAcquire is a context that ends between Acquire's first look and the wait.
type leftAfterAcquire struct {
	context.Context
	asked bool
	done  chan struct{}
}

func (c *leftAfterAcquire) Done() <-chan struct{} { return c.done }

func (c *leftAfterAcquire) Err() error {
	if !c.asked {
		c.asked = true
		return nil
	}
	return context.Canceled
}

// Goroutines on real threads: the limit is never passed and nothing is lost.
func TestUnderContentionTheLimitHolds(t *testing.T) {
	const limit = 3
	b := New(Config{MaxConcurrent: limit, MaxQueue: 8, QueueTimeout: time.Millisecond})
	var running, most, served atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			var p Permit
			for n := range 2000 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+n)%5 == 0 {
					go cancel()
				}
				if b.TryAcquire(&p) || b.Acquire(ctx, &p) == nil {
					now := running.Add(1)
					for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
					}
					served.Add(1)
					running.Add(-1)
					p.Release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if most.Load() > limit {
		t.Errorf("%d at once, limit %d", most.Load(), limit)
	}
	if served.Load() == 0 {
		t.Error("nobody was served")
	}
	wantCounts(t, b, 0, 0)
}

func TestOneWhoWasAdmittedBeforeIsNotRefusedForWantOfRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, held := full(0, time.Second)
		again := callAgain(b)
		synctest.Wait()
		wantCounts(t, b, 1, 1)
		var p Permit
		if err := b.Acquire(context.Background(), &p); !errors.Is(err, ErrFull) {
			t.Errorf("a new one got %v, want ErrFull", err)
		}
		held.Release()
		synctest.Wait()
		if !again.returned() || again.err != nil || !again.permit.Held() {
			t.Fatalf("got %v, want the permit", again.err)
		}
		if err := b.Reacquire(context.Background(), &p); !errors.Is(err, ErrQueueTimeout) {
			t.Errorf("got %v, want ErrQueueTimeout", err)
		}
		again.permit.Release()
		wantCounts(t, b, 0, 0)
	})
}
