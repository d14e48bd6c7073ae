package resolver

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// resolvConf is what a resolv.conf(5) says. Numbers that it doesn't give are
// zero, but ndots, which is 1.
type resolvConf struct {
	servers  []string // "ip:53"
	search   []string // absolute
	searched bool     // there was a search or domain line
	ndots    int
	timeout  time.Duration
	attempts int
}

// The bounds of resolv.conf(5); what is above counts as the bound.
const (
	confServers  = 3
	confSearch   = 16
	confNdots    = 15
	confTimeout  = 30
	confAttempts = 5
)

// parseResolvConf skips what it doesn't know or understand, as every resolver
// does.
func parseResolvConf(text string) resolvConf {
	c := resolvConf{ndots: 1}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if ip, err := netip.ParseAddr(fields[1]); err == nil && len(c.servers) < confServers {
				c.servers = append(c.servers, net.JoinHostPort(ip.String(), "53"))
			}
		case "domain":
			c.setSearch(fields[1:2]) // the last of both kinds of line counts
		case "search":
			c.setSearch(fields[1:])
		case "options":
			for _, option := range fields[1:] {
				c.setOption(option)
			}
		}
	}
	return c
}

func (c *resolvConf) setSearch(domains []string) {
	c.search, c.searched = nil, true
	for _, d := range domains {
		d = strings.TrimSuffix(strings.ToLower(d), ".") + "."
		if isHost(d) && len(c.search) < confSearch {
			c.search = append(c.search, d)
		}
	}
}

func (c *resolvConf) setOption(option string) {
	name, value, _ := strings.Cut(option, ":")
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return
	}
	switch name {
	case "ndots":
		c.ndots = min(n, confNdots)
	case "timeout":
		c.timeout = time.Duration(min(max(n, 1), confTimeout)) * time.Second
	case "attempts":
		c.attempts = min(max(n, 1), confAttempts)
	}
}
