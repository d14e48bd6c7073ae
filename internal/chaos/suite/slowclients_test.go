package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// besieged is the configuration against hostile clients: they have a route of
// their own, and little time.
var besieged = Setup{
	Server: "request_header_timeout = \"500ms\"\nbody_idle_timeout = \"500ms\"\n",
	Origin: "response_header_timeout = \"2s\"\n",
	Routes: route("slow", "/slow/", 10) + route("shop", "/", 100),
}

// slowClientScenarios are clients that are slow, or still, by mistake or with intent.
// Whoever comes beside them must not notice.
var slowClientScenarios = []Scenario{
	{
		Name: "slow_heads", Proves: []string{"hostile", "isolation"},
		Text:  "A hundred clients send their heads a byte at a time: each is answered with 408 when request_header_timeout is over.",
		Setup: besieged,
		Steps: Now(Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.SlowHead("/slow/", 50*ms), Conns: 100}), Beaten(100, 800*ms, "408"), Pass(200*ms), Relieve()),
		Want:  unnoticed(Totals("slow", "nothing is accepted", func(t Line) bool { return t.Accepted == 0 })),
	},
	{
		Name: "silent_connections", Proves: []string{"hostile"},
		Text:  "A hundred clients connect and say nothing: each is let go when its time is over.",
		Setup: Setup{Server: "idle_timeout = \"700ms\"\n"},
		// Connections of good clients that idle so long would be closed, too.
		Load:  []chaos.Load{{Rate: 120, Conns: 3, Mix: Shopping(1).Mix}},
		Steps: Now(Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.Idle(), Conns: 100}), Beaten(100, 1100*ms, ""), Relieve()),
		Want:  unnoticed(),
	},
	{
		Name: "stuck_uploads", Proves: []string{"hostile", "bulkhead", "isolation"},
		Text: "Sixty clients promise an upload and send none of it: ten have the permits of their route until body_idle_timeout, the others " +
			"are shed, and the route serves again when they are gone.",
		Setup: besieged,
		Steps: Now(Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.StuckBody("/slow/"), Conns: 60}), Beaten(60, 1200*ms, "408", "503"), Relieve(),
			Ask("the route serves", chaos.Request{Path: "/slow/1"}, served)),
		Want: unnoticed(Shed(30)),
	},
	{
		Name: "dripping_uploads", Proves: []string{"hostile", "bulkhead"},
		Text:  "Ten clients send a gigabyte at a byte every 50 ms: that moves less in body_idle_timeout than counts as something, so they are ended.",
		Setup: besieged,
		Steps: Now(Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.SlowBody("/slow/", 50*ms), Conns: 10}), Beaten(10, 1200*ms, "408"), Relieve(),
			Ask("the route serves", chaos.Request{Path: "/slow/1"}, served)),
		Want: unnoticed(),
	},
	{
		Name: "slow_uploads", Proves: []string{"hostile", "bulkhead", "isolation"},
		Text: "Ten clients send a gigabyte at 400 KB a second, which no idle time-out forbids: they hold the permits of their own route, " +
			"further ones are shed at once, and no other route notices.",
		Setup: besieged,
		Steps: Now(Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.EndlessBody("/slow/", 80*ms), Conns: 10}), Do("they have all permits", allPermits),
			Pass(1200*ms), Do("they still have them", allPermits), Ask("one more is shed", chaos.Request{Path: "/slow/1"}, shedNow), Relieve(), Do("all permits are back", noPermits),
			Ask("the route serves", chaos.Request{Path: "/slow/2"}, served)),
		Want: []Expectation{ServedIn(Window{}, "requests of the other route", func(r *chaos.Result) bool { return r.Path != "/slow/1" }), Steady(), NoFailover(),
			Quickly("requests of the other route", 0.95, 60*ms, Anyone), Totals("slow", "those who gave up have left", func(t Line) bool { return t.Left == 10 && t.Shed == 1 && t.Served == 1 })},
	},
	{
		Name: "deaf_readers", Proves: []string{"hostile", "bulkhead"},
		Text:  "Ten clients ask for 64 MB and take none of it: body_idle_timeout ends them, and nobody else notices.",
		Setup: besieged,
		Steps: Now(Behave("eu", chaos.Plenty(64<<20), "/slow/"), Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.DeafReader("/slow/", 64<<20), Conns: 10}),
			Beaten(10, 1500*ms, ""), Relieve(), Do("all permits are back", noPermits)),
		Want: unnoticed(),
	},
	{
		Name: "coming_and_going", Proves: []string{"hostile", "leaks"}, Full: true,
		Text:  "Clients connect and leave at once, a thousand a second: nobody else notices, and nothing is left over.",
		Setup: besieged,
		Steps: Now(Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.OpenAndClose(), Conns: 20, Rate: 1000, Again: true}), Pass(3*time.Second), Relieve()),
		Want:  unnoticed(),
	},
}

// unnoticed is what the others must find, and more.
func unnoticed(more ...Expectation) []Expectation {
	return append(more, AllServed(), Steady(), NoFailover(), NeverSaid("breaker moved"), Requests(40), Quickly("requests of the others", 0.95, 60*ms, Anyone))
}
