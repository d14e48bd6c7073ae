package suite

import (
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/chaos/report"
	"github.com/fairlead/fairlead/internal/chaos/timeline"
)

// Report is the outcome as a page shows it.
func (o *Outcome) Report() report.Scenario {
	r := report.Scenario{Name: o.Scenario.Name, Text: o.Scenario.Text, Proves: o.Scenario.Proves, Took: o.Took, Outcome: report.Held, Figures: o.figures()}
	if err := o.Err(); err != nil {
		r.Outcome, r.Why = report.Broken, err.Error()
	}
	for _, s := range o.Steps {
		r.Steps = append(r.Steps, report.Step{At: s.At, Text: s.Text, Held: s.Err == nil})
	}
	for _, c := range o.Claims {
		r.Steps = append(r.Steps, report.Step{At: o.Took, Text: c.Text, Held: c.Err == nil})
	}
	if !o.Begun.IsZero() {
		r.Picture = o.picture()
	}
	return r
}

func (o *Outcome) figures() []report.Figure {
	covered := o.Ledger.Select(Covered)
	uncovered := o.Ledger.Select(Uncovered)
	f := []report.Figure{{Name: "requests", Value: fmt.Sprint(o.Ledger)}}
	for _, part := range []struct {
		name    string
		results []chaos.Result
	}{{"covered", covered}, {"uncovered", uncovered}} {
		if len(part.results) > 0 {
			f = append(f, report.Figure{Name: part.name, Value: fmt.Sprintf("%d, p50 %v, p99 %v", len(part.results),
				chaos.Quantile(part.results, 0.5).Round(100*time.Microsecond), chaos.Quantile(part.results, 0.99).Round(100*time.Microsecond))})
		}
	}
	arrived := 0
	for _, origin := range o.Origins {
		arrived += origin.Arrived()
	}
	if n := o.Ledger.Len(); n > 0 {
		f = append(f, report.Figure{Name: "attempts a request", Value: fmt.Sprintf("%.2f", float64(arrived)/float64(n))})
	}
	if flips := o.flipsText(); flips != "" {
		f = append(f, report.Figure{Name: "flips", Value: flips})
	}
	return f
}

// drawn bounds the requests of one picture.
const drawn = 50_000

func (o *Outcome) picture() *timeline.Picture {
	p := &timeline.Picture{Start: o.Begun, End: o.Begun.Add(o.Took), Origins: []string{"eu", "us"}}
	results := o.Ledger.Results()
	for _, r := range results[:min(len(results), drawn)] {
		p.Requests = append(p.Requests, timeline.Request{At: r.Start, Took: r.Latency, Origin: r.Origin, Result: o.result(&r)})
	}
	for _, m := range o.marks {
		p.Marks = append(p.Marks, timeline.Mark{At: m.At, Text: m.Text})
	}
	for _, f := range o.faults {
		p.Spans = append(p.Spans, timeline.Span{Track: "fault " + f.Origin, Value: f.Fault, From: f.From, To: f.To, Bad: true})
	}
	p.Spans = append(p.Spans, o.pointerSpans(p.End)...)
	for _, origin := range o.Origins {
		p.Spans = append(p.Spans, o.verdictSpans(origin.Name(), p.End)...)
	}
	return p
}

// result is what became of a request, in the picture's words.
func (o *Outcome) result(r *chaos.Result) timeline.Result {
	l := o.journal.record(r.Path)
	switch r.Kind {
	case chaos.Served:
		if l != nil && l.Decision == "failed_over" {
			return timeline.FailedOver
		}
		return timeline.Served
	case chaos.Refused:
		if l != nil && l.Decision == "shed" {
			return timeline.Shed
		}
		return timeline.Refused
	case chaos.Left:
		return timeline.Left
	case chaos.Hung:
		return timeline.Hung
	case chaos.Aborted, chaos.Unsent:
		return timeline.Aborted
	}
	return timeline.Wrong
}

func (o *Outcome) pointerSpans(end time.Time) []timeline.Span {
	at := timeline.Span{Track: "pointer", Value: "eu", From: o.Begun}
	return spans(at, o.journal.flips(), end, func(l *Line) (string, bool) {
		if l.To == "" {
			return "none", true
		}
		return l.To, l.To != "eu"
	})
}

func (o *Outcome) verdictSpans(origin string, end time.Time) []timeline.Span {
	at := timeline.Span{Track: "verdict " + origin, Value: "healthy", From: o.Begun}
	moves := o.journal.find("verdict", func(l *Line) bool { return l.Origin == origin })
	return spans(at, moves, end, func(l *Line) (string, bool) { return l.To, l.To == "down" })
}

// spans are the times between moves.
func spans(at timeline.Span, moves []Line, end time.Time, to func(*Line) (string, bool)) (all []timeline.Span) {
	slices.SortFunc(moves, func(a, b Line) int { return a.Time.Compare(b.Time) })
	for i := range moves {
		if moves[i].Time.After(at.From) {
			at.To = moves[i].Time
			all = append(all, at)
			at.From = moves[i].Time
		}
		at.Value, at.Bad = to(&moves[i])
	}
	at.To = end
	return append(all, at)
}
