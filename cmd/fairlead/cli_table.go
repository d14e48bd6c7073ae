package main

import "strings"

// tone is the colour of a piece of text. It never says anything that the words
// beside it don't.
type tone uint8

const (
	toneNone tone = iota
	toneTitle
	toneGood
	toneWarn
	toneBad
)

var tones = [...]string{toneTitle: "\x1b[1m", toneGood: "\x1b[32m", toneWarn: "\x1b[33m", toneBad: "\x1b[31m"}

// coloured puts s into its colour. It is for text that is plain already.
func coloured(s string, t tone, paint bool) string {
	if !paint || t == toneNone || strings.TrimSpace(s) == "" {
		return s
	}
	return tones[t] + s + "\x1b[0m"
}

// column is a column of a table.
type column struct {
	title string
	// least is its least width in a table that has room, so that numbers which
	// change don't move what stands beside them.
	least int
	right bool
	// shrinks: what it holds may be cut where the table is too wide, to its title
	// and eight columns at least. Names are cut in their middle, prose at its end.
	shrinks, prose bool
	// spare is in which order columns go where that is not enough: those of 1 at
	// last, those of 0 never.
	spare int
}

type cell struct {
	text string
	tone tone
}

// grid is text in columns, without frames.
type grid struct {
	columns []column
	rows    [][]cell
}

const (
	columnGap  = 2
	narrowest  = 8
	widestCell = 512
)

// lines draws the title and the rows, none wider than width; 0 or less means as
// wide as it takes.
func (t *grid) lines(width int, paint bool) []string {
	widths := t.fit(width)
	title := make([]cell, len(t.columns))
	for i, c := range t.columns {
		title[i] = cell{c.title, toneTitle}
	}
	lines := []string{t.line(title, widths, paint)}
	for _, row := range t.rows {
		lines = append(lines, t.line(row, widths, paint))
	}
	return lines
}

// fit is the width of each column, -1 for those that are left out.
func (t *grid) fit(width int) []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = max(c.least, columns(c.title))
		for _, row := range t.rows {
			widths[i] = max(widths[i], min(columns(row[i].text), widestCell))
		}
	}
	if width <= 0 {
		return widths
	}
	for total(widths) > width {
		if t.shrink(widths) || t.drop(widths) {
			continue
		}
		for i := range widths { // one is left, or several that are never dropped
			widths[i] = min(widths[i], max(1, (width-columnGap*(len(widths)-1))/len(widths)))
		}
		break
	}
	for i := len(widths) - 1; i > 0 && total(widths) > width; i-- {
		widths[i] = -1
	}
	widths[0] = min(widths[0], width)
	return widths
}

// shrink takes one from the widest column that may shrink: from prose that has
// more than its least, else from names, else from prose.
func (t *grid) shrink(widths []int) bool {
	for pass := range 3 {
		widest := -1
		for i, c := range t.columns {
			floor := max(narrowest, columns(c.title))
			if pass == 0 {
				floor = max(floor, c.least)
			}
			if c.shrinks && c.prose == (pass != 1) && widths[i] > floor && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest >= 0 {
			widths[widest]--
			return true
		}
	}
	return false
}

// drop leaves out the column that is missed least.
func (t *grid) drop(widths []int) bool {
	least := -1
	for i, c := range t.columns {
		if c.spare > 0 && widths[i] >= 0 && (least < 0 || c.spare > t.columns[least].spare) {
			least = i
		}
	}
	if least >= 0 {
		widths[least] = -1
	}
	return least >= 0
}

// total is the width of a line.
func total(widths []int) int {
	sum := -columnGap
	for _, w := range widths {
		if w >= 0 {
			sum += w + columnGap
		}
	}
	return max(sum, 0)
}

func (t *grid) line(row []cell, widths []int, paint bool) string {
	var b strings.Builder
	gap := 0 // spaces that are owed, and not paid at the line's end
	for i, c := range row {
		if widths[i] < 0 {
			continue
		}
		cut := cutMiddle
		if t.columns[i].prose {
			cut = cutEnd
		}
		text := cut(c.text, widths[i])
		room := widths[i] - columns(text)
		if t.columns[i].right {
			gap, room = gap+room, 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", gap))
			b.WriteString(coloured(text, c.tone, paint))
			gap = 0
		}
		gap += room + columnGap
	}
	return b.String()
}
