package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/chaos/report"
	"github.com/fairlead/fairlead/internal/chaos/timeline"
	"github.com/fairlead/fairlead/internal/drill"
)

// drillPage collects what "--html" shows: a scenario with a picture for each fault.
type drillPage struct {
	file      string // "": no page is wanted
	scenarios []report.Scenario
}

// openDrillPage makes sure that the page can be written, before the drill takes its
// minutes. What stands in the file stays there until the drill is over.
func openDrillPage(file string) (*drillPage, error) {
	if file == "" {
		return &drillPage{}, nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("write the page: %w; --html takes a file in a folder that exists", err)
	}
	return &drillPage{file: file}, nil
}

// add adds a fault. Seen are its rounds; the result has the routes of all of them,
// in this order.
func (d *drillPage) add(r *drill.Result, seen []*drillSeen) {
	if d.file == "" {
		return
	}
	if r.Skipped != "" {
		d.scenarios = append(d.scenarios, report.Scenario{Name: r.Fault, Text: r.Text, Outcome: report.Skipped, Why: r.Skipped})
		return
	}
	routes := r.Routes
	for i, s := range seen {
		name := r.Fault
		if len(seen) > 1 {
			name = fmt.Sprintf("%s (%d of %d)", name, i+1, len(seen))
		}
		d.scenarios = append(d.scenarios, s.scenario(name, routes[:len(s.round.routes)]))
		routes = routes[len(s.round.routes):]
	}
}

// write writes the page, if one is wanted.
func (d *drillPage) write(doc *drill.Document) error {
	if d.file == "" {
		return nil
	}
	o := doc.Outcomes
	r := report.Report{
		Title: "Drill of " + doc.Config,
		Made: fmt.Sprintf("%s, fairlead %s, %s/%s. Verdicts: %d held, %d unavoidable, %d weak, %d failed. A fault has the worst verdict of its routes; broken are those by which a covered request failed or a promise of Fairlead's own.",
			doc.Started.Format("2 January 2006 15:04 MST"), doc.Version, runtime.GOOS, runtime.GOARCH, o[drill.Held], o[drill.Unavoidable], o[drill.Weak], o[drill.Failed]),
		Scenarios: d.scenarios,
	}
	if err := os.WriteFile(d.file, r.HTML(), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// scenario is a round as the page shows it.
func (s *drillSeen) scenario(name string, routes []drill.RouteResult) report.Scenario {
	c := report.Scenario{
		Name: name, Text: s.round.fault.Text, Took: s.at.Sub(s.started),
		Picture: s.picture(name),
		Steps: []report.Step{
			{At: s.begin.Sub(s.started), Text: fmt.Sprintf("%s begins at %s", s.round.fault.Name, strings.Join(s.round.victims(), ", ")), Held: true},
			{At: s.end.Sub(s.started), Text: s.round.fault.Name + " ends", Held: true},
		},
	}
	why, worst := slices.Concat(s.violations, s.unrest), drill.Held
	if len(why) > 0 {
		worst = drill.Failed
	}
	for _, m := range s.moves {
		c.Steps = append(c.Steps, report.Step{At: m.at.Sub(s.started), Text: fmt.Sprintf("the pointer of %s moves to %s", m.group, orNobody(m.to)), Held: true})
	}
	for _, v := range s.verdicts {
		c.Steps = append(c.Steps, report.Step{At: v.at.Sub(s.started), Text: fmt.Sprintf("%s is found %s", v.origin, v.to), Held: true})
	}
	for i := range routes {
		r := &routes[i]
		worst = worse(worst, r.Verdict.Outcome)
		c.Figures = append(c.Figures, report.Figure{Name: r.Route, Value: drillSentence(r)})
		for _, f := range append([]drill.Finding{r.Verdict.Finding}, r.Verdict.Also...) {
			text := fmt.Sprintf("%s: %s: %s", r.Route, f.Outcome, f.Text)
			if f.Key != "" {
				text += " (" + f.Key + ")"
			}
			c.Steps = append(c.Steps, report.Step{At: s.at.Sub(s.started), Text: text, Held: !f.Outcome.Worse(drill.Unavoidable)})
		}
	}
	for _, b := range alike(routes) {
		who := b.worst.Route
		if n := len(b.routes); n > 1 {
			who = fmt.Sprintf("%s, such as %s", count(n, "route"), who)
		}
		why = append(why, who+": "+b.worst.Verdict.Text)
	}
	c.Outcome = reported[worst]
	c.Why = strings.Join(why, "\n")
	slices.SortStableFunc(c.Steps, func(a, b report.Step) int { return int(a.At - b.At) })
	return c
}

// reported are the words of the page for outcomes.
var reported = map[drill.Outcome]string{
	drill.Held: report.Held, drill.Unavoidable: report.Unavoidable, drill.Weak: report.Weak, drill.Failed: report.Broken,
}

func worse(a, b drill.Outcome) drill.Outcome {
	if b.Worse(a) {
		return b
	}
	return a
}

func orNobody(origin string) string {
	if origin == "" {
		return "nobody"
	}
	return origin
}

// picture draws a round.
func (s *drillSeen) picture(name string) *timeline.Picture {
	p := &timeline.Picture{Title: name, Start: s.started, End: s.at}
	for _, r := range s.round.routes {
		for _, origin := range []string{r.group.Primary, r.group.Secondary} {
			if origin != "" && !slices.Contains(p.Origins, origin) {
				p.Origins = append(p.Origins, origin)
			}
		}
	}
	for _, victim := range s.round.victims() {
		p.Spans = append(p.Spans, timeline.Span{Track: "fault " + victim, Value: s.round.fault.Name, From: s.begin, To: s.end, Bad: true})
	}
	p.Spans = append(p.Spans, s.pointers()...)
	for _, origin := range p.Origins {
		p.Spans = append(p.Spans, s.verdictsOf(origin)...)
	}
	for _, m := range s.moves {
		p.Marks = append(p.Marks, timeline.Mark{At: m.at, Text: fmt.Sprintf("%s to %s", m.group, orNobody(m.to))})
	}
	for _, ledger := range s.ledgers {
		results := ledger.Results()
		for i := range results {
			p.Requests = append(p.Requests, timeline.Request{At: results[i].Start, Took: results[i].Latency, Origin: results[i].Origin, Result: pictured(&results[i])})
		}
	}
	return p
}

// pointers are the tracks of the groups' pointers, which begin at the primaries.
func (s *drillSeen) pointers() []timeline.Span {
	var spans []timeline.Span
	for _, r := range s.round.routes {
		track := "pointer " + r.group.Name
		if slices.ContainsFunc(spans, func(other timeline.Span) bool { return other.Track == track }) {
			continue
		}
		at, since := r.group.Primary, s.started
		for _, m := range s.moves {
			if m.group == r.group.Name {
				spans = append(spans, timeline.Span{Track: track, Value: orNobody(at), From: since, To: m.at})
				at, since = m.to, m.at
			}
		}
		spans = append(spans, timeline.Span{Track: track, Value: orNobody(at), From: since, To: s.at})
	}
	return spans
}

// verdictsOf is the track of an origin's verdicts.
func (s *drillSeen) verdictsOf(origin string) []timeline.Span {
	var spans []timeline.Span
	now, since := health.Unknown, s.started
	add := func(until time.Time) {
		spans = append(spans, timeline.Span{Track: "verdict " + origin, Value: now.String(), From: since, To: until, Bad: now == health.Down})
	}
	for _, v := range s.verdicts {
		if v.origin == origin {
			add(v.at)
			now, since = v.to, v.at
		}
	}
	add(s.at)
	return spans
}

// pictured is what became of a request, as a picture shows it.
func pictured(r *chaos.Result) timeline.Result {
	switch {
	case r.Kind == chaos.Served && strings.Contains(r.Head.Get("Proxy-Status"), "failover after"):
		return timeline.FailedOver
	case r.Kind == chaos.Served:
		return timeline.Served
	case drill.IsShed(r):
		return timeline.Shed
	case r.Kind == chaos.Refused:
		return timeline.Refused
	case r.Kind == chaos.Hung:
		return timeline.Hung
	case r.Kind == chaos.Left:
		return timeline.Left
	case r.Kind == chaos.Wrong:
		return timeline.Wrong
	}
	return timeline.Aborted
}
