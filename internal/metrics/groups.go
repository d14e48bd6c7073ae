package metrics

// groupFamilies are the pointers.
var groupFamilies = []family{
	{"fairlead_pointer_target", gauge, []string{"group", "role", "origin"}, "1 where the group's pointer is, 0 elsewhere; the role none has no origin.", func(p *page, s *Snapshot) {
		for i := range s.Groups {
			g := &s.Groups[i]
			p.add(one(g.Role == "primary"), g.Name, "primary", g.Primary)
			if g.Secondary != "" {
				p.add(one(g.Role == "secondary"), g.Name, "secondary", g.Secondary)
			}
			p.add(one(g.Role == "none"), g.Name, "none", "")
		}
	}},
	perGroup(gauge, "fairlead_pointer_generation", "Number of the pointer's present place; one more with each flip.",
		func(g *Group) float64 { return float64(g.Generation) }),
	{"fairlead_pointer_since_timestamp_seconds", gauge, []string{"group"}, "When the pointer came to where it is.", func(p *page, s *Snapshot) {
		for i := range s.Groups {
			p.addTime(s.Groups[i].Since, s.Groups[i].Name)
		}
	}},
	perGroup(gauge, "fairlead_pointer_pinned", "1 while an operator has fixed the pointer.",
		func(g *Group) float64 { return one(g.Pinned) }),
	{"fairlead_flips_total", counter, []string{"group", "reason"}, "Moves of the pointer, by why it moved.", func(p *page, s *Snapshot) {
		for i := range s.Groups {
			counts(p, s.Groups[i].Flips, s.Groups[i].Name)
		}
	}},
	perGroup(gauge, "fairlead_drill_share", "Share of the requests that may fail over that a drill picks now, from 0 to 1; 0 while none runs.",
		func(g *Group) float64 { return g.DrillShare }),
	{"fairlead_drill_requests_total", counter, []string{"group", "result"}, "Requests that drills have picked, by what their clients got: secondary, rescued (the primary's answer, after the secondary had failed), failed, left.", func(p *page, s *Snapshot) {
		for i := range s.Groups {
			counts(p, s.Groups[i].Drilled, s.Groups[i].Name)
		}
	}},
}
