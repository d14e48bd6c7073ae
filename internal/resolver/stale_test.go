package resolver

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// Half an hour without any nameserver, and not one Lookup fails or waits; a few
// queries, two events.
func TestHalfAnHourOfServerFailureFailsNoLookup(t *testing.T) {
	for name, broken := range map[string]func(query) reply{
		"SERVFAIL": coded(dnswire.RcodeServerFailure),
		"REFUSED":  coded(dnswire.RcodeRefused),
		"silence":  silent,
		"closed":   func(query) reply { return reply{err: errPortClosed} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events eventLog
				s := newScript(t, has(5, "192.0.2.1"))
				r := start(t, s, Config{OnEvent: events.add})
				defer r.Watch("shop.example", func([]netip.Addr) {})()
				wantAddrs(t, r, "shop.example", "192.0.2.1")
				s.set(broken)
				s.forget()
				for range 30 * 60 * 4 {
					time.Sleep(250 * time.Millisecond)
					before := time.Now()
					wantAddrs(t, r, "shop.example", "192.0.2.1")
					if waited := time.Since(before); waited != 0 {
						t.Fatalf("a Lookup waited for %s", waited)
					}
				}
				// A round each 27 to 30 s, of two tries for each family, and
				// a few more at the beginning.
				if n := s.total(); n > 4*(30*60/27+8) || n < 4*(30*60/35) {
					t.Errorf("%d queries in half an hour", n)
				}
				s.set(has(5, "192.0.2.1"))
				time.Sleep(40 * time.Second)
				got := events.take()
				if len(got) != 3 {
					t.Fatalf("events: %q, want Changed, Failing and Recovered", got)
				}
				if got[0] != "dns_changed [] -> [192.0.2.1]" || got[1][:24] != "dns_failing stale=true: " || got[2][:13] != "dns_recovered" {
					t.Errorf("events: %q", got)
				}
				st := r.Stats()
				if len(st) != 1 || !st[0].Watched || st[0].StaleUsed < 6000 || st[0].Failures < 50 || st[0].Lookups <= st[0].Failures || st[0].LastError != nil {
					t.Errorf("stats: %+v", st)
				}
			})
		})
	}
}

// Without a watch it is the same: each Lookup gets the old answer at once, and
// what it starts keeps the distance.
func TestAnUnwatchedNameIsServedStaleToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, has(5, "192.0.2.1"))
		r := start(t, s, Config{})
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		s.set(coded(dnswire.RcodeServerFailure))
		s.forget()
		for range 600 {
			time.Sleep(time.Second)
			wantAddrs(t, r, "shop.example", "192.0.2.1")
		}
		if n := s.total(); n > 4*(600/27+8) {
			t.Errorf("%d queries in ten minutes", n)
		}
		s.set(has(5, "192.0.2.2"))
		time.Sleep(time.Minute)
		wantAddrs(t, r, "shop.example", "192.0.2.1") // stale, and starts the lookup
		synctest.Wait()
		wantAddrs(t, r, "shop.example", "192.0.2.2")
	})
}

// The last good answer is given up when StaleMax ends, on the dot for who is
// watching, and the episode goes on.
func TestAnAnswerExpiresAfterStaleMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		s := newScript(t, has(10, "192.0.2.1"))
		r := start(t, s, Config{OnEvent: events.add, StaleMax: 5 * time.Minute})
		var told atomic.Value
		defer r.Watch("shop.example", func(addrs []netip.Addr) { told.Store(ips(addrs)) })()
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		s.set(coded(dnswire.RcodeServerFailure))
		a, _ := r.Peek("shop.example")
		time.Sleep(a.Left + 4*time.Minute)
		s.set(silent) // so that the last lookup is slow
		time.Sleep(time.Minute - time.Millisecond)
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if e := wantKind(t, r, "shop.example", Timeout); e.Server != ns1 {
			t.Errorf("error %v of server %q", e, e.Server)
		}
		if _, ok := r.Peek("shop.example"); ok || told.Load() != "[]" {
			t.Errorf("after the end: Peek %t, the watcher knows %v", ok, told.Load())
		}
		s.set(has(10, "192.0.2.1"))
		time.Sleep(time.Minute)
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		got := events.take()
		if len(got) != 5 {
			t.Fatalf("events: %q", got)
		}
		wantLines(t, got[:3], "dns_changed [] -> [192.0.2.1]",
			"dns_failing stale=true: resolve shop.example: nameserver 192.0.2.53:53: SERVFAIL", "dns_expired [192.0.2.1]")
		if got[3][:13] != "dns_recovered" || got[4] != "dns_changed [] -> [192.0.2.1]" {
			t.Errorf("events: %q", got)
		}
	})
}

// Stale answers are not for everybody.
func TestANegativeStaleMaxServesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, has(10, "192.0.2.1"))
		r := start(t, s, Config{StaleMax: -1})
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		s.set(has(10, "192.0.2.2"))
		time.Sleep(10 * time.Second)
		wantAddrs(t, r, "shop.example", "192.0.2.2")
	})
}

// Without DNS at the start there is an error, at once and without a query per
// call, until there is an answer, which a watch finds by itself.
func TestAStartWithoutDNSHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		s := newScript(t, silent)
		r := start(t, s, Config{OnEvent: events.add})
		told := make(chan []netip.Addr, 1)
		defer r.Watch("shop.example", func(addrs []netip.Addr) { told <- addrs })()
		before := time.Now()
		e := wantKind(t, r, "shop.example", Timeout)
		if took := time.Since(before); took != 2*time.Second || !e.Timeout() {
			t.Errorf("%v after %s, want two tries of 1 s", e, took)
		}
		if want := "resolve shop.example: nameserver 192.0.2.53:53: no answer within 1s"; e.Error() != want {
			t.Errorf("got  %s\nwant %s", e, want)
		}
		s.forget()
		for range 1000 {
			time.Sleep(20 * time.Millisecond)
			before := time.Now()
			wantKind(t, r, "shop.example", Timeout)
			if took := time.Since(before); took != 0 {
				t.Fatalf("a Lookup took %s", took)
			}
		}
		if n := s.total(); n > 4*8 {
			t.Errorf("%d queries in some twenty seconds", n)
		}
		s.set(has(10, "192.0.2.1"))
		if got := <-told; ips(got) != "[192.0.2.1]" {
			t.Errorf("told %v", got)
		}
		if got := events.take(); len(got) != 3 || got[0] != "dns_failing stale=false: "+e.Error() {
			t.Errorf("events: %q", got)
		}
	})
}

// "No such name" is an answer: it withdraws the addresses, and is held.
func TestADenialWithdrawsTheAddresses(t *testing.T) {
	for _, give := range []struct {
		name string
		deny func(query) reply
		want Kind
	}{
		{"NXDOMAIN", coded(dnswire.RcodeNameError), NotFound},
		{"NODATA", has(60), NoAddress},
		{"only unusable addresses", has(60, "0.0.0.0", "224.0.0.1", "::", "ff02::1"), NoAddress},
	} {
		t.Run(give.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events eventLog
				s := newScript(t, has(10, "192.0.2.1"))
				r := start(t, s, Config{OnEvent: events.add})
				var told atomic.Value
				defer r.Watch("shop.example", func(addrs []netip.Addr) { told.Store(ips(addrs)) })()
				wantAddrs(t, r, "shop.example", "192.0.2.1")
				s.set(give.deny)
				time.Sleep(10 * time.Second)
				s.forget()
				for range 190 {
					time.Sleep(100 * time.Millisecond)
					wantKind(t, r, "shop.example", give.want)
				}
				if n := s.total(); n != 0 {
					t.Errorf("%d queries while the denial holds", n)
				}
				if told.Load() != "[]" {
					t.Errorf("the watcher knows %v", told.Load())
				}
				s.set(has(10, "192.0.2.2"))
				time.Sleep(12 * time.Second)
				wantAddrs(t, r, "shop.example", "192.0.2.2")
				wantLines(t, events.take(), "dns_changed [] -> [192.0.2.1]", "dns_changed [192.0.2.1] -> []", "dns_changed [] -> [192.0.2.2]")
			})
		})
	}
}
