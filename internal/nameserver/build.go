package nameserver

import (
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// builder makes one zone after the other. It keeps what it saw, and makes anew
// only what changed, so that an update costs little more than asking each group
// where its pointer is. One goroutine uses it at a time.
type builder struct {
	*plan
	last    *zone // nil: none yet
	groups  []groupSeen
	serials *serials
	earlier func() uint32 // Config.Serial

	next *zone // being made
	now  time.Time
}

// groupSeen is a group as it was when the last zone was made.
type groupSeen struct {
	at      Pointer
	text    *rrset
	origins []originSeen
}

type originSeen struct {
	addrs []netip.Addr
	until time.Time
	ok    bool
	// The answers under the origin's own name and under its group's.
	own, asGroup answers
}

// answers are the sets with which an origin's addresses are asked for.
type answers struct {
	a, aaaa *rrset
	cname   *rrset // nil: a and aaaa count
}

// newBuilder makes the builder for a plan. The serials go on from builder to
// builder.
func newBuilder(p *plan, s *serials, earlier func() uint32) *builder {
	b := &builder{plan: p, groups: make([]groupSeen, len(p.groups)), serials: s, earlier: earlier}
	for i := range b.groups {
		b.groups[i].origins = make([]originSeen, len(p.groups[i].origins))
	}
	return b
}

// build reads all pointers and addresses, and makes the zone of now. The serial
// moves if one of them did, and with a builder's first zone.
func (b *builder) build(now time.Time) *zone {
	b.now = now
	b.next = &zone{apex: b.zone.key, slots: b.slots}
	changed := b.last == nil
	if changed {
		b.next.nodes = make([]*node, len(b.whose))
		for i := range b.next.nodes {
			b.next.nodes[i] = &node{}
		}
	} else {
		b.next.nodes = slices.Clone(b.last.nodes)
		b.next.denial = b.last.denial
	}
	for i := range b.plan.groups {
		changed = b.group(&b.plan.groups[i], &b.groups[i]) || changed
	}
	b.serial(changed)
	if b.last == nil || b.next.serial != b.last.serial {
		b.apex()
	}
	b.last = b.next
	return b.next
}

// serial gives the zone its serial.
func (b *builder) serial(changed bool) {
	if b.serials.begun {
		b.refresh(b.serials.next(changed, b.now))
	} else {
		earlier := uint32(0)
		if b.earlier != nil {
			earlier = b.earlier()
		}
		b.serials.begin(earlier, b.now)
	}
	b.next.serial = b.serials.current
}

// refresh has the zone made again at a moment, if that isn't zero.
func (b *builder) refresh(at time.Time) {
	if !at.IsZero() && (b.next.refreshAt.IsZero() || at.Before(b.next.refreshAt)) {
		b.next.refreshAt = at
	}
}

// group reports whether the pointer or an address is another one.
func (b *builder) group(g *groupPlan, seen *groupSeen) (changed bool) {
	at := g.Pointer()
	flipped := seen.text == nil || !samePointer(&at, &seen.at)
	if flipped {
		at.Via = slices.Clone(at.Via)
		seen.at = at
		seen.text = &rrset{records: []dnswire.Record{{
			Name: g.name.text, Type: dnswire.TypeTXT, TTL: g.ttl, Text: split(describe(&at)),
		}}}
	}
	active, renewed := answers{}, flipped
	if at.Target != "" {
		active = answers{a: failed, aaaa: failed}
	}
	for i := range g.origins {
		o, was := &g.origins[i], &seen.origins[i]
		anew, moved := b.origin(o, g, was)
		changed = changed || moved
		if o.Name == at.Target {
			active, renewed = was.asGroup, renewed || anew
		}
		if anew {
			b.next.nodes[o.slot] = newNode(was.own, o.any, nil)
		}
	}
	if renewed {
		b.next.nodes[g.slot] = newNode(active, g.any, seen.text)
	}
	return changed || flipped
}

func samePointer(a, b *Pointer) bool {
	return a.Target == b.Target && a.Generation == b.Generation && a.Since.Equal(b.Since) &&
		a.Reason == b.Reason && slices.Equal(a.Via, b.Via)
}

// failed is the answer of whose addresses aren't known.
var failed = &rrset{failed: true}

// newNode arranges the sets of a group or an origin, which has no txt.
func newNode(a answers, minimal, txt *rrset) *node {
	n := &node{kindA: a.a, kindAAAA: a.aaaa, kindANY: minimal}
	if a.cname != nil {
		for k := range n {
			n[k] = a.cname
		}
	}
	if txt != nil {
		n[kindTXT] = txt
	}
	return n
}

// minimalANY answers ANY (RFC 8482, 4.2).
func minimalANY(name string) *rrset {
	return &rrset{records: []dnswire.Record{{Name: name, Type: dnswire.TypeHINFO, TTL: stableTTL, Text: []string{"RFC8482", ""}}}}
}

// origin brings was up to date: anew, if its answers are others than before,
// and moved, if that isn't only a matter of time.
func (b *builder) origin(o *originPlan, g *groupPlan, was *originSeen) (anew, moved bool) {
	if o.target != "" || o.Addresses == nil {
		if b.last == nil && o.target != "" {
			was.own, was.asGroup = cnameSet(o.name.text, o.target, g.ttl), cnameSet(g.name.text, o.target, g.ttl)
		}
		return b.last == nil, false
	}
	addrs, left, ok := o.Addresses()
	until := b.lifetime(left, ok, g.ttl)
	same := slices.Equal(addrs, was.addrs) && ok == was.ok
	if b.last != nil && same && sameMoment(until, was.until) {
		return false, false
	}
	moved = !same && (ok != was.ok || !sameSet(addrs, was.addrs))
	*was = originSeen{addrs: slices.Clone(addrs), until: until, ok: ok}
	if !ok {
		was.own = answers{a: failed, aaaa: failed}
		was.asGroup = was.own
		return true, moved
	}
	was.own = addressSets(o.name.text, was.addrs, g.ttl, until)
	was.asGroup = addressSets(g.name.text, was.addrs, g.ttl, until)
	return true, moved
}

// lifetime gives the moment by which the TTL must have run down: zero if it
// doesn't. It has the zone made again when that begins, and every second from
// then on: nobody calls Update when a resolver has only got the same answer
// again, but its TTL is another.
func (b *builder) lifetime(left time.Duration, ok bool, ttl uint32) time.Time {
	if ok && left >= forever {
		return time.Time{}
	}
	left = max(left, 0)
	wait := max(left-time.Duration(ttl)*time.Second, time.Second)
	if !ok {
		wait = time.Second
	}
	b.refresh(b.now.Add(wait))
	return b.now.Add(left)
}

// sameMoment allows for the time between two readings of the clock, on the
// side that makes TTLs shorter.
func sameMoment(now, before time.Time) bool {
	if now.IsZero() || before.IsZero() {
		return now.IsZero() && before.IsZero()
	}
	later := now.Sub(before)
	return 0 <= later && later < 10*time.Millisecond
}

// sameSet reports whether a and b are the same addresses, in whatever order.
func sameSet(a, b []netip.Addr) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}

func cnameSet(owner, target string, ttl uint32) answers {
	return answers{cname: &rrset{records: []dnswire.Record{{Name: owner, Type: dnswire.TypeCNAME, TTL: ttl, Target: target}}}}
}

// addressSets makes the answers of a name. Those of a family that isn't among
// addrs are nil.
func addressSets(owner string, addrs []netip.Addr, ttl uint32, until time.Time) answers {
	add := func(set *rrset, t dnswire.Type, addr netip.Addr) *rrset {
		if set == nil {
			set = &rrset{until: until}
		}
		if len(set.records) < maxAddresses {
			set.records = append(set.records, dnswire.Record{Name: owner, Type: t, TTL: ttl, Addr: addr})
		}
		return set
	}
	var sets answers
	for _, addr := range addrs {
		switch addr = addr.Unmap().WithZone(""); {
		case addr.Is4():
			sets.a = add(sets.a, dnswire.TypeA, addr)
		case addr.Is6():
			sets.aaaa = add(sets.aaaa, dnswire.TypeAAAA, addr)
		}
	}
	return sets
}

// apex makes the zone's own node, and those of its nameservers.
func (b *builder) apex() {
	soa := []dnswire.Record{{Name: b.zone.text, Type: dnswire.TypeSOA, TTL: b.minimum, SOA: dnswire.SOA{
		NS: b.ns[0].text, Mailbox: b.mailbox, Serial: b.next.serial,
		Refresh: 3600, Retry: 600, Expire: 7 * 24 * 3600, Minimum: b.minimum,
	}}}
	b.next.denial = newDenial(b.zone, soa[0])
	ns := &rrset{}
	top := &node{kindSOA: {records: soa}, kindNS: ns, kindANY: minimalANY(b.zone.text)}
	b.next.nodes[0] = top
	for _, n := range b.ns {
		ns.records = append(ns.records, dnswire.Record{Name: b.zone.text, Type: dnswire.TypeNS, TTL: stableTTL, Target: n.text})
	}
	for _, n := range b.inZone {
		at := top
		if slot := b.slots[n.key]; slot != 0 {
			at = &node{kindANY: minimalANY(n.text)}
			b.next.nodes[slot] = at
		}
		sets := addressSets(n.text, b.nsAddrs, stableTTL, time.Time{})
		at[kindA], at[kindAAAA] = sets.a, sets.aaaa
		for _, set := range []*rrset{sets.a, sets.aaaa} {
			if set != nil {
				ns.additional = append(ns.additional, set.records...)
			}
		}
	}
}
