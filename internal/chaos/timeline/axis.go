package timeline

import (
	"math"
	"strconv"
	"time"
)

// axis maps moments to the horizontal.
type axis struct {
	from    time.Time
	seconds float64 // above 0
}

// axis returns the time that the picture shows.
func (p *Picture) axis() axis {
	from, to := p.Start, p.End
	first, last := p.extent()
	if from.IsZero() {
		from = first
	}
	if to.IsZero() {
		to = last
	}
	seconds := to.Sub(from).Seconds()
	if seconds <= 0 {
		seconds = 1
	}
	return axis{from: from, seconds: seconds}
}

// extent returns the first and the last moment of everything in the picture.
func (p *Picture) extent() (first, last time.Time) {
	see := func(t time.Time) {
		if t.IsZero() {
			return
		}
		if first.IsZero() || t.Before(first) {
			first = t
		}
		if t.After(last) {
			last = t
		}
	}
	for i := range p.Requests {
		see(p.Requests[i].At)
	}
	for _, s := range p.Spans {
		see(s.From)
		see(s.To)
	}
	for _, m := range p.Marks {
		see(m.At)
	}
	return first, last
}

// at returns the seconds from the axis's beginning, and whether the moment lies on it.
func (a axis) at(t time.Time) (seconds float64, on bool) {
	seconds = t.Sub(a.from).Seconds()
	return seconds, seconds >= 0 && seconds <= a.seconds
}

// x returns where a second stands in the picture; what lies outside is moved to the nearer edge.
func (a axis) x(seconds float64) float64 {
	return plotLeft + plotWidth*min(max(seconds/a.seconds, 0), 1)
}

// binSteps and tickSteps are what a power of ten is multiplied with to give a length that reads well.
var (
	binSteps  = []float64{1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8}
	tickSteps = []float64{1, 2, 5}
)

// nice returns the smallest number that reads well and is not below least, which is above 0.
func nice(least float64, steps []float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, step := range steps {
		if step*power >= least*(1-1e-9) {
			return step * power
		}
	}
	return 10 * power
}

// timeTicks returns the seconds that are labelled, about ten of them.
func (a axis) timeTicks() (step float64, ticks []float64) {
	step = nice(a.seconds/12, tickSteps)
	for i := 0; float64(i)*step <= a.seconds*(1+1e-9); i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return step, ticks
}

// inSeconds writes seconds without more digits than they need.
func inSeconds(seconds float64) string {
	return strconv.FormatFloat(seconds, 'g', 10, 64) + " s"
}

// rounded is inSeconds of a time that was measured, to a thousandth of what it is measured against.
func rounded(seconds, against float64) string {
	grain := math.Pow(10, math.Floor(math.Log10(against))-3)
	return inSeconds(math.Round(seconds/grain) * grain)
}

// latency writes how long a request took, in the unit that suits it.
func latency(seconds float64) string {
	switch {
	case seconds >= 1:
		return strconv.FormatFloat(seconds, 'g', 3, 64) + " s"
	case seconds >= 1e-3:
		return strconv.FormatFloat(seconds*1e3, 'g', 3, 64) + " ms"
	default:
		return strconv.FormatFloat(seconds*1e6, 'g', 3, 64) + " µs"
	}
}
