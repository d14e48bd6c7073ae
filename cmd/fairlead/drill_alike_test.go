package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/drill"
)

// manyAlike is a result with so many routes that held, as many of which requests were
// shed, and two that failed.
func manyAlike(n int) *drill.Result {
	r := &drill.Result{Fault: "hang", Text: "it never answers", Violations: []string{}}
	for i := range n {
		held := drill.Figures{Requests: 10, Covered: &drill.Share{Requests: 10, FirstSuccess: after(time.Duration(i) * time.Millisecond)}, Parked: 1, Flip: after(time.Second)}
		shed := held
		shed.Shed = i
		r.Routes = append(r.Routes,
			drill.RouteResult{Route: fmt.Sprintf("h%d", i), Group: "shop", Figures: held, Verdict: drill.Verdict{Finding: drill.Finding{Outcome: drill.Held, Text: fmt.Sprintf("no client saw an error: %d", i)}}},
			drill.RouteResult{Route: fmt.Sprintf("s%d", i), Group: "shop", Figures: shed, Verdict: drill.Verdict{
				Finding: drill.Finding{Outcome: drill.Weak, Text: fmt.Sprintf("%d were shed", i), Key: fmt.Sprintf("routes.s%d.bulkhead.max_queue", i)}}})
	}
	for _, name := range []string{"x", "y"} {
		r.Routes = append(r.Routes, drill.RouteResult{Route: name, Group: "shop", Figures: drill.Figures{Covered: &drill.Share{Errors: 3}},
			Verdict: drill.Verdict{Finding: drill.Finding{Outcome: drill.Failed, Text: "3 failed", Key: "groups.shop.failover_statuses"}}})
	}
	return r
}

func TestRoutesThatComeThroughAFaultAlikeShareALine(t *testing.T) {
	var out strings.Builder
	doc := &drill.Document{Config: "shop.toml", TookS: 1, Complete: true}
	const n = 200
	r := manyAlike(n)
	for i := range r.Routes {
		doc.Routes = append(doc.Routes, drill.Route{Name: r.Routes[i].Route, Match: "/" + r.Routes[i].Route, Rate: 2, Covered: "GET http://drill.test/"})
	}
	for _, name := range []string{"lost", "gone"} {
		doc.Routes = append(doc.Routes, drill.Route{Name: name, Match: "TRACE /", Why: "it is answered with 405"})
	}
	d := newDrillPrinter(&program{stdout: &out, stderr: &out}, &drillOptions{}, doc)
	if err := d.greet(1, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := d.result(r); err != nil {
		t.Fatal(err)
	}
	doc.Tally()
	if err := d.sum(); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"\n  and 390 more\n", "\n  lost (TRACE /), gone (TRACE /): NOT DRIVEN: it is answered with 405\n",
		"Routes that come through a fault alike share a line",
		"\n  200 routes      2000        0/-      0     200         199 ms/-    1.0 s", "\n    h0, h1, h2, h3, h4, h5 and 194 more\n    held, such as h0: no client saw an error: 0\n",
		"\n  200 routes      2000        0/-  19900     200 ", "\n    weak, such as s199: 199 were shed (routes.s199.bulkhead.max_queue)\n",
		"\n  x ", "\n  y ", "\n    failed: 3 failed (groups.shop.failover_statuses)\n",
		"1 fault, 0 left out, in 1.0 s: 200 held, 0 unavoidable, 200 weak, 2 failed\n",
		"\n  look at routes.*.bulkhead.max_queue, of 200 routes, such as routes.s0.bulkhead.max_queue: hang\n  look at groups.shop.failover_statuses: hang\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if lines := strings.Count(text, "\n"); lines > 40 {
		t.Errorf("%d lines:\n%s", lines, text)
	}
}

func TestJSONOfADrillHasEachRoute(t *testing.T) {
	var out strings.Builder
	doc := &drill.Document{Config: "shop.toml", Complete: true}
	d := newDrillPrinter(&program{stdout: &out, stderr: &strings.Builder{}}, &drillOptions{asJSON: true}, doc)
	if err := d.result(manyAlike(20)); err != nil {
		t.Fatal(err)
	}
	if err := d.sum(); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Faults []struct{ Routes []struct{ Route string } }
	}
	if err := json.Unmarshal([]byte(out.String()), &read); err != nil || len(read.Faults) != 1 || len(read.Faults[0].Routes) != 42 {
		t.Errorf("%v, got %+v", err, read)
	}
}

func TestWhatIsAlike(t *testing.T) {
	held := drill.Verdict{Finding: drill.Finding{Outcome: drill.Held}}
	result := func(name string, v drill.Verdict, g drill.Figures) drill.RouteResult {
		return drill.RouteResult{Route: name, Figures: g, Verdict: v}
	}
	four := func(change func(i int, r *drill.RouteResult)) []drill.RouteResult {
		var all []drill.RouteResult
		for i := range 4 {
			all = append(all, result(fmt.Sprint(i), held, drill.Figures{Covered: &drill.Share{FirstSuccess: after(1)}, Flip: after(1)}))
			change(i, &all[i])
		}
		return all
	}
	tests := map[string]struct {
		give []drill.RouteResult
		want int
	}{
		"the same": {four(func(int, *drill.RouteResult) {}), 1},
		"other numbers": {four(func(i int, r *drill.RouteResult) {
			r.Verdict.Outcome, r.Verdict.Text = drill.Failed, fmt.Sprint(i, " failed")
		}), 1},
		"other words":  {four(func(i int, r *drill.RouteResult) { r.Verdict.Outcome, r.Verdict.Text = drill.Failed, "abcd"[:i] }), 4},
		"other tables": {four(func(i int, r *drill.RouteResult) { r.Verdict.Key = fmt.Sprintf("origins.o.%d.health.path", i) }), 1},
		"other keys":   {four(func(i int, r *drill.RouteResult) { r.Verdict.Key = "groups.shop." + "abcd"[:i+1] }), 4},
		"other outcomes": {four(func(i int, r *drill.RouteResult) {
			r.Verdict.Outcome = []drill.Outcome{drill.Held, drill.Unavoidable}[i%2]
		}), 4},
		"not moved": {four(func(i int, r *drill.RouteResult) { r.Flip = []*drill.Millis{nil, after(1)}[i%2] }), 4},
		"a few":     {four(func(int, *drill.RouteResult) {})[:3], 3},
	}
	for name, tt := range tests {
		if got := alike(tt.give); len(got) != tt.want {
			t.Errorf("%s: %d lines, want %d", name, len(got), tt.want)
		}
	}
	never := four(func(i int, r *drill.RouteResult) {
		if i == 2 {
			r.Covered.FirstSuccess = nil
		}
	})
	if sum := alike(never)[0].sum(); sum.Covered.FirstSuccess != nil {
		t.Errorf("the first success came after %v, though one route had none", *sum.Covered.FirstSuccess)
	}
}

func TestKeysAreDividedByTheirTables(t *testing.T) {
	for key, want := range map[string][3]string{
		"routes.shop.bulkhead.max_queue":                {"routes", "shop", "bulkhead.max_queue"},
		"routes.a.b.breaker.open_for":                   {"routes", "a.b", "breaker.open_for"},
		"routes.shop.timeout":                           {"routes", "shop", "timeout"},
		"origins.eu.health":                             {"origins", "eu", "health"},
		"origins.eu.health.fast_interval":               {"origins", "eu", "health.fast_interval"},
		"origins.eu.health.old.response_header_timeout": {"origins", "eu.health.old", "response_header_timeout"},
		"groups.shop.unsafe":                            {"groups", "shop", "unsafe"},
		"server.body_idle_timeout":                      {"server", "", "body_idle_timeout"},
	} {
		table, name, rest := keyParts(key)
		if got := [3]string{table, name, rest}; got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}
