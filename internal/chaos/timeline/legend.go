package timeline

import "slices"

const (
	legendRow = 18.0
	swatch    = 12.0
)

// legend is a list of what the fills mean, in rows.
type legend struct {
	items []legendItem
	rows  int
}

type legendItem struct {
	fill, text string
	x          float64
	row        int
}

// legend lists the parts of the stacks with their counts, and then the marks of the latencies.
func (p *Picture) legend(t *tally) legend {
	var l legend
	failed := false
	for _, k := range t.kinds {
		l.items = append(l.items, legendItem{fill: patternOf(k), text: clean(t.name(k), 40) + " " + grouped(t.counts[k])})
		failed = failed || !k.result.Good() && k.result != Left
	}
	if slices.ContainsFunc(t.kinds, func(k kind) bool { return k.result.Good() }) {
		l.items = append(l.items, legendItem{fill: "p50", text: "p50 of good results"}, legendItem{fill: "band", text: "up to p99"})
	}
	if failed {
		l.items = append(l.items, legendItem{fill: "failure", text: "slowest failure"})
	}
	x := edge
	for i := range l.items {
		item := &l.items[i]
		width := swatch + 6 + textWidth(item.text, 11) + 14
		if x+width > plotRight && x > edge {
			x, l.rows = edge, l.rows+1
		}
		item.x, item.row = x, l.rows
		x += width
	}
	if len(l.items) > 0 {
		l.rows++
	}
	return l
}

func (l legend) draw(c *canvas, top float64) {
	for _, item := range l.items {
		y := top + legendRow*float64(item.row) + 4
		switch item.fill {
		case "p50":
			c.line("p50", item.x, y+6, item.x+swatch, y+6)
		case "failure":
			c.raw(`<circle class="tl-edge" cx="`, number(item.x+6), `" cy="`, number(y+6), "\" r=\"3\"/>\n")
		default:
			c.box(item.fill, item.x, y, swatch, swatch, "")
		}
		c.text("text", item.x+swatch+6, y+10, "start", item.text)
	}
}
