package suite

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// These hold after every scenario, whatever it is about: the invariants of
// [chaos.Check], and what only the proxy's own log can tell.
var (
	errLeak      = errors.New("something is left over")
	errAccount   = errors.New("accepted is not served + failed over + shed + failed + left")
	errOldTarget = errors.New("request of a generation went elsewhere than its pointer")
	errStale     = errors.New("request dispatched after a flip by the pointer before it")
	errEarly     = errors.New("write at the secondary before the pointer")
	errTorn      = errors.New("log line is not whole")
	errPanic     = errors.New("the proxy panicked")
	errAttempts  = errors.New("more than one attempt at an origin")
)

// invariants returns every one that does not hold.
func (s *Stage) invariants(o *Outcome) error {
	all := []error{chaos.Check(o.Ledger, o.Origins...)}
	for _, l := range o.journal.strays {
		all = append(all, fmt.Errorf("%w: %.200s", errTorn, l))
	}
	for _, l := range o.journal.find("panic", nil) {
		all = append(all, fmt.Errorf("%w: %.2000s", errPanic, l.Raw))
	}
	for _, route := range slices.Sorted(maps.Keys(o.totals)) {
		t := o.totals[route]
		if t.Accepted != t.Served+t.FailedOver+t.Shed+t.Failed+t.Left {
			all = append(all, fmt.Errorf("%w: route %s: %+v", errAccount, route, t))
		}
		if t.InUse+t.Queued > 0 {
			all = append(all, fmt.Errorf("%w: route %s ended with %d permits in use, %d queued", errLeak, route, t.InUse, t.Queued))
		}
	}
	return errors.Join(append(all, s.pointerHolds(o))...)
}

// place is where the pointer was from some time on.
type place struct {
	target     string // "" for none
	generation uint64
	since      time.Time
}

// pointerHolds holds the access records against the pointer's moves. It knows one
// group, whose members are eu and us, and one process: generations begin anew
// with the next.
func (s *Stage) pointerHolds(o *Outcome) error {
	if s.restarts > 0 {
		return nil
	}
	places := map[uint64]place{1: {target: "eu", generation: 1}}
	var last place
	for _, f := range o.journal.flips() {
		last = place{f.To, f.Generation, f.Time}
		places[f.Generation] = last
	}
	var all []error
	for _, r := range o.journal.records() {
		if r.Group == "" || len(r.Attempts) == 0 {
			continue
		}
		if err := s.held(r, places); err != nil && len(all) < 5 {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// unsent are the classes of attempts that sent nothing.
var unsent = []string{"dns", "connect_refused", "connect_timeout", "tls", "breaker_open"}

// held judges one request.
func (s *Stage) held(r *Line, places map[uint64]place) error {
	at, ok := places[r.Generation]
	if !ok || r.Generation == 0 {
		return nil // refused before the pointer was asked
	}
	sent := make(map[string]int)
	for i, a := range r.Attempts {
		if r.sentNothing(i) {
			continue
		}
		if sent[a.Origin]++; sent[a.Origin] > 1 {
			return fmt.Errorf("%w: %s %s: %v", errAttempts, r.Method, r.Target, r.Attempts)
		}
	}
	if went := s.wentTo(r); at.target != "" && went != at.target {
		return fmt.Errorf("%w: %s %s of generation %d went to %s, the pointer was at %s", errOldTarget, r.Method, r.Target, r.Generation, went, at.target)
	}
	// The log's times are whole milliseconds, and a record is written after the
	// end. A request that was parked has chosen again, nobody says when.
	if next, flipped := places[r.Generation+1]; flipped && r.ParkedMS == 0 {
		granted := r.Time.Add(-time.Duration((r.TotalMS - r.QueuedMS + 2) * float64(time.Millisecond)))
		if granted.After(next.since.Add(2 * time.Millisecond)) {
			return fmt.Errorf("%w: %s %s had its permit %v after it, and generation %d", errStale, r.Method, r.Target, granted.Sub(next.since), r.Generation)
		}
	}
	return s.notEarly(r, at)
}

// sentNothing reports whether an attempt sent nothing. A pooled connection may
// die before it takes a byte, and then a write is tried again; the origins'
// ledgers would know if that was not so.
func (r *Line) sentNothing(i int) bool {
	class := r.Attempts[i].Class
	return slices.Contains(unsent, class) || class == "write" && isWrite(r.Method) && i < len(r.Attempts)-1
}

// wentTo is the origin that the pointer sent a request to: its first attempt's.
// But a write that could not be sent comes back for the pointer, parked or not,
// and then the record's generation is that of its last attempt.
func (s *Stage) wentTo(r *Line) string {
	if isWrite(r.Method) && !s.writesMove() {
		return r.Attempts[len(r.Attempts)-1].Origin
	}
	return r.Attempts[0].Origin
}

// writesMove reports whether a write that could not be sent goes to the other
// origin at once.
func (s *Stage) writesMove() bool {
	return strings.Contains(s.scenario.Setup.Group, `unsafe = "unsent"`)
}

// notEarly: a write never reaches the secondary before the pointer does.
func (s *Stage) notEarly(r *Line, at place) error {
	if !isWrite(r.Method) || at.target != "eu" || s.writesMove() || r.ParkedMS > 0 {
		return nil
	}
	for i, a := range r.Attempts {
		if a.Origin == "us" && !r.sentNothing(i) {
			return fmt.Errorf("%w: %s %s with generation %d: %v", errEarly, r.Method, r.Target, r.Generation, r.Attempts)
		}
	}
	return nil
}

func isWrite(method string) bool { return !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, method) }
