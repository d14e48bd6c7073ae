package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/config"
)

// dangers returns what a configuration without mistakes leaves dangerous, one
// sentence each. Defaults that every proxy has are not among them.
func dangers(cfg *config.Config) []string {
	var found []string
	warn := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, p := range cfg.Server.TrustedProxies {
		if p.Bits() == 0 {
			warn("server: trusted_proxies holds %s: any client can claim any address", p)
		}
	}
	found = append(found, proxyProtocolDangers(&cfg.Server)...)
	unchecked := make(map[string]bool)
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		if g.Secondary == "" {
			warn("group %s has no secondary: while %s is down, its requests fail", g.Name, g.Primary)
			continue
		}
		for _, name := range []string{g.Primary, g.Secondary} {
			if cfg.Origin(name).Health == nil && !unchecked[name] {
				unchecked[name] = true
				warn("origin %s has no health check: it always counts as healthy, and no pointer moves on its account", name)
			}
		}
		if p, s := cfg.Origin(g.Primary), cfg.Origin(g.Secondary); p.Network == s.Network && p.Address == s.Address {
			warn("group %s: %s and %s have one address, %s: they fail together", g.Name, p.Name, s.Name, p.Address)
		}
		if len(g.FailoverMethods) == 0 {
			warn("group %s: failover_methods is empty: requests fail until the pointer has moved", g.Name)
		}
		if g.Unsafe == config.UnsafeUnsent {
			warn(`group %s: unsafe = "unsent": writes can reach %s while the pointer is still at %s`, g.Name, g.Secondary, g.Primary)
		}
		if d := decision(cfg.Origin(g.Primary)); g.Unsafe == config.UnsafePark && d > g.ParkTimeout {
			warn("group %s: park_timeout = %v is over before %s can be found down, which takes %v: parked requests fail first",
				g.Name, g.ParkTimeout, g.Primary, d)
		}
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		if r.Breaker.ConsecutiveFailures == 0 && cfg.Group(r.Group).Secondary != "" {
			warn("route %s has no breaker: until the pointer moves, each request tries the failing origin first", r.Name)
		}
	}
	found = append(found, dnsDangers(cfg)...)
	return append(found, unused(cfg)...)
}

// proxyProtocolDangers names the listeners by which a balancer that is trusted
// for its PROXY headers can pass connections on without one. What their clients
// say of themselves would be taken for the balancer's word.
func proxyProtocolDangers(s *config.Server) (found []string) {
	if len(s.ProxyProtocol) == 0 || len(s.TrustedProxies) == 0 {
		return nil
	}
	for _, a := range slices.Concat(s.Listen, s.TLSListen) {
		if !slices.Contains(s.ProxyProtocol, a) && !strings.HasPrefix(a, "unix:") {
			found = append(found, fmt.Sprintf("server: proxy_protocol leaves out %s: what comes there from trusted_proxies is believed, also if a balancer only passes it on", a))
		}
	}
	return found
}

// dnsDangers is dangers for the pointers over DNS.
func dnsDangers(cfg *config.Config) []string {
	n := cfg.Nameserver
	if n == nil {
		return nil
	}
	var found []string
	warn := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	answered := false
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		answered = answered || g.DNSName != ""
		if g.DNSAnswer == config.DNSAnswerCNAME {
			found = append(found, aliasDangers(cfg, g)...)
		}
	}
	if !answered {
		warn("nameserver: no group has a dns_name, so there is nothing to answer")
	}
	for _, name := range n.NS {
		if strings.Count(name, ".") == 1 {
			warn("nameserver: ns = %q is a name of its own, not one below the zone; if that is meant, write \"%s%s\"", name, name, n.Zone)
		}
	}
	host, _, _ := net.SplitHostPort(n.Listen)
	ip, err := netip.ParseAddr(host)
	if anywhere := err != nil || ip.IsUnspecified(); anywhere && len(n.NSAddresses) == 0 {
		for _, name := range n.NS {
			if strings.HasSuffix(name, "."+n.Zone) {
				warn("nameserver: listen = %q is no single address, and there are no ns_addresses: %s has no address", n.Listen, name)
			}
		}
	}
	if n.RateLimit == 0 && !ip.IsLoopback() {
		warn("nameserver: rate_limit = 0: whoever forges an address can have responses sent to it without end")
	}
	return found
}

// aliasDangers is dangers for a group that is answered with its origins' names.
func aliasDangers(cfg *config.Config, g *config.Group) (found []string) {
	for _, name := range []string{g.Primary, g.Secondary} {
		if name == "" {
			continue
		}
		switch host := strings.TrimSuffix(dnsHost(cfg.Origin(name)), "."); {
		case host == "":
			found = append(found, fmt.Sprintf(`group %s: dns_answer = "cname", but %s has no name: it is answered with its address`, g.Name, name))
		case !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost"):
			found = append(found, fmt.Sprintf(`group %s: dns_answer = "cname", but the name of %s, %s, means something on this machine only`, g.Name, name, host))
		}
	}
	return found
}

// unused returns the origins and groups that nothing refers to: often the line
// that should name one names another.
func unused(cfg *config.Config) []string {
	origins, groups := make(map[string]bool), make(map[string]bool)
	for i := range cfg.Routes {
		groups[cfg.Routes[i].Group] = true
	}
	var found []string
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		origins[g.Primary], origins[g.Secondary] = true, true
		if !groups[g.Name] {
			found = append(found, fmt.Sprintf("group %s: no route uses it", g.Name))
		}
	}
	for i := range cfg.Origins {
		if name := cfg.Origins[i].Name; !origins[name] {
			found = append(found, fmt.Sprintf("origin %s: no group uses it", name))
		}
	}
	return found
}

// decision is how long an origin that refuses connections, under traffic, takes
// to be found down. It is zero without a check.
func decision(o *config.Origin) time.Duration {
	if o.Health == nil {
		return 0
	}
	return time.Duration(o.Health.Fall) * o.Health.FastInterval
}
