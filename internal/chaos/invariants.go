package chaos

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The invariants that [Check] finds violated; match with errors.Is.
var (
	// ErrTwice: an uncovered request reached origins more than once, counted over all of them.
	ErrTwice = errors.New("uncovered request reached origins more than once")
	// ErrTooOften: a covered request reached one origin more often than an attempt and the replacement of a dead pooled
	// connection explain, which is twice.
	ErrTooOften = errors.New("covered request reached one origin more than twice")
	// ErrWrong: a client got what is not one origin's whole response to its own request.
	ErrWrong = errors.New("wrong response")
	// ErrHung: a client got neither a response, nor an error, nor an abort within its time-out.
	ErrHung = errors.New("no answer")
	// ErrUnseen: a response bears the name of an origin that never saw the request.
	ErrUnseen = errors.New("response of an origin that did not see the request")
	// ErrAltered: a request arrived malformed or with another method, target or body than it was sent with.
	ErrAltered = errors.New("request altered on its way")
	// ErrUnknown: an origin saw a request that no client sent.
	ErrUnknown = errors.New("request that no client sent")
	// ErrIncomplete: a ledger overflowed, or a result is of no kind, so nothing is proved.
	ErrIncomplete = errors.New("evidence incomplete")
)

const (
	maxPerOrigin = 2
	maxTold      = 5 // violations of one invariant that are told in full
)

// Check compares what clients got with what origins saw and returns every violated invariant, joined, or nil. Give it
// all the origins that the proxy could reach and, merged, the results of all the requests with an id that were sent.
// Requests without an id, such as probes, are nobody's. Call it when the load has ended and the proxy is at rest, so that
// nothing is still on its way to an origin.
func Check(ledger *Ledger, origins ...*Origin) error {
	arrivals := make(map[string][]Arrival)
	lost := ledger.Lost()
	for _, o := range origins {
		arrivals[o.Name()] = append(arrivals[o.Name()], o.AllArrivals()...)
		lost += o.Lost()
	}
	return check(ledger.Results(), arrivals, lost)
}

// check judges results by the arrivals at each origin.
func check(results []Result, arrivals map[string][]Arrival, lost int) error {
	j := judge{sent: make(map[string]*Result, len(results)), seen: make(map[string]map[string]int), count: make(map[error]int)}
	if lost > 0 {
		j.violate(ErrIncomplete, "%d entries did not fit into the ledgers", lost)
	}
	for i := range results {
		r := &results[i]
		if j.sent[r.ID] != nil {
			j.violate(ErrIncomplete, "two requests with the id %s", r.ID)
		}
		j.sent[r.ID] = r
	}
	for _, origin := range sortedKeys(arrivals) {
		for i := range arrivals[origin] {
			j.arrival(origin, &arrivals[origin][i])
		}
	}
	for i := range results {
		j.result(&results[i])
	}
	return j.verdict()
}

type judge struct {
	sent       map[string]*Result
	seen       map[string]map[string]int // id, origin: arrivals
	count      map[error]int             // of violations, by invariant
	violations []error
}

// violate counts each invariant by itself, so that a flood of one does not hide another.
func (j *judge) violate(invariant error, format string, args ...any) {
	j.count[invariant]++
	if j.count[invariant] <= maxTold {
		j.violations = append(j.violations, fmt.Errorf("broken invariant: %w: %s", invariant, fmt.Sprintf(format, args...)))
	}
}

func (j *judge) verdict() error {
	for invariant, n := range j.count {
		if n > maxTold {
			j.violations = append(j.violations, fmt.Errorf("broken invariant: %w: and %d more times", invariant, n-maxTold))
		}
	}
	return errors.Join(j.violations...)
}

// arrival judges one request as an origin saw it.
func (j *judge) arrival(origin string, a *Arrival) {
	if a.Fault != "" {
		j.violate(ErrAltered, "%s %s %s arrived at %s malformed: %s", a.Method, a.Target, a.ID, origin, a.Fault)
		return
	}
	if a.ID == "" {
		return
	}
	r := j.sent[a.ID]
	if r == nil {
		j.violate(ErrUnknown, "%s %s with the id %s at %s", a.Method, a.Target, a.ID, origin)
		return
	}
	if j.seen[a.ID] == nil {
		j.seen[a.ID] = make(map[string]int)
	}
	j.seen[a.ID][origin]++
	if !a.HeadWhole {
		return
	}
	if a.Method != r.Method || a.Target != r.Path {
		j.violate(ErrAltered, "%v arrived at %s as %s %s", r, origin, a.Method, a.Target)
	}
	if a.BodyWhole && (a.BodyLen != r.BodySize || a.BodyHash != hashOf(r)) {
		j.violate(ErrAltered, "%v: body of %d bytes arrived at %s as another of %d bytes", r, r.BodySize, origin, a.BodyLen)
	}
}

// hashOf is that of a request's body, which need not fit into memory.
func hashOf(r *Result) (sum [sha256.Size]byte) {
	h := sha256.New()
	_, _ = io.Copy(h, newContent(sender, r.ID, r.BodySize)) // neither of them fails
	h.Sum(sum[:0])
	return sum
}

// result judges what one client got, after all arrivals.
func (j *judge) result(r *Result) {
	seen := j.seen[r.ID]
	total := 0
	for _, origin := range sortedKeys(seen) {
		total += seen[origin]
		if r.Covered && seen[origin] > maxPerOrigin {
			j.violate(ErrTooOften, "%v: %d times at %s", r, seen[origin], origin)
		}
	}
	if !r.Covered && total > 1 {
		j.violate(ErrTwice, "%v: %v", r, seen)
	}
	switch r.Kind {
	case Wrong:
		j.violate(ErrWrong, "%v", r)
	case Hung:
		j.violate(ErrHung, "%v", r)
	case Served, Refused, Aborted, Left:
		if r.Origin != "" && seen[r.Origin] == 0 {
			j.violate(ErrUnseen, "%v", r)
		}
	case Unsent:
		if total > 0 {
			j.violate(ErrUnseen, "%v, yet it arrived: %v", r, seen)
		}
	default:
		j.violate(ErrIncomplete, "%v", r)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
