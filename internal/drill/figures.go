package drill

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Millis is a time that stands in JSON as a number of milliseconds, with one decimal.
type Millis time.Duration

// MarshalJSON implements json.Marshaler.
func (m Millis) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(float64(m)/float64(time.Millisecond)*10) / 10)
}

func millis(d time.Duration) *Millis {
	m := Millis(d)
	return &m
}

// Seen is what was seen of one route during one fault.
type Seen struct {
	// Results are what clients got.
	Results []chaos.Result
	// Begin and End are when the fault began and ended. Struck is when it was there for every request; the zero time
	// means Begin.
	Begin, Struck, End time.Time
	// Flips are when the pointer of the route's group moved, oldest first.
	Flips []time.Time
	// FailedOver and Parked are the proxy's own counts of the route.
	FailedOver, Parked int
	// HasSecondary: without one, no request is covered.
	HasSecondary bool
}

// Figures is what the requests of one route came to during one fault.
type Figures struct {
	// Requests are all that were sent, before, during and after the fault.
	Requests int `json:"requests"`
	// Covered and Uncovered are their two sorts; nil where the route was sent none.
	Covered   *Share `json:"covered"`
	Uncovered *Share `json:"uncovered"`
	// Early are those that failed or were shed although the fault had not begun.
	Early int `json:"early"`
	// FailedOver are those that the other origin answered after the first one had failed, or instead of it.
	FailedOver int `json:"failed_over"`
	Parked     int `json:"parked"`
	Shed       int `json:"shed"`
	// For is how long the fault lasted.
	For Millis `json:"-"`
	// Flip is the time from the fault's begin until the pointer moved; nil: it did not. Flips counts its moves.
	Flip  *Millis `json:"flip_ms"`
	Flips int     `json:"flips"`
	// P50 and P99 are of the time to the end of the answer, or of the error, by when a request was due. Shed requests,
	// which are answered at once, are not among them.
	P50 Phases `json:"p50_ms"`
	P99 Phases `json:"p99_ms"`
}

// Phases is a figure before, during and after a fault; nil where no request was due.
type Phases struct {
	Before *Millis `json:"before"`
	During *Millis `json:"during"`
	After  *Millis `json:"after"`
}

// Share is what became of the covered or of the uncovered requests. All but Requests is about those that were due once the
// fault had begun.
type Share struct {
	Requests int `json:"requests"`
	// Errors are the requests that got an error, a response that broke off, or nothing. Shed ones are not among them.
	Errors int `json:"errors"`
	// Aborted are those of Errors whose response broke off after its head.
	Aborted int `json:"aborted"`
	// Late are those of Errors that were due after the fault's end.
	Late int `json:"late"`
	// Kinds counts Errors by what the client saw.
	Kinds map[string]int `json:"kinds"`
	// Span is from the fault's begin until the last of Errors was due; 0 without any.
	Span Millis `json:"span_ms"`
	Shed int    `json:"shed"`
	// FirstSuccess is from the fault's begin until one of these requests had a good answer; nil: none had.
	FirstSuccess *Millis `json:"first_success_ms"`
	// Slowest is the longest that one had to wait for a good answer.
	Slowest Millis `json:"slowest_ms"`
}

// failed are the errors that count: those that broke off after the head don't where nobody could have mended them.
func (s *Share) failed(f *Fault) int {
	switch {
	case s == nil:
		return 0
	case f.Aborts:
		return s.Errors - s.Aborted
	}
	return s.Errors
}

// CoveredFailed is how many covered requests failed that Fairlead promises to save. Where both origins are down nobody
// could, and where the response of the primary broke off after its head.
func (g *Figures) CoveredFailed(f Fault) int {
	if f.Place == AtBoth {
		return 0
	}
	return g.Covered.failed(&f)
}

// Measure sums up what was seen. Requests that the drill itself gave up are left out.
func Measure(seen Seen) Figures {
	g := Figures{FailedOver: seen.FailedOver, Parked: seen.Parked, For: Millis(seen.End.Sub(seen.Begin))}
	for _, at := range seen.Flips {
		if at.Before(seen.Begin) {
			continue
		}
		if g.Flips++; g.Flip == nil {
			g.Flip = millis(at.Sub(seen.Begin))
		}
	}
	var before, during, after []time.Duration
	for i := range seen.Results {
		r := &seen.Results[i]
		if r.Kind == chaos.Left {
			continue
		}
		g.add(r, &seen)
		switch shed := IsShed(r); {
		case shed:
		case r.Start.Before(seen.Begin):
			// Neither the first ones, which make connections, nor those that meet the fault on their way.
			if seen.Begin.Sub(r.Start) < calm-warmUp && !r.Start.Add(r.Latency).After(seen.Begin) {
				before = append(before, r.Latency)
			}
		case r.Start.Before(seen.End):
			during = append(during, r.Latency)
		default:
			after = append(after, r.Latency)
		}
	}
	g.P50 = Phases{quantile(before, 50), quantile(during, 50), quantile(after, 50)}
	g.P99 = Phases{quantile(before, 99), quantile(during, 99), quantile(after, 99)}
	return g
}

// add counts one request.
func (g *Figures) add(r *chaos.Result, seen *Seen) {
	g.Requests++
	at := &g.Uncovered
	if r.Covered && seen.HasSecondary {
		at = &g.Covered
	}
	if *at == nil {
		*at = &Share{Kinds: make(map[string]int)}
	}
	s := *at
	s.Requests++
	since := r.Start.Sub(seen.Begin)
	shed := IsShed(r)
	switch {
	case since < 0:
		if r.Kind != chaos.Served && r.Start.Add(r.Latency).Before(seen.Begin) {
			g.Early++
		} else if r.Kind != chaos.Served && !shed { // it met the fault on its way
			s.fail(r, 0, false)
		}
	case shed:
		g.Shed++
		s.Shed++
	case r.Kind != chaos.Served:
		s.fail(r, since, !r.Start.Before(seen.End))
	default:
		s.Slowest = max(s.Slowest, Millis(r.Latency))
		if r.Start.Before(seen.Struck) {
			return
		}
		if took := Millis(since + r.Latency); s.FirstSuccess == nil || took < *s.FirstSuccess {
			s.FirstSuccess = &took
		}
	}
}

func (s *Share) fail(r *chaos.Result, since time.Duration, late bool) {
	s.Errors++
	s.Kinds[kindOf(r)]++
	s.Span = max(s.Span, Millis(since))
	if r.Kind == chaos.Aborted && r.Status != 0 {
		s.Aborted++
	}
	if late {
		s.Late++
	}
}

// proxyError is the error type of the proxy's own answer (RFC 9209, section 2.3), "" for an origin's.
func proxyError(r *chaos.Result) string {
	if r.Origin != "" {
		return ""
	}
	_, kind, _ := strings.Cut(r.Head.Get("Proxy-Status"), "error=")
	kind, _, _ = strings.Cut(kind, ";")
	return kind
}

// IsShed reports whether a bulkhead or a connection limit refused a request.
func IsShed(r *chaos.Result) bool {
	return r.Kind == chaos.Refused && r.Status == 503 && proxyError(r) == "connection_limit_reached"
}

// kindOf names an error as the client saw it.
func kindOf(r *chaos.Result) string {
	switch {
	case r.Kind == chaos.Refused && r.Origin != "":
		return strconv.Itoa(r.Status) + " of " + r.Origin
	case r.Kind == chaos.Refused:
		return strings.TrimSpace(strconv.Itoa(r.Status) + " " + proxyError(r))
	case r.Kind == chaos.Aborted && r.Status != 0:
		return "broke off"
	case r.Kind == chaos.Aborted:
		return "closed without an answer"
	}
	return r.Kind.String()
}

// kinds lists what clients saw, the most frequent first.
func (s *Share) kinds() string {
	names := slices.SortedFunc(maps.Keys(s.Kinds), func(a, b string) int {
		return cmp.Or(s.Kinds[b]-s.Kinds[a], strings.Compare(a, b))
	})
	return strings.Join(names, ", ")
}

func quantile(times []time.Duration, percent int) *Millis {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	return millis(times[min(len(times)*percent/100, len(times)-1)])
}
