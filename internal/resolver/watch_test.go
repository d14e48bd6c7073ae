package resolver

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Who watches is told of sets, not of orders; all of them are; and none after
// stop.
func TestWatchersAreToldOfChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		s := newScript(t, has(10, "192.0.2.1", "192.0.2.2"))
		r := start(t, s, Config{OnEvent: events.add})
		var first, second eventLog
		tell := func(l *eventLog) func([]netip.Addr) {
			return func(addrs []netip.Addr) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.lines = append(l.lines, ips(addrs))
			}
		}
		stop := r.Watch("shop.example", tell(&first))
		synctest.Wait()
		defer r.Watch("SHOP.example", tell(&second))()
		synctest.Wait()
		s.set(has(10, "192.0.2.2", "192.0.2.1"))
		time.Sleep(10 * time.Second)
		wantAddrs(t, r, "shop.example", "192.0.2.2", "192.0.2.1")
		s.set(has(10, "192.0.2.3"))
		time.Sleep(10 * time.Second)
		stop()
		stop()
		s.set(has(10, "192.0.2.4"))
		time.Sleep(10 * time.Second)
		wantLines(t, first.take(), "[192.0.2.1 192.0.2.2]", "[192.0.2.3]")
		wantLines(t, second.take(), "[192.0.2.1 192.0.2.2]", "[192.0.2.3]", "[192.0.2.4]")
		wantLines(t, events.take(), "dns_changed [] -> [192.0.2.1 192.0.2.2]",
			"dns_changed [192.0.2.2 192.0.2.1] -> [192.0.2.3]", "dns_changed [192.0.2.3] -> [192.0.2.4]")
	})
}

func TestStopEndsTheQueriesAndWaitsForTheCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, has(10, "192.0.2.1"))
		r := start(t, s, Config{})
		ended := false
		stop := r.Watch("shop.example", func([]netip.Addr) {
			time.Sleep(time.Minute)
			ended = true
		})
		time.Sleep(time.Second)
		stop()
		if !ended {
			t.Error("stop did not wait")
		}
		s.forget()
		time.Sleep(time.Hour)
		if n := s.total(); n != 0 {
			t.Errorf("%d queries for nobody", n)
		}
	})
}

// A callback that takes its time holds up neither Lookup nor other names.
func TestASlowCallbackHoldsUpNoLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, has(10, "192.0.2.1"))
		r := start(t, s, Config{})
		for i := range 2 * maxLookups {
			r.Watch(fmt.Sprintf("n%d.example", i), func([]netip.Addr) { time.Sleep(time.Minute) })
		}
		time.Sleep(20 * time.Second)
		before := time.Now()
		for i := range 2 * maxLookups {
			wantAddrs(t, r, fmt.Sprintf("n%d.example", i), "192.0.2.1")
		}
		wantAddrs(t, r, "other.example", "192.0.2.1")
		if time.Since(before) != 0 {
			t.Error("a Lookup waited")
		}
	})
}
