package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/internal/drill"
)

// fewAlike is how many routes with the same result are shown one by one. More of
// them are shown as one.
const fewAlike = 3

// alikeNames is how many of them are named then.
const alikeNames = 6

// drillAlike are routes to which one fault did the same. Worst is the one that it
// hit the hardest; there is always one.
type drillAlike struct {
	routes []*drill.RouteResult
	worst  *drill.RouteResult
}

// alike bundles a fault's routes, in the order in which the first of each bundle
// stands. Of a few that are alike each is a bundle of its own.
func alike(results []drill.RouteResult) []drillAlike {
	var bundles []drillAlike
	at := make(map[string]int) // by what they have in common
	for i := range results {
		r := &results[i]
		key := commonKey(r)
		k, ok := at[key]
		if !ok {
			k = len(bundles)
			at[key] = k
			bundles = append(bundles, drillAlike{worst: r})
		}
		b := &bundles[k]
		b.routes = append(b.routes, r)
		if harder(r, b.worst) {
			b.worst = r
		}
	}
	var all []drillAlike
	for _, b := range bundles {
		if len(b.routes) > fewAlike {
			all = append(all, b)
			continue
		}
		for _, r := range b.routes {
			all = append(all, drillAlike{[]*drill.RouteResult{r}, r})
		}
	}
	return all
}

// commonKey is the same for routes that are alike: the same findings about the same
// keys, whatever their tables are called and however many requests they concern.
func commonKey(r *drill.RouteResult) string {
	var key strings.Builder
	fmt.Fprintf(&key, "%t %t %t", r.Covered != nil, r.Uncovered != nil, r.Flip != nil)
	for _, f := range append([]drill.Finding{r.Verdict.Finding}, r.Verdict.Also...) {
		what := ""
		switch {
		case f.Key != "":
			table, _, rest := keyParts(f.Key)
			what = table + "." + rest
		case f.Outcome.Worse(drill.Unavoidable):
			what = strings.Map(func(c rune) rune {
				if c >= '0' && c <= '9' {
					return -1
				}
				return c
			}, f.Text)
		}
		fmt.Fprintf(&key, "\n%s %s", f.Outcome, what)
	}
	return key.String()
}

// keyParts divides a verdict's key, such as "routes.shop.bulkhead.max_queue", into
// the kind of table, its name and the key in it. A key that is in no named table has
// no name.
func keyParts(key string) (table, name, rest string) {
	table, named, _ := strings.Cut(key, ".")
	if !slices.Contains([]string{"routes", "groups", "origins"}, table) {
		return table, "", named
	}
	at := strings.LastIndexByte(named, '.')
	for _, inner := range []string{".health", ".breaker", ".bulkhead"} { // a name may hold dots, too
		if i := strings.LastIndex(named, inner); i >= 0 && (i+len(inner) == len(named) || i+len(inner) == at) {
			at = i
			break
		}
	}
	if at < 0 {
		return table, "", named
	}
	return table, named[:at], named[at+1:]
}

// harder reports whether a fault hit a harder than b.
func harder(a, b *drill.RouteResult) bool {
	return cmp.Or(cmp.Compare(lost(a), lost(b)), cmp.Compare(a.Shed, b.Shed), cmp.Compare(slowest(a), slowest(b))) > 0
}

func lost(r *drill.RouteResult) (n int) {
	for _, s := range []*drill.Share{r.Covered, r.Uncovered} {
		if s != nil {
			n += s.Errors
		}
	}
	return n
}

func slowest(r *drill.RouteResult) drill.Millis {
	if r.P99.During == nil {
		return 0
	}
	return *r.P99.During
}

// sum are the figures of all the bundle's routes: counts are added, and of times the
// longest is taken.
func (b *drillAlike) sum() drill.RouteResult {
	if len(b.routes) == 1 {
		return *b.worst
	}
	all := drill.RouteResult{Route: count(len(b.routes), "route"), Verdict: b.worst.Verdict}
	for i, r := range b.routes {
		all.Requests += r.Requests
		all.Shed += r.Shed
		all.Parked += r.Parked
		all.Covered = addShare(all.Covered, r.Covered, i == 0)
		all.Uncovered = addShare(all.Uncovered, r.Uncovered, i == 0)
		all.Flip = longest(all.Flip, r.Flip)
		for _, p := range []struct{ to, from *drill.Phases }{{&all.P50, &r.P50}, {&all.P99, &r.P99}} {
			p.to.Before, p.to.During, p.to.After = longest(p.to.Before, p.from.Before), longest(p.to.During, p.from.During), longest(p.to.After, p.from.After)
		}
	}
	return all
}

// addShare adds a route's requests of one sort to those of others. Where one of them
// never succeeded, all have not.
func addShare(to, s *drill.Share, first bool) *drill.Share {
	switch {
	case s == nil:
		return to
	case to == nil:
		to = &drill.Share{}
	}
	if to.Errors += s.Errors; first {
		to.FirstSuccess = s.FirstSuccess
	} else if to.FirstSuccess != nil && s.FirstSuccess != nil {
		to.FirstSuccess = longest(to.FirstSuccess, s.FirstSuccess)
	} else {
		to.FirstSuccess = nil
	}
	return to
}

// longest is the longer one of two times; nil is none.
func longest(a, b *drill.Millis) *drill.Millis {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// names names the bundle's routes, the first of them where there are many.
func (b *drillAlike) names() string {
	var names []string
	for _, r := range b.routes[:min(len(b.routes), alikeNames)] {
		names = append(names, r.Route)
	}
	text := strings.Join(names, ", ")
	if more := len(b.routes) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
