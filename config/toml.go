package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
)

// kind is what a value is, in the words of a message.
type kind string

const (
	kindString  kind = "a string"
	kindBool    kind = "a boolean"
	kindInteger kind = "an integer"
	kindFloat   kind = "a fractional number"
	kindTime    kind = "a date or time"
	kindArray   kind = "a list"
	kindTable   kind = "a table"
	kindTables  kind = "a list of tables"
)

// birth is how a table came to be, which decides what may still be added to
// it (TOML 1.0, "Table" and "Inline Table").
type birth uint8

const (
	bornImplied birth = iota // by the header of a table below it; its own may follow
	bornHeader               // by its own header; the root too
	bornDotted               // by a dotted key; only other dotted keys may add to it
	bornInline               // by braces; nothing may add to it
)

// node is one value of a file. Offsets are bytes from the file's beginning.
type node struct {
	kind  kind
	at    int    // where the value begins; for a table, its header or the key that made it
	text  string // the decoded text of a string, the literal of any other scalar
	items []*node
	keys  []*entry // of a table, in the file's order
	index map[string]*entry
	birth birth
	bad   bool // a problem was reported: conclusions from its content would be guesses
}

// entry is one key of a table.
type entry struct {
	name  string
	at    int
	value *node
}

func newTable(at int, b birth) *node {
	return &node{kind: kindTable, at: at, birth: b, index: map[string]*entry{}}
}

// get returns the value of a key, or nil.
func (n *node) get(name string) *node {
	if e := n.index[name]; e != nil {
		return e.value
	}
	return nil
}

func (n *node) add(name string, at int, value *node) {
	e := &entry{name: name, at: at, value: value}
	n.keys = append(n.keys, e)
	n.index[name] = e
}

// document is a parsed file.
type document struct {
	source   []byte
	lines    []int // where each line begins
	root     *node
	findings []finding
	// broken: something was skipped, so that a missing key proves nothing.
	broken bool

	parser  unstable.Parser
	base    int    // where in source the parser's input begins
	current *node  // the table that keys are added to
	header  string // the last header, for messages
}

// parseTOML reads as much of source, which must be UTF-8, as can be
// understood. The library stops at the first syntax error; here the parser
// starts again on the next line, unless the expression had gone over several
// lines and its end can't be known.
func parseTOML(source []byte) *document {
	d := &document{source: source, root: newTable(0, bornHeader), lines: lineStarts(source)}
	d.current = d.root
	d.parser.Reset(source)
	ahead := 0 // what lies before has been skipped once, which must do
	for start := 0; ; {
		ahead = d.skip(max(start, ahead), "\n")
		start = ahead
		if d.parser.NextExpression() {
			start = d.expression(d.parser.Expression(), start)
			continue
		}
		if d.parser.Error() == nil {
			return d
		}
		at, msg := d.parserError(start)
		start = min(start, at) // a comment that skip passed may be what is wrong
		next := d.lineEnd(start)
		d.syntaxError(start, at, msg)
		if at > next {
			return d
		}
		if bytes.HasPrefix(source[start:], []byte("[")) {
			d.current = newTable(start, bornHeader) // what follows belongs to nobody
		}
		d.base, start = next, next
		d.parser.Reset(source[next:])
	}
}

// parserError returns where the parser stopped and why.
func (d *document) parserError(start int) (at int, msg string) {
	e, ok := errors.AsType[*unstable.ParserError](d.parser.Error())
	if !ok {
		return start, fmt.Sprint(d.parser.Error())
	}
	// The highlight is a slice of source, so their capacities end together.
	return min(max(cap(d.source)-cap(e.Highlight), 0), len(d.source)), e.Message
}

// skip returns the first offset from at on that holds neither white space, a
// comment nor one of the characters given.
func (d *document) skip(at int, also string) int {
	for at < len(d.source) {
		switch c := d.source[at]; {
		case c == '#':
			at = d.lineEnd(at)
		case c == ' ', c == '\t', strings.IndexByte(also, c) >= 0:
			at++
		case c == '\r' && at+1 < len(d.source) && d.source[at+1] == '\n':
			at++
		default:
			return at
		}
	}
	return at
}

// lineEnd returns the offset of the newline that ends the line of at.
func (d *document) lineEnd(at int) int {
	if i := bytes.IndexByte(d.source[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(d.source)
}

// line returns the number of the line that holds the offset.
func (d *document) line(at int) int {
	n, found := slices.BinarySearch(d.lines, at)
	if found {
		return n + 1
	}
	return n
}

func lineStarts(source []byte) []int {
	starts := []int{0}
	for i, c := range source {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// report adds a finding. What can't be printed was escaped already where it
// came from the file; this makes sure of what came from elsewhere.
func (d *document) report(at int, format string, args ...any) {
	msg := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, fmt.Sprintf(format, args...))
	d.findings = append(d.findings, finding{at, msg})
}

// offset returns where in the source a node's text begins and ends.
func (d *document) offset(r unstable.Range) (begin, end int) {
	begin = d.base + int(r.Offset)
	return begin, begin + int(r.Length)
}

// expression adds one header or key with its value to the tree and returns
// where it ends.
func (d *document) expression(n *unstable.Node, start int) int {
	if n.Kind == unstable.KeyValue {
		return d.keyValue(d.current, n)
	}
	var path, shown []string
	end := start
	for it := n.Key(); it.Next(); {
		path = append(path, string(it.Node().Data))
		shown = append(shown, showKey(path[len(path)-1]))
		_, end = d.offset(it.Node().Raw)
	}
	if n.Kind == unstable.ArrayTable {
		d.header = "[[" + cut(strings.Join(shown, ".")) + "]]"
		d.current = d.openElement(path, start)
	} else {
		d.header = "[" + cut(strings.Join(shown, ".")) + "]"
		d.current = d.openTable(path, start)
	}
	return d.lineEnd(end)
}

// parent walks to the table that a header's last part belongs to, making what
// is missing. It returns nil, having reported it, where a value stands in the way.
func (d *document) parent(path []string, at int) *node {
	t := d.root
	for _, name := range path[:len(path)-1] {
		next := t.get(name)
		if next == nil {
			next = newTable(at, bornImplied)
			t.add(name, at, next)
		}
		if next.kind == kindTables {
			next = next.items[len(next.items)-1]
		}
		if next.kind != kindTable || next.birth == bornInline {
			d.conflict(at, "%s: %s is %s, set in line %d; remove one of the two", d.header, showKey(name), next.kind, d.line(next.at))
			return nil
		}
		t = next
	}
	return t
}

// conflict reports that a header can't be what it says. What stands below it
// is ignored, so no missing key may be reported.
func (d *document) conflict(at int, format string, args ...any) {
	d.broken = true
	d.report(at, format, args...)
}

// openTable returns the table of a [header]. After a conflict it is one that
// nobody reads.
func (d *document) openTable(path []string, at int) *node {
	fresh := newTable(at, bornHeader)
	t := d.parent(path, at)
	if t == nil {
		return fresh
	}
	name := path[len(path)-1]
	old := t.get(name)
	switch {
	case old == nil:
		t.add(name, at, fresh)
		return fresh
	case old.kind == kindTable && old.birth == bornImplied:
		old.at, old.birth = at, bornHeader
		return old
	case old.kind == kindTable && len(path) > 1 && path[0] == "routes":
		d.conflict(at, "%s stands here again, the first is in line %d; merge the two, or put the [[routes]] line that is missing above this one", d.header, d.line(old.at))
	case old.kind == kindTable:
		d.conflict(at, "%s stands here again, the first is in line %d; merge the two", d.header, d.line(old.at))
	case old.kind == kindTables:
		d.conflict(at, "%s: line %d made it a list with double brackets; write [%s] here too", d.header, d.line(old.at), d.header)
	default:
		d.conflict(at, "%s: %s is %s already, set in line %d; remove one of the two", d.header, showKey(name), old.kind, d.line(old.at))
	}
	return fresh
}

// openElement returns the new table that a [[header]] adds to its list.
func (d *document) openElement(path []string, at int) *node {
	fresh := newTable(at, bornHeader)
	t := d.parent(path, at)
	if t == nil {
		return fresh
	}
	name := path[len(path)-1]
	old := t.get(name)
	switch {
	case old == nil:
		t.add(name, at, &node{kind: kindTables, at: at, items: []*node{fresh}})
	case old.kind == kindTables:
		old.items = append(old.items, fresh)
	case old.kind == kindTable && old.birth == bornImplied:
		if !d.broken {
			d.conflict(old.at, "[%s.%s] stands above the first %s; put it below the one that it is meant for", strings.Trim(d.header, "[]"), showKey(old.keys[0].name), d.header)
		}
		t.index[name].value = &node{kind: kindTables, at: at, items: []*node{fresh}}
	default:
		d.conflict(at, "%s: %s is %s already, made in line %d; remove one of the two", d.header, showKey(name), old.kind, d.line(old.at))
	}
	return fresh
}

// keyValue adds a key, perhaps a dotted one, to a table and returns where its
// value ends.
func (d *document) keyValue(t *node, n *unstable.Node) int {
	var name string
	var begin, end int
	reported := false
	for it := n.Key(); it.Next(); {
		name = string(it.Node().Data)
		begin, end = d.offset(it.Node().Raw)
		if it.IsLast() {
			break
		}
		next := t.get(name)
		if next == nil {
			next = newTable(begin, bornDotted)
			t.add(name, begin, next)
		}
		if next.kind != kindTable || next.birth != bornDotted {
			if !reported {
				d.conflict(begin, "%s is set already, in line %d, and a dotted key can't add to it; move the key there", showKey(name), d.line(next.at))
				reported = true
			}
			next = newTable(begin, bornDotted)
		}
		t = next
	}
	value, valueEnd := d.value(n.Value(), d.skip(end, "="))
	if old := t.get(name); old != nil {
		d.report(begin, "%s is set twice, the first time in line %d; remove one of the two", showKey(name), d.line(old.at))
	} else {
		t.add(name, begin, value)
	}
	return valueEnd
}

// value converts a value that begins at an offset and returns where it ends.
// The library knows the places of scalars and of keys; those of lists and
// inline tables follow from what stands in them.
func (d *document) value(n *unstable.Node, at int) (*node, int) {
	switch n.Kind {
	case unstable.Array:
		list := &node{kind: kindArray, at: at}
		end := at + 1
		for it := n.Children(); it.Next(); {
			var item *node
			item, end = d.value(it.Node(), d.skip(end, "\n,"))
			list.items = append(list.items, item)
		}
		return list, d.skip(end, "\n,") + 1
	case unstable.InlineTable:
		table := newTable(at, bornInline)
		end := at + 1
		for it := n.Children(); it.Next(); {
			end = d.keyValue(table, it.Node())
		}
		return table, d.skip(end, "\n,") + 1
	default:
		_, end := d.offset(n.Raw)
		return &node{kind: scalars[n.Kind], at: at, text: string(n.Data)}, end
	}
}

var scalars = map[unstable.Kind]kind{
	unstable.String:        kindString,
	unstable.Bool:          kindBool,
	unstable.Integer:       kindInteger,
	unstable.Float:         kindFloat,
	unstable.LocalDate:     kindTime,
	unstable.LocalTime:     kindTime,
	unstable.LocalDateTime: kindTime,
	unstable.DateTime:      kindTime,
}
