package nameserver

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// The example of SipHash's paper, with the bytes 0 to 14 under the key 0 to 15.
func TestSipHashIsTheOneOfThePaper(t *testing.T) {
	var b [16]byte
	for i := range b {
		b[i] = byte(i)
	}
	key := [2]uint64{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
	if got := sipHash(key, b[:15]); got != 0xa129ca6149be45e5 {
		t.Errorf("got %x", got)
	}
}

// RFC 9018, appendix A.1: so that servers that share a secret could share
// cookies, of whatever make.
func TestCookiesAreThoseOfTheRFC(t *testing.T) {
	secret, _ := hex.DecodeString("e5e973e5a6b2a43f48e7dc849e37bfcf")
	client, _ := hex.DecodeString("2464c4abcf10c957")
	key := [2]uint64{binary.LittleEndian.Uint64(secret), binary.LittleEndian.Uint64(secret[8:])}
	got := makeCookie(key, client, 1559731985, netip.MustParseAddr("198.51.100.100"))
	if want := "2464c4abcf10c957010000005cf79f111f8130c3eee29480"; hex.EncodeToString(got[:]) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

// askCookie asks from an address that nobody vouches for, and gives the cookie
// of the answer and whether the one sent was valid.
func askCookie(t *testing.T, s *Server, cookie []byte, from netip.AddrPort, now time.Time) (got []byte, valid bool) {
	t.Helper()
	q := question("shop.failover.example.", dnswire.TypeA)
	q.OPTs, q.EDNS = 1, dnswire.EDNS{UDPSize: 1232, Cookie: cookie}
	before := s.Stats().Cookies
	w := worker{s: s}
	m := parsed(t, w.handle(nil, packed(t, q), from, false, now))
	if len(m.Answer) != 2 || m.Rcode != dnswire.RcodeSuccess {
		t.Errorf("with cookie %x: %s, want the answer", cookie, brief(&m))
	}
	return m.EDNS.Cookie, s.Stats().Cookies > before
}

// The life of a cookie: given for the client's half, accepted for an hour from
// that address alone, and renewed after half of it; whatever is wrong with it,
// the answer comes with a good one.
func TestTheLifeOfACookie(t *testing.T) {
	s := newWorld().server(t)
	client := []byte("8 bytes.")
	first, valid := askCookie(t, s, client, remote, start)
	if valid || len(first) != cookieLen || string(first[:8]) != string(client) {
		t.Fatalf("for the client's half: %x, valid %v", first, valid)
	}
	other := netip.MustParseAddrPort("198.51.100.8:4711")
	v6 := netip.MustParseAddrPort("[2001:db8::7]:4711")
	forged := append([]byte(nil), first...)
	forged[23]++
	version := append([]byte(nil), first...)
	version[8] = 2
	tests := []struct {
		name      string
		cookie    []byte
		from      netip.AddrPort
		after     time.Duration
		wantValid bool
		wantSame  bool
	}{
		{"at once", first, remote, 0, true, true},
		{"from another port", first, netip.AddrPortFrom(remote.Addr(), 9), 0, true, true},
		{"after half an hour", first, remote, 30 * time.Minute, true, true},
		{"a bit later", first, remote, 30*time.Minute + time.Second, true, false},
		{"after an hour", first, remote, time.Hour, true, false},
		{"a bit later still", first, remote, time.Hour + time.Second, false, false},
		{"from a clock that is five minutes ahead", first, remote, -5 * time.Minute, true, true},
		{"and more", first, remote, -5*time.Minute - time.Second, false, false},
		{"from another address", first, other, 0, false, false},
		{"from the other family", first, v6, 0, false, false},
		{"with another hash", forged, remote, time.Second, false, false},
		{"of another version", version, remote, time.Second, false, false},
		{"too short for ours", first[:16], remote, time.Second, false, false},
		{"too long for ours", append(append([]byte(nil), first...), first[:16]...), remote, time.Second, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, valid := askCookie(t, s, tt.cookie, tt.from, start.Add(tt.after))
			if valid != tt.wantValid || (string(got) == string(first)) != tt.wantSame || len(got) != cookieLen {
				t.Errorf("valid %v, same %v, want %v, %v; cookie %x", valid, string(got) == string(first), tt.wantValid, tt.wantSame, got)
			}
			if _, valid := askCookie(t, s, got, tt.from, start.Add(tt.after)); !valid {
				t.Error("the cookie that came back isn't valid")
			}
		})
	}
}

// The secret changes after twelve hours. Cookies of the one before still hold,
// and are exchanged; those of the one before that wouldn't.
func TestSecretsChangeWithoutACookieLost(t *testing.T) {
	s := newWorld().server(t)
	if _, valid := askCookie(t, s, []byte("8 bytes."), remote, start); valid {
		t.Fatal("half a cookie was valid")
	}
	almost := start.Add(secretLife - time.Minute)
	cookie, _ := askCookie(t, s, []byte("8 bytes."), remote, almost)
	old := s.cookies.secrets.Load().current
	next, valid := askCookie(t, s, cookie, remote, almost.Add(2*time.Minute))
	if now := s.cookies.secrets.Load(); now.current == old || now.previous != old {
		t.Error("the secret did not change")
	}
	if !valid || string(next) == string(cookie) {
		t.Errorf("valid %v, exchanged %v; want both", valid, string(next) != string(cookie))
	}
	askCookie(t, s, cookie, remote, start.Add(10*secretLife)) // nobody asked for long
	if s.cookies.secrets.Load().previous == old {
		t.Error("a secret is accepted days later")
	}
}

// Who wants a cookie and nothing else gets that, and an error about anything
// else says with an OPT record that EDNS is known here.
func TestACookieAloneCanBeAskedFor(t *testing.T) {
	s := newWorld().server(t)
	w := worker{s: s}
	ask := func(cookie []byte, version uint8) dnswire.Message {
		q := dnswire.Message{ID: 7, OPTs: 1, EDNS: dnswire.EDNS{UDPSize: 1232, Cookie: cookie, Version: version}}
		return parsed(t, w.handle(nil, packed(t, q), remote, false, start))
	}
	m := ask([]byte("8 bytes."), 0)
	if m.ID != 7 || m.Rcode != dnswire.RcodeSuccess || len(m.Questions) != 0 || m.OPTs != 1 || len(m.EDNS.Cookie) != cookieLen {
		t.Errorf("%+v", m)
	}
	for _, m := range []dnswire.Message{ask(nil, 0), ask([]byte("short"), 0), ask([]byte("8 bytes."), 1)} {
		if m.Rcode != dnswire.RcodeFormatError || m.OPTs != 1 {
			t.Errorf("%+v", m)
		}
	}
}
