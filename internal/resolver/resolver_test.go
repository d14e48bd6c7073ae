package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// One lookup serves all who ask while it is under way, and all who ask while
// its answer is fresh.
func TestOneLookupServesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, func(q query) reply {
			r := has(60, "192.0.2.1", "2001:db8::1")(q)
			r.after = 100 * time.Millisecond
			return r
		})
		r := start(t, s, Config{})
		for range 50 {
			go wantAddrs(t, r, "Shop.example", "2001:db8::1", "192.0.2.1")
		}
		synctest.Wait()
		wantAddrs(t, r, "shop.example", "2001:db8::1", "192.0.2.1")
		time.Sleep(50 * time.Second)
		wantAddrs(t, r, "SHOP.example", "2001:db8::1", "192.0.2.1")
		if n := s.total(); n != 2 {
			t.Errorf("%d queries, want one for each family", n)
		}
		a, ok := r.Peek("shop.example")
		if want := 9900 * time.Millisecond; !ok || a.Stale || a.Name != "shop.example." || a.Left > 10*time.Second || a.Left < want-time.Second {
			t.Errorf("Peek: %+v, %t", a, ok)
		}
	})
}

// Without a watch an error holds for the back-off, and then a caller waits for
// what the servers say now.
func TestAnUnwatchedErrorIsAskedAboutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, coded(dnswire.RcodeServerFailure))
		r := start(t, s, Config{})
		wantKind(t, r, "shop.example", ServerFailure)
		s.set(has(60, "192.0.2.1"))
		time.Sleep(800 * time.Millisecond)
		wantKind(t, r, "shop.example", ServerFailure)
		time.Sleep(200 * time.Millisecond)
		wantAddrs(t, r, "shop.example", "192.0.2.1")
	})
}

// A caller whose time is over leaves; the lookup goes on for the next.
func TestACallerMayLeaveALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, func(q query) reply {
			r := has(60, "192.0.2.1")(q)
			r.after = 500 * time.Millisecond
			return r
		})
		r := start(t, s, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := r.Lookup(ctx, "shop.example")
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Canceled || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Second)
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		if n := s.total(); n != 2 {
			t.Errorf("%d queries, want 2", n)
		}
	})
}

func TestAddressesAndBadNamesNeedNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, silent)
		r := start(t, s, Config{})
		wantAddrs(t, r, "192.0.2.7", "192.0.2.7")
		wantAddrs(t, r, "2001:db8::7", "2001:db8::7")
		wantAddrs(t, r, "::ffff:192.0.2.7", "192.0.2.7")
		wantAddrs(t, r, "localhost", "::1", "127.0.0.1")
		wantAddrs(t, r, "a.localhost.", "::1", "127.0.0.1")
		for _, bad := range []string{"", ".", "a..b", ".a", `a\.b`, string(make([]byte, 300))} {
			wantKind(t, r, bad, NotFound)
		}
		told := make(chan []netip.Addr, 1)
		defer r.Watch("192.0.2.8", func(addrs []netip.Addr) { told <- addrs })()
		if got := <-told; ips(got) != "[192.0.2.8]" {
			t.Errorf("watching an address: %v", got)
		}
		if n := s.total(); n != 0 {
			t.Errorf("%d queries", n)
		}
	})
}

// A watched name is asked for again at 80 to 90 % of its TTL, within bounds.
func TestTheTTLSetsThePace(t *testing.T) {
	for _, give := range []struct {
		name            string
		ttl             uint32
		soonest, latest time.Duration
	}{
		{"0 is a second", 0, 800 * time.Millisecond, 900 * time.Millisecond},
		{"10 s", 10, 8 * time.Second, 9 * time.Second},
		{"an hour is five minutes", 3600, 240 * time.Second, 270 * time.Second},
		{"2^31 is 0", 1 << 31, 800 * time.Millisecond, 900 * time.Millisecond},
		{"2^32-1 is 0", 1<<32 - 1, 800 * time.Millisecond, 900 * time.Millisecond},
		{"2^31-1 is five minutes", 1<<31 - 1, 240 * time.Second, 270 * time.Second},
	} {
		t.Run(give.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, has(give.ttl, "192.0.2.1"))
				r := start(t, s, Config{})
				defer r.Watch("shop.example", func([]netip.Addr) {})()
				for range 20 {
					synctest.Wait()
					s.forget()
					time.Sleep(give.soonest - time.Millisecond)
					synctest.Wait()
					if n := s.total(); n != 0 {
						t.Fatalf("%d queries too soon", n)
					}
					waited := time.Duration(0)
					for ; s.total() == 0; synctest.Wait() {
						time.Sleep(time.Millisecond)
						waited += time.Millisecond
					}
					if latest := give.latest - give.soonest + 2*time.Millisecond; waited > latest {
						t.Fatalf("%s too late", waited-latest)
					}
				}
			})
		})
	}
}

// An unwatched name is asked for again when it is used in the last tenth of
// its TTL, by nobody otherwise, and Lookup doesn't wait for that.
func TestUseInTheLastTenthRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, func(q query) reply {
			r := has(100, "192.0.2.1")(q)
			r.after = 300 * time.Millisecond
			return r
		})
		r := start(t, s, Config{})
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		s.forget()
		time.Sleep(89 * time.Second)
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		synctest.Wait()
		if n := s.total(); n != 0 {
			t.Errorf("%d queries before the last tenth", n)
		}
		time.Sleep(2 * time.Second)
		before := time.Now()
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		if time.Since(before) != 0 {
			t.Error("Lookup waited")
		}
		time.Sleep(time.Hour)
		if n := s.total(); n != 2 {
			t.Errorf("%d queries, want one for each family", n)
		}
	})
}

// What nobody watches is forgotten, the longest unused first, and never more
// names are looked up at once than there are slots.
func TestTheWorkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		s := newScript(t, has(300, "192.0.2.1"))
		slow := func(ctx context.Context, network, server string, q []byte, accept func([]byte) bool) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(10 * time.Millisecond)
			return s.exchange(ctx, network, server, q, accept)
		}
		r, err := newResolver(Config{Servers: []string{ns1}}, slow)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer r.Watch("watched.example", func([]netip.Addr) {})()
		for i := range 200 {
			go r.Lookup(t.Context(), fmt.Sprintf("n%d.example", i))
		}
		time.Sleep(10 * time.Second)
		if got := most.Load(); got > 2*maxLookups || got < maxLookups {
			t.Errorf("%d queries at once, want two for each of %d lookups", got, maxLookups)
		}
		for i := 200; i < maxNames+10; i++ {
			wantAddrs(t, r, fmt.Sprintf("n%d.example", i), "192.0.2.1")
		}
		if n := len(r.Stats()); n != maxNames+1 {
			t.Errorf("%d names, want %d and the watched one", n, maxNames)
		}
		if _, ok := r.Peek("watched.example"); !ok {
			t.Error("the watched name is forgotten")
		}
		if _, ok := r.Peek(fmt.Sprintf("n%d.example", maxNames+9)); !ok {
			t.Error("the newest name is forgotten")
		}
	})
}

// When every name is being looked up, one more is refused and not queued.
func TestTooManyNamesAtOnceAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newScript(t, silent), Config{})
		for i := range maxNames {
			go r.Lookup(t.Context(), fmt.Sprintf("n%d.example", i))
		}
		synctest.Wait()
		wantKind(t, r, "one.more.example", Overloaded)
		r.Close()
		synctest.Wait()
	})
}

func TestCloseEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		r := start(t, newScript(t, silent), Config{OnEvent: events.add})
		stop := r.Watch("watched.example", func([]netip.Addr) { t.Error("a call") })
		go wantKind(t, r, "shop.example", Closed)
		go func() {
			if _, _, err := r.Text(t.Context(), ns1, "shop.example"); err == nil {
				t.Error("Text of a closed Resolver")
			}
		}()
		time.Sleep(100 * time.Millisecond)
		before := time.Now()
		r.Close()
		r.Close()
		if time.Since(before) != 0 {
			t.Error("Close waited for a time-out")
		}
		synctest.Wait()
		stop()
		wantKind(t, r, "new.example", Closed)
		r.Watch("new.example", nil)()
		if _, _, err := r.Text(t.Context(), ns1, "shop.example"); err == nil {
			t.Error("Text of a closed Resolver")
		}
		wantLines(t, events.take())
	})
}

func TestABadConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := New(Config{Servers: []string{"127.0.0.1:53", "localhost:53", "127.0.0.1"}, Timeout: -1, MinTTL: time.Hour})
	want := `resolver: nameserver "localhost:53": must be an IP address and a port, such as 127.0.0.1:53
nameserver "127.0.0.1": must be an IP address and a port, such as 127.0.0.1:53
time-outs and TTLs can't be negative
the least TTL, 1h0m0s, is above the greatest, 5m0s`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
