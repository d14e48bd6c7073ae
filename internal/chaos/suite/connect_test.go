package suite

import "time"

// connectScenarios are primaries that can't be connected to.
var connectScenarios = []Scenario{
	{
		Name: "connect_refused", Proves: []string{"unplugged", "park", "pointer"},
		Text:  "The primary is unplugged under load, with the default times: nobody gets an error, the pointer leaves in less than 1.5 s.",
		Setup: Setup{Defaults: true, Group: "failback_after = \"500ms\"\nmin_hold = \"1s\"\n"},
		Steps: []Step{
			{At: 500 * time.Millisecond, Do: Unplug("eu")},
			{Do: PointerAt("us", 1500*time.Millisecond)},
			{Do: Served("us", 50)},
			{Do: Plug("eu")},
			{Do: PointerAt("eu", 10*time.Second)},
			{Do: Served("eu", 50)},
		},
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Classes("eu", "connect_refused", "reset", "breaker_open"), Flips(2, 2), Parked(1), FailedOver(1)},
	},
	{
		Name: "both_refused", Proves: []string{"both_down"},
		Text:  "Both origins are unplugged, and come back: errors are honest, and the pointer is at the primary in the end.",
		Steps: Now(Pass(300*time.Millisecond), Unplug("eu"), PointerAt("us", time.Second), Unplug("us"), Pass(500*time.Millisecond), Plug("us"), Served("us", 20), Plug("eu"), PointerAt("eu", 5*time.Second), Served("eu", 20)),
		Want:  []Expectation{NotServedOnly(502, 503, 504)},
	},
}
