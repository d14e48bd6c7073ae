package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// verdictScenarios are origins whose health check and whose requests tell
// different stories.
var verdictScenarios = []Scenario{
	{
		Name: "healthy_check_failing_requests", Proves: []string{"breaker", "failover", "coverage", "health"},
		Text: "Every request fails at a primary whose probes are well: the breaker opens and covered requests are served by the other " +
			"origin; a write gets the primary's own answer, or waits for the breaker, and never reaches the secondary; the pointer stays.",
		Steps: Now(Pass(300*ms), Fault("eu", "requests_only"), MarkNow("failing"), Pass(1500*ms), Mend("eu", "requests_only"), Pass(700*ms), MarkNow("over"), Served("eu", 40)),
		Want: []Expectation{CoveredServed(), Steady(), Classes("eu", "status:503", "breaker_open"), FailedOver(100),
			Said("breaker moved", 2), NotServedOnly(503), Parked(5),
			// The breaker spares the primary the covered ones, but for trials.
			ArrivalsIn(Window{Moment{"failing", 300 * ms}, Moment{Mark: "eu mended"}}, "eu", 1, 60), ServedBy("eu", Since("over", 0)), Goodput(1, Since("over", 0))},
	},
	{
		Name: "failing_check_healthy_requests", Proves: []string{"health", "pointer", "failback"},
		Text:  "The probes of a primary fail whose requests are well: the pointer leaves it and comes back, and nobody notices.",
		Steps: Now(Pass(300*ms), Fault("eu", "probe_only"), PointerAt("us", 1200*ms), Served("us", 40), Mend("eu", "probe_only"), PointerAt("eu", 5*time.Second), Served("eu", 40)),
		Want:  []Expectation{AllServed(), NoFailover(), Reasons("primary_down", "failback"), NeverSaid("breaker moved")},
	},
	{
		Name: "failing_check_at_both", Proves: []string{"both_down", "health"},
		Text: "The probes of both origins fail while their requests are well: fail_open keeps on asking the primary, and nobody notices.",
		Steps: Now(Pass(200*ms), Fault("eu", "probe_only"), PointerAt("us", 1200*ms), Fault("us", "probe_only"), PointerAt("eu", 1200*ms),
			Served("eu", 40), Mend("us", "probe_only"), PointerAt("us", 2*time.Second), Mend("eu", "probe_only"), PointerAt("eu", 5*time.Second), Served("eu", 20)),
		Want: []Expectation{AllServed(), NoFailover(), Reasons("primary_down", "both_down", "primary_down", "failback")},
	},
	{
		Name: "two_bad_probes", Proves: []string{"health"},
		Text: "Two probes in a row fail out of every five: a verdict needs three, so the pointer stays.",
		Steps: Now(Behave("eu", chaos.InTurn(chaos.Status(503), chaos.Status(503), chaos.OK(16), chaos.OK(16), chaos.OK(16)), healthPath),
			Pass(2*time.Second), Well("eu", healthPath)),
		Want: []Expectation{AllServed(), Steady(), probed("eu", 12)},
	},
}

// probed: an origin got at least so many probes.
func probed(origin string, least int) Expectation {
	return Holds("the probes are many", func(o *Outcome) error {
		for _, at := range o.Origins {
			if n := len(at.Arrivals("")); at.Name() == origin && n < least {
				return late("%d", n)
			}
		}
		return nil
	})
}
