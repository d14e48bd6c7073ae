package drill

import "time"

const (
	calm      = 1200 * time.Millisecond // before a fault
	warmUp    = 200 * time.Millisecond  // of calm, in which connections are made
	aftermath = time.Second             // after a fault
	away      = time.Second             // from a flip to the fault's end
	leastFor  = 2 * time.Second
	mostFor   = 20 * time.Second
	mostAfter = 8 * time.Second
	mostWait  = 15 * time.Second // for requests that hang, after the load's end
)

// Times is how long the parts of one fault take.
type Times struct {
	Before, During, After time.Duration
	// Settle is how long the answers of requests that hang may take, after all of these. Most faults take none of it.
	Settle time.Duration
}

// Total is the time from the first request to the last answer, at most.
func (t Times) Total() time.Duration { return t.Before + t.During + t.After + t.Settle }

// TimesOf says how long a fault's parts are to be, so that each group of the setups can be seen to flip. A during over 0
// is taken for the fault itself as it is.
func TimesOf(f Fault, setups []Setup, during time.Duration) Times {
	t := Times{Before: calm, During: during, After: aftermath}
	if during == 0 {
		for i := range setups {
			t.During = max(t.During, FlipWithin(f, &setups[i])+away)
		}
		t.During = min(max(t.During, leastFor), mostFor)
	}
	for i := range setups {
		if f.Place == AtBoth && setups[i].Breaker > 0 { // until then it refuses, also though the origins are well
			t.After = max(t.After, min(setups[i].OpenFor+aftermath, mostAfter))
		}
	}
	if !f.hangs() {
		return t
	}
	for i := range setups {
		last := FlipWithin(f, &setups[i]) // when the last request is sent that hangs
		if last == 0 || last > t.During {
			last = t.During
		}
		o := setups[i].Group.Primary
		t.Settle = max(t.Settle, last+min(o.ConnectTimeout+o.HeaderTimeout, setups[i].Timeout)-t.During-t.After)
	}
	t.Settle = min(t.Settle, mostWait)
	return t
}

// FlipWithin is how long the pointer of a route's group takes, at most and under traffic, to leave a primary that fails in
// this way; 0 if it is not to move.
func FlipWithin(f Fault, s *Setup) time.Duration {
	check := s.Group.Primary.Check
	if check == nil || s.Group.Secondary == nil || !f.Probes || f.Slow || f.Place == AtSecondary {
		return 0
	}
	probe, first := check.FastInterval, check.FastInterval // requests that fail hurry the checker
	if f.hangs() {
		probe = max(check.FastInterval, check.Timeout)
		first = min(check.Interval, s.Group.Primary.HeaderTimeout)
	}
	if f.Class == "" {
		first = check.Interval // none fails
	}
	within := first + time.Duration(check.Fall)*probe
	return within + within/10 // the jitter of probes
}
