package resolver

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// What an earlier resolver knew serves until the new one's servers say
// something better, and if they say nothing, as long as a stale answer does.
func TestAnAdoptedAnswerServesUntilThereIsABetterOne(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(query) reply
		want   []string // nil: the name is denied
		later  []string // after StaleMax; nil: an error
	}{
		{"the same", has(60, "192.0.2.1"), []string{"192.0.2.1"}, []string{"192.0.2.1"}},
		{"another address", has(60, "192.0.2.2"), []string{"192.0.2.2"}, []string{"192.0.2.2"}},
		{"SERVFAIL", coded(dnswire.RcodeServerFailure), []string{"192.0.2.1"}, nil},
		{"silence", silent, []string{"192.0.2.1"}, nil},
		{"no such name", coded(dnswire.RcodeNameError), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := start(t, newScript(t, has(60, "192.0.2.1")), Config{})
				wantAddrs(t, before, "shop.example", "192.0.2.1")
				s := newScript(t, tt.answer)
				r := start(t, s, Config{})
				r.Adopt(before, "SHOP.example")
				if a, ok := r.Peek("shop.example"); !ok || len(a.Addrs) != 1 || s.total() != 0 {
					t.Errorf("adopted %v, %v with %d queries", a, ok, s.total())
				}
				defer r.Watch("shop.example", func([]netip.Addr) {})()
				r.Settle(t.Context(), "shop.example")
				if s.total() == 0 {
					t.Error("the new servers weren't asked")
				}
				check := func(want []string) {
					t.Helper()
					if want == nil {
						if addrs, err := r.Lookup(t.Context(), "shop.example"); err == nil {
							t.Errorf("got %v", addrs)
						}
						return
					}
					wantAddrs(t, r, "shop.example", want...)
				}
				check(tt.want)
				time.Sleep(2 * time.Hour)
				check(tt.later)
			})
		})
	}
}

// Nothing is adopted that is too old, unknown, or known better.
func TestOnlyWhatIsOfUseIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := start(t, newScript(t, has(60, "192.0.2.1")), Config{})
		wantAddrs(t, before, "old.example", "192.0.2.1")
		wantAddrs(t, before, "known.example", "192.0.2.1")
		r := start(t, newScript(t, has(60, "192.0.2.2")), Config{StaleMax: -1})
		wantAddrs(t, r, "known.example", "192.0.2.2")
		r.Adopt(before, "known.example")
		wantAddrs(t, r, "known.example", "192.0.2.2")
		time.Sleep(61 * time.Second)
		for _, host := range []string{"old.example", "unknown.example"} {
			r.Adopt(before, host)
			if a, ok := r.Peek(host); ok {
				t.Errorf("%s: adopted %v", host, a)
			}
		}
	})
}

// Settle waits for the lookup that is under way and no longer than it may, and
// for an answer that holds not at all.
func TestSettleWaitsForTheLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newScript(t, func(q query) reply {
			answer := has(60, "192.0.2.1")(q)
			answer.after = 300 * time.Millisecond
			return answer
		}), Config{})
		took := func(ctx context.Context) time.Duration {
			began := time.Now()
			r.Settle(ctx, "shop.example")
			return time.Since(began)
		}
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if d := took(short); d != 100*time.Millisecond {
			t.Errorf("it took %v of 100 ms", d)
		}
		if d := took(t.Context()); d != 200*time.Millisecond {
			t.Errorf("the rest took %v, want 200 ms", d)
		}
		if d := took(t.Context()); d != 0 {
			t.Errorf("with an answer it took %v", d)
		}
		r.Close()
		r.Settle(t.Context(), "shop.example") // returns
		r.Settle(t.Context(), "other.example")
	})
}
