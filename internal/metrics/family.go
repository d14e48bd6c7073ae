package metrics

import "slices"

// kind is a metric's type, as the text format spells it.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// A family is one metric: its name, its labels and how to read its samples out
// of a snapshot.
type family struct {
	name   string
	kind   kind
	labels []string
	help   string
	write  func(p *page, s *Snapshot)
}

// families are all metrics of ours, in the order in which they are written.
var families = slices.Concat(processFamilies, groupFamilies, originFamilies, routeFamilies, legFamilies, doorFamilies, dnsFamilies)

// one is 1 for true and 0 for false.
func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// counts writes one sample for each count.
func counts(p *page, values []Count, first string) {
	for i := range values {
		p.add(float64(values[i].N), first, values[i].Name)
	}
}

// single is the family of a number that stands once in a snapshot.
func single(k kind, name, help string, value func(s *Snapshot) float64) family {
	return family{name, k, nil, help, func(p *page, s *Snapshot) { p.add(value(s)) }}
}

// perRoute is the family of a number that each route has.
func perRoute(k kind, name, help string, value func(r *Route) float64) family {
	return family{name, k, []string{"route"}, help, func(p *page, s *Snapshot) {
		for i := range s.Routes {
			p.add(value(&s.Routes[i]), s.Routes[i].Name)
		}
	}}
}

// perOrigin is the family of a number that each origin has.
func perOrigin(k kind, name, help string, value func(o *Origin) float64) family {
	return family{name, k, []string{"origin"}, help, func(p *page, s *Snapshot) {
		for i := range s.Origins {
			p.add(value(&s.Origins[i]), s.Origins[i].Name)
		}
	}}
}

// perGroup is the family of a number that each group has.
func perGroup(k kind, name, help string, value func(g *Group) float64) family {
	return family{name, k, []string{"group"}, help, func(p *page, s *Snapshot) {
		for i := range s.Groups {
			p.add(value(&s.Groups[i]), s.Groups[i].Name)
		}
	}}
}

// perHost is the family of a number that each name has that is looked up.
func perHost(k kind, name, help string, value func(h *Host) float64) family {
	return family{name, k, []string{"host"}, help, func(p *page, s *Snapshot) {
		for i := range s.Hosts {
			p.add(value(&s.Hosts[i]), s.Hosts[i].Name)
		}
	}}
}
