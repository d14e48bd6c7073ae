package nameserver

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// flood sends n queries at one moment and counts what comes back.
func flood(t testing.TB, s *Server, from netip.AddrPort, tcp bool, cookie []byte, n int, now time.Time) (whole, slipped int) {
	t.Helper()
	q := question("shop.failover.example.", dnswire.TypeA)
	if cookie != nil {
		q.OPTs, q.EDNS = 1, dnswire.EDNS{UDPSize: 1232, Cookie: cookie}
	}
	w := worker{s: s}
	for range n {
		b := w.handle(nil, packed(t, q), from, tcp, now)
		if len(b) == 0 {
			continue
		}
		switch m := parsed(t, b); {
		case m.Truncated && len(m.Answer) == 0 && len(m.Questions) == 1 && m.OPTs == q.OPTs:
			slipped++
		case len(m.Answer) == 2:
			whole++
		}
	}
	return whole, slipped
}

// A prefix gets its rate, a second of it at once. Beyond that, half of its
// queries get an empty, truncated answer, and half none. Its neighbours and
// everybody who is known to be who they are get theirs.
func TestTheRateOfAPrefix(t *testing.T) {
	limited := func(t *testing.T) *Server {
		s := newWorld().server(t)
		s.limiter.Store(newLimiter(100, start))
		return s
	}
	s := limited(t)
	if whole, slipped := flood(t, s, remote, false, nil, 300, start); whole != 100 || slipped != 100 {
		t.Errorf("of 300: %d whole, %d slipped, want 100 and 100", whole, slipped)
	}
	if st := s.Stats(); st.Slipped != 100 || st.Dropped != 100 || st.UDP.Queries != 300 || st.UDP.Rcodes["NOERROR"] != 100 || st.Truncated != 0 {
		t.Errorf("counted as %+v", st)
	}
	if whole, _ := flood(t, s, remote, false, nil, 300, start.Add(500*time.Millisecond)); whole != 50 {
		t.Errorf("half a second later: %d whole, want 50", whole)
	}
	full, _ := s.cookies.answer([]byte("8 bytes."), remote.Addr(), start)
	tests := []struct {
		name   string
		from   string
		tcp    bool
		cookie []byte
		want   int
	}{
		{"the same /24", "198.51.100.200:53", false, nil, 0},
		{"another /24", "198.51.101.7:53", false, nil, 100},
		{"a mapped address of the same /24", "[::ffff:198.51.100.9]:53", false, nil, 0},
		{"over TCP", remote.String(), true, nil, 300},
		{"with a valid cookie", remote.String(), false, full[:], 300},
		{"with a cookie of somebody else", "198.51.100.8:4711", false, full[:], 0},
		{"with half a cookie", remote.String(), false, full[:8], 0},
		{"loopback", "127.0.0.1:53", false, nil, 300},
		{"the other loopback", "[::1]:53", false, nil, 300},
	}
	for _, tt := range tests {
		s := limited(t)
		s.cookies.secrets.Store(&secrets{current: newSecret(), since: start})
		if tt.cookie != nil {
			c, _ := s.cookies.answer(full[:8], remote.Addr(), start)
			tt.cookie = c[:len(tt.cookie)]
		}
		flood(t, s, remote, false, nil, 150, start)
		if whole, _ := flood(t, s, netip.MustParseAddrPort(tt.from), tt.tcp, tt.cookie, 300, start); whole != tt.want {
			t.Errorf("%s: %d whole, want %d", tt.name, whole, tt.want)
		}
	}
}

// A client of IPv6 is its /56.
func TestTheRateOfAPrefixOfIPv6(t *testing.T) {
	s := newWorld().server(t)
	s.limiter.Store(newLimiter(10, start))
	for from, want := range map[string]int{"[2001:db8:0:ff::1]:53": 0, "[2001:db8:0:100::1]:53": 10} {
		s.limiter.Store(newLimiter(10, start))
		flood(t, s, netip.MustParseAddrPort("[2001:db8::7]:53"), false, nil, 20, start)
		if whole, _ := flood(t, s, netip.MustParseAddrPort(from), false, nil, 20, start); whole != want {
			t.Errorf("%s: %d whole, want %d", from, whole, want)
		}
	}
}

// Whatever comes when, over any stretch of time a prefix gets no more than
// the rate and one second of it in reserve; and whoever stays below the rate
// gets everything.
func TestTheLimiterKeepsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 1000).Draw(t, "rate")
		l := newLimiter(rate, start)
		now := start
		var allowed []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "queries") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)/int64(rate)).Draw(t, "pause")))
			if l.take(remote.Addr(), now) == respond {
				allowed = append(allowed, now)
			}
		}
		for i := range allowed {
			for j := i; j < len(allowed); j++ {
				span := allowed[j].Sub(allowed[i])
				if most := float64(rate)*(span.Seconds()+1) + 1; float64(j-i+1) > most {
					t.Fatalf("%d answers in %v at %d/s", j-i+1, span, rate)
				}
			}
		}
		for range 50 {
			now = now.Add(time.Second/time.Duration(rate) + 1)
			if p := l.take(netip.MustParseAddr("203.0.113.1"), now); p != respond {
				t.Fatalf("a client below the rate got %d", p)
			}
		}
	})
}
