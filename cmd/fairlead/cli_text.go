package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// plain is s as a terminal may show it: what would move the cursor, change the
// colour or turn the reading direction is written as an escape. A name that an
// attacker chose can then lie with words only.
func plain(s string) string {
	if strings.IndexFunc(s, notPlain) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case !notPlain(r):
			b.WriteRune(r)
		case r == utf8.RuneError:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// notPlain takes an invalid byte, which ranges as RuneError, for what it is. That the
// character U+FFFD itself is escaped as well costs nobody anything.
func notPlain(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// makePlain makes every string that v points to plain.
func makePlain(v any) { makePlainValue(reflect.ValueOf(v)) }

func makePlainValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			makePlainValue(v.Elem())
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			makePlainValue(field)
		}
	case reflect.Slice:
		for i := range v.Len() {
			makePlainValue(v.Index(i))
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(plain(v.String()))
		}
	}
}

// plainJSON is a document of JSON as a terminal may show it, on one line or
// indented. It means the same: what is not plain can stand in its strings only,
// and is escaped there.
func plainJSON(raw []byte, indent bool) ([]byte, error) {
	raw = bytes.Trim(raw, " \t\r\n") // or Indent keeps what follows the value
	var b bytes.Buffer
	var err error
	if indent {
		err = json.Indent(&b, raw, "", "  ")
	} else {
		err = json.Compact(&b, raw)
	}
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, b.Len()+1)
	for _, r := range b.String() {
		switch {
		case r == '\n' || !notPlain(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return append(out, '\n'), nil
}

// wide are the blocks whose characters take two columns, from the East Asian
// Width property (Unicode Standard Annex 11), and the emoji.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x231a, Hi: 0x23ff, Stride: 1}, {Lo: 0x2600, Hi: 0x27bf, Stride: 1},
		{Lo: 0x2b00, Hi: 0x2bff, Stride: 1}, {Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, {Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe10, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x16fe0, Hi: 0x18fff, Stride: 1}, {Lo: 0x1aff0, Hi: 0x1b2ff, Stride: 1}, {Lo: 0x1f000, Hi: 0x3fffd, Stride: 1}},
}

// columns is how many columns of a terminal s takes at most. Marks that combine
// count too: better a gap than a line that wraps.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r >= 0x1100 && unicode.Is(wide, r) {
		return 2
	}
	return 1
}

const ellipsis = "…"

// cutMiddle is s in at most width columns. The ends stay, as they are what tells
// names apart.
func cutMiddle(s string, width int) string {
	switch {
	case columns(s) <= width:
		return s
	case width <= 0:
		return ""
	}
	tail := (width - 1) / 2
	return headOf(s, width-1-tail) + ellipsis + tailOf(s, tail)
}

// cutEnd is s in at most width columns, without its end.
func cutEnd(s string, width int) string {
	switch {
	case columns(s) <= width:
		return s
	case width <= 0:
		return ""
	}
	return headOf(s, width-1) + ellipsis
}

func headOf(s string, width int) string {
	for i, r := range s {
		if width -= runeColumns(r); width < 0 {
			return s[:i]
		}
	}
	return s
}

func tailOf(s string, width int) string {
	at := len(s)
	for at > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:at])
		if width -= runeColumns(r); width < 0 {
			break
		}
		at -= size
	}
	return s[at:]
}

// wrap breaks text between words into lines of at most width columns, of which
// all but the first begin with indent spaces. 0 or less: one line.
func wrap(text string, width, indent int) []string {
	if width <= 0 || columns(text) <= width {
		return []string{text}
	}
	if indent > width/2 {
		indent = 0
	}
	var lines []string
	margin := strings.Repeat(" ", indent)
	line := text[:len(text)-len(strings.TrimLeft(text, " "))]
	empty := true // nothing but the margin stands in it
	flush := func() { lines, line, empty = append(lines, cutEnd(line, width)), margin, true }
	for _, word := range strings.SplitAfter(strings.TrimLeft(text, " "), " ") {
		if !empty && columns(line)+columns(strings.TrimRight(word, " ")) > width {
			line = strings.TrimRight(line, " ")
			flush()
		}
		for columns(line)+columns(strings.TrimRight(word, " ")) > width {
			head := headOf(word, width-columns(line))
			if head == "" {
				break // narrower than one character: it is cut
			}
			line, word = line+head, word[len(head):]
			flush()
		}
		line, empty = line+word, false
	}
	return append(lines, cutEnd(strings.TrimRight(line, " "), width))
}

// age is a time span in one number and its unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

// clock is a moment of today as the time, any other with its date.
func clock(at, now time.Time, zone *time.Location) string {
	at, now = at.In(zone), now.In(zone)
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format("15:04")
	}
	return at.Format("2006-01-02 15:04")
}

// millis is a time in milliseconds, in a few digits.
func millis(ms float64) string {
	switch {
	case ms < 10 && ms != float64(int(ms)):
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 10000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.0f s", ms/1000)
}

// short is a number in at most five characters.
func short(n uint64) string {
	if n < 100_000 {
		return strconv.FormatUint(n, 10)
	}
	units := "kMGTPE"
	unit := -1
	for ; n >= 10_000; unit++ {
		n /= 1000
	}
	return strconv.FormatUint(n, 10) + units[unit:unit+1]
}
