package suite

import (
	"errors"
	"testing"
)

// What an access record of generation 2, of which the pointer is at eu, may show
// of its attempts. By the one before it was at us.
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
		{"could not be sent, and the pointer has moved", "POST", 0, []Attempt{at("us", "write"), at("eu", "")}, nil},
		{"sent by the pointer before, and the pointer has moved", "POST", 0, []Attempt{at("us", "reset"), at("eu", "")}, errEarly},
		{"not where the pointer is", "POST", 0, []Attempt{at("us", "")}, errOldTarget},
		{"written to twice", "GET", 0, []Attempt{at("eu", "write"), at("eu", "")}, errAttempts},
		{"parked and sent twice", "POST", 250, []Attempt{at("eu", "reset"), at("eu", "")}, errAttempts},
		{"read twice", "GET", 0, []Attempt{at("eu", "reset"), at("eu", "")}, errAttempts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stage{scenario: &Scenario{}}
			r := &Line{Method: tt.method, Generation: 2, ParkedMS: tt.parked, Attempts: tt.attempts}
			if err := s.held(r, map[uint64]place{2: {target: "eu", generation: 2}}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
