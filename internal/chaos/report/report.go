// Package report writes down what scenarios have shown: as Markdown with a file for each picture, and as one HTML page
// that needs nothing else.
//
//	r := report.Report{Title: "Chaos suite", Made: "4 March 2026, fairlead 1.2.0, 2 cores"}
//	r.Scenarios = append(r.Scenarios, report.Scenario{
//		Name:    "connect_refused",
//		Text:    "The primary refuses connections for seven seconds.",
//		Proves:  []string{"no covered request fails"},
//		Outcome: report.Held,
//		Took:    20 * time.Second,
//		Picture: &picture,
//	})
//	err := r.Write("out") // out/report.md, out/report.html and out/pictures/connect_refused.svg
//
// What is broken stands first in both, then what was skipped, since that is not proven either. Names and texts may come
// from anywhere: they are only ever text.
//
// The package judges nothing. It imports the timeline and the standard library.
package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos/timeline"
)

// Outcomes of a scenario.
const (
	Held        = "held"        // everything was as expected
	Unavoidable = "unavoidable" // something went wrong as expected, since nobody could have done better
	Weak        = "weak"        // nothing is broken, but something should be better
	Broken      = "broken"      // something was not as expected
	Skipped     = "skipped"     // it did not run, so it proves nothing
)

// Report is what a run has shown. The zero value is a report of no scenarios. Its methods change nothing, and may be
// called at the same time.
type Report struct {
	Title string
	Made  string // when, by which version and on which machine, in free words
	// Scenarios in the order in which they ran. The report keeps it among those of one outcome.
	Scenarios []Scenario
}

// Scenario is one scenario and what became of it.
type Scenario struct {
	Name   string   // names the file of the picture too
	Text   string   // what happens in it
	Proves []string // the promises that it is about
	// Outcome is Held, Unavoidable, Weak, Broken or Skipped. Anything else is reported as broken, and so is the zero value: nobody said that
	// it held.
	Outcome string
	Why     string        // what was not as expected, or why it was skipped; may have lines
	Took    time.Duration // 0 is left out
	Figures []Figure
	Steps   []Step
	Picture *timeline.Picture // nil for none; a picture without a title has the scenario's name
}

// Figure is something that was measured.
type Figure struct {
	Name  string
	Value string // with its unit
}

// Step is an event of a scenario, or an expectation.
type Step struct {
	At   time.Duration // since the scenario's beginning
	Text string
	Held bool // false marks it as what was not as expected
}

// outcomes in the order of the report.
var outcomes = []string{Broken, Weak, Skipped, Unavoidable, Held}

// entry is a scenario in its place in the report.
type entry struct {
	Scenario
	slug string // names its picture's file and its place in the documents
}

// entries returns the scenarios in the report's order. Slugs do not depend on outcomes, so that a picture keeps its
// file's name when its scenario breaks.
func (r *Report) entries() []entry {
	used := make(map[string]bool)
	all := make([]entry, 0, len(r.Scenarios))
	for _, s := range r.Scenarios {
		if !slices.Contains(outcomes, s.Outcome) {
			s.Why = strings.TrimSpace(fmt.Sprintf("The outcome %q is none of %s. %s", s.Outcome, strings.Join(outcomes, ", "), s.Why))
			s.Outcome = Broken
		}
		if s.Picture != nil {
			picture := *s.Picture
			if picture.Title == "" {
				picture.Title = s.Name
			}
			s.Picture = &picture
		}
		all = append(all, entry{Scenario: s, slug: slug(s.Name, used)})
	}
	slices.SortStableFunc(all, func(a, b entry) int {
		return slices.Index(outcomes, a.Outcome) - slices.Index(outcomes, b.Outcome)
	})
	return all
}

// counts tells the outcomes in a line: "1 broken, 2 skipped, 57 held, of 60 scenarios in 1m25s". Weak and
// unavoidable ones are told of where there are any: most reports know none.
func counts(entries []entry) string {
	number := make(map[string]int)
	var took time.Duration
	for _, e := range entries {
		number[e.Outcome]++
		took += e.Took
	}
	var parts []string
	for _, outcome := range outcomes {
		if (outcome == Weak || outcome == Unavoidable) && number[outcome] == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%d %s", number[outcome], outcome))
	}
	text := strings.Join(parts, ", ") + ", of " + fmt.Sprintf("%d scenarios", len(entries))
	if len(entries) == 1 {
		text = strings.TrimSuffix(text, "s")
	}
	if took > 0 {
		text += " that took " + short(took) + " together"
	}
	return text + "."
}

// short writes a duration to a thousandth of a second.
func short(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return max(d.Round(time.Millisecond), time.Millisecond).String()
}

// moment writes when a step was.
func moment(d time.Duration) string {
	return fmt.Sprintf("%.3f s", d.Seconds())
}

// devices are what Windows does not take as the name of a file.
var devices = []string{"con", "prn", "aux", "nul", "com", "lpt"}

// slug makes a name that files and links can have on every system, and that no other has that is in used.
func slug(name string, used map[string]bool) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '-'
	}, name)
	s = strings.Trim(s[:min(len(s), 80)], "-")
	if s == "" || slices.Contains(devices, strings.TrimRight(s, "0123456789")) {
		s = strings.TrimSuffix("scenario-"+s, "-")
	}
	free := s
	for n := 2; used[free]; n++ {
		free = fmt.Sprintf("%s-%d", s, n)
	}
	used[free] = true
	return free
}

// picturesFolder holds the pictures of a report that Write has written.
const picturesFolder = "pictures"

// Write writes report.md, report.html and a picture for each scenario that has one, as pictures/NAME.svg, to a
// directory, which is made if it is not there. Files of these names are overwritten, others stay.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, picturesFolder), 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	files := map[string][]byte{"report.md": r.Markdown(picturesFolder), "report.html": r.HTML()}
	for _, e := range r.entries() {
		if e.Picture != nil {
			files[filepath.Join(picturesFolder, e.slug+".svg")] = e.Picture.SVG()
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}
