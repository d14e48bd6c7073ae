package failover

import (
	"sync/atomic"
	"time"
)

// DrillEnd says why a drill ended. A drill treats a share of the covered requests
// as if the primary had failed, while it has not. The zero value is DrillRuns.
type DrillEnd uint8

const (
	DrillRuns          DrillEnd = iota // it has not ended
	DrillTime                          // its time is over
	DrillErrors                        // errors rose among the requests that it picked
	DrillPointer                       // the pointer has left the primary
	DrillPrimaryDown                   // the primary's verdict is down: this is no drill any more
	DrillSecondaryDown                 // the secondary's verdict is down
	DrillDrained                       // an operator has drained one of the origins
	DrillOperator                      // an operator has stopped it
	DrillReload                        // the configuration has changed its group
	DrillUpgrade                       // another process takes over
	DrillStop                          // the process stops
)

var drillEndNames = [...]string{
	DrillRuns:          "runs",
	DrillTime:          "time",
	DrillErrors:        "errors",
	DrillPointer:       "pointer_moved",
	DrillPrimaryDown:   "primary_down",
	DrillSecondaryDown: "secondary_down",
	DrillDrained:       "drained",
	DrillOperator:      "operator",
	DrillReload:        "reload",
	DrillUpgrade:       "upgrade",
	DrillStop:          "stop",
}

// String returns the name that logs use, such as "secondary_down".
func (e DrillEnd) String() string { return nameOf(drillEndNames[:], e) }

const (
	// DrillMinErrors is how many errors there must be among the picked requests
	// before they end a drill: one may be chance.
	DrillMinErrors = 3
	// DrillWindow is the time in which errors are compared beside the whole drill,
	// so that a long good beginning does not hide a bad end.
	DrillWindow = 10 * time.Second

	drillSlots = 10
	drillSlot  = DrillWindow / drillSlots
)

// DrillTally counts requests that are over. The zero value has counted nothing.
type DrillTally struct{ Requests, Errors uint64 }

func (t DrillTally) plus(other DrillTally) DrillTally {
	return DrillTally{t.Requests + other.Requests, t.Errors + other.Errors}
}

// share is the part of the requests that were errors, 0 of none.
func (t DrillTally) share() float64 {
	if t.Requests == 0 {
		return 0
	}
	return float64(t.Errors) / float64(t.Requests)
}

// DrillPlace is how a drill's group is at one moment.
type DrillPlace struct {
	Pointer State
	// Drained: an operator has taken the primary or the secondary out of service.
	Drained bool
}

// DrillJudge decides when a drill ends. It is a state machine that knows no
// clock: times are durations on one that does not go back. Make it with
// NewDrillJudge; its owner guards it. Once it has ended, it stays as it ended.
//
// It compares two sets of requests that might both have failed over: those that
// the drill has picked, which go to the secondary, and the others, which go to the
// primary as always. The rules, the first that fits:
//
//	the pointer is not at the primary         pointer_moved
//	the primary's verdict is down             primary_down
//	the secondary's verdict is down           secondary_down
//	one of the two is drained                 drained
//	its time is over                          time
//	at least DrillMinErrors errors among the
//	picked, and their share of errors is more
//	than stopAt above that of the others, in
//	the whole drill or in DrillWindow         errors
type DrillJudge struct {
	until  time.Duration
	stopAt float64
	end    DrillEnd
	total  drillSets
	slots  [drillSlots]struct {
		number int64 // of the slot, counted from time 0
		sets   drillSets
	}
}

// drillSets are the two sets.
type drillSets struct{ picked, others DrillTally }

// NewDrillJudge returns the judge of a drill that lasts until a moment. stopAt is
// how much the picked requests' share of errors may exceed that of the others: 0.01
// is one in a hundred.
func NewDrillJudge(until time.Duration, stopAt float64) DrillJudge {
	return DrillJudge{until: until, stopAt: stopAt}
}

// End is why the drill ended, DrillRuns if it has not.
func (j *DrillJudge) End() DrillEnd { return j.end }

// Stop ends the drill for a reason from outside, unless it has ended already.
func (j *DrillJudge) Stop(why DrillEnd) DrillEnd {
	if j.end == DrillRuns {
		j.end = why
	}
	return j.end
}

// Look compares the moment and the group with the rules.
func (j *DrillJudge) Look(now time.Duration, at *DrillPlace) DrillEnd {
	if why := at.Unfit(); why != DrillRuns {
		return j.Stop(why)
	}
	if now >= j.until {
		return j.Stop(DrillTime)
	}
	return j.end
}

// Unfit is why no drill can run in a group that is like this, DrillRuns if one can.
func (p *DrillPlace) Unfit() DrillEnd {
	switch s := &p.Pointer; {
	case s.Target != RolePrimary:
		return DrillPointer
	case s.Primary.Down:
		return DrillPrimaryDown
	case s.Secondary.Down:
		return DrillSecondaryDown
	case p.Drained:
		return DrillDrained
	}
	return DrillRuns
}

// Record counts a request that was over at now: picked or one of the others, and
// whether it was an error. Requests may come somewhat out of their order.
func (j *DrillJudge) Record(now time.Duration, picked, failed bool) DrillEnd {
	j.total.count(picked, failed)
	number := int64(now / drillSlot)
	slot := &j.slots[number%drillSlots]
	if slot.number < number {
		slot.number, slot.sets = number, drillSets{}
	}
	if slot.number == number { // else it is older than the window
		slot.sets.count(picked, failed)
	}
	if j.end != DrillRuns || !picked || !failed {
		return j.end
	}
	if recent := j.recent(number); j.total.exceed(j.stopAt) || recent.exceed(j.stopAt) {
		j.end = DrillErrors
	}
	return j.end
}

// recent is what the window that ends with a slot has.
func (j *DrillJudge) recent(number int64) (sum drillSets) {
	for i := range j.slots {
		if s := &j.slots[i]; s.number > number-drillSlots && s.number <= number {
			sum.picked, sum.others = sum.picked.plus(s.sets.picked), sum.others.plus(s.sets.others)
		}
	}
	return sum
}

func (s *drillSets) count(picked, failed bool) {
	t := &s.others
	if picked {
		t = &s.picked
	}
	t.Requests++
	if failed {
		t.Errors++
	}
}

func (s *drillSets) exceed(stopAt float64) bool {
	return s.picked.Errors >= DrillMinErrors && s.picked.share()-s.others.share() > stopAt
}

// DrillShare picks a share of requests. All methods are safe for concurrent use.
// The zero value picks none.
//
// It is no throw of dice: at any time the number that it has picked is within a
// few of the share. Nor does it pick each n-th, which would fall into step with
// clients that ask for the same things in turn.
type DrillShare struct {
	below uint64 // of 2^64
	all   bool
	asked atomic.Uint64
}

// Set makes the share what it is: 0.05 picks one in twenty, 1 or more picks all, 0
// or less none. It is called before the first Pick.
func (s *DrillShare) Set(share float64) {
	s.all = share >= 1
	if !s.all && share > 0 {
		s.below = uint64(share * (1 << 63) * 2)
	}
}

// goldenStep is the golden ratio's fraction of 2^64. Its multiples, taken without
// their carry, are spread more evenly over the whole range than those of any other
// number (Kronecker's sequence).
const goldenStep = 0x9e3779b97f4a7c15

// Pick reports whether the next request is one of the share. It costs one atomic
// addition.
func (s *DrillShare) Pick() bool { return s.asked.Add(1)*goldenStep < s.below || s.all }
