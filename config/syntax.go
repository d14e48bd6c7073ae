package config

import (
	"cmp"
	"strings"
)

// syntaxError reports an error that the parser found at an offset, in the
// expression that begins at start. It looks first for what people really
// write: a word without quotes, no value, a header that isn't closed.
func (d *document) syntaxError(start, at int, msg string) {
	line := string(d.source[start:d.lineEnd(start)])
	key, rest, found := strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	valueAt := d.skip(start+len(line)-len(rest), "")
	if at > start+len(line) || d.current == d.root || !d.keep(key, start, valueAt) {
		d.broken = true
	}
	word, comment, _ := strings.Cut(rest, "#")
	word = strings.TrimSpace(word)
	switch {
	case at > start+len(line):
		d.manyLinesError(start, at, msg)
	case strings.Contains(msg, "in comment"):
		d.report(at, "a comment can't hold control characters; remove what stands here")
	case line[0] == '[':
		d.report(start, "%s: %s", showText(strings.TrimSpace(line)), headerError(line, msg))
	case !found && key != "":
		d.report(start, "%s", noEquals(key, msg))
	case key == "" || at < start+len(key):
		d.report(at, "%s", explain(msg))
	case word == "" && comment == "":
		d.report(start, "%s has no value; write one, or remove the line for the default", showText(key))
	case word == "":
		d.report(start, "%s has only a comment for a value; write a value before the #, or remove the line for the default", showText(key))
	case strings.IndexByte(`"'[{`, word[0]) < 0:
		d.report(valueAt, "%s = %s: %s", showText(key), showText(word), unquoted(word))
	default:
		d.report(at, "%s: %s", showText(key), explain(msg))
	}
}

// keep adds a key whose value can't be read to its table, so that nothing
// else is concluded from its absence. It reports whether that was possible.
func (d *document) keep(key string, at, valueAt int) bool {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return !bareKey(r) }) {
		return false
	}
	if d.current.index[key] == nil {
		d.current.add(key, at, &node{at: valueAt, bad: true})
	}
	return true
}

// manyLinesError reports an error in a later line than the expression's first.
func (d *document) manyLinesError(start, at int, msg string) {
	for _, c := range []struct{ said, open, missing string }{
		{"array is incomplete", "list", "]"},
		{"inline table is incomplete", "table", "}"},
		{"not terminated by '''", "string", "'''"},
		{`not terminated by """`, "string", `"""`},
	} {
		if strings.Contains(msg, c.said) {
			d.report(start, "this %s is never closed, so nothing below it was read; add %s", c.open, c.missing)
			return
		}
	}
	d.report(at, "%s (the value begins in line %d; nothing below it was read)", explain(msg), d.line(start))
}

// headerError explains a line that begins with a bracket.
func headerError(line, msg string) string {
	const rule = ", and names stand in quotes if they have other characters than letters, digits, - and _"
	switch {
	case strings.Contains(msg, "to close") && strings.HasPrefix(line, "[["):
		return "a header that begins with [[ ends with ]]" + rule
	case strings.Contains(msg, "to close"):
		return "a header ends with ]" + rule
	default:
		return explain(msg)
	}
}

// noEquals explains a line without =, perhaps of another kind of file.
func noEquals(line, msg string) string {
	if key, v, ok := strings.Cut(line, ":"); ok && v != "" && strings.TrimFunc(key, bareKey) == "" {
		v = strings.TrimSpace(v)
		if v != "" && !strings.Contains(`"'[{0123456789`, v[:1]) && v != "true" && v != "false" {
			v = show(v)
		}
		return showText(line) + ": a key is followed by =; write " + key + " = " + showText(v)
	}
	if strings.TrimFunc(line, bareKey) == "" {
		return showText(line) + " has no value; write " + showText(line) + " = VALUE, or # before a comment"
	}
	return showText(line) + ": " + explain(msg)
}

// unquoted explains a value that is neither a number nor a boolean and stands
// without quotes.
func unquoted(word string) string {
	switch lower := strings.ToLower(word); {
	case lower == "true" || lower == "false":
		return "booleans are written in small letters; write " + lower
	case lower == "yes" || lower == "on":
		return "a boolean is true or false; write true"
	case lower == "no" || lower == "off":
		return "a boolean is true or false; write false"
	case strings.Trim(word, "0123456789_,.'") == "" && strings.ContainsAny(word, ",'"):
		return "a number has no separators; write " + strings.NewReplacer(",", "", "'", "").Replace(word)
	case strings.Trim(word, "0123456789") == "":
		return "a number can't begin with 0; write " + cmp.Or(strings.TrimLeft(word, "0"), "0")
	default:
		return "text stands in quotes; write " + show(strings.Trim(word, `"'`))
	}
}

// explain says in an operator's words what the parser said in its own.
func explain(msg string) string {
	for _, c := range []struct{ said, instead string }{
		{"U+000D", "a carriage return alone ends no line; save the file with the line ends of Unix or Windows"},
		{"expected newline", "only a comment may follow a value or a header on its line; move the rest to a line of its own"},
		{"at start of value", "no value begins like this; text stands in quotes"},
		{"strings must be quoted", "text stands in quotes"},
		{"expected keyword", "a value that is neither a number, true nor false stands in quotes"},
		{"cannot have new lines", "the string is not closed; add its closing quote"},
		{"unterminated", "the string is not closed; add its closing quote"},
		{"invalid escape character", `a backslash begins an escape here; write \\ for a backslash, or put the text in 'single quotes'`},
		{"unicode escape", `\u is followed by 4 hexadecimal digits, \U by 8; write \\ for a backslash, or put the text in 'single quotes'`},
		{"expected ',' or ']'", "the items of a list are separated by commas, those that are text stand in quotes, and ] ends the list"},
		{"array is incomplete", "the list is not closed; add ]"},
		{"expected ',' or '}'", "the keys of an inline table are separated by commas and end with }"},
		{"inline table is incomplete", "the table is not closed; add }"},
		{"invalid character at start of key", "no key begins like this; keys hold letters, digits, - and _, all others stand in quotes"},
		{"expected '='", "a key is followed by = and its value; keys with other characters than letters, digits, - and _ stand in quotes"},
	} {
		if strings.Contains(msg, c.said) {
			return c.instead
		}
	}
	return msg
}
