package suite

import (
	"strings"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// leavers is how many clients leave at each point.
const leavers = 6

// leavingScenarios are clients that leave at every point of a request's life.
var leavingScenarios = []Scenario{
	leaving(chaos.OK(64), Departure{Name: "in_the_head", Send: "GET PATH HTTP/1.1\r\nHost: chaos.test\r\nChaos-Id: ID\r\nCookie: a"}, 0, ""),
	leaving(chaos.Delay(20*ms), Departure{Name: "right_after_the_head"}, -1, ""),
	leaving(chaos.OK(64), Departure{Name: "in_the_upload", Method: "POST", Reached: inUse,
		Send: "POST PATH HTTP/1.1\r\nHost: chaos.test\r\nChaos-Id: ID\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("a", 100_000)}, leavers, ""),
	leaving(chaos.OK(64), Departure{Name: "in_a_chunked_upload", Method: "POST", Reached: inUse,
		Send: "POST PATH HTTP/1.1\r\nHost: chaos.test\r\nChaos-Id: ID\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"}, leavers, ""),
	leaving(chaos.Hang(), Departure{Name: "before_the_answer", Reached: inUse}, leavers, ""),
	leaving(chaos.Hang(), Departure{Name: "before_the_answer_to_a_write", Method: "POST", Reached: inUse,
		Send: "POST PATH HTTP/1.1\r\nHost: chaos.test\r\nChaos-Id: ID\r\nContent-Length: 0\r\n\r\n"}, leavers, ""),
	leaving(chaos.Hang(), Departure{Name: "in_the_queue", Reached: func(_ *Stage, r *adminapi.Route, n int) bool {
		return r.Bulkhead.InUse == 2 && r.Bulkhead.Queued == n-2
	}}, leavers, "2\nbulkhead.max_queue = 10\nbulkhead.queue_timeout = \"5s\"\n"),
	leaving(chaos.StallMidBody(), Departure{Name: "in_the_body", Reached: inUse, Take: 400}, leavers, ""),
	leaving(chaos.Plenty(64<<20), Departure{Name: "in_a_body_that_fills_every_buffer", Reached: inUse, Take: 400}, leavers, ""),
	// Who ends a tunnel in order has not left it, so it may count as served.
	leaving(chaos.Upgrade(), Departure{Name: "in_a_tunnel", Reached: inUse, Take: len("HTTP/1.1 101"),
		Send: "GET PATH HTTP/1.1\r\nHost: chaos.test\r\nChaos-Id: ID\r\nConnection: Upgrade\r\nUpgrade: chaos\r\n\r\nhello"}, -1, ""),
	{
		Name: "leave_while_parked", Proves: []string{"clients_leave", "park"},
		Text:  "Writes are parked since the primary refuses connections, and nothing moves the pointer; their clients leave: no origin sees any of them.",
		Setup: Setup{Health: "none", Routes: route("away", awayPath, 10) + route("shop", "/", 100), Group: "park_timeout = \"4s\"\n"},
		Load:  []chaos.Load{Reading(60)},
		Steps: Now(Pass(200*ms), Unplug("eu"), Leave(Departure{Name: "while parked", Method: "POST", Reached: func(_ *Stage, r *adminapi.Route, n int) bool {
			return r.Bulkhead.Parked == n && r.Bulkhead.InUse == 0
		}, Send: "POST PATH HTTP/1.1\r\nHost: chaos.test\r\nChaos-Id: ID\r\nContent-Length: 10\r\n\r\nhello"}, leavers), Plug("eu"), Served("eu", 20)),
		Want: []Expectation{ServedBut(leavers), leftTotals(leavers), Parked(leavers), noneArrived(), NoFlip()},
	},
}

// inUse: the requests have their permits.
func inUse(_ *Stage, r *adminapi.Route, n int) bool {
	return r.Bulkhead.InUse == n
}

// leaving is a scenario of clients that leave while the primary does b. Of them
// left are counted as left; -1: any number, since some are served before it is
// noticed. Permits is the beginning of the route's bulkhead, "" for enough.
func leaving(b chaos.Behaviour, d Departure, left int, permits string) Scenario {
	if permits == "" {
		permits = "20\n"
	}
	name := d.Name
	d.Name = strings.ReplaceAll(name, "_", " ")
	away := "[[routes]]\nname = \"away\"\nmatch = \"/away/\"\ngroup = \"shop\"\ntimeout = \"20s\"\nbulkhead.max_concurrent = " + permits
	return Scenario{
		Name: "leave_" + name, Proves: []string{"clients_leave", "leaks", "account"},
		Text:  "Clients leave " + d.Name + ": within a second nothing of them is left, no failure is put down to the origin, and the others notice nothing.",
		Setup: Setup{Routes: away + route("shop", "/", 100), Origin: "response_header_timeout = \"4s\"\n", Server: "body_idle_timeout = \"20s\"\n"},
		Load:  []chaos.Load{Shopping(60)},
		Steps: Now(Behave("eu", b, awayPath), Pass(200*ms), Leave(d, leavers), Leave(d, leavers), Pass(200*ms)),
		Want: []Expectation{ServedBut(2 * leavers), leftTotals(2 * left), Steady(), NoFailover(), NoneFailedAt("away"), NeverSaid("breaker moved"),
			Arrivals("us", 0, 0), Quickly("requests of the others", 0.9, 100*ms, func(r *chaos.Result) bool { return r.Kind == chaos.Served })},
	}
}

// leftTotals: so many requests of the route are counted as left, and all the
// others as served.
func leftTotals(n int) Expectation {
	return Totals("away", "exactly those who left are counted as left", func(t Line) bool {
		if n < 0 {
			return t.Accepted > 0 && t.Accepted <= 2*leavers && t.Accepted == t.Left+t.Served
		}
		return t.Left == n && t.Accepted == n
	})
}

// noneArrived: of the requests whose clients left none came to an origin.
func noneArrived() Expectation {
	return Holds("none of those who left came to an origin", func(o *Outcome) error {
		for _, r := range o.Ledger.Select(func(r *chaos.Result) bool { return r.Kind == chaos.Left }) {
			for _, at := range o.Origins {
				if len(at.Arrivals(r.ID)) > 0 {
					return o.none([]chaos.Result{r})
				}
			}
		}
		return nil
	})
}
