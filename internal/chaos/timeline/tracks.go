package timeline

import "slices"

const (
	laneHeight = 20.0
	trackGap   = 7.0
	laneLimit  = 4
	trackLimit = 40
)

// tracks are the rows under the chart.
type tracks []*track

// track is one row: blocks in as many lanes as overlap.
type track struct {
	name   string
	lanes  int
	spans  int // that are on the axis
	blocks []block
}

// block is a span as it is drawn, or several that are too short to be told apart.
type block struct {
	x1, x2     float64
	from, to   float64 // seconds
	lane       int
	value      string
	bad        bool
	spans      int
	colour     int // of the origin that value names, -1 if it names none
	open, past bool
}

// tracks arranges the spans, and tells how many tracks were too many.
func (p *Picture) tracks(t *tally) (drawn tracks, outside int) {
	byName := make(map[string][]Span)
	var names []string
	for _, s := range p.Spans {
		if _, known := byName[s.Track]; !known {
			names = append(names, s.Track)
		}
		byName[s.Track] = append(byName[s.Track], s)
	}
	if len(names) > trackLimit {
		outside = len(names) - trackLimit
		names = names[:trackLimit]
	}
	for _, name := range names {
		drawn = append(drawn, arrange(name, byName[name], t))
	}
	return drawn, outside
}

// arrange places a track's spans.
func arrange(name string, spans []Span, t *tally) *track {
	slices.SortStableFunc(spans, func(a, b Span) int { return a.From.Compare(b.From) })
	row := &track{name: name, lanes: 1}
	var rows lanes
	for _, s := range spans {
		b, on := blockOf(s, t)
		if !on {
			continue
		}
		row.spans++
		if row.merge(b) {
			continue
		}
		// Where one span ends and the next begins in the same pixel they do not overlap.
		lane, ok := rows.place(b.x1+0.01, max(b.x2-0.01, b.x1+0.02), laneLimit)
		if !ok {
			lane = laneLimit - 1
		}
		b.lane = lane
		row.lanes = max(row.lanes, lane+1)
		row.blocks = append(row.blocks, b)
	}
	return row
}

// blockOf cuts a span to the axis, if any of it is on it.
func blockOf(s Span, t *tally) (b block, on bool) {
	to := s.To
	b = block{value: s.Value, bad: s.Bad, spans: 1, colour: t.colourOf(s.Value), open: s.To.IsZero()}
	b.from, _ = t.axis.at(s.From)
	b.to = t.axis.seconds
	if !b.open {
		b.to, _ = t.axis.at(to)
	}
	b.to = max(b.to, b.from)
	if b.to < 0 || b.from > t.axis.seconds {
		return b, false
	}
	b.past = b.from < 0
	b.open = b.open || b.to > t.axis.seconds
	b.from, b.to = max(b.from, 0), min(b.to, t.axis.seconds)
	b.x1, b.x2 = t.axis.x(b.from), t.axis.x(b.to)
	return b, true
}

// colourOf returns the colour of the origin of a name, or -1.
func (t *tally) colourOf(name string) int {
	if at := slices.Index(t.origins, name); at >= 0 {
		return min(at, ownColours)
	}
	return -1
}

// merge joins a span of less than a pixel and a half with the one before it, if that is as short and as near.
func (row *track) merge(b block) bool {
	if len(row.blocks) == 0 || b.x2-b.x1 >= 1.5 {
		return false
	}
	last := &row.blocks[len(row.blocks)-1]
	if last.x2-last.x1 >= 3 || b.x1-last.x1 >= 1.5 {
		return false
	}
	last.x2, last.to = max(last.x2, b.x2), max(last.to, b.to)
	last.spans++
	last.bad = last.bad || b.bad
	return true
}

func (ts tracks) height() float64 {
	height := 0.0
	for _, row := range ts {
		height += float64(row.lanes)*laneHeight + trackGap
	}
	return height
}

func (ts tracks) draw(c *canvas, t *tally, top float64) {
	for _, row := range ts {
		name := fitting(row.name, plotLeft-edge-8, 11)
		if row.spans > 20 {
			count := grouped(row.spans)
			name = fitting(row.name, plotLeft-edge-8-textWidth(" · "+count, 11), 11)
			c.text("soft", plotLeft-8, top+14, "end", count)
		}
		c.text("name", edge, top+14, "start", name)
		for i := range row.blocks {
			row.blocks[i].draw(c, t, row.name, top)
		}
		top += float64(row.lanes)*laneHeight + trackGap
	}
}

// label writes the values of the blocks that have room, over the lines of the marks.
func (ts tracks) label(c *canvas, top float64) {
	for _, row := range ts {
		for i := range row.blocks {
			b := &row.blocks[i]
			text := fitting(b.value, b.width()-10, 11)
			if text != "" && b.spans == 1 {
				_, class := b.look()
				c.text(class, b.x1+5, top+float64(b.lane)*laneHeight+13, "start", text)
			}
		}
		top += float64(row.lanes)*laneHeight + trackGap
	}
}

// width leaves a gap to the next block.
func (b *block) width() float64 { return max(b.x2-b.x1-0.6, 1) }

// look returns the block's fill and the class of the text on it.
func (b *block) look() (fill, class string) {
	switch {
	case b.bad:
		return "bad", "text"
	case b.colour >= 0:
		index := number(float64(b.colour))
		return "o" + index, "on tl-on" + index
	}
	return "calm", "text"
}

// draw draws the block. What is bad has an edge below besides its colour.
func (b *block) draw(c *canvas, t *tally, track string, top float64) {
	y := top + float64(b.lane)*laneHeight
	fill, _ := b.look()
	c.box(fill, b.x1, y, b.width(), laneHeight-2, b.tip(t, track))
	if b.bad {
		c.box("edge", b.x1, y+laneHeight-5, b.width(), 3, "")
	}
}

// tip tells the block's value and time.
func (b *block) tip(t *tally, track string) string {
	what := clean(track, 60) + ": " + clean(b.value, 120)
	if b.spans > 1 {
		what = clean(track, 60) + ": " + counted(b.spans, "span")
	}
	from, to := rounded(b.from, t.axis.seconds), rounded(b.to, t.axis.seconds)
	if b.past {
		from = "before " + from
	}
	if b.open {
		to = "the end"
	}
	return what + ", " + from + " to " + to
}
