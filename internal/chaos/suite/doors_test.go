package suite

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// door is a way in.
type door struct {
	name string
	text string
	by   func(chaos.Load) chaos.Load
}

var doors = []door{
	{"tls", "over TLS", ByTLS},
	{"http2", "in HTTP/2 over TLS", ByHTTP2},
	{"h2c", "in HTTP/2 without TLS", ByH2C},
}

// doorScenarios are one outage of each kind through each door: what is promised
// of HTTP/1.1 holds there too.
var doorScenarios = func() (all []Scenario) {
	for _, d := range doors {
		all = append(all, d.refused(), d.failing(), d.truncated())
	}
	return all
}()

// refused: nothing is lost when the primary is unplugged.
func (d *door) refused() Scenario {
	return Scenario{
		Name: "connect_refused_over_" + d.name, Proves: []string{"doors", "unplugged", "park"},
		Text: "The primary is unplugged while clients come " + d.text + ": covered requests are answered by the secondary, writes wait for the pointer and arrive once.",
		// Probes that take their time leave some to be parked in.
		Setup: Setup{Doors: true, Group: soonBack, Health: "fast_interval = \"150ms\"\n"},
		Load:  []chaos.Load{d.by(Shopping(100))},
		Steps: Now(Pass(200*time.Millisecond), Unplug("eu"), PointerAt("us", 1500*time.Millisecond), Served("us", 30), Plug("eu"),
			PointerAt("eu", 5*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), LostAs("eu", "reset", "write"), Parked(1), FailedOver(1),
			Classes("eu", "connect_refused", "reset", "write", "breaker_open"), Flips(2, 2), Quickly("covered requests", 0.95, 300*time.Millisecond, Covered), d.used()},
	}
}

// failing: a status that is configured for failover.
func (d *door) failing() Scenario {
	return Scenario{
		Name: "status_503_over_" + d.name, Proves: []string{"doors", "failover", "coverage", "once"},
		Text:  "The primary answers 503 while clients come " + d.text + ": covered requests are answered by the secondary, writes are sent once.",
		Setup: Setup{Doors: true, Group: soonBack},
		Load:  []chaos.Load{d.by(Shopping(100))},
		Steps: Now(Pass(200*time.Millisecond), Fault("eu", "status_503"), PointerAt("us", 1200*time.Millisecond), Served("us", 30),
			Mend("eu", "status_503"), PointerAt("eu", 5*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(8), NotServedOnly(503), LostAs("eu", "status:503"), FailedOver(1),
			Classes("eu", "status:503", "breaker_open"), NoFailure("us"), Flips(2, 2), d.used()},
	}
}

// truncated: a response that breaks off ends in a way that can't be taken for its
// end: a stream's reset, or a connection without a goodbye, which the client
// itself watches for.
func (d *door) truncated() Scenario {
	return Scenario{
		Name: "truncated_over_" + d.name, Proves: []string{"doors", "commit", "once"},
		Text:  "The primary breaks responses off while clients come " + d.text + ": nothing is retried, and none looks whole.",
		Setup: Setup{Doors: true},
		Load:  []chaos.Load{d.by(Shopping(100))},
		Steps: Now(Pass(200*time.Millisecond), FaultOfRequests("eu", "truncated"), AwaitResults("aborts", 20, Aborted), Mend("eu", "truncated"), Served("eu", 20)),
		Want: []Expectation{NotServedOnly(0), Some("aborts", 20, Aborted), AbortsTold("reset"), AbortsAre(d.end()), NoFlip(), NoFailover(), Arrivals("us", 0, 0),
			BreakerOpened("eu", 0, 0), AttemptsPerRequest(1), Quickly("aborts", 0.95, 300*time.Millisecond, Aborted), d.used()},
	}
}

// end is how a client learns that a response broke off.
func (d *door) end() string {
	if d.name == "tls" {
		return "TLS was cut off"
	}
	return "received from peer" // net/http's words for RST_STREAM
}

// used claims that requests came by this door.
func (d *door) used() Expectation {
	return Holds("clients come "+d.text, func(o *Outcome) error {
		line := "HTTP/1.1 "
		if strings.Contains(d.text, "HTTP/2") {
			line = "HTTP/2.0 "
		}
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool { return r.Status != 0 && !strings.HasPrefix(r.Head.Line, line) }))
	})
}

// AbortsAre claims that each response that broke off ended with this error.
func AbortsAre(says string) Expectation {
	return Holds(fmt.Sprintf("each abort is told as %q", says), func(o *Outcome) error {
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool { return Aborted(r) && !strings.Contains(fmt.Sprint(r.Err), says) }))
	})
}
