package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/drill"
)

// drillPrinter says how a drill goes, and keeps its document. Its methods but those
// of progress belong to one goroutine.
type drillPrinter struct {
	out      io.Writer
	view     view
	asJSON   bool
	doc      *drill.Document
	progress *drillProgress
	err      error // the first one of out
}

func newDrillPrinter(p *program, o *drillOptions, doc *drill.Document) *drillPrinter {
	d := &drillPrinter{out: p.stdout, view: viewOf(p.stdout), asJSON: o.asJSON, doc: doc}
	errs := viewOf(p.stderr)
	d.progress = &drillProgress{out: p.stderr, width: errs.width, alive: rewrites(p.stderr) && errs.width > 0}
	return d
}

// say prints lines, unless the output is JSON.
func (d *drillPrinter) say(lines ...string) {
	if d.asJSON || d.err != nil {
		return
	}
	d.progress.clear()
	d.err = say(d.out, lines...)
	d.progress.draw()
}

// greet says what comes.
func (d *drillPrinter) greet(faults int, takes time.Duration) error {
	driven, rate := 0, 0.0
	for i := range d.doc.Routes {
		if r := &d.doc.Routes[i]; r.Why == "" {
			driven++
			rate = r.Rate
		}
	}
	requests := "requests"
	if rate == 1 {
		requests = "request"
	}
	plan := fmt.Sprintf("%s, %s with %s %s a second each, about %s", count(faults, "fault"), count(driven, "route"),
		strconv.FormatFloat(rate, 'f', -1, 64), requests, takes.Round(time.Second))
	if d.asJSON {
		d.progress.note("drill of " + d.doc.Config + ": " + plan)
		return nil
	}
	lines := wrap("Drill of "+d.doc.Config+": "+plan, d.view.width, 2)
	for i := range lines {
		lines[i] = coloured(lines[i], toneTitle, d.view.paint)
	}
	lines = append(lines, d.routes()...)
	for _, n := range d.doc.Notes {
		for _, line := range wrap("  warning: "+n, d.view.width, 4) {
			lines = append(lines, coloured(line, toneWarn, d.view.paint))
		}
	}
	const legend = "Errors are of covered/uncovered requests, as is the time to the first success; p50 and p99 are milliseconds before/during/after the fault."
	lines = append(append(lines, ""), wrap(legend, d.view.width, 0)...)
	if driven > fewAlike {
		lines = append(lines, wrap("Routes that come through a fault alike share a line: their requests added up, and the longest of their times. --json has each.", d.view.width, 0)...)
	}
	if !d.narrow() {
		lines = append(append(lines, ""), d.table(nil)...)
	}
	d.say(lines...)
	return d.err
}

// manyRoutes is how many routes are listed with the requests that they are sent.
const manyRoutes = 12

// routes lists what each route is sent. Of many the first are listed, and all the
// reasons why some are not driven.
func (d *drillPrinter) routes() []string {
	var lines []string
	shown, more := 0, 0
	still := make(map[string][]string) // names of routes that are not driven, by the reason
	var whys []string
	for i := range d.doc.Routes {
		r := &d.doc.Routes[i]
		text := fmt.Sprintf("  %s (%s): ", r.Name, r.Match)
		switch {
		case r.Why != "":
			if still[r.Why] == nil {
				whys = append(whys, r.Why)
			}
			still[r.Why] = append(still[r.Why], fmt.Sprintf("%s (%s)", r.Name, r.Match))
			continue
		case r.Covered == "":
			text += r.Uncovered + ", not covered"
		case r.Uncovered == "":
			text += r.Covered + ", covered"
		default:
			text += r.Covered + ", covered; " + r.Uncovered + ", not covered"
		}
		if shown++; shown > manyRoutes {
			more++
			continue
		}
		lines = append(lines, wrap(text, d.view.width, 4)...)
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	for _, why := range whys {
		lines = append(lines, wrap("  "+listed(still[why])+": NOT DRIVEN: "+why, d.view.width, 4)...)
	}
	return lines
}

// drillTable is how many columns a table needs, so that no figure is cut.
const drillTable = 56

// narrow reports whether there is no room for a table.
func (d *drillPrinter) narrow() bool { return d.view.width > 0 && d.view.width < drillTable }

// figures are a route's, as a row of the table or, where that has no room, as a sentence.
func (d *drillPrinter) figures(r *drill.RouteResult) []string {
	if d.narrow() {
		return wrap("  "+r.Route+": "+drillSentence(r), d.view.width, 4)
	}
	return d.table([]drill.RouteResult{*r})
}

// table draws rows below the titles, without the titles if there are rows.
func (d *drillPrinter) table(routes []drill.RouteResult) []string {
	name := len("ROUTE")
	for i := range d.doc.Routes {
		name = max(name, columns(d.doc.Routes[i].Name))
	}
	if n := len(d.doc.Routes); n > fewAlike {
		name = max(name, columns(count(n, "route")))
	}
	g := grid{columns: []column{
		{title: "ROUTE", least: 2 + min(name, 24), shrinks: true},
		{title: "REQUESTS", least: 8, right: true, spare: 3},
		{title: "ERRORS", least: 9, right: true},
		{title: "SHED", least: 5, right: true},
		{title: "PARKED", least: 6, right: true, spare: 2},
		{title: "FIRST OK", least: 15, right: true, spare: 1},
		{title: "FLIP", least: 7, right: true},
		{title: "P50", least: 13, right: true, spare: 4},
		{title: "P99", least: 15, right: true},
	}}
	for i := range routes {
		g.rows = append(g.rows, drillRow(&routes[i]))
	}
	lines := g.lines(d.view.width, d.view.paint)
	lines[0] = strings.Replace(lines[0], "ROUTE  ", "  ROUTE", 1)
	if routes != nil {
		return lines[1:]
	}
	return lines
}

// drillRow is a route's figures.
func drillRow(r *drill.RouteResult) []cell {
	of := func(f func(*drill.Share) string) string {
		parts := []string{"-", "-"}
		for i, s := range []*drill.Share{r.Covered, r.Uncovered} {
			if s != nil {
				parts[i] = f(s)
			}
		}
		return strings.Join(parts, "/")
	}
	errors := cell{text: of(func(s *drill.Share) string { return strconv.Itoa(s.Errors) })}
	if r.Verdict.Outcome == drill.Failed {
		errors.tone = toneBad
	}
	return []cell{
		{text: "  " + r.Route}, {text: strconv.Itoa(r.Requests)}, errors, {text: strconv.Itoa(r.Shed)}, {text: strconv.Itoa(r.Parked)},
		{text: of(func(s *drill.Share) string { return drillTime(s.FirstSuccess) })}, {text: drillTime(r.Flip)},
		{text: drillPhases(r.P50)}, {text: drillPhases(r.P99)},
	}
}

// drillSentence is a route's figures where there is no room for a table.
func drillSentence(r *drill.RouteResult) string {
	row := drillRow(r)
	return fmt.Sprintf("%s requests, errors %s, shed %s, parked %s, first success %s, flip %s, p50 %s ms, p99 %s ms",
		row[1].text, row[2].text, row[3].text, row[4].text, row[5].text, row[6].text, row[7].text, row[8].text)
}

// drillTime prints a time that may not have come.
func drillTime(m *drill.Millis) string {
	switch {
	case m == nil:
		return "never"
	case time.Duration(*m) < time.Second:
		return fmt.Sprintf("%d ms", time.Duration(*m).Round(time.Millisecond).Milliseconds())
	}
	return seconds(time.Duration(*m))
}

func drillPhases(p drill.Phases) string {
	var parts []string
	for _, m := range []*drill.Millis{p.Before, p.During, p.After} {
		if m == nil {
			parts = append(parts, "-")
			continue
		}
		parts = append(parts, strconv.FormatInt(time.Duration(*m).Round(time.Millisecond).Milliseconds(), 10))
	}
	return strings.Join(parts, "/")
}

var drillTones = map[drill.Outcome]tone{drill.Held: toneGood, drill.Weak: toneWarn, drill.Failed: toneBad}

// result keeps a fault's result, and prints it.
func (d *drillPrinter) result(r *drill.Result) error {
	d.doc.Faults = append(d.doc.Faults, *r)
	lines := []string{""}
	for i, line := range wrap(r.Fault+": "+r.Text, d.view.width, 2) {
		t := toneNone
		if i == 0 {
			t = toneTitle
		}
		lines = append(lines, coloured(line, t, d.view.paint))
	}
	if r.Skipped != "" {
		lines = append(lines, wrap("  left out: "+r.Skipped, d.view.width, 4)...)
	}
	if text := machineText(r); text != "" {
		for _, line := range wrap("  "+text, d.view.width, 4) {
			lines = append(lines, coloured(line, toneWarn, d.view.paint))
		}
	}
	for _, b := range alike(r.Routes) {
		lines = append(lines, d.bundle(&b)...)
	}
	for _, v := range r.Violations {
		for _, line := range wrap("  DEFECT of Fairlead: "+v, d.view.width, 4) {
			lines = append(lines, coloured(line, toneBad, d.view.paint))
		}
	}
	d.say(lines...)
	return d.err
}

// machineText says what part this machine may have in a result, "" for none.
func machineText(r *drill.Result) string {
	stood := drillTime(&r.Stood)
	switch {
	case r.Doubtful() && r.Again:
		return fmt.Sprintf("warning: covered requests failed while this machine was busy, and again when the fault was played a second time, alone: the drill stood still for %s, "+
			"so whether the configuration is why can't be told here; drill when the machine is not busy, or with a lower --rate", stood)
	case r.Busy() || r.Doubtful():
		return fmt.Sprintf("warning: this machine was busy, the drill stood still for %s: what follows may be its doing, so drill again when it is not, or with a lower --rate", stood)
	case r.Again && r.CoveredFailed() > 0:
		return "played a second time, alone, since this machine was busy in the first: covered requests fail all the same, so the machine is not why"
	}
	return ""
}

// bundle prints routes that are alike, with what was found at the worst of them.
func (d *drillPrinter) bundle(b *drillAlike) []string {
	sum, at := b.sum(), ""
	lines := d.figures(&sum)
	if len(b.routes) > 1 {
		lines = append(lines, wrap("    "+b.names(), d.view.width, 6)...)
		at = ", such as " + b.worst.Route
	}
	for _, f := range append([]drill.Finding{b.worst.Verdict.Finding}, b.worst.Verdict.Also...) {
		lines = append(lines, d.finding(&f, at)...)
	}
	return lines
}

// finding prints one finding; at says of which route it is, if that is not the one
// above.
func (d *drillPrinter) finding(f *drill.Finding, at string) []string {
	text := fmt.Sprintf("    %s%s: %s", f.Outcome, at, f.Text)
	if f.Key != "" {
		text += " (" + f.Key + ")"
	}
	lines := wrap(text, d.view.width, 6)
	for i := range lines {
		lines[i] = coloured(lines[i], drillTones[f.Outcome], d.view.paint)
	}
	return lines
}

// sum prints the end, or the document.
func (d *drillPrinter) sum() error {
	if d.asJSON {
		raw, err := json.Marshal(d.doc)
		if err != nil {
			return err
		}
		text, err := plainJSON(raw, true)
		if err != nil {
			return err
		}
		_, err = d.out.Write(text)
		return err
	}
	o, left := d.doc.Outcomes, 0
	for i := range d.doc.Faults {
		if d.doc.Faults[i].Skipped != "" {
			left++
		}
	}
	lines := wrap(fmt.Sprintf("%s, %d left out, in %s: %d held, %d unavoidable, %d weak, %d failed", count(len(d.doc.Faults)-left, "fault"), left,
		seconds(time.Duration(d.doc.TookS*float64(time.Second))), o[drill.Held], o[drill.Unavoidable], o[drill.Weak], o[drill.Failed]), d.view.width, 2)
	for i := range lines {
		lines[i] = coloured(lines[i], toneTitle, d.view.paint)
	}
	d.say(append(append([]string{""}, lines...), d.keys()...)...)
	return d.err
}

// keys lists what to look at in the configuration, each key once with the faults
// that it has to do with, and a key of many tables as one. What a busy machine has a
// part in is no reason to change anything: those faults are to be drilled again.
func (d *drillPrinter) keys() []string {
	var busy []string
	for i := range d.doc.Faults {
		if r := &d.doc.Faults[i]; r.Busy() || r.Doubtful() {
			busy = append(busy, r.Fault)
		}
	}
	var lines []string
	for _, k := range drillKeys(d.doc) {
		for _, text := range k.texts() {
			lines = append(lines, wrap("  look at "+text, d.view.width, 4)...)
		}
	}
	switch {
	case lines != nil:
		lines = append([]string{"What to change, and for which faults:"}, lines...)
	case busy == nil && len(d.doc.Faults) > 0: // of none, nothing is known
		lines = []string{"Nothing to change."}
	}
	if busy != nil {
		text := "This machine was too busy to say what to change for some. When it is not, drill them again: --fault " + strings.Join(busy, ",")
		lines = append(lines, wrap(text, d.view.width, 2)...)
	}
	return lines
}

// drillProgress tells on stderr how far a drill is: on a terminal in one line that
// is rewritten, elsewhere in a line for each fault.
type drillProgress struct {
	out   io.Writer
	width int
	alive bool

	mu      sync.Mutex // guards the rest
	jobs    []drillJob
	running []int
	done    int
	shown   bool
}

// begin says what there is to do.
func (d *drillProgress) begin(jobs []drillJob) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs = jobs
}

// note prints a line.
func (d *drillProgress) note(text string) { fmt.Fprintln(d.out, "fairlead:", text) }

// began says that a job is under way.
func (d *drillProgress) began(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = append(d.running, i)
	d.drawLocked()
}

// ended says that a job is not under way any more. Complete is false if it was stopped.
func (d *drillProgress) ended(i int, complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = slices.DeleteFunc(d.running, func(other int) bool { return other == i })
	if complete {
		d.done++
	}
	if complete && !d.alive {
		d.note(fmt.Sprintf("%d of %s: %s", d.done, count(len(d.jobs), "fault"), d.jobs[i].fault.Name))
	}
	d.drawLocked()
}

// draw puts the line back.
func (d *drillProgress) draw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drawLocked()
}

func (d *drillProgress) drawLocked() {
	if !d.alive || len(d.running) == 0 {
		return
	}
	var names []string
	for _, i := range d.running {
		names = append(names, d.jobs[i].fault.Name)
	}
	line := fmt.Sprintf("%d of %s, now %s", d.done, count(len(d.jobs), "fault"), strings.Join(names, ", "))
	fmt.Fprint(d.out, "\r", cutEnd(line, d.width-1), restOfLine)
	d.shown = true
}

// clear makes room for other text.
func (d *drillProgress) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shown {
		fmt.Fprint(d.out, "\r", restOfLine)
		d.shown = false
	}
}

// end takes the line away for good.
func (d *drillProgress) end() {
	d.clear()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alive = false
}
