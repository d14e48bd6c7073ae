package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// greeting is a load with a handshake for each request.
func greeting(rate float64) chaos.Load {
	anew := []chaos.Field{{Name: "Connection", Value: "close"}}
	return ByTLS(chaos.Load{Rate: rate, Mix: []chaos.Shot{{Weight: 4, Path: "/product/", Fields: anew}, {Method: "POST", Path: "/order/", BodySize: 64, Fields: anew}}})
}

const lookEvery = 5 * time.Second // at the files; two looks that agree take them up

var certificateScenarios = []Scenario{
	{
		Name: "new_certificate", Proves: []string{"certificates", "reload"}, Needs: []Need{Unix},
		Text:  "The site's certificate is replaced under a load of handshakes, with a reload: new clients are shown the new one. A pair that does not fit keeps the one before, and is told of.",
		Setup: Setup{Doors: true},
		Load:  []chaos.Load{greeting(30), ByHTTP2(Shopping(30)), ByTLS(Shopping(30))},
		Steps: Now(Served("eu", 20), Shows(0, time.Second), ShowPair(1), Reload(nil), Shows(1, time.Second), Served("eu", 20),
			BreakPair(0, 1), ReloadInVain(), ShowsStill(1), Served("eu", 20), ShowPair(0), Reload(nil), Shows(0, time.Second), Served("eu", 20)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Said("reloaded", 2)},
	},
	{
		Name: "new_certificate_is_noticed", Full: true, Proves: []string{"certificates"},
		Text:  "The same without a reload: the files are looked at, a new pair is taken up by itself, one that does not fit is told of and not used.",
		Setup: Setup{Doors: true},
		Load:  []chaos.Load{greeting(30), ByHTTP2(Shopping(20))},
		Steps: Now(Served("eu", 20), Shows(0, time.Second), ShowPair(1), Shows(1, 3*lookEvery), Served("eu", 20),
			BreakPair(0, 1), Logged("certificate can't be used", 3*lookEvery), ShowsStill(1), Served("eu", 20), ShowPair(0), Shows(0, 3*lookEvery), Served("eu", 20)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Said("certificate can be used again", 1)},
	},
}
