package report

import (
	"bytes"
	_ "embed" // the style sheet
	"fmt"
	"html"
)

//go:embed page.css
var styleSheet string

// head begins the page. The policy says what is true anyway: nothing runs, nothing is fetched.
const head = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%s</title>
<style>
%s</style>
</head>
<body>
<main>
<h1>%s</h1>
`

// HTML returns the report as one page that needs no other file: no script, no font, no picture. Each scenario can be
// folded; those that are broken are open.
func (r *Report) HTML() []byte {
	var b bytes.Buffer
	entries := r.entries()
	fmt.Fprintf(&b, head, text(r.Title), styleSheet, text(r.Title))
	element(&b, "p", "made", r.Made)
	element(&b, "p", "counts", counts(entries))
	summarise(&b, entries)
	for i := range entries {
		entries[i].html(&b, fmt.Sprintf("p%d", i))
	}
	b.WriteString("</main>\n</body>\n</html>\n")
	return b.Bytes()
}

// text makes a text safe between tags and in quotes.
func text(s string) string { return html.EscapeString(visible(s)) }

// element writes a text in a tag; an empty one is left out.
func element(b *bytes.Buffer, tag, class, content string) {
	if content != "" {
		fmt.Fprintf(b, "<%s class=\"%s\">%s</%s>\n", tag, class, text(content), tag)
	}
}

// summarise writes the table on top, a row with a link for each scenario.
func summarise(b *bytes.Buffer, entries []entry) {
	if len(entries) == 0 {
		return
	}
	b.WriteString("<table class=\"summary\">\n<thead><tr><th>Outcome</th><th>Scenario</th><th class=\"number\">Took</th><th>Why</th></tr></thead>\n<tbody>\n")
	for _, e := range entries {
		fmt.Fprintf(b, "<tr><td>%s</td><td><a href=\"#s-%s\">%s</a></td><td class=\"number\">%s</td><td class=\"why\">%s</td></tr>\n",
			badge(e.Outcome), e.slug, text(e.Name), short(e.Took), text(e.Why))
	}
	b.WriteString("</tbody>\n</table>\n")
}

// badge is an outcome, which is one of four words and so a class too.
func badge(outcome string) string {
	return fmt.Sprintf("<span class=\"outcome %s\">%s</span>", outcome, outcome)
}

// html writes a scenario; prefix keeps the ids of its picture apart from those of the others.
func (e *entry) html(b *bytes.Buffer, prefix string) {
	open := ""
	if e.Outcome == Broken {
		open = " open"
	}
	fmt.Fprintf(b, "<details id=\"s-%s\"%s>\n<summary>%s <h2>%s</h2> <span class=\"took\">%s</span></summary>\n",
		e.slug, open, badge(e.Outcome), text(e.Name), short(e.Took))
	element(b, "p", "why", e.Why)
	element(b, "p", "text", e.Text)
	if len(e.Proves) > 0 {
		b.WriteString("<h3>Promises</h3>\n<ul>\n")
		for _, promise := range e.Proves {
			element(b, "li", "promise", promise)
		}
		b.WriteString("</ul>\n")
	}
	if e.Picture != nil {
		e.Picture.Prefix = prefix
		// Where the window is narrower than the picture, arrow keys move it.
		fmt.Fprintf(b, "<figure tabindex=\"0\" role=\"region\" aria-label=\"Timeline of %s\">\n%s</figure>\n", text(e.Name), e.Picture.SVG())
	}
	e.figures(b)
	e.steps(b)
	b.WriteString("</details>\n")
}

func (e *entry) figures(b *bytes.Buffer) {
	if len(e.Figures) == 0 {
		return
	}
	b.WriteString("<h3>Figures</h3>\n<table class=\"figures\">\n<tbody>\n")
	for _, f := range e.Figures {
		fmt.Fprintf(b, "<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", text(f.Name), text(f.Value))
	}
	b.WriteString("</tbody>\n</table>\n")
}

func (e *entry) steps(b *bytes.Buffer) {
	if len(e.Steps) == 0 {
		return
	}
	b.WriteString("<h3>Steps</h3>\n<table class=\"steps\">\n<tbody>\n")
	for _, s := range e.Steps {
		class, note := "as-expected", ""
		if !s.Held {
			class, note = "unexpected", " <strong>not as expected</strong>"
		}
		fmt.Fprintf(b, "<tr class=\"%s\"><td class=\"number\">%s</td><td>%s%s</td></tr>\n", class, moment(s.At), text(s.Text), note)
	}
	b.WriteString("</tbody>\n</table>\n")
}
