package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

var nameserverScenarios = []Scenario{
	{
		Name: "pointer_over_dns", Proves: []string{"nameserver", "pointer"},
		Text:  "The pointer is asked for over DNS all through an outage under load: a tenth of a second after each flip every answer tells of it, and none tells of it before.",
		Setup: Setup{Group: soonBack + named, More: nameserver},
		Steps: Now(AskedByDNS(100*ms), Served("eu", 20), Unplug("eu"), PointerAt("us", time.Second), Served("us", 30), Plug("eu"),
			PointerAt("eu", 5*time.Second), Served("eu", 30), Finish("queries")),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Flips(2, 2)},
	},
	{
		Name: "follower", Proves: []string{"nameserver", "unplugged", "park"},
		Text:  "A second proxy, without checks of its own, follows the first one's pointer through an outage and back: its covered requests are served, its writes wait and arrive once, and it moves for no other reason.",
		Setup: Setup{Group: "failback_after = \"200ms\"\nmin_hold = \"2s\"\n" + named, More: nameserver},
		Load:  []chaos.Load{Shopping(60)},
		Steps: Now(StartFollower(Shopping(60)), Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), FollowerAt("us"), Served("us", 60), Plug("eu"),
			PointerAt("eu", 5*time.Second), FollowerAt("eu"), Served("eu", 30), EndFollower("us", "eu")),
		Want: []Expectation{CoveredServed(), UncoveredLost(4), NotServedOnly(502), Flips(2, 2), Quickly("writes", 1, 3*time.Second, Uncovered)},
	},
}
