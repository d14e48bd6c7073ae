package timeline

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"
	"unicode"
)

// canvas collects the elements of an SVG. Its methods escape every text that they are given.
type canvas struct {
	buf bytes.Buffer
	id  string // begins every id
}

// newCanvas returns a canvas whose ids begin with what is harmless of prefix.
func newCanvas(prefix string) *canvas {
	id := strings.Map(func(r rune) rune {
		if r == '-' || r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, prefix)
	if id == "" || id[0] < 'A' {
		id = strings.TrimSuffix("timeline-"+id, "-")
	}
	return &canvas{id: id}
}

func (c *canvas) raw(parts ...string) {
	for _, part := range parts {
		c.buf.WriteString(part)
	}
}

// number writes a coordinate to a tenth.
func number(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// escaped makes text that came from anywhere safe between tags and in quotes.
func escaped(text string) string {
	var b strings.Builder
	if xml.EscapeText(&b, []byte(text)) != nil {
		return "" // a strings.Builder takes everything
	}
	return b.String()
}

// box is a rectangle with a fill, which is a class of the style sheet or a pattern of the picture's, and what is told
// of it under the mouse.
func (c *canvas) box(fill string, x, y, w, h float64, tip string) {
	c.raw(`<rect `, c.fill(fill), ` x="`, number(x), `" y="`, number(y), `" width="`, number(w), `" height="`, number(h), `"`)
	if tip == "" {
		c.raw("/>\n")
		return
	}
	c.raw(`><title>`, escaped(clean(tip, longest)), "</title></rect>\n")
}

// fill returns the attribute for a class, or for a pattern, whose name begins with a #.
func (c *canvas) fill(name string) string {
	if pattern, ok := strings.CutPrefix(name, "#"); ok {
		return `fill="url(#` + c.id + "-" + pattern + `)"`
	}
	return `class="tl-` + name + `"`
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.raw(`<line class="tl-`, class, `" x1="`, number(x1), `" y1="`, number(y1), `" x2="`, number(x2), `" y2="`, number(y2), "\"/>\n")
}

// text writes at a baseline; anchor is start, middle or end.
func (c *canvas) text(class string, x, y float64, anchor, text string) {
	c.raw(`<text class="tl-`, class, `" x="`, number(x), `" y="`, number(y), `"`)
	if anchor != "start" {
		c.raw(` text-anchor="`, anchor, `"`)
	}
	c.raw(`>`, escaped(text), "</text>\n")
}

// longest is how many characters of a name are kept where there is room for any length.
const longest = 400

// clean returns at most limit characters of text in one line, with whatever would draw nothing or turn the reading
// order replaced.
func clean(text string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > limit {
			b.WriteRune('…')
			break
		}
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteRune(' ')
		case !unicode.IsGraphic(r):
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// textWidth estimates, on the wide side, how many pixels a text needs in a font of the size.
func textWidth(text string, size float64) float64 {
	width := 0.0
	for _, r := range text {
		width += runeWidth(r)
	}
	return width * size
}

func runeWidth(r rune) float64 {
	switch {
	case strings.ContainsRune("iljI.,:;|!'()[] ftr", r):
		return 0.36
	case strings.ContainsRune("mwMW@%", r) || r > 0x1100:
		return 1
	case unicode.IsUpper(r):
		return 0.72
	}
	return 0.58
}

// fitting returns as much of a text as has room, with an ellipsis for the rest; "" if not even three characters have.
func fitting(text string, room, size float64) string {
	text = clean(text, longest)
	if textWidth(text, size) <= room {
		return text
	}
	width, kept := size, 0 // the ellipsis
	for at, r := range text {
		if width += runeWidth(r) * size; width > room {
			if kept < 3 {
				return ""
			}
			return text[:at] + "…"
		}
		kept++
	}
	return text
}

// grouped writes a count with commas: 12,345.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// counted writes a number of things: "1 request", "1,200 requests".
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + thing + "s"
}
