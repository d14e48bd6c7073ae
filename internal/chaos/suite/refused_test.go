package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// onlyOrder is a write.
var onlyOrder = chaos.Request{Method: "POST", BodySize: 512}

// idle is a load of one request, so that there is no traffic after it.
var idle = []chaos.Load{{Count: 1}}

// steady keeps the breaker out, so that each request meets the fault itself.
const steady = "breaker.consecutive_failures = 0\n"

// refusedScenarios are what a primary that refuses connections comes to in each
// way of the configuration.
var refusedScenarios = []Scenario{
	{
		Name: "connect_refused_without_traffic", Proves: []string{"pointer", "health"},
		Text:  "The primary is unplugged while nobody asks for anything: the pointer leaves within fall x interval and a time-out, and the next request goes straight to the secondary.",
		Setup: Setup{Health: "interval = \"250ms\"\nfast_interval = \"250ms\"\ntimeout = \"200ms\"\n"},
		Load:  idle,
		Steps: Now(AwaitResults("first requests", 1, Covered), Verdict("eu", "healthy", 2*time.Second), Unplug("eu"),
			PointerAt("us", 950*time.Millisecond), Ask("a write", onlyOrder, Within(0, 200*time.Millisecond, Answered(200, "us"))),
			Ask("a read", chaos.Request{}, Within(0, 200*time.Millisecond, Answered(200, "us")))),
		Want: []Expectation{AllServed(), Flips(1, 1), NoFailover(), NoFailure("us"), Arrivals("eu", 1, 1), Arrivals("us", 2, 2)},
	},
	{
		Name: "connect_refused_default_times_without_traffic", Full: true, Proves: []string{"pointer", "health"},
		Text:  "The same with the default times: seven seconds.",
		Setup: Setup{Defaults: true},
		Load:  idle,
		Steps: Now(AwaitResults("first requests", 1, Covered), Verdict("eu", "healthy", 7*time.Second), Unplug("eu"), PointerAt("us", 7*time.Second), Ask("a write", onlyOrder, Answered(200, "us"))),
		Want:  []Expectation{AllServed(), Flips(1, 1), NoFailover()},
	},
	{
		Name: "connect_refused_unchecked", Proves: []string{"failover", "breaker", "park"},
		Text:  "The primary is unplugged, and nobody probes it: covered requests are answered by the secondary, writes wait for the primary to accept again, and none is lost.",
		Setup: Setup{Health: "none"},
		Steps: []Step{
			{At: 200 * time.Millisecond, Do: Unplug("eu")},
			{Do: BreakerIs("eu", "open", time.Second)},
			{Do: Served("us", 60)},
			{Do: Plug("eu")},
			{Do: BreakerIs("eu", "closed", 2*time.Second)},
			{Do: Served("eu", 30)},
		},
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), LostAs("eu", "reset", "write"), NoFlip(), FailedOver(40), Parked(5),
			WritesStay("us"), BreakerOpened("eu", 1, 3), FailuresAt("eu", 40), Quickly("covered requests", 0.95, 200*time.Millisecond, Covered)},
	},
	{
		Name: "unsafe_unsent", Proves: []string{"unsafe_modes", "once"},
		Text:  "With unsafe = \"unsent\" a write that could not be sent goes to the secondary at once, before the pointer does: nobody waits.",
		Setup: Setup{Health: "none", Group: "unsafe = \"unsent\"\n"},
		Load:  []chaos.Load{Writing(80)},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"), Served("us", 60), Plug("eu"), BreakerIs("eu", "closed", 2*time.Second), Served("eu", 20)),
		Want: []Expectation{UncoveredLost(2), NotServedOnly(502), LostAs("eu", "reset", "write"), NoFlip(), FailedOver(50), NotParked(),
			Classes("eu", "connect_refused", "reset", "write", "breaker_open"), Quickly("writes", 0.95, 200*time.Millisecond, Uncovered)},
	},
	{
		Name: "unsafe_never", Proves: []string{"unsafe_modes", "coverage"},
		Text:  "With unsafe = \"never\" a write that could not be sent is answered with 502 at once, covered requests by the secondary.",
		Setup: Setup{Health: "none", Group: "unsafe = \"never\"\n", Route: steady},
		Load:  []chaos.Load{Reading(60)},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"),
			AskAll("twenty writes", 20, onlyOrder, Each(Within(0, 300*time.Millisecond, Answered(502, "")))),
			Served("us", 20), Plug("eu"), Ask("a write", onlyOrder, Answered(200, "eu"))),
		Want: []Expectation{CoveredServed(), UncoveredLost(20), LostAs("eu", "connect_refused"), NoFlip(), FailedOver(20), NotParked(), WritesStay("us")},
	},
	{
		Name: "unsafe_never_breaker_open", Proves: []string{"unsafe_modes", "breaker"},
		Text:  "The same with a breaker that has opened: no candidate is left for a write, so it is answered with 503 and Retry-After.",
		Setup: Setup{Health: "none", Group: "unsafe = \"never\"\n", Route: "breaker.open_for = \"10s\"\n"},
		Load:  []chaos.Load{Reading(60)},
		Steps: Now(Unplug("eu"), BreakerIs("eu", "open", time.Second), Served("us", 20), Ask("a write", onlyOrder, Within(0, 300*time.Millisecond, RetryLater(10)))),
		Want:  []Expectation{CoveredServed(), UncoveredLost(1), LostAs("eu", "breaker_open"), NoFlip(), NotParked(), WritesStay("us")},
	},
	{
		Name: "park_timeout", Proves: []string{"park", "once"},
		Text:  "Nothing ends the wait of a parked write: after park_timeout it is answered with 503 and Retry-After, and no origin has seen it.",
		Setup: Setup{Health: "none", Group: "park_timeout = \"600ms\"\n"},
		Load:  []chaos.Load{Reading(60)},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"),
			AskAll("ten writes", 10, onlyOrder, Each(Within(600*time.Millisecond, 1000*time.Millisecond, RetryLater(1))))),
		Want: []Expectation{CoveredServed(), UncoveredLost(10), NotServedOnly(503), NoFlip(), Parked(10), WritesStay("us"), WritesStay("eu")},
	},
	{
		Name: "park_ends_by_the_primary", Proves: []string{"park", "once"},
		Text:  "The primary accepts connections again while writes are parked: each is sent there once, soon.",
		Setup: Setup{Health: "none"},
		Load:  []chaos.Load{Reading(60)},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"),
			Beside(AskAll("ten writes", 10, onlyOrder, Each(Within(300*time.Millisecond, 1500*time.Millisecond, Answered(200, "eu")))),
				ParkedNow(10), Pass(300*time.Millisecond), Plug("eu"))),
		Want: []Expectation{AllServed(), NoFlip(), Parked(10), WritesStay("us")},
	},
	{
		Name: "park_holds_no_permit", Proves: []string{"park", "bulkhead"},
		Text: "Ten writes are parked on a route of two permits: reads go on as if there were none, and the writes end when the pointer moves.",
		Setup: Setup{Permits: 2, Health: "interval = \"2s\"\nfast_interval = \"300ms\"\ntimeout = \"200ms\"\nfall = 4\n",
			Route: "bulkhead.max_queue = 100\nbulkhead.queue_timeout = \"2s\"\n"},
		Load: []chaos.Load{Reading(60)},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"),
			Beside(AskAll("ten writes", 10, onlyOrder, Each(Answered(200, "us"))), ParkedNow(10), Served("us", 20), PointerAt("us", 2*time.Second))),
		Want: []Expectation{AllServed(), Flips(1, 1), Parked(10), NotShed(), Quickly("reads", 0.95, 200*time.Millisecond, Covered)},
	},
}
