package suite

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// ServedBut claims: every request is served, but for those that a client of the
// scenario's own left.
func ServedBut(left int) Expectation {
	return Expectation{fmt.Sprintf("every request is served but for %d whose client left", left), func(o *Outcome) error {
		if n := o.Ledger.Count(chaos.Left); n > left {
			return fmt.Errorf("%d clients left", n)
		}
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool { return r.Kind != chaos.Served && r.Kind != chaos.Left }))
	}}
}

// Honest claims: every 503 that the proxy itself answers with says when to come again.
func Honest() Expectation {
	return Expectation{"every 503 of the proxy's own says Retry-After", func(o *Outcome) error {
		own := o.Ledger.Select(func(r *chaos.Result) bool { return r.Status == 503 && r.Origin == "" })
		if len(own) == 0 {
			return fmt.Errorf("there was none, which proves nothing")
		}
		return o.none(slices.DeleteFunc(own, func(r chaos.Result) bool { return r.Head.Get("Retry-After") != "" }))
	}}
}

// Steady claims: no verdict ever says that an origin is down, and no pointer moves. Only
// a machine so busy that an origin's answers were late is an excuse.
func Steady() Expectation {
	return Expectation{"no origin is taken for down, and the pointer stays", func(o *Outcome) error {
		for _, v := range o.journal.find("verdict", func(l *Line) bool { return l.To == "down" }) {
			return late("%s at %v: %s", v.Origin, v.Time.Sub(o.Begun).Round(time.Millisecond), v.Raw)
		}
		if len(o.journal.flips()) > 0 {
			return late("it moved: %s", o.flipsText())
		}
		return nil
	}}
}

// NeverSaid claims: the log has no event of that name.
func NeverSaid(msg string) Expectation {
	return Expectation{fmt.Sprintf("the log never says %q", msg), func(o *Outcome) error {
		for _, l := range o.journal.find(msg, nil) {
			return fmt.Errorf("%s", l.Raw)
		}
		return nil
	}}
}

// Totals claims: a route's counters, of all processes together, are as check wants them.
func Totals(route, text string, check func(t Line) bool) Expectation {
	return Expectation{fmt.Sprintf("of route %s %s", route, text), func(o *Outcome) error {
		if t := o.totals[route]; !check(t) {
			return fmt.Errorf("accepted %d, served %d, failed over %d, shed %d, failed %d, left %d, parked %d",
				t.Accepted, t.Served, t.FailedOver, t.Shed, t.Failed, t.Left, t.Parked)
		}
		return nil
	}}
}

// NoneFailedAt claims: no attempt of a route failed.
func NoneFailedAt(route string) Expectation {
	return Expectation{"no attempt of route " + route + " fails", func(o *Outcome) error {
		for _, r := range o.journal.records() {
			for _, a := range r.Attempts {
				if r.Route == route && a.Class != "" && a.Class != "ok" {
					return fmt.Errorf("%s %s at %s: %s", r.Method, r.Target, a.Origin, a.Class)
				}
			}
		}
		return nil
	}}
}

// Stays claims: each time that the pointer comes to the secondary it stays there for at
// least so long; each after the first time.
func Stays(least ...time.Duration) Expectation {
	return Expectation{fmt.Sprintf("the pointer stays at us for at least %v", least), func(o *Outcome) error {
		n := 0
		flips := o.journal.flips()
		for i, f := range flips {
			if f.To != "us" || i+1 == len(flips) {
				continue
			}
			want := least[min(n, len(least)-1)]
			if stayed := flips[i+1].Time.Sub(f.Time); stayed < want-2*time.Millisecond {
				return fmt.Errorf("for %v the time number %d: %s", stayed, n+1, o.flipsText())
			}
			n++
		}
		if n < len(least) {
			return fmt.Errorf("it was there %d times: %s", n, o.flipsText())
		}
		return nil
	}}
}

// Reasons claims: the pointer moved for these reasons, in this order.
func Reasons(reasons ...string) Expectation {
	return Expectation{"the pointer moves for " + strings.Join(reasons, ", "), func(o *Outcome) error {
		var got []string
		for _, f := range o.journal.flips() {
			got = append(got, f.Reason)
		}
		if !slices.Equal(got, reasons) {
			return fmt.Errorf("it moved: %s", o.flipsText())
		}
		return nil
	}}
}

// Anyone selects all results for [Quickly].
func Anyone(*chaos.Result) bool { return true }
