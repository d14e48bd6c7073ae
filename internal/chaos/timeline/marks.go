package timeline

import (
	"cmp"
	"math"
	"slices"
)

const (
	markRow  = 15.0
	markRows = 4
)

// marks are the marks that are drawn, with their words placed in rows above the chart.
type marks struct {
	placed []placedMark
	rows   int
}

type placedMark struct {
	x, textX float64
	text     string // "" where there was no room
	anchor   string
	row      int
}

// placeMarks finds room for the marks' words, and tells how many found none. Marks on one pixel share a line.
func (p *Picture) placeMarks(a axis) (m marks, textless int) {
	sorted := slices.Clone(p.Marks)
	slices.SortStableFunc(sorted, func(a, b Mark) int { return a.At.Compare(b.At) })
	var rows lanes
	last := math.Inf(-1)
	for _, mark := range sorted {
		seconds, on := a.at(mark.At)
		if !on {
			textless++
			continue
		}
		placed, ok := placeMark(&rows, a.x(seconds), mark.Text)
		if !ok {
			textless++
		}
		if ok || placed.x-last >= 1 {
			last = placed.x
			m.placed = append(m.placed, placed)
		}
	}
	m.rows = len(rows.taken)
	for i := range m.placed { // the first row is the one next to the chart
		m.placed[i].row = m.rows - 1 - m.placed[i].row
	}
	// A line begins at its words; the longer ones go first, so that words stand over lines.
	slices.SortStableFunc(m.placed, func(a, b placedMark) int { return cmp.Compare(a.row, b.row) })
	return m, textless
}

// placeMark puts the words right of the line, or left of it near the picture's end.
func placeMark(rows *lanes, x float64, text string) (placed placedMark, ok bool) {
	text = fitting(text, 300, 11)
	width := textWidth(text, 11) + 10
	placed = placedMark{x: x, textX: x + 4, anchor: "start"}
	from, to := x, x+width
	if to > pictureWidth-4 {
		placed.textX, placed.anchor = x-4, "end"
		from, to = x-width, x
	}
	if text == "" {
		return placed, true
	}
	if placed.row, ok = rows.place(from, to, markRows); ok {
		placed.text = text
	}
	return placed, ok
}

// draw draws the lines from their words down to the bottom.
func (m marks) draw(c *canvas, top, bottom float64) {
	for _, mark := range m.placed {
		begins := top
		if mark.text != "" {
			begins = top - markRow*float64(m.rows-mark.row)
		}
		c.line("mark", mark.x, begins, mark.x, bottom)
	}
	for _, mark := range m.placed {
		if mark.text != "" {
			c.text("text tl-halo", mark.textX, top-markRow*float64(m.rows-mark.row)+10, mark.anchor, mark.text)
		}
	}
}
