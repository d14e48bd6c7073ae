package suite

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// pointerScenarios are about when the pointer leaves, when it comes back, and
// what goes where meanwhile.
var pointerScenarios = []Scenario{
	{
		Name: "hold_is_kept", Proves: []string{"failback"},
		Text:  "The primary is back at once, the hold is longer than the wait for its health: the pointer stays on the secondary for min_hold.",
		Setup: Setup{Group: "failback_after = \"100ms\"\nmin_hold = \"1500ms\"\n"},
		Load:  []chaos.Load{Shopping(80)},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"), PointerAt("us", 2*time.Second), Plug("eu"), PointerAt("eu", 6*time.Second), Served("eu", 10)),
		Want:  []Expectation{CoveredServed(), Flips(2, 2), StaysAway(1500 * time.Millisecond), Quickly("POSTs", 1, 3*time.Second, Uncovered)},
	},
	{
		Name: "health_before_failback", Proves: []string{"failback"},
		Text: "The hold is short, but the primary falls again while it is watched: the wait for unbroken health begins anew.",
		Setup: Setup{Group: "failback_after = \"1s\"\nmin_hold = \"100ms\"\n",
			Health: "interval = \"100ms\"\ntimeout = \"90ms\"\nrise = 2\n"},
		Load: []chaos.Load{Shopping(80)},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"), PointerAt("us", 2*time.Second), Plug("eu"), Verdict("eu", "healthy", 5*time.Second),
			Unplug("eu"), Verdict("eu", "down", 5*time.Second), Plug("eu"), Verdict("eu", "healthy", 5*time.Second), PointerAt("eu", 6*time.Second), Served("eu", 10)),
		Want: []Expectation{CoveredServed(), Flips(2, 2), HealthyBefore(time.Second)},
	},
	{
		Name: "queue_across_a_flip", Proves: []string{"pointer", "bulkhead"},
		Text:  "Requests wait in the queue while the pointer moves: each goes where it is when the permit is granted.",
		Setup: Setup{Permits: 4, Origin: "response_header_timeout = \"5s\"\n", Route: "timeout = \"10s\"\nbulkhead.max_queue = 60\nbulkhead.queue_timeout = \"8s\"\nbreaker.consecutive_failures = 0\n"},
		Load:  []chaos.Load{{Rate: 40, Conns: 200, Timeout: patience, Mix: []chaos.Shot{{Path: "/product/"}}}},
		Steps: Now(Pass(200*time.Millisecond), Fault("eu", "hang"), PointerAt("us", 5*time.Second), Pass(200*time.Millisecond),
			Do("eu's connections are reset", func(s *Stage) error { s.origins["eu"].ResetConns(); return nil }), Served("us", 30)),
		Want: []Expectation{CoveredServed(), Flips(1, 1), NotQueuedForEver(), Arrivals("us", 30, 1_000_000)},
	},
	{
		Name: "parked_until_the_flip", Proves: []string{"park", "once"},
		Text:  "The primary refuses connections and stays away: writes wait until the pointer moves, no longer, and arrive once.",
		Setup: Setup{Group: "park_timeout = \"4s\"\n"},
		Load:  []chaos.Load{Writing(60)},
		Steps: Now(Pass(300*time.Millisecond), Unplug("eu"), PointerAt("us", 2*time.Second), Served("us", 80)),
		Want:  []Expectation{UncoveredLost(1), Flips(1, 1), Parked(1), Quickly("POSTs", 1, 2*time.Second, Uncovered), NoFailover()},
	},
	{
		Name: "pooled_connection_died", Proves: []string{"once"},
		Text:  "The origin closes connections without a word after each answer: a write that comes later finds that out before it is sent.",
		Load:  []chaos.Load{{Conns: 1, Rate: 25, Mix: []chaos.Shot{{Method: "POST", Path: "/order/", BodySize: 256}}}},
		Steps: Now(Behave("eu", chaos.SilentClose()), Served("eu", 30)),
		Want:  []Expectation{AllServed(), NoFlip(), Requests(30)},
	},
}

// StaysAway claims: the pointer was on the secondary for at least that long.
func StaysAway(least time.Duration) Expectation {
	return Expectation{fmt.Sprintf("the pointer is away for at least %v", least), func(o *Outcome) error {
		flips := o.journal.flips()
		if len(flips) < 2 {
			return fmt.Errorf("it moved %d times", len(flips))
		}
		if away := flips[1].Time.Sub(flips[0].Time); away < least-2*time.Millisecond {
			return fmt.Errorf("it was away for %v", away)
		}
		return nil
	}}
}

// HealthyBefore claims: the primary's last verdict was that old when the pointer came back.
func HealthyBefore(least time.Duration) Expectation {
	return Expectation{fmt.Sprintf("the primary is healthy for %v before the pointer is back", least), func(o *Outcome) error {
		verdicts := o.journal.find("verdict", func(l *Line) bool { return l.Origin == "eu" })
		flips := o.journal.flips()
		if len(verdicts) == 0 || len(flips) == 0 {
			return fmt.Errorf("%d verdicts, %d flips", len(verdicts), len(flips))
		}
		last, back := verdicts[len(verdicts)-1], flips[len(flips)-1]
		if healthy := back.Time.Sub(last.Time); last.To != "healthy" || healthy < least-2*time.Millisecond {
			return fmt.Errorf("it was %s for %v", last.To, healthy)
		}
		return nil
	}}
}

// NotQueuedForEver claims: some waited in the queue over a flip, or nothing is proved.
func NotQueuedForEver() Expectation {
	return Expectation{"requests that came before the flip were granted their permits after it", func(o *Outcome) error {
		flips := o.journal.flips()
		if len(flips) == 0 {
			return fmt.Errorf("there was no flip")
		}
		for _, r := range o.journal.records() {
			begun := r.Time.Add(-time.Duration(r.TotalMS * float64(time.Millisecond)))
			granted := begun.Add(time.Duration(r.QueuedMS * float64(time.Millisecond)))
			if begun.Before(flips[0].Time) && granted.After(flips[0].Time) {
				return nil
			}
		}
		return fmt.Errorf("none was: %s", o.flipsText())
	}}
}
