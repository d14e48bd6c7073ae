package upstream

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// start is a time for tests that pass their own.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// addrs reads addresses that are separated by spaces.
func addrs(text string) (ips []netip.Addr) {
	for field := range strings.FieldsSeq(text) {
		ips = append(ips, netip.MustParseAddr(field))
	}
	return ips
}

// text writes addresses separated by spaces.
func text(ips []netip.Addr) string {
	return strings.Trim(fmt.Sprint(ips), "[]")
}

func TestEachDialBeginsOneAddressFurther(t *testing.T) {
	tests := []struct {
		name, give string
		want       []string
	}{
		{"one", "10.0.0.1", []string{"10.0.0.1", "10.0.0.1"}},
		{"a family", "10.0.0.1 10.0.0.2 10.0.0.3", []string{
			"10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.2 10.0.0.3 10.0.0.1", "10.0.0.3 10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2 10.0.0.3"}},
		{"both families take turns, IPv6 first", "10.0.0.1 10.0.0.2 ::1 ::2", []string{
			"::1 10.0.0.1 ::2 10.0.0.2", "::2 10.0.0.2 ::1 10.0.0.1"}},
		{"one family is longer", "10.0.0.1 10.0.0.2 10.0.0.3 ::1", []string{
			"::1 10.0.0.1 10.0.0.2 10.0.0.3", "::1 10.0.0.2 10.0.0.3 10.0.0.1"}},
		{"twice the same", "10.0.0.1 ::ffff:10.0.0.1 10.0.0.1", []string{"10.0.0.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c chooser
			give := addrs(tt.give)
			for i, want := range tt.want {
				if got := text(c.choose(give, start, true)); got != want {
					t.Errorf("a look before dial %d gave %s, want %s", i, got, want)
				}
				if got := text(c.choose(give, start, false)); got != want {
					t.Errorf("dial %d: got %s, want %s", i, got, want)
				}
			}
			if text(give) != tt.give {
				t.Error("the answer was changed")
			}
		})
	}
}

func TestAnAddressThatFailedIsTriedLastForAWhile(t *testing.T) {
	var c chooser
	answer := addrs("10.0.0.1 10.0.0.2 10.0.0.3")
	c.failure(answer[1], start)
	c.failure(answer[0], start.Add(time.Second))
	steps := []struct {
		at   time.Duration
		want string
	}{
		{time.Second, "10.0.0.3 10.0.0.2 10.0.0.1"},
		{refusedFor - 1, "10.0.0.3 10.0.0.2 10.0.0.1"},
		{refusedFor, "10.0.0.2 10.0.0.3 10.0.0.1"},
		{refusedFor + time.Second, "10.0.0.1 10.0.0.2 10.0.0.3"},
	}
	for _, s := range steps {
		if got := text(c.choose(answer, start.Add(s.at), true)); got != s.want {
			t.Errorf("after %v: got %s, want %s", s.at, got, s.want)
		}
	}
	c.failure(answer[0], start)
	c.success(answer[0])
	if got, want := text(c.choose(answer, start, true)), text(answer); got != want {
		t.Errorf("after a success: got %s, want %s", got, want)
	}
}

func TestIPv4GoesFirstWhileIPv6IsBroken(t *testing.T) {
	var c chooser
	answer := addrs("::1 ::2 10.0.0.1 10.0.0.2")
	c.success(answer[2])
	if got, want := text(c.choose(answer, start, true)), "::1 10.0.0.1 ::2 10.0.0.2"; got != want {
		t.Errorf("with both families in order: got %s, want %s", got, want)
	}
	c.failure(answer[0], start)
	if got, want := text(c.choose(answer, start, true)), "10.0.0.1 ::2 10.0.0.2 ::1"; got != want {
		t.Errorf("when IPv6 had failed: got %s, want %s", got, want)
	}
	c.success(answer[1])
	if got, want := text(c.choose(answer, start, true)), "::2 10.0.0.1 10.0.0.2 ::1"; got != want {
		t.Errorf("when another IPv6 address had worked: got %s, want %s", got, want)
	}
}

func TestFailuresAreForgottenWithTheAddress(t *testing.T) {
	var c chooser
	c.failure(netip.MustParseAddr("10.0.0.1"), start)
	c.failure(netip.MustParseAddr("10.0.0.2"), start)
	c.choose(addrs("10.0.0.2 10.0.0.3"), start, false)
	if len(c.failed) != 1 {
		t.Errorf("%d failures are remembered, want that of the address which is still there", len(c.failed))
	}
	c.forget(addrs("10.0.0.3"), start)
	if len(c.failed) != 0 {
		t.Errorf("%d failures are remembered, want none", len(c.failed))
	}
}

func TestOfALongAnswerEachAddressHasItsTurn(t *testing.T) {
	var c chooser
	var answer []netip.Addr
	for i := range 100 {
		answer = append(answer, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	seen := make(map[netip.Addr]int)
	for range answer {
		got := c.choose(answer, start, false)
		if len(got) != maxTargets {
			t.Fatalf("%d addresses for one dial, want %d", len(got), maxTargets)
		}
		seen[got[0]]++
	}
	if len(seen) != len(answer) {
		t.Errorf("%d addresses came first in %d dials, want each once", len(seen), len(answer))
	}
}

// Whatever happened before, a choice is the whole answer as a set, those that
// failed come last, and nothing else is remembered.
func TestAnyChoiceIsTheAnswerWithItsFailuresLast(t *testing.T) {
	var universe []netip.Addr
	for i := range byte(8) {
		universe = append(universe, netip.AddrFrom4([4]byte{10, 0, 0, i}), netip.AddrFrom16([16]byte{15: i + 1}))
	}
	rapid.Check(t, func(t *rapid.T) {
		var c chooser
		now := start
		one := rapid.SampledFrom(universe)
		t.Repeat(map[string]func(*rapid.T){
			"failure": func(t *rapid.T) { c.failure(one.Draw(t, "ip"), now) },
			"success": func(t *rapid.T) { c.success(one.Draw(t, "ip")) },
			"wait":    func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "s")) * time.Second) },
			"choose": func(t *rapid.T) {
				answer := rapid.SliceOf(one).Draw(t, "answer")
				got := c.choose(answer, now, rapid.Bool().Draw(t, "peek"))
				if sorted := canonical(got); !slices.Equal(sorted, canonical(answer)) || len(sorted) != len(got) {
					t.Fatalf("got %v of %v", got, answer)
				}
				isLate := func(ip netip.Addr) bool { at, ok := c.failed[ip]; return ok && now.Sub(at) < refusedFor }
				if first := slices.IndexFunc(got, isLate); first >= 0 && slices.ContainsFunc(got[first:], func(ip netip.Addr) bool { return !isLate(ip) }) {
					t.Fatalf("got %v, of which %v failed", got, c.failed)
				}
				for ip := range c.failed {
					if !slices.Contains(got, ip) {
						t.Fatalf("%v is remembered and not in %v", ip, got)
					}
				}
			},
		})
	})
}
