package drill

import "time"

// Document is what "fairlead drill --json" prints. Fields may be added, none is taken away.
type Document struct {
	Config  string    `json:"config"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	TookS   float64   `json:"took_s"`
	// Complete is false if the drill was stopped: then Faults are those that were over.
	Complete bool `json:"complete"`
	// Notes are what the configuration leaves dangerous, and what of it a drill can't do.
	Notes  []string `json:"notes"`
	Routes []Route  `json:"routes"`
	Faults []Result `json:"faults"`
	// Outcomes counts the verdicts by outcome.
	Outcomes map[Outcome]int `json:"outcomes"`
	// CoveredFailed are the covered requests that failed, but for those that nobody could have saved.
	CoveredFailed int `json:"covered_failed"`
	// Violations are breaches of Fairlead's own promises: defects of Fairlead.
	Violations int `json:"violations"`
}

// Route is a route and what it is sent.
type Route struct {
	Name  string  `json:"route"`
	Match string  `json:"match"`
	Group string  `json:"group"`
	Rate  float64 `json:"rate"`
	// Covered and Uncovered are requests such as "GET http://drill.test/product/1"; "" for none.
	Covered   string `json:"covered"`
	Uncovered string `json:"uncovered"`
	// Why says why a route is not driven; "" if it is.
	Why string `json:"not_driven,omitempty"`
}

// Result is what one fault came to.
type Result struct {
	Fault string `json:"fault"`
	Text  string `json:"text"`
	// Skipped says why the fault was left out; "" if it was not.
	Skipped string `json:"skipped,omitempty"`
	For     Millis `json:"for_ms"`
	// Stood is the longest that the drill itself had to wait for a processor. Where that is more than a moment, times and
	// even errors are this machine's.
	Stood Millis `json:"stood_ms"`
	// Again: the fault was played a second time, since this process had stood still in the first, and this is what the second
	// one came to.
	Again bool `json:"again"`
	// Violations are breaches of Fairlead's own promises, each with what is needed to look into it.
	Violations []string      `json:"violations"`
	Routes     []RouteResult `json:"routes"`
}

// Busy reports whether the machine was so busy that the result says more about it than about the configuration.
func (r *Result) Busy() bool { return r.Stood > Millis(250*time.Millisecond) }

// Doubtful reports whether covered requests failed while the machine was short of time, so that it may be why. A shorter
// time than that of Busy will do: a time-out of the configuration may be as short.
func (r *Result) Doubtful() bool {
	return r.Stood > Millis(100*time.Millisecond) && r.CoveredFailed() > 0
}

// CoveredFailed is the sum over the routes.
func (r *Result) CoveredFailed() int {
	f, _ := FaultByName(r.Fault)
	n := 0
	for k := range r.Routes {
		n += r.Routes[k].CoveredFailed(f)
	}
	return n
}

// RouteResult is what one fault came to at one route.
type RouteResult struct {
	Route string `json:"route"`
	Group string `json:"group"`
	Figures
	Verdict Verdict `json:"verdict"`
}

// Tally fills in what a document says about its results as a whole.
func (d *Document) Tally() {
	d.Outcomes = map[Outcome]int{Held: 0, Unavoidable: 0, Weak: 0, Failed: 0}
	d.CoveredFailed, d.Violations = 0, 0
	for i := range d.Faults {
		r := &d.Faults[i]
		d.Violations += len(r.Violations)
		d.CoveredFailed += r.CoveredFailed()
		for k := range r.Routes {
			d.Outcomes[r.Routes[k].Verdict.Outcome]++
		}
	}
}
