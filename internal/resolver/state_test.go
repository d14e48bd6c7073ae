package resolver

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	start0   = time.Date(2026, 11, 23, 3, 14, 15, 0, time.UTC)
	bounds   = limits{minTTL: time.Second, maxTTL: 5 * time.Minute, staleMax: time.Hour, negativeTTL: 30 * time.Second}
	broken   = outcome{err: &Error{Kind: Timeout, Err: errPending}}
	absent   = outcome{err: &Error{Kind: NotFound, Err: errNoName}}
	empty    = outcome{err: &Error{Kind: NoAddress, Err: errNoAddress}}
	oneV4    = at(start0, 10*time.Second, "192.0.2.1")
	otherV4  = at(start0, 10*time.Second, "192.0.2.2")
	oneV6    = at(start0, 20*time.Second, "2001:db8::1")
	resolved = must(next(state{}, result{oneV4, empty}, start0, bounds, 0))
	failing  = must(next(resolved, result{broken, broken}, start0.Add(8*time.Second), bounds, 0))
	denied0  = must(next(state{}, result{absent, absent}, start0, bounds, 0))
	unborn   = must(next(state{}, result{broken, broken}, start0, bounds, 0))
)

func at(now time.Time, ttl time.Duration, addrs ...string) outcome {
	o := outcome{at: now, ttl: ttl, name: "shop.example."}
	for _, a := range addrs {
		o.addrs = append(o.addrs, netip.MustParseAddr(a))
	}
	return o
}

func must(s state, _ []Event) state { return s }

// Every row of the table over next, at the moment of the result.
func TestTheTableOfTransitions(t *testing.T) {
	for _, give := range []struct {
		name   string
		from   state
		after  time.Duration // since start0
		result result
		addrs  string
		kind   Kind // of the error, 0 for none
		due    time.Duration
		events []EventKind
	}{
		{"first answer", state{}, 0, result{oneV4, oneV6}, "[2001:db8::1 192.0.2.1]", 0, 8 * time.Second, []EventKind{Changed}},
		{"the same answer", resolved, 0, result{oneV4, empty}, "[192.0.2.1]", 0, 8 * time.Second, nil},
		{"another answer", resolved, 0, result{otherV4, empty}, "[192.0.2.2]", 0, 8 * time.Second, []EventKind{Changed}},
		{"a family more", resolved, 0, result{oneV4, oneV6}, "[2001:db8::1 192.0.2.1]", 0, 8 * time.Second, []EventKind{Changed}},
		{"an answer after failures", failing, 0, result{oneV4, broken}, "[192.0.2.1]", 0, 8 * time.Second, []EventKind{Recovered}},
		{"another one after failures", failing, 0, result{otherV4, empty}, "[192.0.2.2]", 0, 8 * time.Second, []EventKind{Recovered, Changed}},
		{"denied", resolved, 9 * time.Second, result{absent, absent}, "[]", NotFound, 30 * time.Second, []EventKind{Changed}},
		{"emptied", resolved, 9 * time.Second, result{empty, absent}, "[]", NoAddress, 30 * time.Second, []EventKind{Changed}},
		{"denied after failures", failing, 9 * time.Second, result{absent, absent}, "[]", NotFound, 30 * time.Second, []EventKind{Recovered, Changed}},
		{"denied from the start", state{}, 0, result{absent, absent}, "[]", NotFound, 30 * time.Second, nil},
		{"denied again", denied0, 30 * time.Second, result{absent, absent}, "[]", NotFound, 30 * time.Second, nil},
		{"first failure", resolved, 9 * time.Second, result{broken, broken}, "[192.0.2.1]", Timeout, time.Second, []EventKind{Failing}},
		{"first failure beside nothing", resolved, 9 * time.Second, result{broken, empty}, "[192.0.2.1]", Timeout, time.Second, []EventKind{Failing}},
		{"first failure beside a denial", resolved, 9 * time.Second, result{broken, absent}, "[192.0.2.1]", Timeout, time.Second, []EventKind{Failing}},
		{"a denial beside a failure with nothing to keep", state{}, 0, result{absent, broken}, "[]", NotFound, 30 * time.Second, nil},
		{"second failure", failing, 9 * time.Second, result{broken, broken}, "[192.0.2.1]", Timeout, 2 * time.Second, nil},
		{"a failure shortly before the end", failing, time.Hour + 9*time.Second, result{broken, broken}, "[192.0.2.1]", Timeout, time.Second, nil},
		{"a failure at the end", failing, time.Hour + 10*time.Second, result{broken, broken}, "[]", Timeout, 2 * time.Second, []EventKind{Expired}},
		{"first failure, much later", resolved, 3 * time.Hour, result{broken, broken}, "[]", Timeout, time.Second, []EventKind{Failing, Expired}},
		{"failure from the start", state{}, 0, result{broken, broken}, "[]", Timeout, time.Second, []EventKind{Failing}},
		{"again", unborn, time.Second, result{broken, broken}, "[]", Timeout, 2 * time.Second, nil},
		{"failure after a denial", denied0, 30 * time.Second, result{broken, broken}, "[]", Timeout, time.Second, []EventKind{Failing}},
		{"first answer after failures", unborn, 0, result{oneV4, empty}, "[192.0.2.1]", 0, 8 * time.Second, []EventKind{Recovered, Changed}},
	} {
		t.Run(give.name, func(t *testing.T) {
			now := start0.Add(give.after)
			got, events := next(give.from, give.result, now, bounds, 0)
			kind := Kind(0)
			if got.err != nil {
				kind = got.err.Kind
			}
			if ips(got.addrs) != give.addrs || kind != give.kind || got.due.Sub(now) != give.due {
				t.Errorf("got  %s, %s, due in %s\nwant %s, %s, %s", ips(got.addrs), kind, got.due.Sub(now), give.addrs, give.kind, give.due)
			}
			var kinds []EventKind
			for _, e := range events {
				kinds = append(kinds, e.Kind)
			}
			if !slices.Equal(kinds, give.events) {
				t.Errorf("events %v, want %v", kinds, give.events)
			}
		})
	}
}

func TestTheBackOffGrowsToHalfAMinute(t *testing.T) {
	for failures, seconds := range map[int]int{0: 1, 1: 2, 2: 4, 3: 8, 4: 16, 5: 30, 6: 30, 1000: 30, math.MaxInt: 30} {
		want := time.Duration(seconds) * time.Second
		if got := backOff(failures, 0); got != want {
			t.Errorf("after %d: %s, want %s", failures, got, want)
		}
		if got := backOff(failures, 0.9999); got < want*9/10 || got > want {
			t.Errorf("after %d with jitter: %s, want %s less at most a tenth", failures, got, want)
		}
	}
}

// Whatever lookups bring, and whenever: what is served was said within its TTL
// and StaleMax, denials withdraw, events alternate and match the state, and the
// next lookup is neither too soon nor too late.
func TestWhateverComesTheMachineHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start0
		var s state
		failing := false
		known := []netip.Addr(nil) // as told by the events
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "pause")))
			res := result{drawOutcome(t, now, false), drawOutcome(t, now, true)}
			before := s
			n, events := next(s, res, now, bounds, rapid.Float64Range(0, 0.999).Draw(t, "jitter"))
			for _, e := range events {
				switch e.Kind {
				case Failing:
					if failing {
						t.Fatal("Failing twice")
					}
					failing = true
				case Recovered:
					if !failing || e.Failed < 1 || e.Lasted < 0 {
						t.Fatalf("Recovered: %+v", e)
					}
					failing = false
				case Changed:
					if !sameSet(e.Old, known) || sameSet(e.Old, e.New) {
						t.Fatalf("Changed: %+v, known %v", e, known)
					}
					known = e.New
				case Expired:
					if !failing || !sameSet(e.Old, known) || len(known) == 0 {
						t.Fatalf("Expired: %+v, known %v", e, known)
					}
					known = nil
				}
			}
			s = n
			if failing != (s.failed > 0) || !sameSet(known, s.addrs) {
				t.Fatalf("told %t and %v, but it is %+v", failing, known, s)
			}
			checkState(t, &before, &s, res, now)
		}
	})
}

func drawOutcome(t *rapid.T, now time.Time, v6 bool) outcome {
	switch rapid.IntRange(0, 3).Draw(t, "outcome") {
	case 0:
		return broken
	case 1:
		return absent
	case 2:
		return empty
	}
	o := outcome{at: now, ttl: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "ttl"))}
	for range rapid.IntRange(1, 3).Draw(t, "addresses") {
		last := byte(rapid.IntRange(1, 5).Draw(t, "address"))
		a := netip.AddrFrom4([4]byte{192, 0, 2, last})
		if v6 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: last})
		}
		o.addrs = append(o.addrs, a)
	}
	return o
}

func checkState(t *rapid.T, before, s *state, res result, now time.Time) {
	ok := res[0].err == nil || res[1].err == nil
	if ok != (s.err == nil) {
		t.Fatalf("an answer %t, the error %v", ok, s.err)
	}
	if len(s.addrs) == 0 && s.err == nil {
		t.Fatal("neither addresses nor an error")
	}
	if s.err.negative() && len(s.addrs) > 0 {
		t.Fatal("a denial left addresses")
	}
	if len(s.addrs) > 0 && !s.usable(now, bounds.staleMax) {
		t.Fatal("addresses that are too old")
	}
	in := s.due.Sub(now)
	if in > bounds.maxTTL || s.late.Sub(now) > bounds.maxTTL || in < 0 {
		t.Fatalf("due in %s", in)
	}
	if ok && in < bounds.minTTL*8/10 {
		t.Fatalf("due in %s after an answer", in)
	}
	for i, o := range res {
		switch {
		case o.err == nil:
			for _, a := range o.addrs {
				if !slices.Contains(s.addrs, a) {
					t.Fatalf("%s is missing", a)
				}
			}
		case ok && !o.err.negative() && now.Before(before.families[i].until.Add(bounds.staleMax)):
			if !slices.Equal(s.families[i].addrs, before.families[i].addrs) {
				t.Fatal("a failed family lost its addresses")
			}
		}
	}
}
