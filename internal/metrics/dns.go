package metrics

// dnsFamilies are both ends of DNS.
var dnsFamilies = []family{
	perHost(counter, "fairlead_dns_lookups_total", "Lookups of an origin's name.",
		func(h *Host) float64 { return float64(h.Lookups) }),
	perHost(counter, "fairlead_dns_lookup_failures_total", "Lookups that brought neither addresses nor a denial.",
		func(h *Host) float64 { return float64(h.Failures) }),
	perHost(counter, "fairlead_dns_stale_answers_total", "Uses of an address past its TTL, since no server gave another.",
		func(h *Host) float64 { return float64(h.Stale) }),
	perHost(gauge, "fairlead_dns_addresses", "Addresses of the name that are usable now.",
		func(h *Host) float64 { return float64(h.Addresses) }),
	{"fairlead_nameserver_queries_total", counter, []string{"transport"}, "Queries to the nameserver.", func(p *page, s *Snapshot) {
		if s.Nameserver == nil {
			return
		}
		for i := range s.Nameserver.Transports {
			p.add(float64(s.Nameserver.Transports[i].Queries), s.Nameserver.Transports[i].Name)
		}
	}},
	{"fairlead_nameserver_responses_total", counter, []string{"transport", "rcode"}, "Responses of the nameserver, by code.", func(p *page, s *Snapshot) {
		if s.Nameserver == nil {
			return
		}
		for i := range s.Nameserver.Transports {
			counts(p, s.Nameserver.Transports[i].Responses, s.Nameserver.Transports[i].Name)
		}
	}},
	ofNameserver(counter, "fairlead_nameserver_dropped_responses_total", "Responses that the rate limit held back.",
		func(n *Nameserver) float64 { return float64(n.Dropped) }),
	ofNameserver(counter, "fairlead_nameserver_slipped_responses_total", "Responses that the rate limit made empty, so that the client comes again over TCP.",
		func(n *Nameserver) float64 { return float64(n.Slipped) }),
	ofNameserver(counter, "fairlead_nameserver_truncated_responses_total", "Responses that did not fit a datagram.",
		func(n *Nameserver) float64 { return float64(n.Truncated) }),
	ofNameserver(counter, "fairlead_nameserver_ignored_messages_total", "Messages to the nameserver that are no queries.",
		func(n *Nameserver) float64 { return float64(n.Ignored) }),
	ofNameserver(counter, "fairlead_nameserver_errors_total", "Errors of the nameserver's sockets.",
		func(n *Nameserver) float64 { return float64(n.Errors) }),
	ofNameserver(gauge, "fairlead_nameserver_connections", "Open TCP connections to the nameserver.",
		func(n *Nameserver) float64 { return float64(n.Connections) }),
}

// ofNameserver is the family of a number that the nameserver has, if there is one.
func ofNameserver(k kind, name, help string, value func(n *Nameserver) float64) family {
	return family{name, k, nil, help, func(p *page, s *Snapshot) {
		if s.Nameserver != nil {
			p.add(value(s.Nameserver))
		}
	}}
}
