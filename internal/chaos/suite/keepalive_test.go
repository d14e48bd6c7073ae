package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// keepAliveScenarios are kept connections that end when a request comes.
var keepAliveScenarios = []Scenario{
	{
		Name: "keepalive_close", Proves: []string{"once", "coverage", "failover"},
		Text:  "The primary closes a kept connection just as a request is written on it: a covered request gets another connection to the same origin, a write is lost rather than sent twice.",
		Steps: Now(Fault("eu", "keepalive_close"), AwaitResults("writes that are lost", 8, Lost), Mend("eu", "keepalive_close"), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), NotServedOnly(502), Some("writes that are lost", 8, Lost), LostAs("eu", "reset", "write"), ConnRetries(10), NoFlip(),
			NoFailover(), Arrivals("us", 0, 0), BreakerOpened("eu", 0, 0), Quickly("covered requests", 0.95, 150*time.Millisecond, Covered)},
	},
	{
		Name: "keepalive_reset", Proves: []string{"once", "coverage", "failover"},
		Text:  "The same with a reset.",
		Steps: Now(Behave("eu", chaos.ResetOnReuse()), AwaitResults("writes that are lost", 8, Lost), Well("eu"), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), NotServedOnly(502), Some("writes that are lost", 8, Lost), LostAs("eu", "reset", "write"), ConnRetries(10), NoFlip(),
			NoFailover(), Arrivals("us", 0, 0), BreakerOpened("eu", 0, 0)},
	},
	{
		Name: "keepalive_silent_close", Proves: []string{"once"},
		Text:  "The primary closes each connection right after an answer that promised to keep it: writes are sent on connections that were looked at, so hardly one is lost, and none is sent twice.",
		Load:  []chaos.Load{Writing(60), Reading(30)},
		Steps: Now(Behave("eu", chaos.SilentClose()), AwaitResults("writes", 120, Uncovered)),
		Want: []Expectation{CoveredServed(), UncoveredLost(6), NotServedOnly(502), LostAs("eu", "reset", "write"), NoFlip(), NoFailover(), Arrivals("us", 0, 0),
			BreakerOpened("eu", 0, 0)},
	},
	{
		Name: "keepalive_all_reset", Proves: []string{"once", "coverage"},
		Text:  "All connections of the primary are reset at once, again and again, while it goes on: covered requests notice nothing, nothing fails over, and only a write that was on its way may be lost.",
		Steps: Now(Served("eu", 20), Repeat(5, ResetConns("eu"), Served("eu", 20))),
		Want: []Expectation{CoveredServed(), UncoveredLost(5), NotServedOnly(502), LostAs("eu", "reset", "write"), NoFlip(), Arrivals("us", 0, 2),
			BreakerOpened("eu", 0, 0), Requests(120)},
	},
}
