package main

import (
	"testing"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/chaos/report"
	"github.com/fairlead/fairlead/internal/drill"
)

func TestAFaultHasTheWorstVerdictOfItsRoutesOnThePage(t *testing.T) {
	tests := []struct {
		name       string
		give       []drill.Outcome
		violations []string
		want       string
	}{
		{"none", nil, nil, report.Held},
		{"held", []drill.Outcome{drill.Held, drill.Held}, nil, report.Held},
		{"unavoidable", []drill.Outcome{drill.Held, drill.Unavoidable, drill.Held}, nil, report.Unavoidable},
		{"weak", []drill.Outcome{drill.Weak, drill.Unavoidable}, nil, report.Weak},
		{"failed", []drill.Outcome{drill.Failed, drill.Weak}, nil, report.Broken},
		{"a defect", []drill.Outcome{drill.Held}, []string{"a write came twice"}, report.Broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := &drillSeen{round: &drillRound{}, violations: tt.violations}
			seen.round.fault, _ = drill.FaultByName("connect_refused")
			var results []drill.RouteResult
			for _, o := range tt.give {
				seen.round.routes = append(seen.round.routes, &drillRoute{group: &config.Group{Name: "shop", Primary: "eu"}})
				results = append(results, drill.RouteResult{Route: "page", Verdict: drill.Verdict{Finding: drill.Finding{Outcome: o}}})
			}
			if got := seen.scenario("connect_refused", results).Outcome; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
