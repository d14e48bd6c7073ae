package main

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/drill"
)

func after(d time.Duration) *drill.Millis {
	m := drill.Millis(d)
	return &m
}

// cannedDrill has a fault that all came through, one by which a covered request
// failed, and one that was left out.
func cannedDrill() *drill.Document {
	good := drill.RouteResult{
		Route: "page", Group: "shop",
		Figures: drill.Figures{
			Requests: 250, Covered: &drill.Share{Requests: 200, FirstSuccess: after(3 * time.Millisecond)},
			Uncovered: &drill.Share{Requests: 50, FirstSuccess: after(1200 * time.Millisecond)}, Parked: 7, Flip: after(812 * time.Millisecond),
			P50: drill.Phases{Before: after(time.Millisecond), During: after(2 * time.Millisecond), After: after(time.Millisecond)},
			P99: drill.Phases{Before: after(4 * time.Millisecond), During: after(812 * time.Millisecond)},
		},
		Verdict: drill.Verdict{Finding: drill.Finding{Outcome: drill.Held, Text: "no client saw an error"}},
	}
	bad := drill.RouteResult{
		Route: "order", Group: "shop",
		Figures: drill.Figures{Requests: 90, Covered: &drill.Share{Requests: 90, Errors: 12}, Shed: 3},
		Verdict: drill.Verdict{
			Finding: drill.Finding{Outcome: drill.Failed, Text: "12 covered requests failed", Key: "groups.shop.failover_statuses"},
			Also:    []drill.Finding{{Outcome: drill.Weak, Text: "3 requests were shed", Key: "routes.order.bulkhead.max_queue"}},
		},
	}
	return &drill.Document{
		Config: "shop.toml", TookS: 12.3, Complete: true, Notes: []string{"origin us has no health check"},
		Routes: []drill.Route{
			{Name: "page", Match: "/", Group: "shop", Rate: 50, Covered: "GET http://drill.test/", Uncovered: "POST http://drill.test/"},
			{Name: "order", Match: "GET /o", Group: "shop", Rate: 50, Covered: "GET http://drill.test/o"},
			{Name: "lost", Match: "TRACE /", Group: "shop", Why: "it is answered with 405"},
		},
		Faults: []drill.Result{
			{Fault: "connect_refused", Text: "nothing listens", Violations: []string{}, Routes: []drill.RouteResult{good}},
			{Fault: "status_500", Text: "every answer is 500", Stood: drill.Millis(time.Second), Violations: []string{"wrong response: GET /o x-1"}, Routes: []drill.RouteResult{bad}},
			{Fault: "tls_stall", Text: "no handshake", Skipped: "no primary speaks TLS"},
		},
	}
}

// printedDrill is what a drill prints of cannedDrill on stdout and stderr.
func printedDrill(t *testing.T, o *drillOptions) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	doc := cannedDrill()
	results := doc.Faults
	doc.Faults = nil
	d := newDrillPrinter(&program{stdout: &out, stderr: &errs}, o, doc)
	if err := d.greet(len(results), 62*time.Second); err != nil {
		t.Fatal(err)
	}
	jobs := make([]drillJob, len(results))
	for i, r := range results {
		jobs[i].fault, _ = drill.FaultByName(r.Fault)
	}
	d.progress.begin(jobs)
	for i := range results {
		d.progress.began(i)
		d.progress.ended(i, true)
		if err := d.result(&results[i]); err != nil {
			t.Fatal(err)
		}
	}
	d.progress.end()
	doc.Tally()
	if err := d.sum(); err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String()
}

func TestADrillIsPrintedForPeople(t *testing.T) {
	out, errs := printedDrill(t, &drillOptions{})
	want := `Drill of shop.toml: 3 faults, 2 routes with 50 requests a second each, about 1m2s
  page (/): GET http://drill.test/, covered; POST http://drill.test/, not covered
  order (GET /o): GET http://drill.test/o, covered
  lost (TRACE /): NOT DRIVEN: it is answered with 405
  warning: origin us has no health check

Errors are of covered/uncovered requests, as is the time to the first success; p50 and p99 are milliseconds before/during/after the fault.

  ROUTE  REQUESTS     ERRORS   SHED  PARKED         FIRST OK     FLIP            P50              P99

connect_refused: nothing listens
  page        250        0/0      0       7       3 ms/1.2 s   812 ms          1/2/1          4/812/-
    held: no client saw an error

status_500: every answer is 500
  warning: this machine was busy, the drill stood still for 1.0 s: what follows may be its doing, so drill again when it is not, or with a lower --rate
  order        90       12/-      3       0          never/-    never          -/-/-            -/-/-
    failed: 12 covered requests failed (groups.shop.failover_statuses)
    weak: 3 requests were shed (routes.order.bulkhead.max_queue)
  DEFECT of Fairlead: wrong response: GET /o x-1

tls_stall: no handshake
  left out: no primary speaks TLS

2 faults, 1 left out, in 12.3 s: 1 held, 0 unavoidable, 0 weak, 1 failed
This machine was too busy to say what to change for some. When it is not, drill them again: --fault status_500
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if want := "fairlead: 1 of 3 faults: connect_refused\nfairlead: 2 of 3 faults: status_500\nfairlead: 3 of 3 faults: tls_stall\n"; errs != want {
		t.Errorf("stderr: got %q, want %q", errs, want)
	}
}

func TestADrillFitsATerminal(t *testing.T) {
	for _, width := range []int{120, 80, 56, 55, 40} {
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			t.Setenv("COLUMNS", strconv.Itoa(width))
			out, _ := printedDrill(t, &drillOptions{})
			for line := range strings.Lines(out) {
				if columns(strings.TrimRight(line, "\n")) > width {
					t.Errorf("too long: %s", line)
				}
			}
			text := strings.Join(strings.Fields(out), " ")
			if !strings.Contains(text, "12/-") || !strings.Contains(text, "812 ms") || strings.Contains(text, "…") {
				t.Errorf("errors and flips are left out or cut:\n%s", out)
			}
		})
	}
}

func TestADrillSaysWhatToChangeWhereTheMachineHadTime(t *testing.T) {
	doc := cannedDrill()
	doc.Faults[1].Stood = 0
	d := newDrillPrinter(&program{stdout: io.Discard, stderr: io.Discard}, &drillOptions{}, doc)
	want := []string{
		"What to change, and for which faults:",
		"  look at groups.shop.failover_statuses: status_500",
		"  look at routes.order.bulkhead.max_queue: status_500",
	}
	if got := d.keys(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	doc.Faults = doc.Faults[:1]
	if got, want := d.keys(), []string{"Nothing to change."}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestADrillSaysWhetherTheMachineMayBeWhy(t *testing.T) {
	again := func(r *drill.Result) *drill.Result {
		r.Again = true
		return r
	}
	well := func(stood time.Duration) *drill.Result {
		return &drill.Result{Fault: "hang", Stood: drill.Millis(stood)}
	}
	for _, tt := range []struct {
		give *drill.Result
		want string // how the text goes on; "": there is none
	}{
		{well(0), ""},
		{well(150 * time.Millisecond), ""},
		{again(well(0)), ""},
		{well(time.Second), "warning: this machine was busy, the drill stood still for 1.0 s"},
		{failedResult(0), ""},
		{failedResult(150 * time.Millisecond), "warning: this machine was busy, the drill stood still for 150 ms"},
		{again(failedResult(0)), "played a second time, alone, since this machine was busy in the first: covered requests fail all the same"},
		{again(failedResult(time.Second)), "warning: covered requests failed while this machine was busy, and again when the fault was played a second time"},
	} {
		if got := machineText(tt.give); tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v: got %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestProgressDoesNotCountWhatWasStopped(t *testing.T) {
	var out strings.Builder
	d := &drillProgress{out: &out}
	jobs := make([]drillJob, 2)
	for i, name := range []string{"hang", "stall"} {
		jobs[i].fault, _ = drill.FaultByName(name)
	}
	d.begin(jobs)
	d.began(0)
	d.began(1)
	d.ended(1, false)
	d.ended(0, true)
	if got, want := out.String(), "fairlead: 1 of 2 faults: hang\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestADrillAsJSONIsOneDocumentAndTheRestOnStderr(t *testing.T) {
	out, errs := printedDrill(t, &drillOptions{asJSON: true})
	var doc struct {
		CoveredFailed int `json:"covered_failed"`
		Violations    int
		Faults        []struct{ Fault string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if doc.CoveredFailed != 12 || doc.Violations != 1 || len(doc.Faults) != 3 {
		t.Errorf("got %+v", doc)
	}
	if !strings.HasPrefix(errs, "fairlead: drill of shop.toml: 3 faults, 2 routes with 50 requests a second each, about 1m2s\n") {
		t.Errorf("stderr: %s", errs)
	}
}

func TestWhatMakesADrillFail(t *testing.T) {
	tests := []struct {
		name string
		give drill.Document
		jobs int
		want string
	}{
		{"nothing", drill.Document{Complete: true}, 3, ""},
		{"a covered request", drill.Document{Complete: true, CoveredFailed: 1}, 3, "1 covered request failed"},
		{"a busy machine", drill.Document{Complete: true, CoveredFailed: 1, Faults: []drill.Result{*failedResult(time.Second)}}, 1,
			"1 covered request failed, all by 1 fault in which this machine stood still, also when played again: that may be why"},
		{"partly a busy machine", drill.Document{Complete: true, CoveredFailed: 2, Faults: []drill.Result{*failedResult(0), *failedResult(time.Second)}}, 2,
			"2 covered requests failed, 1 of them by 1 fault in which this machine stood still"},
		{"Fairlead itself", drill.Document{Complete: true, Violations: 2}, 3, "2 violations of Fairlead's own promises"},
		{"the end", drill.Document{Faults: make([]drill.Result, 2)}, 3, "stopped after 2 of 3 faults"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := drillError(&tt.give, tt.jobs)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestProgressIsRewrittenOnATerminal(t *testing.T) {
	var out strings.Builder
	var jobs []drillJob
	for _, name := range []string{"hang", "stall"} {
		f, _ := drill.FaultByName(name)
		jobs = append(jobs, drillJob{fault: f})
	}
	d := &drillProgress{out: &out, width: 40, alive: true}
	d.begin(jobs)
	d.began(0)
	d.began(1)
	d.ended(0, true)
	d.clear()
	d.draw()
	d.ended(1, false)
	d.end()
	got := slices.DeleteFunc(strings.Split(out.String(), "\r"), func(s string) bool { return s == "" })
	want := []string{"0 of 2 faults, now hang" + restOfLine, "0 of 2 faults, now hang, stall" + restOfLine, "1 of 2 faults, now stall" + restOfLine,
		restOfLine, "1 of 2 faults, now stall" + restOfLine, restOfLine}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Contains(out.String(), "\n") {
		t.Error("a line is ended")
	}
}
