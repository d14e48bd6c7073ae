package suite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/internal/chaos"
)

// forged is a head that lies about where it comes from, and asks to have the
// truth removed on the way.
var forged = []chaos.Field{
	{Name: "X-Forwarded-For", Value: "192.0.2.66"}, {Name: "x-forwarded-for", Value: "192.0.2.67"}, {Name: "X-Forwarded-Proto", Value: "https"},
	{Name: "X-Forwarded-Host", Value: "evil.test"}, {Name: "X-Forwarded-Port", Value: "1"}, {Name: "Forwarded", Value: "for=192.0.2.66;host=evil.test"},
	{Name: "X-Real-IP", Value: "192.0.2.66"}, {Name: "X-Request-Id", Value: "forged"}, {Name: "Failover-Attempt", Value: "2"},
	{Name: "Connection", Value: "keep-alive, X-Forwarded-For, X-Forwarded-Host, Via, X-Request-Id, Forwarded, X-Real-IP, Failover-Attempt, X-Mine"},
	{Name: "X-Mine", Value: "hop"}, {Name: "X-Kept", Value: "kept"},
}

// truth is what an origin is told instead. The values of a field are joined by " | ".
var truth = map[string]string{
	"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "chaos.test", "X-Forwarded-Port": "",
	"Forwarded": `for=127.0.0.1;host="chaos.test";proto=http`, "X-Real-IP": "127.0.0.1", "Via": "1.1 fairlead", "Host": "chaos.test",
	"X-Mine": "", "X-Kept": "kept", "Connection": "",
}

var identityScenarios = []Scenario{
	{
		Name: "forged_identities", Proves: []string{"identity", "failover"},
		Text: "Clients lie about who they are, and have the proxy told to drop what says otherwise, while every request fails over: both origins are told the truth, each from the client's own head, and the second attempt alone is marked as such.",
		// Every request is to meet the primary first.
		Setup: Setup{Route: steady},
		Load:  []chaos.Load{{Rate: 80, Mix: []chaos.Shot{{Path: "/product/", Fields: forged}}}},
		Steps: Now(Served("eu", 20), FaultOfRequests("eu", "status_503"), Served("us", 40), Mend("eu", "status_503"), Served("eu", 20)),
		Want:  []Expectation{CoveredServed(), FailedOver(40), NoFlip(), Told(truth), SecondIsMarked(40)},
	},
	{
		Name: "twins_of_identities", Proves: []string{"identity", "refused"},
		Text:  "A field that only an underscore keeps from being an identity is refused, since an origin may take it for one.",
		Load:  []chaos.Load{Reading(60)},
		Steps: Now(twins("X_Forwarded_For", "X-Forwarded_Proto", "X_Forwarded-Host", "X_Real_IP", "X_Request_Id")...),
		Want:  []Expectation{NoFlip(), NoFailover(), NoFailure("eu"), ServedBesides(400, "/product/"), Arrivals("us", 0, 0), OnlyOurs()},
	},
	{
		Name: "loop", Proves: []string{"identity"},
		Text:  "A reload makes the proxy its own primary: a request that comes back to it is answered with 508 at once, is nobody's success, and the next reload ends it.",
		Setup: Setup{Health: "none"},
		Load:  []chaos.Load{{Rate: 60, Mix: []chaos.Shot{{Path: "/product/"}}}},
		Steps: Now(Served("eu", 20), Reload(func(c *Setup) { c.Reach = itself }), MarkNow("loop"), AwaitResults("loops", 20, looped),
			Ask("a write", onlyOrder, Within(0, 500*ms, Answered(508, ""))), Reload(func(c *Setup) { c.Reach = nil }), MarkNow("mended"), Served("eu", 30)),
		Want: []Expectation{NoFlip(), NotServedOnly(508), Some("loops", 20, looped), RefusedIn(Window{Moment{Mark: "loop"}, Moment{"loop", 150 * ms}}, "requests", nil, 508),
			ServedIn(Since("mended", 0), "requests", nil), Arrivals("us", 0, 0)},
	},
}

func looped(r *chaos.Result) bool { return r.Status == 508 && r.Origin == "" }

// itself reaches the primary at the proxy's own address.
func itself(s *Stage, o *chaos.Origin) string {
	if o.Name() == "eu" {
		return "http://" + s.listen
	}
	return o.URL()
}

// twins ask with each of the fields.
func twins(names ...string) (actions []Action) {
	for _, name := range names {
		actions = append(actions, Ask(name, chaos.Request{Fields: []chaos.Field{{Name: name, Value: "192.0.2.66"}}}, Answered(400, "")))
	}
	return append(actions, Served("eu", 20))
}

// Told claims that each request reached origins with exactly these values, and
// with the same new id, which is no client's, on each of its attempts.
func Told(want map[string]string) Expectation {
	return Holds("origins are told the truth", func(o *Outcome) error {
		ids, n := make(map[string]string), 0
		var all []error
		for _, at := range o.Origins {
			for _, a := range at.AllArrivals() {
				if a.ID == "" {
					continue
				}
				n++
				for name, value := range want {
					if got := strings.Join(a.Values(name), " | "); got != value {
						all = append(all, fmt.Errorf("%s saw %s: %q, not %q", at.Name(), name, got, value))
					}
				}
				id := strings.Join(a.Values("X-Request-Id"), " | ")
				if before := ids[a.ID]; len(id) != 32 || before != "" && before != id {
					all = append(all, fmt.Errorf("%s saw the id %q, another attempt %q", at.Name(), id, before))
				}
				ids[a.ID] = id
			}
		}
		if n < enough {
			return fmt.Errorf("only %d requests arrived", n)
		}
		return errors.Join(all[:min(5, len(all))]...)
	})
}

// SecondIsMarked claims that at least so many second attempts came to the
// secondary, each marked as the second, and nothing to the primary so marked.
func SecondIsMarked(least int) Expectation {
	return Holds("the second attempt says so, and no other", func(o *Outcome) error {
		n := 0
		for _, at := range o.Origins {
			for _, a := range at.AllArrivals() {
				want := ""
				if a.ID != "" && at.Name() == "us" {
					n++
					want = "2"
				}
				if got := strings.Join(a.Values("Failover-Attempt"), " | "); got != want {
					return fmt.Errorf("%s saw Failover-Attempt %q for %s, not %q", at.Name(), got, a.Target, want)
				}
			}
		}
		if n < least {
			return fmt.Errorf("only %d second attempts", n)
		}
		return nil
	})
}
