package config

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// documentedKey is one row of a table in docs/configuration.md.
type documentedKey struct {
	table, key, kind, fallback, limits string
}

func documentation(t *testing.T) []documentedKey {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []documentedKey
	table := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			table = title
		}
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") || len(cells) != 7 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, documentedKey{table, strings.Trim(cells[1], "`"), cells[2], cells[3], cells[4]})
	}
	return rows
}

// allFields returns the keys of each table that the documentation describes.
func allFields() map[string]fields {
	return map[string]fields{
		"[server]":                serverFields(new(Server)),
		"[[server.certificates]]": certificateFields(new(Certificate)),
		"[log]":                   logFields(new(Log)),
		"[resolver]":              resolverFields(new(Resolver)),
		"[nameserver]":            nameserverFields(new(Nameserver)),
		"[admin]":                 adminFields(new(Admin)),
		"[origins.NAME]":          originFields(new(Origin)),
		"[origins.NAME.health]":   healthFields(new(Health)),
		"[groups.NAME]":           groupFields(new(Group)),
		"[[routes]]":              routeFields(new(Route)),
		"[routes.bulkhead]":       bulkheadFields(new(Bulkhead)),
		"[routes.breaker]":        breakerFields(new(Breaker)),
	}
}

// subTables are the keys that have a heading of their own instead of a row.
var subTables = []string{"health", "bulkhead", "breaker", "certificates"}

func TestEveryKeyIsDocumentedAndNothingElse(t *testing.T) {
	documented := map[string][]string{}
	for _, row := range documentation(t) {
		documented[row.table] = append(documented[row.table], row.key)
	}
	for table, f := range allFields() {
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(f)), func(key string) bool { return slices.Contains(subTables, key) })
		got := slices.Sorted(slices.Values(documented[table]))
		if !slices.Equal(got, want) {
			t.Errorf("%s: documented are %q, known are %q", table, got, want)
		}
	}
	if len(documented) != len(allFields()) {
		t.Errorf("tables documented: %q", slices.Sorted(maps.Keys(documented)))
	}
}

// skeleton is a configuration with every table and only what is required. A
// marker stands at the end of each table.
const skeleton = `
[server]
#[server]
[log]
#[log]
[resolver]
#[resolver]
[origins.NAME]
url = "https://eu.example"
#[origins.NAME]
[origins.NAME.health]
#[origins.NAME.health]
[origins.us]
url = "https://us.example"
[groups.NAME]
primary = "NAME"
secondary = "us"
#[groups.NAME]
[[routes]]
name = "all"
match = "/"
group = "NAME"
#[[routes]]
[routes.bulkhead]
max_concurrent = 1
#[routes.bulkhead]
[routes.breaker]
#[routes.breaker]
`

// fullSkeleton is skeleton with the tables that make a difference by being there.
var fullSkeleton = strings.Replace(strings.Replace(skeleton, "#[server]", "tls_listen = [\":8443\"]\n#[server]", 1), "#[groups.NAME]", "dns_name = \"shop\"\n#[groups.NAME]", 1) + `
[[server.certificates]]
cert = "site.pem"
key = "site.key"
[nameserver]
listen = "127.0.0.1:5353"
zone = "failover.example."
ns = ["ns1.failover.example."]
#[nameserver]
[admin]
#[admin]
`

func TestTheDocumentedDefaultsAreTheRealOnes(t *testing.T) {
	want, err := Parse("skeleton.toml", []byte(fullSkeleton), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	literal := regexp.MustCompile("^`(.*)`$")
	tried := 0
	for _, row := range documentation(t) {
		m := literal.FindStringSubmatch(row.fallback)
		if m == nil {
			continue // required, or a default that is no value
		}
		source := strings.Replace(fullSkeleton, "#"+row.table+"\n", row.key+" = "+m[1]+"\n", 1)
		got, err := Parse("skeleton.toml", []byte(source), testOptions())
		if err != nil {
			t.Errorf("%s %s = %s: %v", row.table, row.key, m[1], err)
			continue
		}
		if !sameConfig(got, want) {
			t.Errorf("%s %s = %s is not what the key left out gives", row.table, row.key, m[1])
		}
		tried++
	}
	if tried < 35 {
		t.Errorf("only %d defaults were found in the documentation", tried)
	}
}

// sameConfig compares what two files mean: an empty list is no list.
func sameConfig(a, b *Config) bool {
	normal := func(c *Config) Config {
		n := *c
		if len(n.Server.TrustedProxies) == 0 {
			n.Server.TrustedProxies = nil
		}
		if len(n.Server.ProxyProtocol) == 0 {
			n.Server.ProxyProtocol = nil
		}
		if len(n.Admin.Hosts) == 0 {
			admin := *n.Admin
			admin.Hosts = nil
			n.Admin = &admin
		}
		if len(n.Nameserver.NSAddresses) == 0 {
			ns := *n.Nameserver
			ns.NSAddresses = nil
			n.Nameserver = &ns
		}
		return n
	}
	return reflect.DeepEqual(normal(a), normal(b))
}

func TestTheDocumentedRequiredKeysAreRequired(t *testing.T) {
	line := map[string]string{
		"url":            "url = \"https://eu.example\"\n",
		"primary":        "primary = \"NAME\"\n",
		"name":           "name = \"all\"\n",
		"match":          "match = \"/\"\n",
		"group":          "group = \"NAME\"\n",
		"max_concurrent": "max_concurrent = 1\n",
		"listen":         "listen = \"127.0.0.1:5353\"\n",
		"zone":           "zone = \"failover.example.\"\n",
		"ns":             "ns = [\"ns1.failover.example.\"]\n",
		"cert":           "cert = \"site.pem\"\n",
		"key":            "key = \"site.key\"\n",
	}
	found := 0
	for _, row := range documentation(t) {
		if row.fallback != "required" {
			continue
		}
		found++
		_, err := Parse("skeleton.toml", []byte(strings.Replace(fullSkeleton, line[row.key], "", 1)), testOptions())
		if err == nil || !strings.Contains(err.Error(), row.key+" is missing; write ") {
			t.Errorf("%s %s left out: %v", row.table, row.key, err)
		}
	}
	if found != len(line) {
		t.Errorf("%d keys are documented as required, not %d", found, len(line))
	}
}

func TestTheDocumentedLimitsAreTheRealOnes(t *testing.T) {
	bounds := regexp.MustCompile("^`([0-9a-z]+)` to `([0-9a-z]+)`$")
	tried := 0
	for _, row := range documentation(t) {
		m := bounds.FindStringSubmatch(row.limits)
		if m == nil || row.kind != "duration" && row.kind != "integer" {
			continue
		}
		set := allFields()[row.table][row.key]
		for _, c := range []struct {
			give string
			want bool
		}{
			{m[1], true},
			{m[2], true},
			{next(t, row.kind, m[1], -1), false},
			{next(t, row.kind, m[2], +1), false},
		} {
			d := &decoder{document: &document{}}
			k := kindInteger
			if row.kind == "duration" {
				k = kindString
			}
			set(d, value{node: &node{kind: k, text: c.give}, key: row.key})
			if accepted := len(d.findings) == 0; accepted != c.want {
				t.Errorf("%s %s = %s: accepted %v, want %v", row.table, row.key, c.give, accepted, c.want)
			}
		}
		tried++
	}
	if tried < 25 {
		t.Errorf("only %d limits were found in the documentation", tried)
	}
}

// next returns the value beside a limit: a nanosecond or one away from it.
func next(t *testing.T, kind, limit string, by int64) string {
	t.Helper()
	if kind == "integer" {
		n, err := number(&node{text: limit})
		if err != nil {
			t.Fatal(err)
		}
		return strconv.FormatInt(n+by, 10)
	}
	d, err := time.ParseDuration(limit)
	if err != nil {
		t.Fatal(err)
	}
	return (d + time.Duration(by)).String()
}

func TestEveryChoiceIsDocumented(t *testing.T) {
	quoted := regexp.MustCompile("`\"([a-z_]+)\"`")
	for _, row := range documentation(t) {
		if row.kind != "choice" {
			continue
		}
		d := &decoder{document: &document{}}
		allFields()[row.table][row.key](d, value{node: &node{kind: kindString, text: "no such choice at all"}, key: row.key})
		var words []string
		for _, m := range quoted.FindAllStringSubmatch(row.limits, -1) {
			words = append(words, show(m[1]))
		}
		if want := "; write " + oneOf(words); len(d.findings) != 1 || !strings.HasSuffix(d.findings[0].msg, want) {
			t.Errorf("%s %s: %v does not end with %q", row.table, row.key, d.findings, want)
		}
	}
}

// Three files together have every key, since few need those of the other two.
func TestTheFullExamplesSayEveryKeyWithItsDefault(t *testing.T) {
	text, err := os.ReadFile("../testdata/shop.toml")
	if err != nil {
		t.Fatal(err)
	}
	dns, err := os.ReadFile("../testdata/dns.toml")
	if err != nil {
		t.Fatal(err)
	}
	tls, err := os.ReadFile("../testdata/tls.toml")
	if err != nil {
		t.Fatal(err)
	}
	text = slices.Concat(text, []byte("\n"), dns, []byte("\n"), tls)
	said := map[string]bool{}
	defaults := map[string]string{}
	for _, row := range documentation(t) {
		defaults[row.table+row.key] = strings.Trim(row.fallback, "`")
	}
	table := ""
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "[") {
			table, _, _ = strings.Cut(strings.TrimSpace(line), " ")
			table = strings.NewReplacer(".eu", ".NAME", ".us", ".NAME", ".shop", ".NAME").Replace(table)
		}
		key, rest, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		said[table+key] = true
		got, comment, _ := strings.Cut(rest, " #")
		want := defaults[table+key]
		if strings.TrimSpace(got) != want && !strings.HasPrefix(strings.TrimSpace(comment), "no default") && !strings.Contains(rest, ":9102") && want != "required" {
			t.Errorf("%s %s = %s, but its default is %s", table, key, strings.TrimSpace(got), want)
		}
	}
	for _, row := range documentation(t) {
		if !said[row.table+row.key] && row.key != "sni" && row.key != "ca" && row.key != "follow" && row.key != "client_ca" && row.key != "token_file" {
			t.Errorf("%s %s is not in the example", row.table, row.key)
		}
	}
}
