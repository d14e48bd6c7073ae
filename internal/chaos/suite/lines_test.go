package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/chaos/toxic"
)

// lineScenarios are faults of TCP: between the proxy and the primary, which are
// named line, and between clients and the proxy, which are named front.
var lineScenarios = []Scenario{
	{
		Name: "line_latency", Proves: []string{"coverage", "attempts"},
		Text:  "The line to the primary is long, 60 ms each way, give or take 20: that is no failure.",
		Setup: Setup{Reach: byLine, Health: patientProbes},
		Steps: Now(Toxics("eu", "latency", toxic.Latency(60*time.Millisecond, 20*time.Millisecond)), Served("eu", 120)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1),
			Some("requests that took the line's time", 100, func(r *chaos.Result) bool { return r.Latency >= 80*time.Millisecond }),
			Quickly("requests", 0.95, 350*time.Millisecond, everyone)},
	},
	{
		Name: "line_latency_over_the_timeout", Proves: []string{"failover", "classes", "once", "pointer", "responses"},
		Text:  "The line to the primary is longer than response_header_timeout: covered requests are answered by the secondary, and the primary's late answers by nobody's client.",
		Setup: Setup{Reach: byLine, Group: soonBack},
		Steps: Now(Served("eu", 20), Toxics("eu", "latency", toxic.Latency(350*time.Millisecond, 0)), PointerAt("us", 1500*time.Millisecond), Served("us", 20),
			Toxics("eu", "well"), PointerAt("eu", 5*time.Second), Served("eu", 10)),
		Want: []Expectation{CoveredServed(), UncoveredLost(25), NotServedOnly(504), LostAs("eu", "header_timeout"), Flips(2, 2), FailedOver(10),
			Classes("eu", "header_timeout", "breaker_open"), Quickly("covered requests", 0.95, headerTimeout+300*time.Millisecond, Covered)},
	},
	{
		Name: "line_bandwidth", Proves: []string{"responses", "coverage"},
		Text:  "The line to the primary takes 200 kB a second: bodies of 20 kB come slowly and whole.",
		Setup: Setup{Reach: byLine, Health: patientProbes},
		Load:  []chaos.Load{{Rate: 15, Mix: []chaos.Shot{{Weight: 3, Path: "/product/", WantSize: 20 << 10}, {Method: "POST", Path: "/order/", BodySize: 20 << 10}}}},
		Steps: Now(Toxics("eu", "bandwidth", toxic.Bandwidth(200)), Served("eu", 20)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1),
			Some("requests that took the line's time", 15, func(r *chaos.Result) bool { return r.Latency >= 80*time.Millisecond })},
	},
	{
		Name: "line_slices", Proves: []string{"responses", "interim"},
		Text:  "What passes between the proxy and the primary comes in pieces of at most seven bytes: heads, chunks, trailers and interim responses are put together rightly.",
		Setup: Setup{Reach: byLine, Health: patientProbes},
		Load:  []chaos.Load{{Rate: 60, Mix: []chaos.Shot{{Weight: 4, Path: "/product/", WantSize: 700}, {Method: "POST", Path: "/order/", BodySize: 300, Chunked: true}}}},
		Steps: Now(Toxics("eu", "slices", toxic.Slice(7, 0)), Behave("eu", chaos.InTurn(chaos.OK(1), chaos.Chunked(1), chaos.Interim(3), chaos.UntilClose(1))), Served("eu", 80)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1),
			Some("interim responses", 15, func(r *chaos.Result) bool { return r.Interim == 3 })},
	},
	{
		Name: "line_reset", Proves: []string{"failover", "once", "pointer", "failback"},
		Text:  "Whatever is sent on the line to the primary resets it: covered requests are answered by the secondary, a write is lost rather than sent twice, the pointer goes and comes back.",
		Setup: Setup{Reach: byLine, Group: soonBack},
		Steps: Now(Served("eu", 20), Toxics("eu", "reset", toxic.Reset(0)), PointerAt("us", 1200*time.Millisecond), Served("us", 20), Toxics("eu", "well"), PointerAt("eu", 5*time.Second), Served("eu", 10)),
		Want: []Expectation{CoveredServed(), UncoveredLost(6), NotServedOnly(502), LostAs("eu", "reset", "write"), Flips(2, 2), FailedOver(1),
			Classes("eu", "reset", "write", "breaker_open"), Quickly("covered requests", 0.95, 300*time.Millisecond, Covered)},
	},
	{
		Name: "line_silence", Proves: []string{"failover", "classes", "once", "pointer"},
		Text:  "The line to the primary loses every byte, though it accepts: covered requests go on after response_header_timeout, a write is sent once and answered with 504.",
		Setup: Setup{Reach: byLine, Group: soonBack},
		Steps: Now(Served("eu", 20), Toxics("eu", "silence", toxic.Timeout(0)), PointerAt("us", 1500*time.Millisecond), Pass(headerTimeout+100*time.Millisecond), Toxics("eu", "well"), PointerAt("eu", 5*time.Second), Served("eu", 10)),
		Want: []Expectation{CoveredServed(), UncoveredLost(25), NotServedOnly(504), LostAs("eu", "header_timeout"), Flips(2, 2), FailedOver(10),
			Classes("eu", "header_timeout", "breaker_open"), Quickly("covered requests", 0.95, headerTimeout+300*time.Millisecond, Covered)},
	},
	{
		Name: "line_cut", Proves: []string{"commit", "responses", "once"},
		Text:  "The line to the primary closes each connection after 40 kB: a response of 16 kB that was cut is an abort or, before its head, another origin's; none is a short one that looks whole.",
		Setup: Setup{Reach: byLine},
		Load:  []chaos.Load{{Rate: 80, Mix: []chaos.Shot{{Path: "/product/", WantSize: 16 << 10}}}},
		Steps: Now(Toxics("eu", "cut", toxic.LimitData(40_000).Down()), AwaitResults("aborts", 15, Aborted), Toxics("eu", "well"), Served("eu", 20)),
		Want: []Expectation{NotServedOnly(0), Some("aborts", 15, Aborted), NoFlip(), AbortsTold("reset"), BreakerOpened("eu", 0, 0),
			None("abort of the secondary", func(r *chaos.Result) bool { return Aborted(r) && r.Origin == "us" })},
	},
	{
		Name: "line_slow_close", Proves: []string{"responses"},
		Text:  "The end of a connection comes 300 ms late: bodies that end with it are whole, and nothing is left over.",
		Setup: Setup{Reach: byLine},
		Load:  []chaos.Load{Shopping(60)},
		Steps: Now(Behave("eu", chaos.UntilClose(3000)), Toxics("eu", "slow close", toxic.SlowClose(300*time.Millisecond)), Served("eu", 40)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1),
			Some("requests that waited for the end", 40, func(r *chaos.Result) bool { return r.Latency >= 280*time.Millisecond })},
	},
	{
		Name: "front_slices", Proves: []string{"responses", "account"},
		Text:  "What passes between clients and the proxy comes in pieces of at most five bytes: every request is understood and every answer whole.",
		Setup: Setup{Lines: true},
		Load:  []chaos.Load{{Rate: 60, Mix: []chaos.Shot{{Weight: 4, Path: "/product/", WantSize: 700}, {Method: "POST", Path: "/order/", BodySize: 300, Chunked: true}}}},
		Steps: Now(Toxics("", "slices", toxic.Slice(5, 0)), Served("eu", 80)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1)},
	},
	{
		Name: "front_latency_and_bandwidth", Proves: []string{"responses", "isolation"},
		Text:  "Clients have a long and narrow line, uploads and downloads take their time: nobody is served twice, and no origin is blamed.",
		Setup: Setup{Lines: true},
		Load:  []chaos.Load{{Rate: 20, Mix: []chaos.Shot{{Weight: 3, Path: "/product/", WantSize: 40 << 10}, {Method: "POST", Path: "/order/", BodySize: 40 << 10}}}},
		Steps: Now(Toxics("", "latency and bandwidth", toxic.Latency(40*time.Millisecond, 30*time.Millisecond), toxic.Bandwidth(300)), Served("eu", 30)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1),
			Some("requests that took the line's time", 25, func(r *chaos.Result) bool { return r.Latency >= 150*time.Millisecond })},
	},
	{
		Name: "front_reset", Proves: []string{"clients_leave", "account", "breaker", "health"},
		Text:  "Every client's connection is reset as soon as it has sent something: these are clients that left, which is no failure of an origin, and who comes after is served.",
		Setup: Setup{Lines: true},
		Steps: Now(Served("eu", 30), Toxics("", "reset", toxic.Reset(0)), AwaitResults("aborts", 40, Aborted), Toxics("", "well"), Served("eu", 30)),
		Want:  []Expectation{NotServedOnly(0), Some("aborts", 40, Aborted), NoFlip(), NoFailover(), NoFailure("eu"), BreakerOpened("eu", 0, 0), Arrivals("us", 0, 0)},
	},
	{
		Name: "front_reset_in_mid_answer", Proves: []string{"clients_leave", "account", "leaks"},
		Text:  "Clients' connections end in the middle of long answers: the proxy lets go of the origin's, and blames nobody.",
		Setup: Setup{Lines: true},
		Load:  []chaos.Load{{Rate: 12, Mix: []chaos.Shot{{Path: "/product/", WantSize: 8 << 20}}}},
		Steps: Now(Served("eu", 2), Toxics("", "cut", toxic.LimitData(100_000).Down()), AwaitResults("aborts", 12, Aborted), Toxics("", "well"), Served("eu", 2)),
		Want: []Expectation{NotServedOnly(0), NoFlip(), NoFailover(), NoFailure("eu"), BreakerOpened("eu", 0, 0), Arrivals("us", 0, 0),
			Totals("shop", "nine clients left at least, since some answers were in buffers as a whole", func(t Line) bool { return t.Left >= 9 && t.Failed == 0 })},
	},
}
