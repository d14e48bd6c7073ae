package suite

import (
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Moment is a time in a scenario: the first mark of that text, which [MarkNow] and
// other actions set, and so much later. The zero value is the load's beginning.
type Moment struct {
	Mark  string
	Later time.Duration
}

// Window is the time from one moment to another. A zero To is the load's end.
type Window struct{ From, To Moment }

// Since is the window from a mark, or so much later, to the load's end.
func Since(mark string, later time.Duration) Window { return Window{From: Moment{mark, later}} }

// Between is the window from one mark to another.
func Between(from, to string) Window { return Window{From: Moment{Mark: from}, To: Moment{Mark: to}} }

func (w Window) String() string {
	text := "from the beginning"
	if w.From.Mark != "" {
		text = fmt.Sprintf("from %q", w.From.Mark)
	}
	if w.From.Later > 0 {
		text += " and " + w.From.Later.String()
	}
	if w.To.Mark != "" {
		text += fmt.Sprintf(" to %q", w.To.Mark)
	}
	if w.To.Later > 0 {
		text += " and " + w.To.Later.String()
	}
	return text
}

// MarkNow gives a moment a name.
func MarkNow(text string) Action {
	return Action{text, func(s *Stage) error { s.mark(text); return nil }}
}

// bounds returns a window's two ends. An error means that there is no such mark.
func (o *Outcome) bounds(w Window) (from, to time.Time, err error) {
	if from, err = o.moment(w.From); err != nil {
		return from, to, err
	}
	if w.To == (Moment{}) {
		return from, o.Begun.Add(time.Hour), nil
	}
	to, err = o.moment(w.To)
	return from, to, err
}

func (o *Outcome) moment(m Moment) (time.Time, error) {
	if m.Mark == "" {
		return o.Begun.Add(m.Later), nil
	}
	i := slices.IndexFunc(o.marks, func(k Mark) bool { return k.Text == m.Mark })
	if i < 0 {
		return time.Time{}, fmt.Errorf("the scenario did not come to %q", m.Mark)
	}
	return o.marks[i].At.Add(m.Later), nil
}

// in returns the results of requests that began in the window and for which keep
// is true; nil keeps all. There are at least least, or it is an error, since
// nothing would be proved.
func (o *Outcome) in(w Window, least int, keep func(*chaos.Result) bool) ([]chaos.Result, error) {
	from, to, err := o.bounds(w)
	if err != nil {
		return nil, err
	}
	found := o.Ledger.Select(func(r *chaos.Result) bool {
		return !r.Start.Before(from) && r.Start.Before(to) && (keep == nil || keep(r))
	})
	if len(found) < least {
		return nil, fmt.Errorf("only %d requests began %v, which proves nothing", len(found), w)
	}
	return found, nil
}

// enough is how many requests prove something.
const enough = 10

// Goodput claims: of the requests that began in the window at least this share was served.
// A machine that was too busy may have kept some from it.
func Goodput(share float64, w Window) Expectation {
	return Expectation{fmt.Sprintf("%v, %g%% are served", w, share*100), func(o *Outcome) error {
		all, err := o.in(w, enough, nil)
		if err != nil {
			return err
		}
		bad := slices.DeleteFunc(slices.Clone(all), func(r chaos.Result) bool { return r.Kind == chaos.Served })
		if got := 1 - float64(len(bad))/float64(len(all)); got < share {
			return lateError{fmt.Errorf("%.1f%% of %d: %w", got*100, len(all), o.none(bad))}
		}
		return nil
	}}
}

// ServedIn claims: every request that began in the window and that keep selects is served.
func ServedIn(w Window, what string, keep func(*chaos.Result) bool) Expectation {
	return Expectation{fmt.Sprintf("%v, all %s are served", w, what), func(o *Outcome) error {
		all, err := o.in(w, enough, keep)
		if err != nil {
			return err
		}
		return o.none(slices.DeleteFunc(all, func(r chaos.Result) bool { return r.Kind == chaos.Served }))
	}}
}

// ServedBy claims: every request that began in the window and was served was served by
// this origin.
func ServedBy(origin string, w Window) Expectation {
	return Expectation{fmt.Sprintf("%v, %s serves alone", w, origin), func(o *Outcome) error {
		all, err := o.in(w, enough, func(r *chaos.Result) bool { return r.Kind == chaos.Served })
		if err != nil {
			return err
		}
		return o.none(slices.DeleteFunc(all, func(r chaos.Result) bool { return r.Origin == origin }))
	}}
}

// RefusedIn claims: every request that began and ended in the window and that keep
// selects got a whole answer with one of these statuses. What ended after it may
// have been sent after it, too: a busy machine sends late.
func RefusedIn(w Window, what string, keep func(*chaos.Result) bool, statuses ...int) Expectation {
	return Expectation{fmt.Sprintf("%v, all %s get %v", w, what, statuses), func(o *Outcome) error {
		_, to, err := o.bounds(w)
		if err != nil {
			return err
		}
		all, err := o.in(w, 3, func(r *chaos.Result) bool {
			return r.Start.Add(r.Latency).Before(to) && (keep == nil || keep(r))
		})
		if err != nil {
			return err
		}
		return o.none(slices.DeleteFunc(all, func(r chaos.Result) bool {
			return r.Kind == chaos.Refused && slices.Contains(statuses, r.Status)
		}))
	}}
}

// QuicklyIn is [Quickly] of the requests that began in a window.
func QuicklyIn(w Window, what string, q float64, limit time.Duration, keep func(*chaos.Result) bool) Expectation {
	return Expectation{fmt.Sprintf("%v, p%g of %s within %v", w, q*100, what, limit), func(o *Outcome) error {
		all, err := o.in(w, 3, keep)
		if err != nil {
			return err
		}
		if got := chaos.Quantile(all, q); got > limit+o.lost.Allowance() {
			return late("it took %v", got)
		}
		return nil
	}}
}

// ArrivalsIn claims: in the window an origin saw at least and at most so many requests.
func ArrivalsIn(w Window, origin string, least, most int) Expectation {
	return Expectation{fmt.Sprintf("%v, %d to %d requests arrive at %s", w, least, most, origin), func(o *Outcome) error {
		n, err := o.arrived(w, origin)
		if err == nil && (n < least || n > most) {
			err = fmt.Errorf("%d did", n)
		}
		return err
	}}
}

// AttemptsIn claims: in the window the origins saw at most so many requests for each that
// a client sent.
func AttemptsIn(w Window, most float64) Expectation {
	return Expectation{fmt.Sprintf("%v, at most %.2f attempts a request", w, most), func(o *Outcome) error {
		all, err := o.in(w, enough, nil)
		if err != nil {
			return err
		}
		arrived, err := o.arrived(w, "")
		if got := float64(arrived) / float64(len(all)); err == nil && got > most {
			err = fmt.Errorf("%.2f: %d for %d requests", got, arrived, len(all))
		}
		return err
	}}
}

// arrived counts the requests with an id that reached an origin in a window; "" is
// any origin.
func (o *Outcome) arrived(w Window, origin string) (n int, err error) {
	from, to, err := o.bounds(w)
	for _, at := range o.Origins {
		if origin != "" && at.Name() != origin {
			continue
		}
		for _, a := range at.AllArrivals() {
			if a.ID != "" && !a.Time.Before(from) && a.Time.Before(to) {
				n++
			}
		}
	}
	return n, err
}
