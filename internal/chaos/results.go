package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxResults bounds a ledger; a load's Count never comes near it by default.
const maxResults = 1 << 21

// Ledger is what became of a load's requests. The zero value is empty; safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	results []Result
	kinds   [len(kindNames)]int
	origins map[string]int
	lost    int
}

// Add records results, for instance of a [Client] that is to be judged with a load's.
func (l *Ledger) Add(results ...Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range results {
		if len(l.results) >= maxResults {
			l.lost++
			continue
		}
		l.results = append(l.results, r)
		l.kinds[r.Kind]++
		if r.Kind == Served {
			if l.origins == nil {
				l.origins = make(map[string]int)
			}
			l.origins[r.Origin]++
		}
	}
}

// Merge returns a new ledger of all the results of the given ones.
func Merge(ledgers ...*Ledger) *Ledger {
	all := &Ledger{}
	for _, l := range ledgers {
		all.Add(l.Results()...)
		all.lost += l.Lost()
	}
	return all
}

// Results returns the results so far, in the order in which they ended.
func (l *Ledger) Results() []Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.results)
}

// Len returns how many requests have ended.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.results)
}

// Lost returns how many results did not fit. [Check] fails if there was one.
func (l *Ledger) Lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Count returns how many results are of one of the kinds.
func (l *Ledger) Count(kinds ...Kind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, kind := range kinds {
		n += l.kinds[kind]
	}
	return n
}

// From returns how many requests an origin has served.
func (l *Ledger) From(origin string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.origins[origin]
}

// Select returns the results for which keep is true.
func (l *Ledger) Select(keep func(*Result) bool) []Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	var selected []Result
	for i := range l.results {
		if keep(&l.results[i]) {
			selected = append(selected, l.results[i])
		}
	}
	return selected
}

// Unserved returns the results that are not Served, for the message of a test that wants none.
func (l *Ledger) Unserved() []Result {
	return l.Select(func(r *Result) bool { return r.Kind != Served })
}

// Quantile returns the latency that a share q, from 0 to 1, of the results did not exceed; 0 if there are none.
func Quantile(results []Result, q float64) time.Duration {
	if len(results) == 0 {
		return 0
	}
	latencies := make([]time.Duration, len(results))
	for i, r := range results {
		latencies[i] = r.Latency
	}
	slices.Sort(latencies)
	at := int(q * float64(len(latencies)))
	return latencies[min(max(at, 0), len(latencies)-1)]
}

// String sums up: "500 requests: 490 served (eu 300, us 190), 10 refused (503: 10)".
func (l *Ledger) String() string {
	statuses, origins := map[int]int{}, map[string]int{}
	counts := map[Kind]int{}
	results := l.Results()
	for _, r := range results {
		counts[r.Kind]++
		switch r.Kind {
		case Served:
			origins[r.Origin]++
		case Refused:
			statuses[r.Status]++
		}
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		part := fmt.Sprintf("%d %s", counts[kind], kind)
		switch kind {
		case Served:
			part += " (" + list(origins, "%s %d") + ")"
		case Refused:
			part += " (" + list(statuses, "%d: %d") + ")"
		}
		parts = append(parts, part)
	}
	return strings.TrimSuffix(fmt.Sprintf("%d requests: %s", len(results), strings.Join(parts, ", ")), ": ")
}

func list[K int | string](counts map[K]int, format string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf(format, key, counts[key]))
	}
	return strings.Join(parts, ", ")
}
