package resolver

import (
	"net/netip"
	"slices"
	"strings"
)

// parseHosts reads a hosts file: on each line an address and the names that it
// has, up to a "#". The addresses of a name are those of all its lines, at
// most maxAddrs. Names are in lower case and without a dot at the end. What
// makes no sense is skipped.
func parseHosts(text string) map[string][]netip.Addr {
	hosts := make(map[string][]netip.Addr)
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		addr = addr.Unmap()
		for _, name := range fields[1:] {
			name = strings.TrimSuffix(strings.ToLower(name), ".")
			if has := hosts[name]; len(has) < maxAddrs && !slices.Contains(has, addr) {
				hosts[name] = append(has, addr)
			}
		}
	}
	return hosts
}
