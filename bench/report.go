package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// report is what one mode found, ready to be printed and to be put into the document.
type report struct {
	Section string // of the document: "compare", "tls", "idle", "routes", "accesslog"
	Machine string
	Tables  []table
	Notes   []string
	Sizes   []sizeResult // of a comparison: the chart's data
}

// table is a table of text. The columns up to the one that names the proxy are flush left, the figures flush right.
type table struct {
	Header []string
	Rows   [][]string
	Strong []bool // by row: the one that the reader looks for
}

func (t *table) add(strong bool, cells ...string) {
	t.Rows = append(t.Rows, cells)
	t.Strong = append(t.Strong, strong)
}

// labels is how many leading columns hold words, not figures.
func (t *table) labels() int {
	for i, h := range t.Header {
		if h == "proxy" || h == "fairlead" {
			return i + 1
		}
	}
	return 1
}

// text is the report for a terminal.
func (r report) text() string {
	var b strings.Builder
	for _, t := range r.Tables {
		t.writeText(&b)
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		b.WriteString(n + "\n")
	}
	b.WriteString(r.Machine + "\n")
	return b.String()
}

func (t *table) writeText(b *strings.Builder) {
	widths := make([]int, len(t.Header))
	lines := append([][]string{t.Header}, t.Rows...)
	for _, cells := range lines {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, cells := range lines {
		var line strings.Builder
		for i, c := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if i < t.labels() {
				line.WriteString(c + pad + "  ")
			} else {
				line.WriteString(pad + c + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// markdown is the report for the document, without the markers around it.
func (r report) markdown() string {
	var b strings.Builder
	for _, t := range r.Tables {
		t.writeMarkdown(&b)
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		b.WriteString("- " + n + "\n")
	}
	b.WriteString("- " + r.Machine + "\n")
	return b.String()
}

func (t *table) writeMarkdown(b *strings.Builder) {
	writeRow := func(cells []string, strong bool) {
		for _, c := range cells {
			if strong && c != "" {
				c = "**" + c + "**"
			}
			b.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	writeRow(t.Header, false)
	for i := range t.Header {
		if i < t.labels() {
			b.WriteString("|---")
		} else {
			b.WriteString("|---:")
		}
	}
	b.WriteString("|\n")
	for i, cells := range t.Rows {
		writeRow(cells, t.Strong[i])
	}
}

// replaceSection puts text between a section's two markers and leaves the rest of the document as it is. It is an error
// if either marker is missing, stands there twice, or if they come in the wrong order.
func replaceSection(document, section, text string) (string, error) {
	begin, end := "<!-- bench:"+section+" -->\n", "<!-- /bench:"+section+" -->"
	if strings.Count(document, begin) != 1 || strings.Count(document, end) != 1 {
		return "", fmt.Errorf("want the lines %q and %q, once each", strings.TrimSpace(begin), end)
	}
	before, rest, _ := strings.Cut(document, begin)
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("%q comes before %q", end, strings.TrimSpace(begin))
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}
