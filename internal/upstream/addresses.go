package upstream

import (
	"context"
	"net/netip"
	"time"
)

// SetAddresses says which addresses the origin's host has now: for whoever
// watches DNS, when an answer changed. Idle connections to any other address
// are closed at once; those in use stay usable, and Put closes them. An address
// that comes back in a later call is as good as any. IPv4-mapped IPv6
// addresses are taken for IPv4.
//
// Before the first call connections are kept whatever their address. An empty
// list says that the name is gone, and withdraws every address. A call for an
// origin that is a unix socket or an IP literal changes nothing. Dial does not
// ask this list but Resolve.
func (o *Origin) SetAddresses(addrs []netip.Addr) {
	ips := canonical(addrs)
	if o.fixed != nil {
		return
	}
	for _, c := range o.readdress(ips) {
		c.retire()
	}
	o.chooser.forget(ips, time.Now())
}

// Addresses lists what the next Dial would try, in its order and written as
// Remote does. It asks Resolve, and leaves whose turn it is as it was. The error
// is a [*DialError].
func (o *Origin) Addresses(ctx context.Context) ([]string, error) {
	targets, err := o.targets(ctx, true)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(targets))
	for i, t := range targets {
		if list[i] = t.address; o.cfg.Network == "unix" {
			list[i] = "unix:" + t.address
		}
	}
	return list, nil
}

// readdress sets the addresses and takes the idle connections to any other out
// of their pools.
func (o *Origin) readdress(ips []netip.Addr) (gone []*Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addresses = ips
	o.generation++
	for _, p := range o.pools {
		kept := p.idle[:0]
		for _, c := range p.idle {
			if o.currentLocked(c) {
				kept = append(kept, c)
				continue
			}
			c.pooled = false
			gone = append(gone, c)
		}
		clear(p.idle[len(kept):])
		p.idle = kept
	}
	return gone
}

// currentLocked tells whether c's address is still one of the origin's. That is
// one comparison, but for the first time after a change.
func (o *Origin) currentLocked(c *Conn) bool {
	if c.generation == o.generation {
		return true
	}
	if !contains(o.addresses, c.ip) {
		return false
	}
	c.generation = o.generation
	return true
}
