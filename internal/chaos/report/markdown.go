package report

import (
	"bytes"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// Markdown returns the report as a document that refers to its pictures as NAME.svg in a folder, relative to itself.
func (r *Report) Markdown(pictures string) []byte {
	var b bytes.Buffer
	entries := r.entries()
	fmt.Fprintf(&b, "# %s\n\n", plain(r.Title))
	if r.Made != "" {
		fmt.Fprintf(&b, "%s\n\n", plain(r.Made))
	}
	fmt.Fprintf(&b, "%s\n", counts(entries))
	if len(entries) > 0 {
		b.WriteString("\n| Outcome | Scenario | Took | Why |\n|---|---|--:|---|\n")
	}
	for _, e := range entries {
		fmt.Fprintf(&b, "| %s | [%s](#s-%s) | %s | %s |\n", emphasised(e.Outcome), plain(e.Name), e.slug, short(e.Took), plain(e.Why))
	}
	for _, e := range entries {
		e.markdown(&b, pictures)
	}
	return b.Bytes()
}

func (e *entry) markdown(b *bytes.Buffer, pictures string) {
	fmt.Fprintf(b, "\n<a id=\"s-%s\"></a>\n\n## %s\n\n%s", e.slug, plain(e.Name), emphasised(e.Outcome))
	if e.Why != "" {
		fmt.Fprintf(b, ": %s", plain(e.Why))
	}
	b.WriteString("\n")
	if e.Text != "" {
		fmt.Fprintf(b, "\n%s\n", plain(e.Text))
	}
	if len(e.Proves) > 0 {
		b.WriteString("\nPromises:\n\n")
	}
	for _, promise := range e.Proves {
		fmt.Fprintf(b, "- %s\n", plain(promise))
	}
	if e.Picture != nil {
		at := url.URL{Path: path.Join(pictures, e.slug+".svg")}
		fmt.Fprintf(b, "\n![Timeline of %s](<%s>)\n", plain(e.Name), at.String())
	}
	if len(e.Figures) > 0 {
		b.WriteString("\n| Figure | Value |\n|---|---|\n")
	}
	for _, f := range e.Figures {
		fmt.Fprintf(b, "| %s | %s |\n", plain(f.Name), plain(f.Value))
	}
	if len(e.Steps) > 0 {
		b.WriteString("\n| Time | Step | |\n|--:|---|---|\n")
	}
	for _, s := range e.Steps {
		mark := ""
		if !s.Held {
			mark = "**not as expected**"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", moment(s.At), plain(s.Text), mark)
	}
}

// emphasised makes what is not held stand out in plain text too.
func emphasised(outcome string) string {
	if outcome == Held {
		return outcome
	}
	return "**" + outcome + "**"
}

// opening is what Markdown would take for the beginning of a list, a heading or a rule.
var opening = regexp.MustCompile(`^(\d*)([-+=#.)])([-=#\s]|$)`)

// plain makes a text say in Markdown what it says, as a paragraph, a heading or a table's cell. Lines stay lines.
func plain(text string) string {
	runes := []rune(visible(strings.TrimSpace(text)))
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == '\n':
			b.WriteString("<br>")
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '_' && i > 0 && i < len(runes)-1 && isWord(runes[i-1]) && isWord(runes[i+1]):
			b.WriteRune(r) // as in connect_refused
		case strings.ContainsRune("\\`*_[]>|~", r):
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return opening.ReplaceAllString(b.String(), `$1\$2$3`)
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// visible replaces the characters that draw nothing or turn the reading order, and the kinds of white space.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r':
			return ' '
		case !unicode.IsGraphic(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
