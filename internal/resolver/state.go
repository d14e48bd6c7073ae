package resolver

import (
	"net/netip"
	"slices"
	"time"
)

// A family is what is known of a name's addresses of one family.
type family struct {
	addrs []netip.Addr
	until time.Time // end of the TTL
}

// An outcome is what a lookup found in one family: addresses, or an error.
type outcome struct {
	addrs []netip.Addr
	name  string // at the end of the aliases
	ttl   time.Duration
	at    time.Time // when the answer came
	err   *Error
}

// A result is what a lookup found: IPv4 first, then IPv6.
type result [2]outcome

// limits are the parts of a Config that the machine needs.
type limits struct {
	minTTL, maxTTL, staleMax, negativeTTL time.Duration
}

// state is all that is remembered of a name. It is never changed, only
// replaced. The zero value is its start.
type state struct {
	families [2]family
	addrs    []netip.Addr // of both
	name     string       // at the end of the aliases
	until    time.Time    // addrs are fresh until then, and stale for staleMax after

	err *Error // why the last lookup gave no addresses; nil if it did

	// A watched name is looked up again at due, any other when it is used
	// after late. While there is no usable address, err holds until due.
	due, late time.Time

	// An episode: lookups that failed in a row, and when the first did.
	failed int
	since  time.Time
}

// fresh and usable are asked with the time that the caller has read anyway.
func (s *state) fresh(now time.Time) bool { return len(s.addrs) > 0 && now.Before(s.until) }

func (s *state) usable(now time.Time, staleMax time.Duration) bool {
	return len(s.addrs) > 0 && now.Before(s.until.Add(staleMax))
}

// denies reports whether err is to be told without waiting. While a watched
// name is due, somebody else is at it, and a request that could go to another
// origin must not wait for a time-out; but an error from before the watch is
// not told for ever.
func (s *state) denies(now time.Time, watched bool) bool {
	if s.err == nil {
		return false
	}
	return now.Before(s.due) || watched && now.Before(s.due.Add(time.Minute))
}

// next is the machine: what to believe of a name after one more lookup.
//
//	result                    then                                               events
//	addresses                 fresh for the TTL, due at 80-90 % of it            Recovered after failures; Changed if the set did
//	no such name, no address  no addresses, the error holds for negativeTTL      Recovered after failures; Changed if there were any
//	failure, usable answer    answer kept, due after the back-off                Failing if it is the first
//	failure, answer too old   no addresses, the error holds for the back-off     Failing if it is the first; Expired
//	failure, no answer        the error holds for the back-off                   Failing if it is the first
//
// A family that failed beside one with addresses keeps its own until staleMax.
// Jitter lies in [0, 1). Events have no Host yet.
func next(s state, r result, now time.Time, l limits, jitter float64) (state, []Event) {
	families, err := merge(&s, r, now, l)
	switch {
	case err == nil:
		return found(s, r, families, now, l, jitter)
	case err.negative():
		return denied(s, err, now, l)
	}
	return failed(s, err, now, l, jitter)
}

// merge joins what a lookup found with what is known. The error says why there
// are no addresses; without one there are some that the lookup itself found.
func merge(s *state, r result, now time.Time, l limits) (families [2]family, err *Error) {
	found, kept := false, false
	for i, o := range r {
		switch {
		case o.err == nil:
			found = true
			ttl := min(max(o.ttl, l.minTTL), l.maxTTL)
			families[i] = family{addrs: o.addrs, until: o.at.Add(ttl)}
		case !o.err.negative() && now.Before(s.families[i].until.Add(l.staleMax)):
			families[i] = s.families[i]
			kept = kept || len(families[i].addrs) > 0
		}
	}
	if found {
		return families, nil
	}
	return families, verdict(r[0].err, r[1].err, kept)
}

// verdict is which family's error counts when neither has addresses. Some
// servers deny the whole name where only one type is missing. That must not
// withdraw what the other question, which failed, had found before; but if
// nothing would be kept it is believed.
func verdict(v4, v6 *Error, kept bool) *Error {
	a, b := v4, v6
	if a.negative() {
		a, b = b, a
	}
	switch {
	case !a.negative() && b.Kind == NotFound && !kept:
		return b
	case !a.negative():
		return a
	case b.Kind == NoAddress:
		return b
	}
	return a
}

func found(s state, r result, families [2]family, now time.Time, l limits, jitter float64) (state, []Event) {
	n := state{families: families, addrs: join(families)}
	for i, o := range slices.Backward(r[:]) {
		if o.err == nil {
			n.name = o.name
			if u := families[i].until; n.until.IsZero() || u.Before(n.until) {
				n.until = u
			}
		}
	}
	left := max(n.until.Sub(now), 0)
	soonest := now.Add(l.minTTL * 8 / 10)
	n.due = latest(soonest, now.Add(left*8/10+time.Duration(float64(left)*jitter/10)))
	n.late = latest(soonest, now.Add(left*9/10))
	events := changed(recovered(nil, &s, now), &s, &n, now)
	return n, events
}

func denied(s state, err *Error, now time.Time, l limits) (state, []Event) {
	due := now.Add(l.negativeTTL)
	n := state{err: err, due: due, late: due}
	events := changed(recovered(nil, &s, now), &s, &n, now)
	return n, events
}

func failed(s state, err *Error, now time.Time, l limits, jitter float64) (state, []Event) {
	n := s
	n.err = err
	n.failed++
	usable := s.usable(now, l.staleMax)
	n.due = now.Add(backOff(s.failed, jitter))
	if end := s.until.Add(l.staleMax); usable && end.Before(n.due) {
		n.due = end // the moment of expiry is not missed
	}
	n.late = n.due
	var events []Event
	if s.failed == 0 {
		n.since = now
		events = append(events, Event{Kind: Failing, At: now, Err: err, Stale: usable})
	}
	return expired(n, events, now, l)
}

// expired withdraws an answer of which staleMax has ended during an episode.
// Without failures, age alone withdraws nothing: a lookup is about to tell.
func expired(s state, events []Event, now time.Time, l limits) (state, []Event) {
	if s.failed == 0 || len(s.addrs) == 0 || s.usable(now, l.staleMax) {
		return s, events
	}
	events = append(events, Event{Kind: Expired, At: now, Old: s.addrs, Err: s.err})
	s.families, s.addrs, s.name, s.until = [2]family{}, nil, "", time.Time{}
	return s, events
}

func recovered(events []Event, s *state, now time.Time) []Event {
	if s.failed == 0 {
		return events
	}
	return append(events, Event{Kind: Recovered, At: now, Lasted: now.Sub(s.since), Failed: s.failed})
}

func changed(events []Event, s, n *state, now time.Time) []Event {
	if sameSet(s.addrs, n.addrs) {
		return events
	}
	e := Event{Kind: Changed, At: now, Old: s.addrs, New: n.addrs}
	if n.err != nil {
		e.Err = n.err
	}
	return append(events, e)
}

// backOff is the time from a failed lookup to the next after so many failures
// before it: 1 s, 2 s, 4 s and so on up to 30 s, less up to a tenth.
func backOff(failures int, jitter float64) time.Duration {
	d := 30 * time.Second
	if failures < 5 {
		d = time.Second << failures
	}
	return d - time.Duration(float64(d)*jitter/10)
}

// join puts the IPv6 addresses before the IPv4 ones, each family in its
// server's order and each address once, at most maxAddrs in all. Neither
// family pushes more than half of the places away from the other.
func join(families [2]family) []netip.Addr {
	v4, v6 := families[0].addrs, families[1].addrs
	v6 = v6[:min(len(v6), max(maxAddrs/2, maxAddrs-len(v4)))]
	v4 = v4[:min(len(v4), maxAddrs-len(v6))]
	addrs := make([]netip.Addr, 0, len(v4)+len(v6))
	for _, a := range slices.Concat(v6, v4) {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return slices.Clip(addrs)
}

// sameSet compares addresses of which none is there twice.
func sameSet(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
