package nameserver

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// plan is a Config that was checked, with all its names made absolute. It
// doesn't change.
type plan struct {
	zone    name
	ns      []name
	inZone  []name // those of ns that are within the zone
	nsAddrs []netip.Addr
	mailbox string
	minimum uint32 // of the SOA: seconds for which a negative answer holds
	groups  []groupPlan

	// slots says where in a zone's nodes each name is, by its key: the zone
	// itself at 0. Names that exist only because there are names below them have
	// a slot too.
	slots map[string]int
	whose []string // says what has a name, by its slot
}

// name is an absolute name in both its forms.
type name struct {
	text string // presentation format
	key  string // wire format, in lower case
}

type groupPlan struct {
	Group
	name    name
	slot    int
	ttl     uint32 // seconds
	any     *rrset // the answer to ANY
	origins []originPlan
}

type originPlan struct {
	Origin
	name   name
	slot   int
	any    *rrset
	target string // of its CNAME; "": it answers with addresses
}

// newPlan checks cfg. The error joins everything that is wrong with it.
func newPlan(cfg *Config) (*plan, error) {
	p := &plan{slots: make(map[string]int)}
	zone, err := newName(cfg.Zone)
	switch {
	case err != nil:
		return nil, fmt.Errorf("zone: %w", err)
	case zone.text == ".":
		return nil, errors.New("zone: the root can't be the zone; write a name below it")
	}
	p.zone = zone
	_, _ = p.claim(zone, "the zone")
	errs := []error{p.addNS(cfg), p.setMailbox(cfg.Admin)}
	if cfg.RateLimit < 0 {
		errs = append(errs, fmt.Errorf("rate limit: %d is negative; 0 means none", cfg.RateLimit))
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		errs = append(errs, fmt.Errorf("listen: %w", err))
	}
	if addr, err := netip.ParseAddr(host); err == nil && len(p.nsAddrs) == 0 && !addr.IsUnspecified() {
		p.nsAddrs = []netip.Addr{addr}
	}
	for i := range cfg.Groups {
		errs = append(errs, p.addGroup(&cfg.Groups[i]))
	}
	p.minimum = p.negativeTTL()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p.addEmpty()
	return p, nil
}

// newName takes a name that is absolute or not.
func newName(s string) (name, error) {
	if s == "" {
		return name{}, errors.New("a name is missing")
	}
	text := dnswire.Absolute(s)
	m := dnswire.Message{Questions: []dnswire.Question{{Name: text, Type: dnswire.TypeA, Class: dnswire.ClassIN}}}
	b, err := m.Append(nil)
	if err != nil || !dnswire.IsName(s) {
		return name{}, fmt.Errorf("%q is no DNS name", s)
	}
	if b = b[dnswire.HeaderLen : len(b)-4]; len(b) > maxName {
		return name{}, fmt.Errorf("%q is longer than a DNS name can be", s)
	}
	lower(b, b)
	return name{text, string(b)}, nil
}

// claim gives n a slot. It must not be anybody else's.
func (p *plan) claim(n name, whose string) (slot int, err error) {
	if slot, taken := p.slots[n.key]; taken {
		return 0, fmt.Errorf("%s: %s has the name %s already", whose, p.whose[slot], n.text)
	}
	slot = len(p.whose)
	p.slots[n.key] = slot
	p.whose = append(p.whose, whose)
	return slot, nil
}

func (p *plan) addNS(cfg *Config) error {
	if len(cfg.NS) == 0 {
		return errors.New("ns: the name of at least one nameserver is needed")
	}
	for _, s := range cfg.NS {
		n, err := newName(s)
		if err != nil {
			return fmt.Errorf("ns: %w", err)
		}
		p.ns = append(p.ns, n)
		if !dnswire.Within(n.text, p.zone.text) {
			continue
		}
		p.inZone = append(p.inZone, n)
		if n.key == p.zone.key {
			continue
		}
		if _, err := p.claim(n, fmt.Sprintf("ns %q", s)); err != nil {
			return err
		}
	}
	for _, a := range cfg.NSAddresses {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return fmt.Errorf("ns addresses: %v is nobody's address", a)
		}
	}
	p.nsAddrs = cfg.NSAddresses
	return nil
}

// setMailbox turns user@host into the name that SOA records write it as, where
// a dot of the user's is escaped (RFC 1035, 8).
func (p *plan) setMailbox(admin string) error {
	if admin == "" {
		admin = "hostmaster." + p.zone.text
	}
	if user, host, ok := strings.Cut(admin, "@"); ok {
		if user == "" || host == "" {
			return fmt.Errorf("admin: %q is no mailbox", admin)
		}
		admin = strings.NewReplacer(`\`, `\\`, ".", `\.`).Replace(user) + "." + host
	}
	n, err := newName(admin)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	p.mailbox = n.text
	return nil
}

func (p *plan) addGroup(g *Group) error {
	n, err := newName(strings.TrimSuffix(g.Name, ".") + "." + p.zone.text)
	if err != nil || g.Name == "" {
		return fmt.Errorf("group %q: dns name: %q is no name below the zone", g.Name, g.Name)
	}
	slot, err := p.claim(n, fmt.Sprintf("group %q", g.Name))
	errs := []error{err}
	if g.TTL < 0 {
		errs = append(errs, fmt.Errorf("group %q: ttl: %v is negative", g.Name, g.TTL))
	}
	if g.Pointer == nil {
		errs = append(errs, fmt.Errorf("group %q: pointer: nobody tells where it is", g.Name))
	}
	gp := groupPlan{Group: *g, name: n, slot: slot, any: minimalANY(n.text), ttl: uint32(min(g.TTL/time.Second, math.MaxInt32))}
	for _, o := range g.Origins {
		op, err := p.newOrigin(&o, &gp)
		if err != nil {
			errs = append(errs, fmt.Errorf("group %q: %w", g.Name, err))
		}
		gp.origins = append(gp.origins, op)
	}
	p.groups = append(p.groups, gp)
	return errors.Join(errs...)
}

func (p *plan) newOrigin(o *Origin, g *groupPlan) (originPlan, error) {
	op := originPlan{Origin: *o}
	if dnswire.Labels(o.Name) != 1 || !dnswire.IsName(o.Name) || strings.HasSuffix(o.Name, ".") {
		return op, fmt.Errorf("origin %q: its name must be one DNS label", o.Name)
	}
	n, err := newName(o.Name + "." + g.name.text)
	if err != nil {
		return op, fmt.Errorf("origin %q: %w", o.Name, err)
	}
	op.name, op.any = n, minimalANY(n.text)
	if g.CNAME && o.Host != "" {
		host, err := newName(o.Host)
		if err != nil {
			return op, fmt.Errorf("origin %q: host: %w", o.Name, err)
		}
		if dnswire.Within(host.text, p.zone.text) {
			return op, fmt.Errorf("origin %q: host %s is in the zone, so its CNAME would lead back here", o.Name, host.text)
		}
		op.target = host.text
	}
	op.slot, err = p.claim(n, fmt.Sprintf("origin %q of group %q", o.Name, g.Name))
	return op, err
}

// negativeTTL is half a minute at most, and no longer than any group's TTL, so
// that a denial doesn't outlive what it denies.
func (p *plan) negativeTTL() uint32 {
	ttl := uint32(30)
	for i := range p.groups {
		ttl = min(ttl, p.groups[i].ttl)
	}
	return max(ttl, 1)
}

// addEmpty notes the names between the zone and those that have records: they
// exist, with no data (RFC 8020).
func (p *plan) addEmpty() {
	var all []name
	all = append(all, p.inZone...)
	for i := range p.groups {
		all = append(all, p.groups[i].name)
	}
	for _, n := range all {
		for key := n.key; len(key) > len(p.zone.key); {
			key = key[1+int(key[0]):]
			if _, known := p.slots[key]; !known {
				_, _ = p.claim(name{key: key}, "a name between")
			}
		}
	}
}

// lower copies a name in wire format, in lower case. A label's length is less
// than any letter.
func lower(to, from []byte) {
	for i, c := range from {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to[i] = c
	}
}
