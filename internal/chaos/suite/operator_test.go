package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// What an operator asks the admin listener for.
const (
	pinShop      = "/v1/groups/shop/pin"
	unpinShop    = "/v1/groups/shop/unpin"
	failbackShop = "/v1/groups/shop/failback"
	drainEU      = "/v1/origins/eu/drain"
	readyEU      = "/v1/origins/eu/ready"
)

var operatorScenarios = []Scenario{
	{
		Name: "steered_by_hand", Proves: []string{"operator", "pointer"},
		Text:  "An operator pins the group, lets it go, brings it back, drains the primary and says that it is ready, under load: no request is lost or takes a detour. What was asked of an older generation, or would leave no origin, is refused and changes nothing.",
		Setup: Setup{Group: "failback = \"manual\"\n"},
		Steps: Now(Verdict("us", "healthy", 2*time.Second), Served("eu", 20),
			Steer(pinShop, adminapi.PinRequest{Target: "us", Reason: "a try", Change: adminapi.Change{Generation: 1}}), PointerAt("us", time.Second), Served("us", 20),
			SteerInVain(pinShop, adminapi.PinRequest{Target: "eu", Change: adminapi.Change{Generation: 1}}, "stale"),
			SteerInVain(failbackShop, adminapi.Change{}, "pinned"), Served("us", 5),
			Steer(unpinShop, adminapi.Change{}), SteerInVain(failbackShop, adminapi.Change{Generation: 1}, "stale"), Steer(failbackShop, adminapi.Change{Generation: 2}), PointerAt("eu", time.Second), Served("eu", 20),
			Steer(drainEU, adminapi.Change{}), PointerAt("us", time.Second), Served("us", 20),
			SteerInVain("/v1/origins/us/drain", adminapi.Change{}, "no_healthy_origin"), SteerInVain(failbackShop, adminapi.Change{}, "primary_down"),
			Steer(readyEU, adminapi.Change{}), Steer(failbackShop, adminapi.Change{}), PointerAt("eu", time.Second), Served("eu", 20)),
		Want: []Expectation{AllServed(), Flips(4, 4), Reasons("pin", "operator", "primary_down", "operator"), NoFailover(), NotParked(), NoFailure("eu"), NoFailure("us"),
			AttemptsPerRequest(1)},
	},
	{
		Name: "pinned_through_an_outage", Proves: []string{"operator", "failover"},
		Text: "The group is pinned to the primary, which then fails: the pointer stays where the operator wants it, and covered requests are answered by the secondary all the same.",
		Load: []chaos.Load{Reading(80)},
		Steps: Now(Served("eu", 20), Steer(pinShop, adminapi.PinRequest{Target: "eu"}), Unplug("eu"), Verdict("eu", "down", time.Second), Served("us", 40),
			PointerStays(200*ms), Plug("eu"), Verdict("eu", "healthy", 2*time.Second), Served("eu", 20), Steer(unpinShop, adminapi.Change{})),
		Want: []Expectation{AllServed(), NoFlip(), FailedOver(30)},
	},
	{
		Name: "admin_in_a_flood", Proves: []string{"operator", "bulkhead"},
		Text:  "Four times as many requests come as the only route has permits for: the admin listener tells the state and the metrics all the time, and takes a pin.",
		Setup: Setup{Permits: 4},
		Load:  []chaos.Load{{Rate: 160, Mix: []chaos.Shot{{Path: "/product/"}}}},
		Steps: Now(Served("eu", 10), Behave("eu", chaos.Delay(100*ms)), AwaitResults("shed", 40, func(r *chaos.Result) bool { return r.Status == 503 }),
			LooksAtAdmin(time.Second, 8), AwaitResults("shed", 150, func(r *chaos.Result) bool { return r.Status == 503 }),
			Finish("looks"), Steer(pinShop, adminapi.PinRequest{Target: "us"}), PointerAt("us", time.Second), Served("us", 20)),
		Want: []Expectation{Shed(150), Honest(), NotServedOnly(503), NoFailover(), Flips(1, 1), Reasons("pin"),
			Quickly("what was shed", 0.95, 100*ms, func(r *chaos.Result) bool { return r.Status == 503 }), AcceptedIsSent()},
	},
}

// AcceptedIsSent claims that nothing but the clients' requests came to the route.
func AcceptedIsSent() Expectation {
	return Holds("the route counts what the clients sent, and no more", func(o *Outcome) error {
		sent := len(o.Ledger.Select(func(r *chaos.Result) bool { return r.Kind != chaos.Unsent }))
		return Totals("shop", "all is from clients", func(t Line) bool { return t.Accepted == sent }).Check(o)
	})
}
