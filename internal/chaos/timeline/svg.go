package timeline

import (
	"strings"
	"time"
)

// The picture's measures, in pixels. Its height follows from what is in it.
const (
	pictureWidth  = 960.0
	edge          = 20.0
	plotLeft      = 150.0
	plotRight     = pictureWidth - edge
	plotWidth     = plotRight - plotLeft
	columnsHeight = 180.0
	strip         = 92.0 // of the latencies
	gap           = 22.0
)

// SVG draws the picture, as a document that stands alone and may also be put into an HTML page as it is. The same
// picture gives the same bytes.
func (p Picture) SVG() []byte {
	t := p.tally()
	c := newCanvas(p.Prefix)
	tracks, outside := p.tracks(t)
	marks, textless := p.placeMarks(t.axis)

	title := 54.0
	legend := p.legend(t)
	top := title + legendRow*float64(legend.rows) + 8 + markRow*float64(marks.rows)
	latencies := top + columnsHeight + gap
	rows := latencies + strip + gap
	bottom := rows + tracks.height()
	height := bottom + 32
	notes := p.notes(t, outside, textless)
	if len(notes) > 0 {
		height += 18
	}
	c.open(p.Title, strings.Join(append([]string{p.summary(t)}, notes...), " "), height)
	c.define(t)
	c.box("page", 0, 0, pictureWidth, height, "")
	c.text("title", edge, 28, "start", fitting(p.Title, pictureWidth-2*edge, 16))
	c.text("note", edge, 46, "start", p.summary(t))
	legend.draw(c, title)
	c.timeAxis(t.axis, top, bottom)
	c.columns(t, top)
	c.latencies(t, latencies)
	c.hits(t, top, latencies+strip-top)
	tracks.draw(c, t, rows)
	marks.draw(c, top, bottom)
	tracks.label(c, rows)
	if len(notes) > 0 {
		c.text("soft", edge, bottom+38, "start", strings.Join(notes, " "))
	}
	c.raw("</svg>\n")
	return c.buf.Bytes()
}

// open begins the document. Its text is read aloud instead of the picture.
func (c *canvas) open(title, summary string, height float64) {
	c.raw(`<svg xmlns="http://www.w3.org/2000/svg" width="`, number(pictureWidth), `" height="`, number(height),
		`" viewBox="0 0 `, number(pictureWidth), " ", number(height), `" role="img" aria-label="`,
		escaped(strings.TrimPrefix(clean(title, longest)+": "+summary, ": ")), "\">\n")
}

// summary tells the picture's figures in a sentence.
func (p *Picture) summary(t *tally) string {
	text := counted(t.drawn, "request") + " in " + rounded(t.axis.seconds, t.axis.seconds)
	if !t.axis.from.IsZero() {
		text += " from " + t.axis.from.UTC().Format(time.RFC3339)
	}
	good := t.of(Served) + t.of(FailedOver)
	switch {
	case t.drawn == 0:
		return text + "."
	case good == t.drawn:
		return text + ", all good."
	}
	var bad []string
	for r := Left; r < results; r++ {
		if n := t.of(r); n > 0 {
			bad = append(bad, r.String()+" "+grouped(n))
		}
	}
	return text + ": " + grouped(good) + " good, " + strings.Join(bad, ", ") + "."
}

// notes tells what the picture leaves out.
func (p *Picture) notes(t *tally, tracks, textless int) []string {
	var notes []string
	if t.outside > 0 {
		notes = append(notes, counted(t.outside, "request")+" outside this time not drawn.")
	}
	if tracks > 0 {
		notes = append(notes, counted(tracks, "track")+" not drawn.")
	}
	if textless > 0 {
		notes = append(notes, "No room for the words of "+counted(textless, "mark")+".")
	}
	return notes
}

// timeAxis draws the lines of the time through everything, and its labels below.
func (c *canvas) timeAxis(a axis, top, bottom float64) {
	_, ticks := a.timeTicks()
	for _, tick := range ticks {
		x := a.x(tick)
		c.line("grid", x, top, x, bottom)
		anchor := "middle"
		if x > plotRight-18 {
			anchor = "end"
		}
		c.text("soft", x, bottom+18, anchor, inSeconds(tick))
	}
}
