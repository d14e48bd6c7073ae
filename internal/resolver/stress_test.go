package resolver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// flaky answers in any way and at any speed.
func flaky(q query) reply {
	var r reply
	switch rand.IntN(8) {
	case 0:
		r = silent(q)
	case 1:
		r = q.code(dnswire.RcodeServerFailure)
	case 2:
		r = q.code(dnswire.RcodeNameError)
	case 3:
		r = q.records()
	default:
		r = has(uint32(rand.IntN(20)), fmt.Sprintf("192.0.2.%d", 1+rand.IntN(3)), fmt.Sprintf("2001:db8::%d", 1+rand.IntN(3)))(q)
	}
	r.after = time.Duration(rand.IntN(200)) * time.Millisecond
	return r
}

// Names that are watched and left again, looked up and peeked at, on a network
// that does what it likes: events and calls of one name come one at a time,
// each says something new, none comes after stop, and Close ends it all.
func TestNothingIsToldTwiceOrAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at [4]atomic.Int32 // calls for each name now
		inside := func(host string) func() {
			n := &at[host[1]-'0']
			if n.Add(1) != 1 {
				t.Errorf("%s: two calls at once", host)
			}
			time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
			return func() { n.Add(-1) }
		}
		s := newScript(t, flaky)
		r := start(t, s, Config{StaleMax: 20 * time.Second, NegativeTTL: 3 * time.Second, OnEvent: func(e Event) { inside(e.Host)() }})
		var work sync.WaitGroup
		for i := range 32 {
			host := fmt.Sprintf("n%d.example", i%len(at))
			work.Go(func() {
				for range 20 {
					time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
					watchAWhile(t, r, host, inside)
				}
			})
			work.Go(func() {
				for range 500 {
					time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
					addrs, err := r.Lookup(t.Context(), host)
					if (err == nil) != (len(addrs) > 0) {
						t.Errorf("%v and error %v", addrs, err)
					}
					r.Peek(host)
					r.Stats()
				}
			})
		}
		work.Wait()
		r.Close()
	})
}

func watchAWhile(t *testing.T, r *Resolver, host string, inside func(string) func()) {
	var last []netip.Addr
	var stopped atomic.Bool
	stop := r.Watch(host, func(addrs []netip.Addr) {
		defer inside(host)()
		if stopped.Load() {
			t.Error("a call after stop")
		}
		if sameSet(last, addrs) {
			t.Errorf("told %v twice", addrs)
		}
		last = addrs
	})
	time.Sleep(time.Duration(rand.IntN(10000)) * time.Millisecond)
	stop()
	stopped.Store(true)
}
