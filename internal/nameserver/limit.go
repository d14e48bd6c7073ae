package nameserver

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// limiter bounds the responses to one client prefix. It is a table of fixed
// size: prefixes whose hashes meet share a bucket, and who floods the server
// from many false addresses makes others share theirs, which costs them a
// detour over TCP and never memory here.
type limiter struct {
	seed     maphash.Seed
	start    time.Time
	interval int64 // nanoseconds a response
	buckets  [1 << 16]atomic.Int64
}

// burst is how much of the rate may be used at once.
const burst = time.Second

// permission says what a client gets.
type permission uint8

const (
	respond permission = iota
	slip               // an empty answer that says: truncated
	drop
)

// newLimiter allows perSecond responses a second, at least 1.
func newLimiter(perSecond int, now time.Time) *limiter {
	return &limiter{
		seed: maphash.MakeSeed(), start: now,
		interval: max(int64(time.Second)/int64(perSecond), 1),
	}
}

// take asks for one response. A bucket is the moment, in nanoseconds, until
// which its prefix has used up its rate, and in the lowest bit whether the last
// one over the limit was slipped.
func (l *limiter) take(from netip.Addr, now time.Time) permission {
	b := &l.buckets[l.bucket(from)]
	at := int64(now.Sub(l.start))
	for {
		old := b.Load()
		used, slipped := max(old>>1, at), old&1
		if used+l.interval-at > max(int64(burst), l.interval) {
			if !b.CompareAndSwap(old, old^1) {
				continue
			}
			if slipped == 0 {
				return slip
			}
			return drop
		}
		if b.CompareAndSwap(old, (used+l.interval)<<1|slipped) {
			return respond
		}
	}
}

// bucket hashes the client's /24 or /56.
func (l *limiter) bucket(from netip.Addr) uint64 {
	b := from.As16()
	prefix := b[:7]
	if from.Is4() {
		prefix = b[12:15]
	}
	return maphash.Bytes(l.seed, prefix) % uint64(len(l.buckets))
}
