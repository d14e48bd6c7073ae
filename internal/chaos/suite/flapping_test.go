package suite

import (
	"fmt"
	"time"
)

const ms = time.Millisecond

// flappingScenarios are primaries that come and go. With the quick times three
// probes in a row, 50 ms apart, decide a verdict. Every period with every sequence
// of events is tried in the tests of the pointer itself, where time costs nothing.
var flappingScenarios = append([]Scenario{
	{
		Name: "flapping_below_fall", Proves: []string{"health", "failover", "park"},
		Text: "The primary is away for 40 ms of every 80: no five probes in a row fail, so it is never taken for down, " +
			"and nobody gets an error but whose write was under way.",
		Setup: Setup{Health: "fall = 5\n"},
		Steps: Now(Pass(200*ms), Flap("eu", 80*ms), Pass(1500*ms), Mend("eu", "flapping"), Served("eu", 30)),
		Want: []Expectation{CoveredServed(), UncoveredLost(3), NotServedOnly(502), Steady(), FailedOver(5),
			Classes("eu", "connect_refused", "reset", "write", "breaker_open")},
	},
	{
		Name: "flapping_below_failback", Proves: []string{"failback", "pointer", "health"},
		Text: "The primary is away for 400 ms of every 800 and is never well for failback_after in a row: the pointer " +
			"leaves it once and comes back when it is over.",
		Setup: Setup{Group: "failback_after = \"800ms\"\nmin_hold = \"100ms\"\n"},
		Steps: Now(Pass(200*ms), Flap("eu", 800*ms), PointerAt("us", time.Second), MarkNow("settled"), PointerStays(2*time.Second),
			Mend("eu", "flapping"), PointerAt("eu", 5*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Reasons("primary_down", "failback"),
			ServedBy("us", Between("settled", "eu mended"))},
	},
	{
		Name: "flapping_doubles_the_hold", Proves: []string{"failback", "pointer"}, Full: true,
		Text:  "The primary falls again soon after each return: each stay at the secondary is at least twice as long as the last.",
		Setup: Setup{Group: "failback_after = \"100ms\"\nmin_hold = \"700ms\"\n"},
		Steps: Now(Pass(200*ms), Flap("eu", 1600*ms), Pass(9*time.Second), Mend("eu", "flapping"), PointerAt("eu", 10*time.Second), Served("eu", 20)),
		Want:  []Expectation{CoveredServed(), UncoveredLost(6), NotServedOnly(502), Stays(700*ms, 1400*ms, 2800*ms)},
	},
}, flappingAt(60*ms, 100*ms, 150*ms, 200*ms, 250*ms, 300*ms, 350*ms, 400*ms, 500*ms, 700*ms, 1000*ms, 1500*ms, 2100*ms)...)

// flappingAt are periods around the thresholds: whatever becomes of the pointer,
// it keeps its waits, and clients notice nothing.
func flappingAt(periods ...time.Duration) (all []Scenario) {
	for _, period := range periods {
		all = append(all, Scenario{
			Name: fmt.Sprintf("flapping_%dms", period.Milliseconds()), Proves: []string{"failback", "failover", "health"}, Full: true,
			Text: fmt.Sprintf("The primary is away for half of every %v: covered requests are served, the pointer keeps "+
				"min_hold and comes back to a primary that stays.", period),
			Steps: Now(Pass(200*ms), Flap("eu", period), Pass(5*time.Second), Mend("eu", "flapping"), PointerAt("eu", 25*time.Second), Served("eu", 30)),
			// Each of the outages may cost a write that is under way.
			Want: []Expectation{CoveredServed(), UncoveredLost(4 + min(int(5*time.Second/period), 15)), NotServedOnly(502, 503), keepsWaits(time.Second)},
		})
	}
	return all
}

// keepsWaits: the pointer is never at the secondary for less than min_hold.
func keepsWaits(hold time.Duration) Expectation {
	return Holds(fmt.Sprintf("each stay at us is %v at least", hold), func(o *Outcome) error {
		if len(o.journal.flips()) < 2 {
			return nil // it never left, or never came back, which PointerAt tells
		}
		return Stays(hold).Check(o)
	})
}
