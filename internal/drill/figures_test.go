package drill

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// result is what one client got whose request was due so many milliseconds after the fault's begin.
func result(due, took int, covered bool, kind chaos.Kind, status int, origin, proxyStatus string) chaos.Result {
	r := chaos.Result{Covered: covered, Kind: kind, Status: status, Origin: origin,
		Start: noon.Add(time.Duration(due) * time.Millisecond), Latency: time.Duration(took) * time.Millisecond}
	if proxyStatus != "" {
		r.Head.Fields = []chaos.Field{{Name: "Proxy-Status", Value: proxyStatus}}
	}
	return r
}

func seen(results ...chaos.Result) Seen {
	return Seen{Results: results, Begin: noon, End: noon.Add(2 * time.Second), HasSecondary: true}
}

func TestFiguresTellCoveredFromUncovered(t *testing.T) {
	s := seen(
		result(-900, 2, true, chaos.Served, 200, "eu", ""),
		result(-10, 100, true, chaos.Refused, 502, "", "fairlead; error=connection_terminated"), // met the fault on its way
		result(100, 20, true, chaos.Served, 200, "us", ""),
		result(200, 10, true, chaos.Aborted, 200, "eu", ""),
		result(300, 10, true, chaos.Refused, 503, "", "fairlead; error=connection_limit_reached"),
		result(2100, 10, true, chaos.Hung, 0, "", ""),
		result(400, 10, false, chaos.Refused, 503, "", "fairlead; error=destination_unavailable"),
		result(500, 10, false, chaos.Refused, 500, "eu", ""),
		result(600, 700, false, chaos.Served, 200, "us", ""),
		result(700, 1, false, chaos.Left, 0, "", ""), // by the drill's own end
	)
	s.Flips = []time.Time{noon.Add(-time.Second), noon.Add(800 * time.Millisecond), noon.Add(time.Second)}
	s.FailedOver, s.Parked = 5, 6
	g := Measure(s)
	covered := &Share{Requests: 6, Errors: 3, Aborted: 1, Late: 1, Span: *ms(2100), Shed: 1, FirstSuccess: ms(120), Slowest: *ms(20),
		Kinds: map[string]int{"502 connection_terminated": 1, "broke off": 1, "hung": 1}}
	uncovered := &Share{Requests: 3, Errors: 2, Span: *ms(500), FirstSuccess: ms(1300), Slowest: *ms(700),
		Kinds: map[string]int{"503 destination_unavailable": 1, "500 of eu": 1}}
	if !reflect.DeepEqual(g.Covered, covered) {
		t.Errorf("covered: got %+v, want %+v", g.Covered, covered)
	}
	if !reflect.DeepEqual(g.Uncovered, uncovered) {
		t.Errorf("uncovered: got %+v, want %+v", g.Uncovered, uncovered)
	}
	if g.Requests != 9 || g.Early != 0 || g.Shed != 1 || g.FailedOver != 5 || g.Parked != 6 || g.Flips != 2 || *g.Flip != *ms(800) || g.For != *ms(2000) {
		t.Errorf("got %+v", g)
	}
}

func TestWithoutASecondaryNothingIsCovered(t *testing.T) {
	s := seen(result(100, 20, true, chaos.Refused, 502, "", ""))
	s.HasSecondary = false
	if g := Measure(s); g.Covered != nil || g.Uncovered.Errors != 1 || g.Uncovered.Kinds["502"] != 1 {
		t.Errorf("got %+v", g)
	}
}

func TestWhatFailsBeforeTheFaultIsToldApart(t *testing.T) {
	g := Measure(seen(
		result(-500, 10, true, chaos.Refused, 503, "", "fairlead; error=connection_limit_reached"),
		result(-400, 10, false, chaos.Refused, 500, "eu", ""),
	))
	if g.Early != 2 || g.Covered.Errors != 0 || g.Uncovered.Errors != 0 || g.Shed != 0 {
		t.Errorf("got %+v, covered %+v, uncovered %+v", g, g.Covered, g.Uncovered)
	}
}

func TestASuccessBeforeTheFaultIsEverywhereIsNotTheFirst(t *testing.T) {
	s := seen(result(50, 1, true, chaos.Served, 200, "eu", ""), result(300, 10, true, chaos.Served, 200, "us", ""))
	s.Struck = noon.Add(100 * time.Millisecond)
	if g := Measure(s); *g.Covered.FirstSuccess != *ms(310) {
		t.Errorf("first success after %v ms", time.Duration(*g.Covered.FirstSuccess))
	}
}

func TestQuantilesAreByWhenARequestWasDue(t *testing.T) {
	var results []chaos.Result
	for i := range 100 {
		results = append(results,
			result(-900, 1+i/99, true, chaos.Served, 200, "eu", ""), // one of them takes 2 ms
			result(i, 10+i, true, chaos.Served, 200, "us", ""),
			result(2000+i, 5, true, chaos.Refused, 502, "", ""),
		)
	}
	results = append(results,
		result(-1100, 500, true, chaos.Served, 200, "eu", ""), // the first ones make connections
		result(-500, 5000, true, chaos.Served, 200, "us", ""), // met the fault on its way
		result(5, 0, true, chaos.Refused, 503, "", "fairlead; error=connection_limit_reached"),
	)
	g := Measure(seen(results...))
	want50, want99 := Phases{ms(1), ms(60), ms(5)}, Phases{ms(2), ms(109), ms(5)}
	if !reflect.DeepEqual(g.P50, want50) || !reflect.DeepEqual(g.P99, want99) {
		t.Errorf("p50 %v %v %v, p99 %v %v %v", *g.P50.Before, *g.P50.During, *g.P50.After, *g.P99.Before, *g.P99.During, *g.P99.After)
	}
	if empty := Measure(seen()); empty.P50 != (Phases{}) || empty.Covered != nil {
		t.Errorf("of nothing: %+v", empty)
	}
}

func TestCoveredRequestsFailUnlessNobodyCouldHaveSavedThem(t *testing.T) {
	share := &Share{Requests: 100, Errors: 10, Aborted: 7}
	tests := []struct {
		fault string
		give  *Share
		want  int
	}{
		{"connect_refused", share, 10},
		{"truncated", share, 3},
		{"both_down", share, 0},
		{"secondary_down", share, 10},
		{"hang", nil, 0},
	}
	for _, tt := range tests {
		f, _ := FaultByName(tt.fault)
		g := Figures{Covered: tt.give}
		if got := g.CoveredFailed(f); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.fault, got, tt.want)
		}
	}
}

func TestABusyMachineIsNoEvidence(t *testing.T) {
	for stood, want := range map[int]bool{0: false, 20: false, 250: false, 251: true} {
		if r := (Result{Stood: *ms(stood)}); r.Busy() != want {
			t.Errorf("%d ms: %v", stood, r.Busy())
		}
	}
}

func TestADocumentSaysWhatItHas(t *testing.T) {
	d := Document{Config: "shop.toml", Started: noon, Notes: []string{}, Faults: []Result{{
		Fault: "connect_refused", For: *ms(2000), Violations: []string{"wrong response"},
		Routes: []RouteResult{{
			Route: "order", Group: "shop",
			Figures: Figures{Requests: 9, Covered: errorsOf(3, "hung", 12), Flip: ms(790), P50: Phases{Before: ms(1)}},
			Verdict: Verdict{Finding: Finding{Failed, "3 covered requests failed", "groups.shop.unsafe"}},
		}},
	}}}
	d.Tally()
	if d.CoveredFailed != 3 || d.Violations != 1 || d.Outcomes[Failed] != 1 || d.Outcomes[Held] != 0 {
		t.Errorf("got %+v", d)
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"config":"shop.toml","version":"","started":"2026-03-04T12:00:00Z","took_s":0,"complete":false,"notes":[],"routes":null,` +
		`"faults":[{"fault":"connect_refused","text":"","for_ms":2000,"stood_ms":0,"again":false,"violations":["wrong response"],"routes":[{"route":"order","group":"shop",` +
		`"requests":9,"covered":{"requests":100,"errors":3,"aborted":0,"late":0,"kinds":{"hung":3},"span_ms":12,"shed":0,"first_success_ms":null,"slowest_ms":0},` +
		`"uncovered":null,"early":0,"failed_over":0,"parked":0,"shed":0,"flip_ms":790,"flips":0,` +
		`"p50_ms":{"before":1,"during":null,"after":null},"p99_ms":{"before":null,"during":null,"after":null},` +
		`"verdict":{"outcome":"failed","text":"3 covered requests failed","key":"groups.shop.unsafe"}}]}],` +
		`"outcomes":{"failed":1,"held":0,"unavoidable":0,"weak":0},"covered_failed":3,"violations":1}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}
