package suite

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// oddPaths are spelled as nobody should, and lawful. An id is appended to each.
var oddPaths = chaos.Load{Rate: 100, Mix: []chaos.Shot{
	{Path: "//admin//"}, {Path: "/a///b/"}, {Path: "/%7Euser/%41%2e"}, {Path: "/a;b=c/.../x."}, {Path: "/./a/./"}, {Path: "/%C3%A4/%ff"},
	{Path: "/q/", Query: "a=%2F&&b=//../..&c=?&d=%zz&a"}, {Path: "/empty-query/", Query: "&"}, {Path: "/a=b&c,d!$'()*+:@/"},
	{Method: "POST", Path: "//order//%2e%2E%2e/", Query: "x=/../", BodySize: 64},
}}

var routingScenarios = []Scenario{
	{
		Name: "paths_are_kept", Proves: []string{"routing", "unplugged"},
		Text:  "Requests have empty segments, encoded letters and odd queries while the primary is unplugged: each arrives byte for byte as it was sent, at either origin.",
		Setup: Setup{Group: soonBack},
		Load:  []chaos.Load{oddPaths},
		Steps: Now(Served("eu", 30), Unplug("eu"), PointerAt("us", time.Second), Served("us", 30), Plug("eu"), PointerAt("eu", 5*time.Second), Served("eu", 20)),
		// That what arrived is what was sent is asked of every scenario: chaos.ErrAltered.
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), FailedOver(1), Flips(2, 2), EachSpelling(len(oddPaths.Mix))},
	},
	{
		Name: "no_route", Proves: []string{"routing"},
		Text:  "What no route matches is answered with 404 and reaches nobody, in the midst of a load: nothing is cleaned or redirected on the way.",
		Setup: Setup{Routes: "[[routes]]\nname = \"shop\"\nmatch = \"/product/{id}\"\ngroup = \"shop\"\nbulkhead.max_concurrent = 50\n"},
		Load:  []chaos.Load{Reading(80)},
		Steps: Now(Served("eu", 20), Unmatched("/", "/product", "/product/", "//product/1", "/product//1", "/product/1/", "/product/./1", "/Product/1", "/p%72oduct/", "/products/1"),
			Ask("another spelling of the same", chaos.Request{Path: "/p%72oduct/%31"}, Answered(200, "eu")), Served("eu", 20)),
		Want: []Expectation{NoFlip(), NoFailover(), NoFailure("eu"), ServedBesides(404, "/product/"), Arrivals("us", 0, 0), AttemptsPerRequest(1)},
	},
}

// EachSpelling claims that each sort of path was served.
func EachSpelling(n int) Expectation {
	return Holds(fmt.Sprintf("%d spellings are served", n), func(o *Outcome) error {
		seen := make(map[string]int)
		for _, r := range o.Ledger.Select(func(r *chaos.Result) bool { return r.Kind == chaos.Served }) {
			for _, shot := range oddPaths.Mix {
				if strings.HasPrefix(r.Path, shot.Path) {
					seen[shot.Path]++
				}
			}
		}
		if len(seen) != n {
			return fmt.Errorf("only %v were", seen)
		}
		return nil
	})
}

// Unmatched asks for paths that no route matches. None of them reaches an origin.
func Unmatched(paths ...string) Action {
	return Do(fmt.Sprintf("%d paths that no route matches", len(paths)), func(s *Stage) error {
		var all []error
		for _, path := range paths {
			r := s.ask(chaos.Request{Path: path})
			if err := Answered(404, "")(r); err != nil {
				all = append(all, fmt.Errorf("%w: %v", err, r))
			}
			for _, o := range s.order {
				if len(o.Arrivals(r.ID)) > 0 {
					all = append(all, fmt.Errorf("%s saw %s", o.Name(), path))
				}
			}
		}
		return errors.Join(all...)
	})
}

// ServedBesides claims that all is served but what the proxy itself answered
// with this status, of which nothing is the load's.
func ServedBesides(status int, path string) Expectation {
	return Holds(fmt.Sprintf("the load is served, whatever else gets %d", status), func(o *Outcome) error {
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool {
			ours := r.Path == path+r.ID
			return r.Kind != chaos.Served && (ours || r.Status != status || r.Origin != "")
		}))
	})
}
