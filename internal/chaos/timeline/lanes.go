package timeline

// lanes puts stretches that overlap under each other. The zero value has no lanes yet.
type lanes struct {
	taken [][]stretch
}

type stretch struct{ from, to float64 }

// place returns the first lane of at most limit that has room for a stretch.
func (l *lanes) place(from, to float64, limit int) (lane int, ok bool) {
	for lane := range l.taken {
		if !l.crowded(lane, from, to) {
			l.taken[lane] = append(l.taken[lane], stretch{from, to})
			return lane, true
		}
	}
	if len(l.taken) >= limit {
		return 0, false
	}
	l.taken = append(l.taken, []stretch{{from, to}})
	return len(l.taken) - 1, true
}

func (l *lanes) crowded(lane int, from, to float64) bool {
	for _, other := range l.taken[lane] {
		if from < other.to && other.from < to {
			return true
		}
	}
	return false
}
