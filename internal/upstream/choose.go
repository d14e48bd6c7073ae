package upstream

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// refusedFor is how long an address that just failed is tried last.
	refusedFor = 10 * time.Second

	// maxTargets bounds the addresses that one dial tries, and with them the
	// sockets that it may hold at once. Of a longer answer each dial sees
	// another part, since each begins one further.
	maxTargets = 16
)

// A chooser decides in which order an origin's addresses are tried. The zero
// value has no memory of any. Safe for concurrent use.
//
// Each dial begins one address further than the last, so that connections
// spread over the addresses of a family. The families take turns within one
// dial (RFC 8305, section 4), IPv6 first, unless the origin's last success was
// over IPv4 and one of its IPv6 addresses failed within refusedFor. Whatever
// the family, an address that failed within refusedFor comes after all others,
// the one whose failure is the oldest first.
type chooser struct {
	mu     sync.Mutex
	turn   uint64                   // dials so far
	failed map[netip.Addr]time.Time // the last failure, of addresses of the last answer only
	on4    bool                     // the last success was over IPv4
}

// choose orders an answer's addresses without touching it; IPv4-mapped IPv6 is
// IPv4. There are at most maxTargets. peek leaves the turn to the next one.
func (c *chooser) choose(answer []netip.Addr, now time.Time, peek bool) []netip.Addr {
	ips := canonical(answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(ips, now)
	turn := c.turn
	if !peek {
		c.turn++
	}
	var late, v4, v6 []netip.Addr
	first4 := false
	for _, ip := range ips {
		_, failed := c.failed[ip]
		first4 = first4 || failed && !ip.Is4() && c.on4
		switch {
		case failed:
			late = append(late, ip)
		case ip.Is4():
			v4 = append(v4, ip)
		default:
			v6 = append(v6, ip)
		}
	}
	slices.SortStableFunc(late, func(a, b netip.Addr) int { return c.failed[a].Compare(c.failed[b]) })
	first, second := rotated(v6, turn), rotated(v4, turn)
	if first4 {
		first, second = second, first
	}
	ordered := append(interleaved(first, second), late...)
	return ordered[:min(len(ordered), maxTargets)]
}

// failure puts an address last for a while.
func (c *chooser) failure(ip netip.Addr, now time.Time) {
	if !ip.IsValid() {
		return // there is but one way to this origin
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = make(map[netip.Addr]time.Time)
	}
	c.failed[ip] = now
}

// success undoes failure.
func (c *chooser) success(ip netip.Addr) {
	if !ip.IsValid() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on4 = ip.Is4()
	delete(c.failed, ip)
}

// forget forgets the failures of all addresses but ips, which are canonical.
func (c *chooser) forget(ips []netip.Addr, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(ips, now)
}

// forgetLocked forgets failures that are old, or of addresses that are not
// among ips, which are canonical.
func (c *chooser) forgetLocked(ips []netip.Addr, now time.Time) {
	maps.DeleteFunc(c.failed, func(ip netip.Addr, at time.Time) bool {
		return now.Sub(at) >= refusedFor || !contains(ips, ip)
	})
}

// canonical is an answer as a set: IPv4-mapped addresses are IPv4, and it is
// sorted, so that a resolver which shuffles does not disturb the turns.
func canonical(answer []netip.Addr) []netip.Addr {
	ips := make([]netip.Addr, 0, len(answer))
	for _, ip := range answer {
		if ip.IsValid() {
			ips = append(ips, ip.Unmap())
		}
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(ips)
}

// contains tells whether canonical ips have ip.
func contains(ips []netip.Addr, ip netip.Addr) bool {
	_, ok := slices.BinarySearchFunc(ips, ip, netip.Addr.Compare)
	return ok
}

// rotated begins ips at the turn's.
func rotated(ips []netip.Addr, turn uint64) []netip.Addr {
	if len(ips) == 0 {
		return nil
	}
	at := int(turn % uint64(len(ips)))
	return slices.Concat(ips[at:], ips[:at])
}

// interleaved takes from first and second by turns, then the rest of the longer.
func interleaved(first, second []netip.Addr) []netip.Addr {
	both := make([]netip.Addr, 0, len(first)+len(second))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			both = append(both, first[i])
		}
		if i < len(second) {
			both = append(both, second[i])
		}
	}
	return both
}
