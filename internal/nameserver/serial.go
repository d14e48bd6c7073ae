package nameserver

import "time"

// maxAhead is how many seconds the serial may be ahead of the clock, so that
// a burst of flips shows in it at once.
const maxAhead = 16

// serials makes the serials of one zone after the other. They grow in the
// arithmetic of RFC 1982, and follow the clock: else the first one of the next
// process, which knows nothing but the clock, would be behind, and whoever had
// seen a greater one would hold the zone for old. So where changes come faster
// than the seconds, those beyond maxAhead share a serial for up to a second.
type serials struct {
	current uint32
	begun   bool
	owed    bool      // something changed that current doesn't show
	moved   time.Time // when current began
}

// begin makes the first serial: the time, or what comes after that of an
// earlier process, if there was one.
func (s *serials) begin(earlier uint32, now time.Time) {
	s.current, s.begun, s.moved = uint32(now.Unix()), true, now
	if earlier != 0 {
		s.current = nextSerial(earlier, now)
	}
}

// next moves the serial if something changed that it doesn't show. It returns
// when to ask again; zero: not before the next change.
func (s *serials) next(changed bool, now time.Time) (again time.Time) {
	s.owed = s.owed || changed
	if !s.owed {
		return time.Time{}
	}
	next := nextSerial(s.current, now)
	// A clock that was set back is far behind, hence the second condition.
	if ahead := int32(next - uint32(now.Unix())); ahead > maxAhead && now.Sub(s.moved) < time.Second {
		return s.moved.Add(time.Second)
	}
	s.current, s.owed, s.moved = next, false, now
	return time.Time{}
}

// nextSerial is greater than serial in the arithmetic of RFC 1982: the time, if
// that is.
func nextSerial(serial uint32, now time.Time) uint32 {
	clock := uint32(now.Unix())
	if int32(clock-serial) > 0 {
		return clock
	}
	return serial + 1
}
