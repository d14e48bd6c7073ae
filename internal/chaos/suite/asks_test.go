package suite

import (
	"errors"

	"github.com/fairlead/fairlead/internal/chaos"
)

// These judge the answers to requests of a scenario's own.

func served(r chaos.Result) error {
	if r.Kind != chaos.Served {
		return errors.New("it was not served")
	}
	return nil
}

// shedNow: refused by a bulkhead within a moment.
func shedNow(r chaos.Result) error {
	switch {
	case r.Status != 503 || r.Origin != "" || r.Head.Get("Retry-After") == "":
		return errors.New("it was not shed")
	case r.Latency > 100*ms:
		return late("it took %v", r.Latency)
	}
	return nil
}

// allPermits waits until the first route has none left, noPermits until none is in use.
func allPermits(s *Stage) error {
	return s.permits("all in use", func(used, most int) bool { return used == most })
}

func noPermits(s *Stage) error {
	return s.permits("none in use", func(used, _ int) bool { return used == 0 })
}

func (s *Stage) permits(what string, ok func(used, most int) bool) error {
	return s.await(patience, "permits: "+what, func() bool {
		status, err := s.admin.status()
		return err == nil && ok(status.Routes[0].Bulkhead.InUse, status.Routes[0].Bulkhead.MaxConcurrent)
	})
}
