package proxy

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
)

// ErrForced is returned by Run: requests were still in flight when the drain
// ended, and were interrupted.
var ErrForced = errors.New("requests were interrupted at the end of the drain")

// drain ends the connections of listeners that are closed: it finishes what is in
// flight within limit and interrupts the rest. Without hurry, connections
// that wait for a request may carry one more for half of that time: a client
// whose request crosses with the end of its connection can't know whether it was
// heard.
func (s *Server) drain(listeners []*listener, limit time.Duration, hurry bool) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	done := make(chan struct{})
	go func() {
		for _, l := range listeners {
			l.accepting.Wait()
			l.work.Wait()
		}
		close(done)
	}()
	s.log.Info("draining", zap.Int("connections", len(s.connsOf(listeners))), zap.Duration("limit", limit))
	if !hurry && s.finishUnhurried(listeners, limit/2, done) {
		return nil
	}
	s.retire(listeners, hurried)
	select {
	case <-done:
		return nil
	case <-over.C:
	case <-s.force:
	}
	n := 0
	for _, c := range s.connsOf(listeners) {
		if _, idle := c.waits(); !idle {
			n++
		}
	}
	s.interruptAll(listeners, done)
	if n == 0 {
		return nil
	}
	s.log.Warn("drain ended early", zap.Int("interrupted", n))
	return ErrForced
}

// finishUnhurried lets each connection end with its next response, for a time.
// It reports whether that was enough.
func (s *Server) finishUnhurried(listeners []*listener, limit time.Duration, done <-chan struct{}) bool {
	s.retire(listeners, unhurried)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-s.hurry:
	case <-s.force:
	}
	return false
}

// retire tells every connection of the listeners to end, in the way of v.
func (s *Server) retire(listeners []*listener, v leaving) {
	for _, l := range listeners {
		l.retire(v)
	}
	for _, c := range s.connsOf(listeners) {
		c.retire(v)
	}
}

// connsOf lists the connections of the listeners.
func (s *Server) connsOf(listeners []*listener) []*conn {
	return slices.DeleteFunc(s.conns.all(), func(c *conn) bool { return !slices.Contains(listeners, c.x.door) })
}

// interruptAll interrupts every exchange until all have ended. Once is not
// enough for one that is about to set a deadline of its own.
func (s *Server) interruptAll(listeners []*listener, done <-chan struct{}) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		for _, c := range s.connsOf(listeners) {
			c.interrupt(causeForced)
		}
		select {
		case <-done:
			return
		case <-again.C:
		}
	}
}

// depart takes listeners that a reload has removed out of service, beside
// everything else. From when it returns, each response on them is the last of
// its connection.
func (s *Server) depart(gone []*listener) {
	if len(gone) == 0 {
		return
	}
	for _, l := range gone {
		l.shut()
	}
	s.retire(gone, unhurried)
	s.departing = append(s.departing, gone...)
	limit := s.current().cfg.DrainTimeout // of the reload, not of the next one
	s.farewells.Go(func() {
		err := s.drain(gone, limit, false)
		s.reloading.Lock()
		defer s.reloading.Unlock()
		if s.stage == stopping {
			s.cutShort = cmp.Or(s.cutShort, err) // Run's drain may have come too late to see it
		}
		s.departing = slices.DeleteFunc(s.departing, func(l *listener) bool { return slices.Contains(gone, l) })
	})
}
