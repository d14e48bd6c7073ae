package nameserver

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// DNS cookies (RFC 7873) in the form of RFC 9018: a client that shows the
// server part that it was given before has proved that its address is its own.
const (
	clientCookieLen = 8
	serverCookieLen = 16 // version, three reserved bytes, time, hash
	cookieLen       = clientCookieLen + serverCookieLen

	secretLife     = 12 * time.Hour
	cookiePast     = 60 * 60 // seconds for which a cookie holds (RFC 9018, 4.3)
	cookieFuture   = 5 * 60  // and that another server's clock may be ahead
	cookieRenewAge = 30 * 60 // after which a client gets a new one
)

// cookies makes and checks server cookies. Its secret is the process's own and
// changes twice a day; the one before is still accepted.
type cookies struct {
	secrets atomic.Pointer[secrets]
	mu      sync.Mutex // held while secrets change
}

type secrets struct {
	current, previous [2]uint64
	since             time.Time
}

func newSecret() (s [2]uint64) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return [2]uint64{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
}

// at gives the secrets to use now.
func (c *cookies) at(now time.Time) *secrets {
	s := c.secrets.Load()
	if s != nil && now.Sub(s.since) < secretLife {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if again := c.secrets.Load(); again != s {
		return again
	}
	next := &secrets{current: newSecret(), previous: newSecret(), since: now}
	if s != nil && now.Sub(s.since) < 2*secretLife {
		next.previous = s.current
	}
	c.secrets.Store(next)
	return next
}

// wellFormed reports whether a cookie has a length that exists (RFC 7873, 4).
func wellFormed(cookie []byte) bool {
	n := len(cookie)
	return n == clientCookieLen || 16 <= n && n <= 40
}

// answer gives the cookie to answer with, and whether the one that came proves
// its sender's address. cookie must be well formed.
func (c *cookies) answer(cookie []byte, from netip.Addr, now time.Time) (full [cookieLen]byte, valid bool) {
	s := c.at(now)
	clock := uint32(now.Unix())
	if len(cookie) == cookieLen {
		stamp := binary.BigEndian.Uint32(cookie[clientCookieLen+4:])
		age := int32(clock - stamp) // RFC 1982
		current := false
		if age <= cookiePast && -age <= cookieFuture {
			full = makeCookie(s.current, cookie, stamp, from)
			current = string(full[:]) == string(cookie)
			valid = current
			if !valid {
				full = makeCookie(s.previous, cookie, stamp, from)
				valid = string(full[:]) == string(cookie)
			}
		}
		if current && age <= cookieRenewAge {
			return full, true
		}
	}
	return makeCookie(s.current, cookie, clock, from), valid
}

// makeCookie puts a server cookie behind the client's. The hash is over both,
// but for itself, and the client's address.
func makeCookie(secret [2]uint64, client []byte, stamp uint32, from netip.Addr) (full [cookieLen]byte) {
	var input [16 + 16]byte
	copy(input[:clientCookieLen], client)
	input[clientCookieLen] = 1 // version
	binary.BigEndian.PutUint32(input[clientCookieLen+4:], stamp)
	n := 16
	if from.Is4() {
		a := from.As4()
		n += copy(input[16:], a[:])
	} else {
		a := from.As16()
		n += copy(input[16:], a[:])
	}
	copy(full[:], input[:16])
	binary.LittleEndian.PutUint64(full[16:], sipHash(secret, input[:n]))
	return full
}
