package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Resolver is the table [resolver]: how names of origins become addresses.
type Resolver struct {
	// Servers are asked for the addresses of origins, one after the other.
	// Empty means the system's: resolv.conf with its search list, and the hosts
	// file before it.
	Servers []netip.AddrPort
	// Timeout bounds the wait for one server's answer. Zero means what
	// resolv.conf says, where that is used, else 1 s.
	Timeout time.Duration
	// MinTTL and MaxTTL are what a shorter and a longer TTL count as. MinTTL is
	// not the longer one.
	MinTTL, MaxTTL time.Duration
	// StaleMax is how long past its TTL an answer is used while no server
	// gives another. Zero means not at all.
	StaleMax time.Duration
}

// Nameserver is the table [nameserver]: the pointers answered over DNS.
type Nameserver struct {
	// Listen is "host:port", for UDP and TCP. Port 0 means a free one.
	Listen string
	// Zone is what is answered for: an absolute name in lower case.
	Zone string
	// NS are the names of the zone's nameservers, absolute; at least one.
	NS []string
	// NSAddresses are the addresses of those NS names that are within the zone.
	// Empty means Listen's, if it is a single one.
	NSAddresses []netip.Addr
	// Admin is the mailbox of who is responsible, as an absolute name.
	Admin string
	// RateLimit is how many responses a second the clients of one network, /24
	// or /56, get over UDP. Zero means no limit.
	RateLimit int
}

// DNSAnswer is a value of groups.NAME.dns_answer.
type DNSAnswer string

// What a group's name is answered with.
const (
	DNSAnswerAddress DNSAnswer = "address" // the active origin's addresses
	DNSAnswerCNAME   DNSAnswer = "cname"   // the active origin's name, if it has one
)

// Follow is another Fairlead's pointer.
type Follow struct {
	// Server is the nameserver that publishes it.
	Server netip.AddrPort
	// Name is its group's absolute name, in lower case.
	Name string
}

// String returns the pointer as the file writes it.
func (f *Follow) String() string { return "dns://" + f.Server.String() + "/" + f.Name }

func defaultResolver() Resolver {
	return Resolver{MinTTL: time.Second, MaxTTL: 5 * time.Minute, StaleMax: time.Hour}
}

func defaultNameserver() Nameserver { return Nameserver{RateLimit: 100} }

func resolverFields(r *Resolver) fields {
	return fields{
		"servers":   list(&r.Servers, dnsServer, 1, 16),
		"timeout":   duration(&r.Timeout, 10*time.Millisecond, time.Minute),
		"min_ttl":   duration(&r.MinTTL, 10*time.Millisecond, longestTime),
		"max_ttl":   duration(&r.MaxTTL, 10*time.Millisecond, longestTime),
		"stale_max": duration(&r.StaleMax, 0, 7*longestTime),
	}
}

func nameserverFields(n *Nameserver) fields {
	return fields{
		"listen":       dnsListen(&n.Listen),
		"zone":         absoluteName(&n.Zone),
		"ns":           list(&n.NS, nsName, 1, 13),
		"ns_addresses": list(&n.NSAddresses, ipAddress, 0, 26),
		"admin":        mailbox(&n.Admin),
		"rate_limit":   integer(&n.RateLimit, 0, 10_000_000),
	}
}

// nameserver reads the table [nameserver], which makes a difference by being
// there.
func (d *decoder) nameserver(v value) {
	if v.kind != kindTable {
		d.reject(v, "a table is needed, not %s; write [nameserver] and its keys below", v.kind)
		return
	}
	n, s := defaultNameserver(), scope{owner: "nameserver"}
	d.table(s, v.node, nameserverFields(&n))
	d.require(s, v.node, "listen", `listen = "127.0.0.1:5353", or another address`)
	d.require(s, v.node, "zone", `zone = "failover.example.", with a zone of your own`)
	d.require(s, v.node, "ns", `ns = ["ns1.failover.example."], with the names that the zone is delegated to`)
	if n.Admin == "" {
		n.Admin = "hostmaster." + n.Zone
	}
	d.cfg.Nameserver = &n
}

// dnsServer reads "ip:port".
func dnsServer(d *decoder, v value) (netip.AddrPort, bool) {
	if !d.want(v, kindString, `an address such as "127.0.0.1:53"`) {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddrPort(v.text)
	switch ip, notIP := netip.ParseAddr(strings.Trim(v.text, "[]")); {
	case err == nil && a.Port() > 0:
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
	case err == nil:
		d.reject(v, "port 0 is nobody's; write %s", show(netip.AddrPortFrom(a.Addr(), 53).String()))
	case notIP == nil:
		d.reject(v, "the port is missing; write %s", show(netip.AddrPortFrom(ip, 53).String()))
	default:
		d.reject(v, `not an IP address with a port; write one such as "127.0.0.1:53" (a name would have to be resolved first)`)
	}
	return netip.AddrPort{}, false
}

// dnsListen stores "host:port".
func dnsListen(dst *string) setter {
	return func(d *decoder, v value) {
		if v.kind == kindString && strings.HasPrefix(v.text, "unix:") {
			d.reject(v, `DNS is not spoken over unix sockets; write "127.0.0.1:5353", or another address`)
			return
		}
		if listen, ok := listenAddress(d, v); ok {
			*dst = listen
		}
	}
}

// readName reads a name and returns it absolute and in lower case.
func readName(d *decoder, v value, example string) (string, bool) {
	if !d.want(v, kindString, "a name such as "+show(example)) {
		return "", false
	}
	if !validName(v.text) {
		d.reject(v, "not a name; write one such as %s", show(example))
		return "", false
	}
	return strings.ToLower(strings.TrimSuffix(v.text, ".")) + ".", true
}

func absoluteName(dst *string) setter {
	return func(d *decoder, v value) {
		if name, ok := readName(d, v, "failover.example."); ok {
			*dst = name
		}
	}
}

func nsName(d *decoder, v value) (string, bool) {
	return readName(d, v, "ns1.failover.example.")
}

// mailbox stores "hostmaster.example." or "hostmaster@example".
func mailbox(dst *string) setter {
	return func(d *decoder, v value) {
		const example = "hostmaster.failover.example."
		if v.kind == kindString {
			local, domain, isAddress := strings.Cut(v.text, "@")
			if isAddress && strings.Contains(local, ".") {
				d.reject(v, "the zone's SOA record can't hold a dot before the @; write another mailbox, such as %s", show(example))
				return
			}
			if isAddress && validName(local+"."+domain) {
				*dst = strings.ToLower(local+"."+strings.TrimSuffix(domain, ".")) + "."
				return
			}
		}
		if name, ok := readName(d, v, example); ok {
			*dst = name
		}
	}
}

func ipAddress(d *decoder, v value) (netip.Addr, bool) {
	if !d.want(v, kindString, `an address such as "192.0.2.53"`) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(v.text)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		d.reject(v, `not an IP address that can be answered; write one such as "192.0.2.53"`)
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// relativeName stores a name below the zone.
func relativeName(dst *string) setter {
	return func(d *decoder, v value) {
		switch {
		case !d.want(v, kindString, `a name such as "shop"`):
		case strings.HasSuffix(v.text, "."):
			d.reject(v, "the name is meant below the nameserver's zone; write it without the dot at its end, and without the zone")
		case !validName(v.text):
			d.reject(v, `not a name; write one such as "shop"`)
		default:
			*dst = strings.ToLower(v.text)
		}
	}
}

// follow stores "dns://ip:port/name".
func follow(dst **Follow) setter {
	const example = "dns://192.0.2.53:53/shop.failover.example."
	return func(d *decoder, v value) {
		if !d.want(v, kindString, "a pointer such as "+show(example)) {
			return
		}
		u, err := url.Parse(v.text)
		switch {
		case err != nil || u.Scheme != "dns" || u.Host == "" || u.User != nil || strings.ContainsAny(v.text, "?#"):
			d.reject(v, "not a pointer; write one such as %s", show(example))
			return
		case u.Port() == "":
			u.Host = net.JoinHostPort(u.Hostname(), "53")
		}
		server, err := netip.ParseAddrPort(u.Host)
		name := strings.TrimPrefix(u.Path, "/")
		switch {
		case err != nil || server.Port() == 0:
			d.reject(v, "%s is not an IP address with a port; write one such as %s (a name would have to be resolved first)", show(u.Host), show(example))
		case !validName(name):
			d.reject(v, "%s is not the name of a group; write one such as %s", show(name), show(example))
		default:
			*dst = &Follow{
				Server: netip.AddrPortFrom(server.Addr().Unmap(), server.Port()),
				Name:   strings.ToLower(strings.TrimSuffix(name, ".")) + ".",
			}
		}
	}
}

// checkDNS applies the rules that join [resolver], [nameserver] and the groups.
func (d *decoder) checkDNS() {
	if t := d.root.get("resolver"); t != nil && t.kind == kindTable && sound(t, "min_ttl", "max_ttl") {
		if r := &d.cfg.Resolver; r.MinTTL > r.MaxTTL {
			key, other, value, limit := "min_ttl", "max_ttl", r.MinTTL, r.MaxTTL
			d.contradict(scope{owner: "resolver"}, t, key, value, t.get(other), "longer than the longest TTL (%s); write less, or a longer max_ttl",
				d.reference(t, other, limit))
		}
	}
	ns := d.root.get("nameserver")
	if ns != nil && ns.kind == kindTable && sound(ns, "listen") && d.cfg.Nameserver != nil {
		d.checkDNSListen(ns)
	}
	names := d.checkDNSNames(ns)
	d.checkFollows(ns, names)
}

// checkDNSListen: TCP ports are taken by both.
func (d *decoder) checkDNSListen(ns *node) {
	own := d.cfg.Nameserver.Listen
	for _, a := range slices.Concat(d.cfg.Server.Listen, d.cfg.Server.TLSListen) {
		if claims(a, own) || claims(own, a) {
			d.reject(value{ns.get("listen"), scope{owner: "nameserver"}, "listen"}, "the server listens on %s already; write another port", show(a))
			return
		}
	}
}

// checkDNSNames checks that every name of the zone is one thing, and returns
// the groups by their absolute names.
func (d *decoder) checkDNSNames(ns *node) map[string]int {
	groups := map[string]int{}
	if ns != nil && (ns.kind != kindTable || !sound(ns, "zone", "ns")) {
		return groups
	}
	taken := map[string]string{} // what a name is
	zone := ""
	if n := d.cfg.Nameserver; n != nil {
		zone = n.Zone
		for _, name := range n.NS {
			taken[name] = "a nameserver"
		}
	}
	for i := range d.cfg.Groups {
		g, t := &d.cfg.Groups[i], d.groups[i]
		s := scope{owner: "group " + show(g.Name)}
		if t.get("dns_name") == nil {
			if n := t.get("dns_answer"); n != nil && !n.bad {
				d.reject(value{n, s, "dns_answer"}, "without a dns_name nothing is answered; write one, or remove this line")
			}
			continue
		}
		v := value{t.get("dns_name"), s, "dns_name"}
		if v.bad {
			continue
		}
		if ns == nil {
			d.reject(v, "there is no [nameserver] table that could answer; write one, or remove this line")
			continue
		}
		d.takeNames(v, g, zone, taken)
		if n := t.get("dns_answer"); n != nil && !n.bad && g.DNSAnswer == DNSAnswerCNAME {
			d.checkAliases(value{n, s, "dns_answer"}, g, zone)
		}
		groups[g.DNSName+"."+zone] = i
	}
	return groups
}

// checkAliases refuses names that would be answered with names of the same
// zone: only groups and their origins are in it.
func (d *decoder) checkAliases(v value, g *Group, zone string) {
	for _, name := range []string{g.Primary, g.Secondary} {
		o := d.cfg.Origin(name)
		if o == nil || o.Network != "tcp" {
			continue
		}
		host, _, err := net.SplitHostPort(o.Address)
		host = strings.ToLower(strings.TrimSuffix(host, ".")) + "."
		if err == nil && (host == zone || strings.HasSuffix(host, "."+zone)) {
			d.reject(v, "the url of origin %s has the name %s, which is in the zone that this is about; write a name of another zone there", show(o.Name), show(host))
			return
		}
	}
}

// takeNames enters the names of a group and of its origins.
func (d *decoder) takeNames(v value, g *Group, zone string, taken map[string]string) {
	name := g.DNSName + "." + zone
	mine := []string{name}
	for _, origin := range []string{g.Primary, g.Secondary} {
		if origin != "" {
			mine = append(mine, strings.ToLower(origin)+"."+name)
		}
	}
	for i, n := range mine {
		what := "group " + show(g.Name)
		if i > 0 {
			what = "an origin of " + what
		}
		switch other := taken[n]; {
		case len(n) > 254:
			d.reject(v, "%s would be longer than DNS allows; write a shorter name", show(n))
			return
		case other != "":
			d.reject(v, "%s is the name of %s already; write another one", show(n), other)
			return
		}
		taken[n] = what
	}
}

// checkFollows refuses to follow what can't be there, and rings within the
// file. Rings over several processes show at run time.
func (d *decoder) checkFollows(ns *node, names map[string]int) {
	if ns == nil || d.cfg.Nameserver == nil || !sound(ns, "listen", "zone") {
		return
	}
	for i := range d.cfg.Groups {
		f := d.cfg.Groups[i].Follow
		if f == nil || !d.isOwn(f) {
			continue
		}
		v := value{d.groups[i].get("follow"), scope{owner: "group " + show(d.cfg.Groups[i].Name)}, "follow"}
		if _, ok := names[f.Name]; !ok {
			d.reject(v, "that is this file's own nameserver, and no group has this dns_name; write a name that it answers")
			continue
		}
		if ring := d.ring(i, names); ring != "" {
			d.reject(v, "%s; follow a pointer that does not follow this one", ring)
		}
	}
}

// isOwn reports whether f points to the nameserver of this very file.
func (d *decoder) isOwn(f *Follow) bool { return claims(d.cfg.Nameserver.Listen, f.Server.String()) }

// ring says how group i follows itself, or "".
func (d *decoder) ring(i int, names map[string]int) string {
	path := ""
	for at, steps := i, 0; steps <= len(d.cfg.Groups); steps++ {
		f := d.cfg.Groups[at].Follow
		if f == nil || !d.isOwn(f) {
			return ""
		}
		next, ok := names[f.Name]
		switch {
		case !ok:
			return ""
		case next == i && path == "":
			return "the group would follow itself"
		case next == i:
			return fmt.Sprintf("the group would follow itself, by way of %s", path)
		case path != "":
			path += ", "
		}
		path += show(d.cfg.Groups[next].Name)
		at = next
	}
	return ""
}
