package suite

import (
	"time"
)

// quickPark lets a parked request give up soon.
const quickPark = "park_timeout = \"300ms\"\nfailback_after = \"300ms\"\nmin_hold = \"300ms\"\n"

// bothDownScenarios are outages of both origins, in each of the three modes.
var bothDownScenarios = []Scenario{
	bothInTurn("fail_open", "eu", 502, "primary_down", "both_down", "primary_down", "failback"),
	bothInTurn("stay", "us", 502, "primary_down", "failback"),
	bothInTurn("fail_fast", "", 503, "primary_down", "both_down", "recovered", "failback"),
	bothTogether("fail_open", "eu"),
	bothTogether("stay", ""),
	bothTogether("fail_fast", ""),
	{
		Name: "both_down_fail_open_tries", Proves: []string{"both_down"},
		Text: "Both checks fail and so do the secondary's requests, but the primary's requests are well: fail_open serves all of them.",
		Steps: Now(Fault("us", "status_503"), Verdict("us", "down", 2*time.Second), Fault("eu", "probe_only"), Verdict("eu", "down", 2*time.Second),
			MarkNow("both down"), Served("eu", 60), Mend("us", "status_503"), Mend("eu", "probe_only"), Verdict("eu", "healthy", 2*time.Second)),
		Want: []Expectation{AllServed(), NoFailover(), ServedBy("eu", Between("both down", "us mended"))},
	},
	{
		Name: "both_down_fail_fast_refuses", Proves: []string{"both_down"},
		Text: "With fail_fast and both checks failing, every request gets 503 with Retry-After within a moment, and no origin is asked; " +
			"the first that is well again serves.",
		Setup: Setup{Group: "both_down = \"fail_fast\"\n" + quickPark},
		Steps: Now(Fault("us", "probe_only"), Verdict("us", "down", 2*time.Second), Fault("eu", "probe_only"), PointerAt("", 2*time.Second),
			MarkNow("at none"), Pass(700*ms), MarkNow("mending"), Mend("eu", "probe_only"), PointerAt("eu", 2*time.Second), MarkNow("back"), Pass(300*ms)),
		Want: []Expectation{Honest(), NotServedOnly(503), RefusedIn(Between("at none", "mending"), "requests", nil, 503),
			QuicklyIn(Between("at none", "mending"), "refusals", 0.95, 20*ms, nil), ArrivalsIn(Window{Moment{"at none", 20 * ms}, Moment{Mark: "mending"}}, "", 0, 0),
			ServedBy("eu", Since("back", 0)), Goodput(1, Since("back", 0)), Reasons("both_down", "recovered")},
	},
}

// bothInTurn unplugs the primary and then the secondary, and plugs them in again
// in the reverse order. At is where the pointer is meanwhile; covered requests get
// status then, and writes 503: they are parked in vain.
func bothInTurn(mode, at string, status int, reasons ...string) Scenario {
	return Scenario{
		Name: "both_down_in_turn_" + mode, Proves: []string{"both_down", "both_fail", "park"},
		Text:  "The primary is unplugged and then the secondary, with both_down = " + mode + "; the secondary comes back, and then the primary.",
		Setup: Setup{Group: "both_down = \"" + mode + "\"\n" + quickPark, Route: "breaker.consecutive_failures = 10000\n"},
		Steps: Now(Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), Served("us", 20), MarkNow("us falls"), Unplug("us"),
			Verdict("us", "down", 2*time.Second), PointerAt(at, time.Second), MarkNow("both down"), Pass(800*ms), MarkNow("mending"),
			Plug("us"), PointerAt("us", 2*time.Second), MarkNow("us serves"), Served("us", 20), Plug("eu"), PointerAt("eu", 5*time.Second), MarkNow("back"), Served("eu", 20)),
		Want: []Expectation{
			Honest(), NotServedOnly(502, 503), Reasons(reasons...),
			RefusedIn(Between("both down", "mending"), "covered requests", Covered, status),
			RefusedIn(Between("both down", "mending"), "writes", Uncovered, 503),
			ServedIn(Between("us serves", "eu mended"), "requests", nil), ServedBy("us", Between("us serves", "eu mended")),
			ServedIn(Since("us serves", 0), "requests", nil), ServedBy("eu", Since("back", 10*ms)),
		},
	}
}

// bothTogether unplugs both at once, and plugs them in at once. Where the pointer
// is meanwhile may depend on which of them is found out first, but not in the end.
func bothTogether(mode, at string) Scenario {
	steps := Now(Pass(200*ms), Together(Unplug("eu"), Unplug("us")), Verdict("us", "down", 2*time.Second), Verdict("eu", "down", 2*time.Second))
	if mode != "stay" {
		steps = append(steps, Now(PointerAt(at, time.Second))...)
	}
	return Scenario{
		Name: "both_down_together_" + mode, Proves: []string{"both_down", "both_fail"},
		Text:  "Both origins are unplugged and plugged in again at the same time, with both_down = " + mode + ".",
		Setup: Setup{Group: "both_down = \"" + mode + "\"\n" + quickPark},
		Steps: Then(steps, Now(MarkNow("both down"), Pass(500*ms), Together(Plug("eu"), Plug("us")), PointerAt("eu", 5*time.Second),
			Verdict("us", "healthy", 2*time.Second), Pass(600*ms), MarkNow("back"), Served("eu", 30))),
		Want: []Expectation{Honest(), NotServedOnly(502, 503), Flips(0, 4),
			RefusedIn(Between("both down", "eu mended"), "covered requests", Covered, 502, 503),
			ServedIn(Since("back", 0), "requests", nil), ServedBy("eu", Since("back", 0))},
	}
}
