package timeline

import (
	"math"
	"strings"
)

// shortest is where the scale of latencies ends below, in seconds: less is drawn as this.
const shortest = 1e-5

// logScale maps latencies to the vertical, in whole decades.
type logScale struct {
	low, high   float64 // powers of ten
	top, bottom float64 // pixels
}

func (s logScale) y(seconds float64) float64 {
	share := (math.Log10(max(seconds, shortest)) - s.low) / (s.high - s.low)
	return s.bottom - (s.bottom-s.top)*min(max(share, 0), 1)
}

// logScale returns a scale that all latencies which are drawn fit on.
func (t *tally) logScale(top float64) logScale {
	low, high := math.Inf(1), math.Inf(-1)
	see := func(seconds float64) {
		power := math.Log10(max(seconds, shortest))
		low, high = min(low, power), max(high, power)
	}
	for i := range t.bins {
		b := &t.bins[i]
		if len(b.good) > 0 {
			see(b.quantile(0.5))
			see(b.quantile(0.99))
		}
		if b.failure != Served {
			see(b.slowest)
		}
	}
	if low > high {
		low, high = -3, 0
	}
	s := logScale{low: math.Floor(low), high: math.Ceil(high), top: top, bottom: top + strip}
	if s.high <= s.low {
		s.high = s.low + 1
	}
	return s
}

// latencies draws the band from p50 to p99 of the good results, and a dot for each bin's slowest failure.
func (c *canvas) latencies(t *tally, top float64) {
	s := t.logScale(top)
	step := max(1, math.Ceil((s.high-s.low)/4))
	for power := s.low; power <= s.high; power += step {
		y := s.y(math.Pow(10, power))
		if power > s.low {
			c.line("grid", plotLeft, y, plotRight, y)
		}
		c.text("soft", plotLeft-8, y+4, "end", latency(math.Pow(10, power)))
	}
	c.text("name", edge, top+12, "start", "Time taken")
	c.text("soft", edge, top+27, "start", "p50 to p99")
	for from := 0; from < len(t.bins); {
		to := from
		for to < len(t.bins) && len(t.bins[to].good) > 0 {
			to++
		}
		if to > from {
			c.run(t, s, from, to)
		}
		from = to + 1
	}
	for i := range t.bins {
		if b := &t.bins[i]; b.failure != Served {
			left, right := t.edges(i)
			c.raw("<circle ", c.fill(b.failure.String()), ` cx="`, number((left+right)/2), `" cy="`, number(s.y(b.slowest)), "\" r=\"3\"/>\n")
		}
	}
	c.line("base", plotLeft, s.bottom, plotRight, s.bottom)
}

// run draws the bins from one up to another, all of which have good results, as steps.
func (c *canvas) run(t *tally, s logScale, from, to int) {
	var median, back strings.Builder
	command := "M"
	for i := from; i < to; i++ {
		left, right := t.edges(i)
		y := number(s.y(t.bins[i].quantile(0.5)))
		median.WriteString(command + number(left) + " " + y + "H" + number(right))
		command = "L"
	}
	for i := to - 1; i >= from; i-- {
		left, right := t.edges(i)
		// A band of no height would not be seen.
		y := number(min(s.y(t.bins[i].quantile(0.99)), s.y(t.bins[i].quantile(0.5))-1.5))
		back.WriteString("L" + number(right) + " " + y + "H" + number(left))
	}
	c.raw(`<path class="tl-band" d="`, median.String(), back.String(), "Z\"/>\n")
	c.raw(`<path class="tl-p50" d="`, median.String(), "\"/>\n")
}
