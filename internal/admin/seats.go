package admin

import (
	"net"
	"sync"
	"time"
)

// seats bound the connections. When all are taken, one that waits for a request
// makes room: so idle connections and those that never ask keep nobody out.
type seats struct {
	limit   int
	idle    time.Duration // how long one may wait for another request before it has to make room
	unasked time.Duration // and for its first one
	freed   chan struct{}

	mu    sync.Mutex
	taken map[*seat]struct{} // guarded by mu
}

// seat is a connection.
type seat struct {
	net.Conn
	door *door
	due  time.Time // when it may have to make room; zero: a request is served; guarded by seats.mu
}

func newSeats(limit int) *seats {
	return &seats{limit: limit, idle: 250 * time.Millisecond, unasked: time.Second, freed: make(chan struct{}, 1), taken: make(map[*seat]struct{})}
}

// Close gives the seat back.
func (s *seat) Close() error {
	s.door.server.seats.leave(s)
	return s.Conn.Close()
}

func (ss *seats) leave(s *seat) {
	ss.mu.Lock()
	delete(ss.taken, s)
	ss.mu.Unlock()
	select {
	case ss.freed <- struct{}{}:
	default:
	}
}

// take waits until there is a seat, which is false if the door closes before.
func (ss *seats) take(s *seat) bool {
	for {
		wait, ok := ss.try(s, time.Now())
		if ok {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-ss.freed:
		case <-timer.C:
		case <-s.door.ending:
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// try takes a seat if one is free or can be had. If not, it says how long to
// wait. Behind a door that has been shut there are none: dismiss has been, or
// is to come.
func (ss *seats) try(s *seat, now time.Time) (wait time.Duration, ok bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	select {
	case <-s.door.ending:
		return ss.unasked, false
	default:
	}
	if len(ss.taken) >= ss.limit {
		first := ss.firstLocked()
		if first == nil {
			return ss.unasked, false
		}
		if now.Before(first.due) {
			return first.due.Sub(now), false
		}
		delete(ss.taken, first)
		_ = first.Conn.Close() // its goroutine sees that and ends
	}
	s.due = now.Add(ss.unasked)
	ss.taken[s] = struct{}{}
	return 0, true
}

// firstLocked is the one that has to make room before all others, or nil.
func (ss *seats) firstLocked() *seat {
	var first *seat
	for s := range ss.taken {
		if !s.due.IsZero() && (first == nil || s.due.Before(first.due)) {
			first = s
		}
	}
	return first
}

// serves notes that a request has come, or that it was answered.
func (ss *seats) serves(s *seat, request bool, now time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s.due = time.Time{}
	if !request {
		s.due = now.Add(ss.idle)
	}
}

// dismiss closes the connections of a door that wait for a request.
func (ss *seats) dismiss(d *door) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for s := range ss.taken {
		if s.door == d && !s.due.IsZero() {
			delete(ss.taken, s)
			_ = s.Conn.Close()
		}
	}
}

// count is how many are taken.
func (ss *seats) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.taken)
}
