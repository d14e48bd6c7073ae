package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// farScenarios are networks that break without a word, between the proxy and a
// primary in a network of its own.
var farScenarios = []Scenario{
	{
		Name: "partition", Needs: []Need{Root}, Proves: []string{"failover", "once", "pointer", "failback", "classes"},
		Text:  "The network to the primary is parted under load: nobody hears of it but by time-outs. Covered requests are answered by the secondary, the pointer goes and comes back.",
		Setup: Setup{Far: []string{"eu"}, Group: soonBack},
		Steps: Now(Served("eu", 20), Cable("eu", partition), PointerAt("us", 1500*time.Millisecond), Served("us", 60), Heal("eu"), PointerAt("eu", 6*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(25), NotServedOnly(504), LostAs("eu", "header_timeout"), Flips(2, 2), FailedOver(10),
			Classes("eu", "header_timeout", "connect_timeout", "breaker_open"), Quickly("covered requests", 0.95, headerTimeout+300*time.Millisecond, Covered)},
	},
	{
		Name: "partition_before_connecting", Needs: []Need{Root}, Proves: []string{"failover", "park", "pointer", "classes"},
		Text:  "The network to the primary is parted when there is no connection: SYNs go unanswered. No write is lost, since nothing could be sent.",
		Setup: Setup{Far: []string{"eu"}, Group: soonBack},
		Steps: Now(Served("eu", 20), ResetConns("eu"), Cable("eu", partition), PointerAt("us", 1500*time.Millisecond), Served("us", 60), Heal("eu"), PointerAt("eu", 6*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(8), NotServedOnly(502, 504), Flips(2, 2), FailedOver(1), Parked(1),
			Classes("eu", "connect_timeout", "reset", "write", "header_timeout", "breaker_open"), Quickly("covered requests", 0.95, connectTimeout+300*time.Millisecond, Covered)},
	},
	{
		Name: "one_way_loss_of_replies", Needs: []Need{Root}, Proves: []string{"once", "failover", "pointer"},
		Text:  "Requests reach the primary, its answers do not come back: it does what it was asked, so a write is never sent again.",
		Setup: Setup{Far: []string{"eu"}, Group: soonBack},
		Steps: Now(warm("eu"), Cable("eu", loseReplies), PointerAt("us", 1500*time.Millisecond), Served("us", 60), Heal("eu"), PointerAt("eu", 6*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(25), Some("writes that are lost", 1, Lost), NotServedOnly(504), LostAs("eu", "header_timeout"), Flips(2, 2), FailedOver(10),
			LostReach("eu", 1), Classes("eu", "header_timeout", "connect_timeout", "breaker_open")},
	},
	{
		Name: "one_way_loss_of_requests", Needs: []Need{Root}, Proves: []string{"once", "failover", "pointer"},
		Text:  "What is sent to the primary is lost: covered requests are answered by the secondary.",
		Setup: Setup{Far: []string{"eu"}, Group: soonBack},
		Steps: Now(Served("eu", 20), Cable("eu", loseRequests), PointerAt("us", 1500*time.Millisecond), Served("us", 60), Heal("eu"), PointerAt("eu", 6*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(25), NotServedOnly(504), LostAs("eu", "header_timeout"), Flips(2, 2), FailedOver(10),
			Classes("eu", "header_timeout", "connect_timeout", "breaker_open")},
	},
	{
		Name: "partition_of_both", Needs: []Need{Root}, Proves: []string{"both_fail", "both_down"},
		Text:  "Both origins are parted from the proxy: clients get 504, within both time-outs and not later, and everything goes on when the networks heal.",
		Setup: Setup{Far: []string{"eu", "us"}, Group: soonBack},
		Steps: Now(Served("eu", 20), Cable("eu", partition), Cable("us", partition), AwaitResults("refused requests", 60, func(r *chaos.Result) bool { return r.Kind == chaos.Refused }),
			Heal("us"), Served("us", 20), Heal("eu"), PointerAt("eu", 6*time.Second), Served("eu", 20)),
		Want: []Expectation{NotServedOnly(503, 504), Flips(2, 6), Quickly("requests", 0.95, 2*headerTimeout+300*time.Millisecond, Covered),
			Some("answers of 504", 5, func(r *chaos.Result) bool { return r.Status == 504 })},
	},
}

// warm leaves an origin with twenty idle connections, on which requests are sent
// without a connect.
func warm(origin string) Action {
	return Repeat(1, Behave(origin, chaos.Delay(150*time.Millisecond)), AskAll("twenty writes", 20, onlyOrder, Each(Answered(200, origin))), Well(origin), Served(origin, 10))
}
