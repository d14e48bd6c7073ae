package health

import (
	"testing"
	"time"
)

func TestPulseTellsAPauseFromOrdinaryLateness(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name    string
		timeout time.Duration
		since   time.Duration // since the last beat
		want    time.Duration
	}{
		{"a beat at once", 1000 * ms, 0, 0},
		{"a punctual beat", 1000 * ms, 125 * ms, 0},
		{"a beat that is a quarter of the time-out late", 1000 * ms, 375 * ms, 0},
		{"a little more is a pause", 1000 * ms, 376 * ms, 251 * ms},
		{"nine tenths of the time-out slept through", 1000 * ms, 900 * ms, 775 * ms},
		{"ten seconds", 1000 * ms, 10000 * ms, 9875 * ms},
		{"a short time-out forgives ordinary scheduling", 16 * ms, 52 * ms, 0},
		{"but not everything", 16 * ms, 53 * ms, 51 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(1000, 0)
			p := newPulse(tt.timeout)
			p.last = start
			if got := p.beat(start.Add(tt.since)); got != tt.want {
				t.Errorf("pause %s, want %s", got, tt.want)
			}
			if got := p.beat(start.Add(tt.since + p.every)); got != 0 {
				t.Errorf("the pause was reported again, as %s", got)
			}
		})
	}
}
