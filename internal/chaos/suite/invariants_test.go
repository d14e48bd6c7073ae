package suite

import (
	"errors"
	"testing"
)

// What an access record may show of the attempts at one origin.
func TestAttemptsOfARecord(t *testing.T) {
	at := func(origin, class string) Attempt { return Attempt{Origin: origin, Class: class} }
	tests := []struct {
		name     string
		method   string
		parked   float64
		attempts []Attempt
		want     error
	}{
		{"one", "POST", 0, []Attempt{at("eu", "")}, nil},
		{"one at each", "GET", 0, []Attempt{at("eu", "reset"), at("us", "")}, nil},
		{"refused, parked and sent", "POST", 250, []Attempt{at("eu", "connect_refused"), at("eu", "")}, nil},
		{"dead under its first byte, parked and sent", "POST", 250, []Attempt{at("eu", "write"), at("eu", "")}, nil},
		{"written to twice", "POST", 0, []Attempt{at("eu", "write"), at("eu", "")}, errAttempts},
		{"parked and sent twice", "POST", 250, []Attempt{at("eu", "reset"), at("eu", "")}, errAttempts},
		{"read twice", "GET", 0, []Attempt{at("eu", "reset"), at("eu", "")}, errAttempts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stage{scenario: &Scenario{}}
			r := &Line{Method: tt.method, Generation: 1, ParkedMS: tt.parked, Attempts: tt.attempts}
			if err := s.held(r, map[uint64]place{1: {target: "eu", generation: 1}}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
