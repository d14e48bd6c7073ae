package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestAWrongTypeIsFoundAtEachKeyOfTheFullExample(t *testing.T) {
	text, err := os.ReadFile("../testdata/shop.toml")
	if err != nil {
		t.Fatal(err)
	}
	keyValue := regexp.MustCompile(`^([a-z_]+ = )("[^"]*"|\[[^]]*\]|[a-z0-9]+)(.*)$`)
	lines := strings.Split(string(text), "\n")
	tried := 0
	for i, line := range lines {
		m := keyValue.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		tried++
		broken := append([]string(nil), lines...)
		broken[i] = m[1] + "1979-05-27" + m[3]
		_, err := Parse("shop.toml", []byte(strings.Join(broken, "\n")), Options{})
		want := fmt.Sprintf("shop.toml:%d:%d: ", i+1, len(m[1])+1)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: want one problem at %s, got\n%v", m[1], want, err)
		}
	}
	if tried < 45 {
		t.Errorf("only %d keys were tried", tried)
	}
}

// writer writes a configuration in a random style and remembers where one
// chosen value begins.
type writer struct {
	t       *rapid.T
	text    strings.Builder
	planted int // how many values come before the planted one
	values  int
	at      int // the offset of the planted value
}

func (w *writer) space() {
	w.text.WriteString(rapid.SampledFrom([]string{"", " ", "\t", "  "}).Draw(w.t, "space"))
}

// newline ends a line, perhaps after a comment with letters of several bytes.
func (w *writer) newline() {
	w.space()
	w.text.WriteString(rapid.SampledFrom([]string{"\n", "\r\n", "\n\n", "# é ] } \" '\n", "#\n \n"}).Draw(w.t, "newline"))
}

// value writes a value, or in the planted place one that no key accepts.
func (w *writer) value(literal string) {
	if w.values == w.planted {
		w.at = w.text.Len()
		literal = "1979-05-27"
	}
	w.values++
	w.text.WriteString(literal)
}

// list writes a list, whose items may be spread over lines.
func (w *writer) list(items []string) {
	w.text.WriteString("[")
	for i, item := range items {
		if rapid.Bool().Draw(w.t, "newline in list") {
			w.newline()
		}
		w.space()
		w.value(item)
		w.space()
		if i < len(items)-1 || rapid.Bool().Draw(w.t, "last comma") {
			w.text.WriteString(",")
		}
	}
	w.space()
	w.text.WriteString("]")
}

func (w *writer) key(name string) {
	w.text.WriteString(rapid.SampledFrom([]string{name, `"` + name + `"`, "'" + name + "'"}).Draw(w.t, "key"))
}

func (w *writer) keyValue(prefix []string, name string, literals []string) {
	for _, p := range prefix {
		w.key(p)
		w.space()
		w.text.WriteString(".")
		w.space()
	}
	w.key(name)
	w.space()
	w.text.WriteString("=")
	w.space()
	if len(literals) == 1 {
		w.value(literals[0])
	} else {
		w.list(literals)
	}
}

// setting is a key with its value, or with several for a list.
type setting struct {
	name     string
	literals []string
}

// parent opens the table above a table; that of a route is open already.
func (w *writer) parent(header []string) {
	if header[0] != "routes" {
		w.text.WriteString("[" + strings.Join(header[:len(header)-1], ".") + "]")
		w.newline()
	}
}

// table writes a table with a header, inline or with dotted keys.
func (w *writer) table(header []string, settings []setting) {
	switch rapid.SampledFrom([]string{"header", "inline", "dotted"}).Draw(w.t, "style") {
	case "header":
		w.space()
		w.text.WriteString("[" + strings.Join(header, ".") + "]")
		w.newline()
		for _, s := range settings {
			w.space()
			w.keyValue(nil, s.name, s.literals)
			w.newline()
		}
	case "inline":
		w.parent(header)
		w.key(header[len(header)-1])
		w.text.WriteString(" = {")
		for i, s := range settings {
			if i > 0 {
				w.text.WriteString(",")
			}
			w.space()
			w.keyValue(nil, s.name, s.literals)
			w.space()
		}
		w.text.WriteString("}")
		w.newline()
	case "dotted":
		w.parent(header)
		for _, s := range settings {
			w.keyValue(header[len(header)-1:], s.name, s.literals)
			w.newline()
		}
	}
}

func TestAPlantedMistakeIsFoundWhereItStandsInEveryStyle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{t: t, planted: rapid.IntRange(0, 19).Draw(t, "planted")}
		w.text.WriteString("[server]\n")
		w.keyValue(nil, "listen", []string{`"127.0.0.1:8080"`, `"unix:/run/é.sock"`})
		w.newline()
		w.table([]string{"origins", "eu", "health"}, []setting{
			{"path", []string{`"/healthz"`}}, {"fall", []string{"2"}}, {"expect_body", []string{"\"\"\"é\nü\"\"\""}},
		})
		w.text.WriteString("[origins.us]\n")
		w.keyValue(nil, "url", []string{"'http://127.0.0.1:9102'"})
		w.newline()
		w.table([]string{"groups", "a"}, []setting{
			{"primary", []string{`"eu"`}},
			{"failover_methods", []string{`"GET"`, `"HEAD"`}},
			{"failover_statuses", []string{"500", "0x1F7", "5_04"}},
		})
		for _, name := range []string{`"b"`, `"c"`} {
			w.text.WriteString("[[routes]]\n")
			w.keyValue(nil, "name", []string{name})
			w.newline()
			w.keyValue([]string{"breaker"}, "open_for", []string{`"1s"`})
			w.newline()
			w.table([]string{"routes", "bulkhead"}, []setting{{"max_concurrent", []string{"1"}}, {"max_queue", []string{"2"}}})
		}
		source := w.text.String()
		before := source[:w.at]
		line := 1 + strings.Count(before, "\n")
		column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
		_, err := Parse("a.toml", []byte(source), Options{})
		problems, _ := err.(Problems)
		for _, p := range problems {
			if strings.Contains(p.Msg, "not a date or time") {
				if p.Line != line || p.Column != column {
					t.Fatalf("%v\nwant line %d, column %d of\n%s", p, line, column, source)
				}
				return
			}
		}
		t.Fatalf("the planted value was not found in\n%s\n%v", source, err)
	})
}
