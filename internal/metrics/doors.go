package metrics

// doorFamilies are the clients' side: connections, TLS, HTTP/2, PROXY headers.
var doorFamilies = []family{
	single(gauge, "fairlead_client_connections", "Open connections of clients.",
		func(s *Snapshot) float64 { return float64(s.Clients.Open) }),
	single(gauge, "fairlead_client_connections_limit", "Connections that clients may have: max_connections, or what the file descriptors allow.",
		func(s *Snapshot) float64 { return float64(s.Clients.Limit) }),
	{"fairlead_tls_handshakes_total", counter, []string{"result"}, "TLS handshakes of clients.", func(p *page, s *Snapshot) {
		h := &s.Handshakes
		p.add(float64(h.Done), "done")
		p.add(float64(h.Failed), "failed")
		p.add(float64(h.TimedOut), "timed_out")
		p.add(float64(h.Refused), "refused")
	}},
	single(counter, "fairlead_tls_resumed_handshakes_total", "TLS handshakes that resumed a session; they are among those that are done.",
		func(s *Snapshot) float64 { return float64(s.Handshakes.Resumed) }),
	single(gauge, "fairlead_tls_handshakes_waiting", "TLS handshakes that wait for their turn to compute.",
		func(s *Snapshot) float64 { return float64(s.Handshakes.Waiting) }),
	{"fairlead_http2_ended_connections_total", counter, []string{"reason"}, "HTTP/2 connections that Fairlead ended: broken by the client, calmed for a flood, or slow.", func(p *page, s *Snapshot) {
		p.add(float64(s.HTTP2.Broken), "broken")
		p.add(float64(s.HTTP2.Calmed), "calmed")
		p.add(float64(s.HTTP2.Slow), "slow")
	}},
	{"fairlead_proxy_protocol_headers_total", counter, []string{"result"}, "Headers of the PROXY protocol, or their absence; all but believed and local end the connection.", func(p *page, s *Snapshot) {
		h := &s.ProxyProtocol
		p.add(float64(h.Believed), "believed")
		p.add(float64(h.Local), "local")
		p.add(float64(h.Missing), "missing")
		p.add(float64(h.Untrusted), "untrusted")
		p.add(float64(h.Broken), "broken")
	}},
	{"fairlead_certificate_not_after_timestamp_seconds", gauge, []string{"file"}, "When the certificate of the file ends.", func(p *page, s *Snapshot) {
		for i := range s.Certificates {
			p.addTime(s.Certificates[i].NotAfter, s.Certificates[i].File)
		}
	}},
}
