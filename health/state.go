package health

// A Verdict is what the probes of an origin say as a whole.
type Verdict uint8

const (
	// Unknown is the verdict before enough probes were answered alike. Callers
	// treat it as Healthy: an origin is not condemned unheard.
	Unknown Verdict = iota
	// Healthy follows Rise successes in a row.
	Healthy
	// Down follows Fall failures in a row.
	Down
)

// String is the verdict as it stands in logs: "unknown", "healthy" or "down".
func (v Verdict) String() string {
	switch v {
	case Unknown:
		return "unknown"
	case Healthy:
		return "healthy"
	case Down:
		return "down"
	}
	return "invalid"
}

// thresholds are the numbers of equal results in a row that move a verdict.
type thresholds struct {
	fall, rise int
}

// state is all that the machine remembers. The zero value is its start.
type state struct {
	verdict Verdict

	// streak counts the equal results at the end of the history: successes
	// as a positive number, failures as a negative one. It stops growing at
	// the threshold, so it lies in [-fall, rise].
	streak int
}

// next is the fall/rise machine: what to believe after one more result.
//
//	verdict   result    streak then            verdict then
//	any       success   max(streak, 0) + 1     Healthy if that is rise, else as before
//	any       failure   min(streak, 0) - 1     Down if that is -fall, else as before
//
// So a single contrary result starts the count again, in every verdict; Unknown
// is left by whichever threshold is reached first and never entered again; and
// an origin that answers now so, now so keeps the verdict that it has.
//
// Dropped and cancelled probes are no results and don't come here.
func next(s state, success bool, t thresholds) state {
	if success {
		s.streak = min(max(s.streak, 0)+1, t.rise)
		if s.streak == t.rise {
			s.verdict = Healthy
		}
		return s
	}
	s.streak = max(min(s.streak, 0)-1, -t.fall)
	if s.streak == -t.fall {
		s.verdict = Down
	}
	return s
}

// deciding reports whether the next results may move the verdict soon: nothing
// is known yet, or the last result contradicts what is believed.
func (s state) deciding() bool {
	switch s.verdict {
	case Healthy:
		return s.streak < 0
	case Down:
		return s.streak > 0
	}
	return true
}
