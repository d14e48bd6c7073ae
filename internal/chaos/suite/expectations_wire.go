package suite

import (
	"fmt"
	"slices"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Some claims that keep selects at least so many results.
func Some(what string, least int, keep func(*chaos.Result) bool) Expectation {
	return Expectation{fmt.Sprintf("at least %d %s", least, what), func(o *Outcome) error {
		if n := len(o.Ledger.Select(keep)); n < least {
			return fmt.Errorf("only %d of %d: %v", n, o.Ledger.Len(), o.Ledger)
		}
		return nil
	}}
}

// None claims that keep selects no result.
func None(what string, keep func(*chaos.Result) bool) Expectation {
	return Expectation{"no " + what, func(o *Outcome) error { return o.none(o.Ledger.Select(keep)) }}
}

// Aborted selects responses that broke off.
func Aborted(r *chaos.Result) bool { return r.Kind == chaos.Aborted }

// Lost selects uncovered requests that were not served.
func Lost(r *chaos.Result) bool { return !r.Covered && r.Kind != chaos.Served }

// ConnRetries claims that at least so many dead connections were replaced under
// a request, none of them under a write.
func ConnRetries(least int) Expectation {
	return Expectation{fmt.Sprintf("at least %d dead connections are replaced, none for a write", least), func(o *Outcome) error {
		n := 0
		for _, r := range o.journal.records() {
			for _, a := range r.Attempts {
				if !a.ConnRetry {
					continue
				}
				if n++; isWrite(r.Method) {
					return fmt.Errorf("one was for %s %s: %+v", r.Method, r.Target, r.Attempts)
				}
			}
		}
		if n < least {
			return fmt.Errorf("only %d", n)
		}
		return nil
	}}
}

// NoFailure claims that every attempt at the origin went well.
func NoFailure(origin string) Expectation {
	return Expectation{"no attempt fails at " + origin, func(o *Outcome) error {
		for _, r := range o.journal.records() {
			for _, a := range r.Attempts {
				if a.Origin == origin && a.Class != "" {
					return fmt.Errorf("%s %s: %+v", r.Method, r.Target, r.Attempts)
				}
			}
		}
		return nil
	}}
}

// LostAs claims that an uncovered request that was not served was sent to the
// origin, and failed there with one of the classes, as the access log says.
func LostAs(origin string, classes ...string) Expectation {
	return Expectation{fmt.Sprintf("a write that is lost was sent once, to %s, and failed with %v", origin, classes), func(o *Outcome) error {
		for _, r := range o.Ledger.Select(Lost) {
			l := o.journal.record(r.Path)
			if l == nil || len(l.Attempts) == 0 {
				return o.none([]chaos.Result{r})
			}
			last := l.Attempts[len(l.Attempts)-1]
			if last.Origin != origin || !slices.Contains(classes, last.Class) {
				return o.none([]chaos.Result{r})
			}
		}
		return nil
	}}
}

// BreakerOpened claims that the breaker towards the origin opened at least and at
// most so often.
func BreakerOpened(origin string, least, most int) Expectation {
	return Expectation{fmt.Sprintf("the breaker towards %s opens %d to %d times", origin, least, most), func(o *Outcome) error {
		n := len(o.journal.find("breaker moved", func(l *Line) bool { return l.Origin == origin && l.To == "open" }))
		if n < least || n > most {
			return fmt.Errorf("it did %d times", n)
		}
		return nil
	}}
}

// WritesStay claims that no write reaches an origin.
func WritesStay(awayFrom string) Expectation {
	return Expectation{"no write reaches " + awayFrom, func(o *Outcome) error {
		for _, at := range o.Origins {
			if at.Name() != awayFrom {
				continue
			}
			for _, a := range at.AllArrivals() {
				if isWrite(a.Method) {
					return fmt.Errorf("%s %s did", a.Method, a.Target)
				}
			}
		}
		return nil
	}}
}

// FailuresAt claims that at most so many attempts failed at the origin, those
// not counted that the breaker spared it.
func FailuresAt(origin string, most int) Expectation {
	return Expectation{fmt.Sprintf("at most %d attempts fail at %s before the breaker spares it", most, origin), func(o *Outcome) error {
		n := 0
		for _, r := range o.journal.records() {
			for _, a := range r.Attempts {
				if a.Origin == origin && a.Class != "" && a.Class != "breaker_open" {
					n++
				}
			}
		}
		if n > most {
			return fmt.Errorf("%d did", n)
		}
		return nil
	}}
}

// NotParked claims that no request waited for the pointer.
func NotParked() Expectation {
	return Expectation{"no request is parked", func(o *Outcome) error {
		return o.nothing("were parked", func(t Line) int { return t.Parked })
	}}
}

// NotShed claims that no bulkhead refused a request.
func NotShed() Expectation {
	return Expectation{"no request is shed", func(o *Outcome) error {
		return o.nothing("were shed", func(t Line) int { return t.Shed })
	}}
}

func (o *Outcome) nothing(what string, count func(Line) int) error {
	for route, t := range o.totals {
		if n := count(t); n > 0 {
			return fmt.Errorf("%d of route %s %s", n, route, what)
		}
	}
	return nil
}

// AbortsTold claims that the access log tells of each response that was broken
// off that it failed at the primary, why, and that it could not be retried since
// it was committed. Class is "" if no class is to be told, since the proxy gave up.
func AbortsTold(class string) Expectation {
	return Expectation{fmt.Sprintf("aborts are logged as %q and committed", class), func(o *Outcome) error {
		for _, r := range o.Ledger.Select(Aborted) {
			l := o.journal.record(r.Path)
			if l == nil || l.Decision != "failed" || l.WhyNot != "committed" && class != "" || len(l.Attempts) != 1 ||
				l.Attempts[0].Class != class || l.Attempts[0].Origin != "eu" {
				return o.none([]chaos.Result{r})
			}
		}
		return nil
	}}
}

// NotReusedAfter claims that no connection to an origin carried another request
// after one that had this behaviour.
func NotReusedAfter(origin, behaviour string) Expectation {
	return Expectation{fmt.Sprintf("no connection to %s goes on after %s", origin, behaviour), func(o *Outcome) error {
		spoilt, n := make(map[int]bool), 0
		for _, at := range o.Origins {
			if at.Name() != origin {
				continue
			}
			for _, a := range at.AllArrivals() {
				if spoilt[a.Conn] {
					return fmt.Errorf("%s %s came on connection %d, as number %d", a.Method, a.Target, a.Conn, a.OnConn)
				}
				if a.Behaviour == behaviour {
					spoilt[a.Conn] = true
					n++
				}
			}
		}
		if n == 0 {
			return fmt.Errorf("no request had it")
		}
		return nil
	}}
}

// LostReach claims that at least so many of the uncovered requests that were not
// served have reached the origin all the same.
func LostReach(origin string, least int) Expectation {
	return Expectation{fmt.Sprintf("at least %d writes that are lost have reached %s", least, origin), func(o *Outcome) error {
		n := 0
		for _, r := range o.Ledger.Select(Lost) {
			for _, at := range o.Origins {
				if at.Name() == origin && len(at.Arrivals(r.ID)) > 0 {
					n++
				}
			}
		}
		if n < least {
			return fmt.Errorf("%d have", n)
		}
		return nil
	}}
}

// SaidAtMost claims that the log has an event of that name at most so often.
func SaidAtMost(msg string, most int) Expectation {
	return Expectation{fmt.Sprintf("the log says %q at most %d times", msg, most), func(o *Outcome) error {
		if n := len(o.journal.find(msg, nil)); n > most {
			return fmt.Errorf("it did %d times", n)
		}
		return nil
	}}
}
