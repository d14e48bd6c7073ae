package timeline

import (
	"cmp"
	"math"
	"slices"
)

const (
	wantedBins = 80
	// ownColours is how many origins have a colour of their own; the next index is for all the others.
	ownColours = 6
)

// kind is a part of a stack: a good result of an origin, or a bad result of any.
type kind struct {
	result Result
	origin int // an index of tally.origins, for good results alone
}

// bin is a column of the chart: the requests that were due in a stretch of time.
type bin struct {
	counts map[kind]int
	good   []float64 // how long good results took, in seconds, ascending
	// slowest is the longest of the other results but Left, whose length the client chose.
	slowest float64
	failure Result // the result that took slowest, Served if nothing failed
}

// tally is what is known of a picture's requests.
type tally struct {
	axis    axis
	bins    []bin
	width   float64 // of a bin, in seconds
	origins []string
	others  int // origins that share the last colour
	kinds   []kind
	counts  map[kind]int
	drawn   int
	outside int // requests that the axis does not reach
}

// tally sorts the requests into bins.
func (p *Picture) tally() *tally {
	a := p.axis()
	t := &tally{axis: a, width: nice(a.seconds/wantedBins, binSteps), counts: make(map[kind]int)}
	t.bins = make([]bin, max(1, int(math.Ceil(a.seconds/t.width-1e-6))))
	index := t.nameOrigins(p)
	for i := range p.Requests {
		t.add(&p.Requests[i], index)
	}
	for i := range t.bins {
		slices.Sort(t.bins[i].good)
	}
	for k := range t.counts {
		t.kinds = append(t.kinds, k)
	}
	slices.SortFunc(t.kinds, func(a, b kind) int {
		if a.result.Good() && b.result.Good() {
			return cmp.Or(cmp.Compare(a.origin, b.origin), cmp.Compare(a.result, b.result))
		}
		return cmp.Compare(a.result, b.result)
	})
	return t
}

// nameOrigins decides on the origins' order and returns the colour of each.
func (t *tally) nameOrigins(p *Picture) map[string]int {
	var rest []string
	seen := make(map[string]bool)
	for _, name := range p.Origins {
		if !seen[name] {
			seen[name] = true
			t.origins = append(t.origins, name)
		}
	}
	for i := range p.Requests {
		r := &p.Requests[i]
		if r.Result.Good() && !seen[r.Origin] {
			seen[r.Origin] = true
			rest = append(rest, r.Origin)
		}
	}
	slices.Sort(rest)
	t.origins = append(t.origins, rest...)
	index := make(map[string]int, len(t.origins))
	for i, name := range t.origins {
		index[name] = min(i, ownColours)
	}
	t.others = max(0, len(t.origins)-ownColours)
	return index
}

func (t *tally) add(r *Request, index map[string]int) {
	at, on := t.axis.at(r.At)
	if !on {
		t.outside++
		return
	}
	k := kind{result: r.Result.known()}
	took := max(r.Took.Seconds(), 0)
	b := &t.bins[min(int(at/t.width), len(t.bins)-1)]
	switch {
	case r.Result.Good():
		k.origin = index[r.Origin]
		b.good = append(b.good, took)
	case k.result != Left && (b.failure == Served || took > b.slowest):
		b.slowest, b.failure = took, k.result
	}
	if b.counts == nil {
		b.counts = make(map[kind]int)
	}
	b.counts[k]++
	t.counts[k]++
	t.drawn++
}

// total returns how many requests were due in the bin.
func (b *bin) total() int {
	n := 0
	for _, count := range b.counts {
		n += count
	}
	return n
}

// quantile returns how long a share q of the good results took at most. The bin has some.
func (b *bin) quantile(q float64) float64 {
	at := int(math.Ceil(q*float64(len(b.good)))) - 1
	return b.good[min(max(at, 0), len(b.good)-1)]
}

// of returns how many requests had a result.
func (t *tally) of(r Result) int {
	n := 0
	for k, count := range t.counts {
		if k.result == r {
			n += count
		}
	}
	return n
}

// origin returns the name for the origins of a colour.
func (t *tally) origin(colour int) string {
	switch {
	case colour >= ownColours && t.others > 1:
		return "other origins"
	case t.origins[colour] == "":
		return "no origin named"
	}
	return t.origins[colour]
}

// name returns what a part of a stack is called.
func (t *tally) name(k kind) string {
	switch k.result {
	case Served:
		return t.origin(k.origin)
	case FailedOver:
		return t.origin(k.origin) + " by failover"
	}
	return k.result.String()
}
