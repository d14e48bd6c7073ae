package health

import "time"

// beatsPerTimeout says how often the checker looks at the clock during a probe.
const beatsPerTimeout = 8

// A pulse notices that our own process stood still: stopped by a debugger, a
// hypervisor or a starved machine. Its owner beats it often; a beat that comes
// much later than the last one asked for was held up by no origin.
//
// Timing only the whole probe would not do. A process that sleeps through nine
// tenths of a time-out, and the origin's answer with them, wakes to a time-out
// that looks punctual.
type pulse struct {
	every time.Duration // a beat is due this long after the last one
	slack time.Duration // later than this is a pause
	last  time.Time
}

// newPulse is the pulse of probes with the given time-out. Slack is a quarter
// of it, so that what isn't called a pause leaves an origin most of its time;
// but not so little that ordinary scheduling passes for one.
func newPulse(timeout time.Duration) pulse {
	return pulse{
		every: timeout / beatsPerTimeout,
		slack: max(timeout/4, 50*time.Millisecond),
	}
}

// beat records a sign of life and returns how long before it nothing ran, or 0.
func (p *pulse) beat(now time.Time) time.Duration {
	late := now.Sub(p.last) - p.every
	p.last = now
	return p.pause(late)
}

// pause is lateness if it is long enough to count, else 0.
func (p *pulse) pause(late time.Duration) time.Duration {
	if late <= p.slack {
		return 0
	}
	return late
}
