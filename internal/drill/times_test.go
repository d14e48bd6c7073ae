package drill

import (
	"slices"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

func TestFaultsAreThoseOfTheKitAndTwoAboutTheSecondary(t *testing.T) {
	names := FaultNames()
	for _, f := range chaos.Faults() {
		if !slices.Contains(names, f.Name) {
			t.Errorf("%s is missing", f.Name)
		}
	}
	if len(names) != len(chaos.Faults())+2 || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("got %q", names)
	}
	for name, place := range map[string]Place{"hang": AtPrimary, "secondary_down": AtSecondary, "both_down": AtBoth} {
		if f, ok := FaultByName(name); !ok || f.Place != place || f.Text == "" {
			t.Errorf("%s: got %+v", name, f)
		}
	}
	if _, ok := FaultByName("rain"); ok {
		t.Error("there is a fault of that name")
	}
}

func TestAFlipTakesWhatTheCheckAllows(t *testing.T) {
	tests := []struct {
		name  string
		fault string
		setup func(*Setup)
		want  time.Duration
	}{
		{name: "requests hurry the check", fault: "connect_refused", want: 1100 * time.Millisecond},
		{name: "each probe takes its time-out, and no request fails before", fault: "hang", want: 5500 * time.Millisecond},
		{name: "a request fails before the next probe", fault: "hang", setup: func(s *Setup) { s.Group.Primary.HeaderTimeout = time.Second }, want: 4400 * time.Millisecond},
		{name: "only probes fail", fault: "probe_only", want: 3025 * time.Millisecond},
		{name: "probes don't fail", fault: "requests_only", want: 0},
		{name: "slow is no failure", fault: "slow", want: 0},
		{name: "the primary is well", fault: "secondary_down", want: 0},
		{name: "nobody looks", fault: "connect_refused", setup: func(s *Setup) { s.Group.Primary.Check = nil }, want: 0},
		{name: "nowhere to go", fault: "connect_refused", setup: func(s *Setup) { s.Group.Secondary = nil }, want: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := FaultByName(tt.fault)
			s := shop()
			if tt.setup != nil {
				tt.setup(&s)
			}
			if got := FlipWithin(f, &s); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAFaultLastsUntilItsFlipIsSeen(t *testing.T) {
	slow := shop()
	slow.Group.Primary.Check = &Check{Interval: 10 * time.Second, Timeout: 10 * time.Second, FastInterval: 10 * time.Second, Fall: 10}
	tests := []struct {
		name   string
		fault  string
		setups []Setup
		during time.Duration
		want   Times
	}{
		{"the least", "truncated", []Setup{shop()}, 0, Times{calm, 2 * time.Second, time.Second, 0}},
		{"its flip and a second", "connect_refused", []Setup{shop()}, 0, Times{calm, 2100 * time.Millisecond, time.Second, 0}},
		{"the slowest of all routes, up to a limit", "connect_refused", []Setup{shop(), slow}, 0, Times{calm, 20 * time.Second, time.Second, 0}},
		{"as long as was asked for", "connect_refused", []Setup{shop()}, 500 * time.Millisecond, Times{calm, 500 * time.Millisecond, time.Second, 0}},
		{"requests that hang until after the flip", "hang", []Setup{shop()}, 0, Times{calm, 6500 * time.Millisecond, time.Second, 9 * time.Second}},
		{"requests that hang until after the fault", "hang", []Setup{shop()}, time.Second, Times{calm, time.Second, time.Second, 10 * time.Second}},
		{"until breakers close", "both_down", []Setup{shop()}, 0, Times{calm, 2100 * time.Millisecond, 6 * time.Second, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := FaultByName(tt.fault)
			if got := TimesOf(f, tt.setups, tt.during); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if got, want := (Times{1, 2, 3, 4}).Total(), time.Duration(10); got != want {
		t.Errorf("total %v, want %v", got, want)
	}
}
