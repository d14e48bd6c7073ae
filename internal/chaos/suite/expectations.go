package suite

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// AllServed claims: every request got a whole good answer.
func AllServed() Expectation {
	return Expectation{"every request is served", func(o *Outcome) error { return o.none(o.Ledger.Unserved()) }}
}

// CoveredServed claims: every covered request got a whole good answer, and there were at
// least some.
func CoveredServed() Expectation {
	return Expectation{"every covered request is served", func(o *Outcome) error {
		covered := o.Ledger.Select(func(r *chaos.Result) bool { return r.Covered })
		if len(covered) < 10 {
			return fmt.Errorf("only %d covered requests were sent, which proves nothing", len(covered))
		}
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool { return r.Covered && r.Kind != chaos.Served }))
	}}
}

// none is an error unless there are no such results. It tells the first with
// their access records.
func (o *Outcome) none(bad []chaos.Result) error {
	if len(bad) == 0 {
		return nil
	}
	all := []error{fmt.Errorf("%d of %d were not", len(bad), o.Ledger.Len())}
	for _, r := range bad[:min(3, len(bad))] {
		all = append(all, fmt.Errorf("    %v after the begin: %v %q%s", r.Start.Sub(o.Begun).Round(time.Millisecond), r, r.Text, o.record(r.Path)))
	}
	return errors.Join(all...)
}

func (o *Outcome) record(target string) string {
	if l := o.journal.record(target); l != nil {
		return fmt.Sprintf(" decision %s, pointer %s, generation %d, why_not %q, %+v", l.Decision, l.Pointer, l.Generation, l.WhyNot, l.Attempts)
	}
	return " no access record"
}

// UncoveredLost claims: of the uncovered requests at most so many were not served.
func UncoveredLost(most int) Expectation {
	return Expectation{fmt.Sprintf("at most %d uncovered requests are not served", most), func(o *Outcome) error {
		bad := o.Ledger.Select(func(r *chaos.Result) bool { return !r.Covered && r.Kind != chaos.Served })
		if len(bad) <= most {
			return nil
		}
		return o.none(bad)
	}}
}

// NotServedOnly claims: whoever was not served got one of these statuses, or an abort
// where 0 is among them.
func NotServedOnly(statuses ...int) Expectation {
	return Expectation{fmt.Sprintf("who is not served gets %v (0: an abort)", statuses), func(o *Outcome) error {
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool {
			status := r.Status
			if r.Kind == chaos.Aborted {
				status = 0
			}
			return r.Kind != chaos.Served && !slices.Contains(statuses, status)
		}))
	}}
}

// Classes claims: the failed attempts at an origin are of these classes, and there are
// some of the first.
func Classes(origin string, classes ...string) Expectation {
	return Expectation{fmt.Sprintf("attempts fail at %s with %v", origin, classes), func(o *Outcome) error {
		first := 0
		for _, r := range o.journal.records() {
			for _, a := range r.Attempts {
				if a.Origin != origin || a.Class == "" || a.Class == "ok" {
					continue
				}
				if !slices.Contains(classes, a.Class) {
					return fmt.Errorf("%s %s: class %s", r.Method, r.Target, a.Class)
				}
				if a.Class == classes[0] {
					first++
				}
			}
		}
		if first == 0 {
			return fmt.Errorf("no attempt failed with %s", classes[0])
		}
		return nil
	}}
}

// NoFlip claims: the pointer never moved.
func NoFlip() Expectation { return Flips(0, 0) }

// Flips claims: the pointer moved at least and at most so often.
func Flips(least, most int) Expectation {
	return Expectation{fmt.Sprintf("the pointer moves %d to %d times", least, most), func(o *Outcome) error {
		if n := len(o.journal.flips()); n < least || n > most {
			return fmt.Errorf("it moved %d times: %s", n, o.flipsText())
		}
		return nil
	}}
}

func (o *Outcome) flipsText() (text string) {
	for _, f := range o.journal.flips() {
		text += fmt.Sprintf("%v to %s (%s); ", f.Time.Sub(o.Begun).Round(time.Millisecond), f.To, f.Reason)
	}
	return text
}

// FailedOver claims: at least so many requests were answered by the other origin.
func FailedOver(least int) Expectation {
	return Expectation{fmt.Sprintf("at least %d requests fail over", least), func(o *Outcome) error {
		return o.atLeast(least, func(t Line) int { return t.FailedOver })
	}}
}

// NoFailover claims: no request was answered by another origin than the first it was for.
func NoFailover() Expectation {
	return Expectation{"no request fails over", func(o *Outcome) error {
		for route, t := range o.totals {
			if t.FailedOver > 0 {
				return fmt.Errorf("%d of route %s did", t.FailedOver, route)
			}
		}
		return nil
	}}
}

// Parked claims: at least so many requests waited for the pointer.
func Parked(least int) Expectation {
	return Expectation{fmt.Sprintf("at least %d requests are parked", least), func(o *Outcome) error {
		return o.atLeast(least, func(t Line) int { return t.Parked })
	}}
}

// Shed claims: at least so many requests were refused by a bulkhead.
func Shed(least int) Expectation {
	return Expectation{fmt.Sprintf("at least %d requests are shed", least), func(o *Outcome) error {
		return o.atLeast(least, func(t Line) int { return t.Shed })
	}}
}

func (o *Outcome) atLeast(least int, count func(Line) int) error {
	sum := 0
	for _, t := range o.totals {
		sum += count(t)
	}
	if sum < least {
		return fmt.Errorf("only %d: %+v", sum, o.totals)
	}
	return nil
}

// Quickly claims: a share q of the requests that keep selects took at most limit.
func Quickly(what string, q float64, limit time.Duration, keep func(*chaos.Result) bool) Expectation {
	return Expectation{fmt.Sprintf("p%g of %s within %v", q*100, what, limit), func(o *Outcome) error {
		results := o.Ledger.Select(keep)
		if len(results) == 0 {
			return fmt.Errorf("there were no %s", what)
		}
		if got := chaos.Quantile(results, q); got > limit+o.lost.Allowance() {
			return late("it took %v", got)
		}
		return nil
	}}
}

// Covered and Uncovered select results for [Quickly].
func Covered(r *chaos.Result) bool { return r.Covered }

// Uncovered selects what may be sent once only.
func Uncovered(r *chaos.Result) bool { return !r.Covered }

// AttemptsPerRequest claims: the origins together saw at most so many requests for each
// that a client sent.
func AttemptsPerRequest(most float64) Expectation {
	return Expectation{fmt.Sprintf("at most %.2f attempts a request", most), func(o *Outcome) error {
		arrived := 0
		for _, origin := range o.Origins {
			arrived += origin.Arrived()
		}
		if got := float64(arrived) / float64(max(1, o.Ledger.Len())); got > most {
			return fmt.Errorf("%.2f: %d for %d requests", got, arrived, o.Ledger.Len())
		}
		return nil
	}}
}

// Arrivals claims: an origin saw at least and at most so many requests.
func Arrivals(origin string, least, most int) Expectation {
	return Expectation{fmt.Sprintf("%d to %d requests arrive at %s", least, most, origin), func(o *Outcome) error {
		for _, at := range o.Origins {
			if n := at.Arrived(); at.Name() == origin && (n < least || n > most) {
				return fmt.Errorf("%d did", n)
			}
		}
		return nil
	}}
}

// Requests claims: there were at least so many, or nothing is proved.
func Requests(least int) Expectation {
	return Expectation{fmt.Sprintf("at least %d requests", least), func(o *Outcome) error {
		if n := o.Ledger.Len(); n < least {
			return fmt.Errorf("only %d", n)
		}
		return nil
	}}
}

// Said claims: the log has an event of that name at least so often.
func Said(msg string, least int) Expectation {
	return Expectation{fmt.Sprintf("the log says %q at least %d times", msg, least), func(o *Outcome) error {
		if n := len(o.journal.find(msg, nil)); n < least {
			return fmt.Errorf("it did %d times", n)
		}
		return nil
	}}
}

// Holds is a claim of a scenario's own.
func Holds(text string, check func(*Outcome) error) Expectation { return Expectation{text, check} }
