package suite

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// FaultOfRequests begins a fault of the table that only requests meet: probes
// are answered well. A fault of the connection, which can't tell one from the
// other, is an error.
func FaultOfRequests(origin, name string) Action {
	return Action{fmt.Sprintf("%s: %s, but not for probes", origin, name), func(s *Stage) error {
		f, ok := chaos.FaultByName(name)
		if !ok || !f.Requests {
			return fmt.Errorf("there is no fault %s of requests", name)
		}
		s.beginFault(origin, name)
		f.Probes = false
		return f.Begin(s.origins[origin], healthPath)
	}}
}

// AwaitResults waits until there are n results of requests that keep selects,
// counted from the load's begin.
func AwaitResults(what string, n int, keep func(*chaos.Result) bool) Action {
	return Action{fmt.Sprintf("%d %s", n, what), func(s *Stage) error {
		return s.await(patience, what, func() bool { return len(s.ledger().Select(keep)) >= n })
	}}
}

// BreakerIs waits until the breaker of the route shop towards an origin is so,
// as the log says: "open", "half-open" or "closed".
func BreakerIs(origin, state string, limit time.Duration) Action {
	return Action{fmt.Sprintf("the breaker towards %s is %s within %v", origin, state, limit), func(s *Stage) error {
		return s.await(limit, "the breaker towards "+origin+" "+state, func() bool {
			moves := s.journal.find("breaker moved", func(l *Line) bool { return l.Origin == origin })
			return len(moves) > 0 && moves[len(moves)-1].To == state
		})
	}}
}

// ParkedNow waits until so many requests are parked.
func ParkedNow(n int) Action {
	return Action{fmt.Sprintf("%d requests are parked", n), func(s *Stage) error {
		return s.await(patience, "parked requests", func() bool {
			status, err := s.admin.status()
			if err != nil {
				return false
			}
			parked := 0
			for _, r := range status.Routes {
				parked += r.Bulkhead.Parked
			}
			return parked == n
		})
	}}
}

// Answered is a check for [Ask]: the status, and who answered, "" for the proxy
// itself.
func Answered(status int, origin string) func(chaos.Result) error {
	return func(r chaos.Result) error {
		if r.Status != status || r.Origin != origin {
			return fmt.Errorf("not %d from %q", status, origin)
		}
		return nil
	}
}

// Within adds to a check for [Ask] that the answer comes not before least and
// not after most.
func Within(least, most time.Duration, check func(chaos.Result) error) func(chaos.Result) error {
	return func(r chaos.Result) error {
		switch err := check(r); {
		case err != nil:
			return err
		case r.Latency < least:
			return fmt.Errorf("it came after %v, too early", r.Latency)
		case r.Latency > most:
			return late("it came after %v, not within %v", r.Latency, most)
		}
		return nil
	}
}

// Each is a check for [AskAll] that every result has to pass.
func Each(check func(chaos.Result) error) func([]chaos.Result) error {
	return func(results []chaos.Result) error {
		var all []error
		for _, r := range results {
			if err := check(r); err != nil {
				all = append(all, fmt.Errorf("%w: %v %q", err, r, r.Text))
			}
		}
		return errors.Join(all...)
	}
}

// Beside starts an action in the background and takes the steps meanwhile; it
// is done when all are.
func Beside(background Action, steps ...Action) Action {
	return Action{background.Text + ", meanwhile: " + Repeat(1, steps...).Text, func(s *Stage) error {
		done := make(chan error, 1)
		go func() { done <- background.Do(s) }()
		err := Repeat(1, steps...).Do(s)
		return errors.Join(err, <-done)
	}}
}

// RetryLater is a check for [Ask]: 503 of the proxy itself, which says to come
// again in no less than so many seconds.
func RetryLater(seconds int) func(chaos.Result) error {
	return func(r chaos.Result) error {
		if err := Answered(503, "")(r); err != nil {
			return err
		}
		if got, err := strconv.Atoi(r.Head.Get("Retry-After")); err != nil || got < seconds {
			return fmt.Errorf("Retry-After is %q, not %d or more", r.Head.Get("Retry-After"), seconds)
		}
		return nil
	}
}

// ResetConns resets every connection of an origin, which goes on.
func ResetConns(origin string) Action {
	return Action{"the connections of " + origin + " are reset", func(s *Stage) error {
		s.mark("connections reset")
		s.origins[origin].ResetConns()
		return nil
	}}
}
