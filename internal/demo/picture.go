package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const barWidth = 20

// Picture draws the timeline: a row for a second, a mark for a moment.
type Picture struct {
	Primary, Secondary string // the origins' names
	// Full is the number of answers that makes a full bar.
	Full int
	// Colour allows ANSI colours and block characters.
	Colour bool
}

// Row is one second.
type Row struct {
	At         time.Duration // the second's end, since the start
	Tally      Tally
	FailedOver int // GETs that went to the other origin in the same request
	Waited     int // POSTs that began to wait for the pointer
}

// Heading returns the line above the rows.
func (p *Picture) Heading() string {
	return p.paint(bold, fmt.Sprintf("%6s  %s  %s  %6s  %6s  %7s  %6s", "",
		pad(p.Primary+", the primary"), pad(p.Secondary+", the secondary"),
		"GETs", "POSTs", "slowest", "")) + "\n" +
		p.paint(bold, fmt.Sprintf("%6s  %s  %s  %6s  %6s  %7s  %6s", "time",
			pad("answers a second"), pad("answers a second"), "saved", "waited", "GET", "errors"))
}

// Row returns the line for a second.
func (p *Picture) Row(r Row) string {
	errors := fmt.Sprintf("%6d", r.Tally.Failed())
	if r.Tally.Failed() > 0 {
		errors = p.paint(red, errors+"  "+r.Tally.Failure())
	}
	return fmt.Sprintf("%6s  %s %3s  %s %3s  %6s  %6s  %7s  %s", clock(r.At),
		p.bar(green, '#', r.Tally.Answers[p.Primary]), number(r.Tally.Answers[p.Primary]),
		p.bar(blue, '=', r.Tally.Answers[p.Secondary]), number(r.Tally.Answers[p.Secondary]),
		number(r.FailedOver), number(r.Waited), fmt.Sprintf("%d ms", r.Tally.SlowestGet.Milliseconds()), errors)
}

// Mark returns the line for a moment that matters.
func (p *Picture) Mark(at time.Duration, text string) string {
	return p.paint(yellow, fmt.Sprintf("%6s  >>> %s", clock(at), text))
}

// Verdict returns the last line, in green or red.
func (p *Picture) Verdict(good bool, text string) string {
	if good {
		return p.paint(green, text)
	}
	return p.paint(red, text)
}

// bar is a bar of barWidth columns, empty only for no answers at all.
func (p *Picture) bar(c colour, plain rune, n int) string {
	length := 0
	if n > 0 {
		length = min(max(n*barWidth/max(p.Full, 1), 1), barWidth)
	}
	rest := strings.Repeat(" ", barWidth-length)
	if p.Colour {
		return p.paint(c, strings.Repeat("█", length)) + rest
	}
	return strings.Repeat(string(plain), length) + rest
}

// colour is an ANSI colour's number.
type colour string

const (
	bold   colour = "1"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	blue   colour = "36"
)

func (p *Picture) paint(c colour, text string) string {
	if !p.Colour || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// number leaves out a zero, so that what happens catches the eye.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func clock(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// pad fills text up with blanks, to the width of a bar and its number.
func pad(text string) string {
	return text + strings.Repeat(" ", max(barWidth+4-utf8.RuneCountInString(text), 0))
}
