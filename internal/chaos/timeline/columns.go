package timeline

import (
	"fmt"
	"math"
	"strings"
)

// least is how high a part of a stack is drawn at least: one failure among thousands must be seen.
func least(r Result) float64 {
	if r.Good() {
		return 1.5
	}
	return 3
}

// columns draws a stack for each bin, and the scale of their heights.
func (c *canvas) columns(t *tally, top float64) {
	bottom := top + columnsHeight
	highest := 1
	for i := range t.bins {
		highest = max(highest, t.bins[i].total())
	}
	step := max(1, nice(float64(highest)/4, tickSteps))
	ceiling := step * math.Ceil(float64(highest)/step)
	const headroom = 12 // for parts that are drawn higher than they are
	pixels := (columnsHeight - headroom) / ceiling
	for v := 0.0; v <= ceiling; v += step {
		y := bottom - v*pixels
		if v > 0 {
			c.line("grid", plotLeft, y, plotRight, y)
		}
		c.text("soft", plotLeft-8, y+4, "end", grouped(int(v)))
	}
	for i := range t.bins {
		c.stack(t, i, bottom, pixels)
	}
	c.line("base", plotLeft, bottom, plotRight, bottom)
	c.text("name", edge, top+12, "start", "Requests")
	c.text("soft", edge, top+27, "start", "due in each "+latency(t.width))
}

// stack draws one column.
func (c *canvas) stack(t *tally, i int, bottom, pixels float64) {
	b := &t.bins[i]
	heights, whole := make([]float64, len(t.kinds)), 0.0
	for j, k := range t.kinds {
		if n := b.counts[k]; n > 0 {
			heights[j] = max(float64(n)*pixels, least(k.result))
			whole += heights[j]
		}
	}
	squeeze := min(1, columnsHeight/max(whole, 1))
	left, right := t.edges(i)
	y := bottom
	for j, k := range t.kinds {
		if heights[j] > 0 {
			height := heights[j] * squeeze
			y -= height
			c.box(patternOf(k), left, y, max(right-left-1, 0.5), height, "")
		}
	}
}

// edges returns where a bin begins and ends in the picture.
func (t *tally) edges(i int) (left, right float64) {
	return t.axis.x(float64(i) * t.width), t.axis.x(float64(i+1) * t.width)
}

// hits lays a box that nobody sees over each bin, which tells its figures under the mouse.
func (c *canvas) hits(t *tally, top, height float64) {
	for i := range t.bins {
		if b := &t.bins[i]; b.total() > 0 {
			left, right := t.edges(i)
			c.box("hit", left, top, right-left, height, t.figures(i))
		}
	}
}

// figures tells everything about a bin.
func (t *tally) figures(i int) string {
	b := &t.bins[i]
	var parts []string
	for _, k := range t.kinds {
		if n := b.counts[k]; n > 0 {
			parts = append(parts, t.name(k)+" "+grouped(n))
		}
	}
	from := float64(i) * t.width
	text := fmt.Sprintf("%s to %s: %s", rounded(from, t.width), rounded(min(from+t.width, t.axis.seconds), t.width), strings.Join(parts, ", "))
	if len(b.good) > 0 {
		text += fmt.Sprintf("; p50 %s, p99 %s", latency(b.quantile(0.5)), latency(b.quantile(0.99)))
	}
	if b.failure != Served {
		text += fmt.Sprintf("; slowest failure %s (%s)", latency(b.slowest), b.failure)
	}
	return text
}
