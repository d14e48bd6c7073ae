package metrics

// verdicts are all that an origin may have.
var verdicts = [...]string{"healthy", "down", "unknown", "unchecked"}

// originFamilies are origins: health, probes, connections.
var originFamilies = []family{
	perOrigin(gauge, "fairlead_origin_up", "0 while the probes find the origin down, else 1: unknown and unchecked origins count as healthy, as they do for traffic.",
		func(o *Origin) float64 { return one(o.Verdict != "down") }),
	{"fairlead_origin_verdict", gauge, []string{"origin", "verdict"}, "1 for the origin's verdict, 0 for the others.", func(p *page, s *Snapshot) {
		for i := range s.Origins {
			for _, v := range verdicts {
				p.add(one(s.Origins[i].Verdict == v), s.Origins[i].Name, v)
			}
		}
	}},
	perOrigin(gauge, "fairlead_origin_drained", "1 while an operator has taken the origin out of service.",
		func(o *Origin) float64 { return one(o.Drained) }),
	perOrigin(gauge, "fairlead_origin_connections", "Open connections to the origin, of all routes.",
		func(o *Origin) float64 { return float64(o.Connections.Open) }),
	{"fairlead_origin_connections_limit", gauge, []string{"origin"}, "Connections that the origin may have: max_connections; none without a limit.", func(p *page, s *Snapshot) {
		for i := range s.Origins {
			if o := &s.Origins[i]; o.Connections.Limit > 0 {
				p.add(float64(o.Connections.Limit), o.Name)
			}
		}
	}},
	{"fairlead_probes_total", counter, []string{"origin", "result"}, "Probes of the origin; dropped ones came too late to count.", func(p *page, s *Snapshot) {
		for i := range s.Origins {
			counts(p, s.Origins[i].Probes, s.Origins[i].Name)
		}
	}},
	{"fairlead_probe_duration_seconds", gauge, []string{"origin"}, "How long the last probe of the origin took.", func(p *page, s *Snapshot) {
		for i := range s.Origins {
			if o := &s.Origins[i]; o.LastProbe > 0 {
				p.add(o.LastProbe.Seconds(), o.Name)
			}
		}
	}},
}
