package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzParse proves that any input gives either a Config that keeps its
// promises or problems that lie within the file, in order, one line each.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.toml", "../testdata/*.toml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no file matches %s", pattern)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(source)
		}
	}
	f.Add([]byte(skeleton))
	f.Fuzz(func(t *testing.T, source []byte) {
		cfg, err := Parse("a.toml", source, testOptions())
		if err == nil {
			checkPromises(t, cfg)
			return
		}
		problems, ok := err.(Problems)
		if cfg != nil || !ok || len(problems) == 0 {
			t.Fatalf("a Config %v and %v", cfg, err)
		}
		lines := strings.Split(strings.TrimPrefix(string(source), "\ufeff"), "\n")
		for i, p := range problems {
			if p.File != "a.toml" || p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
				t.Errorf("outside of the file: %v", p)
			}
			if i > 0 && (p.Line < problems[i-1].Line || p.Line == problems[i-1].Line && p.Column < problems[i-1].Column) {
				t.Errorf("out of order: %v", p)
			}
			if p.Msg == "" || !utf8.ValidString(p.Msg) || strings.ContainsFunc(p.Msg, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("not one printable line: %q", p.Msg)
			}
		}
	})
}

// checkPromises checks what the comments of Config say.
func checkPromises(t *testing.T, c *Config) {
	if len(c.Server.Listen) == 0 || len(c.Routes) == 0 {
		t.Error("nothing would be served")
	}
	names := map[string]bool{}
	for _, r := range c.Routes {
		g := c.Group(r.Group)
		if g == nil || r.Name == "" || names[r.Name] || r.Match == "" || r.Timeout <= 0 || r.Bulkhead.MaxConcurrent < 1 {
			t.Fatalf("route %+v", r)
		}
		names[r.Name] = true
		p := c.Origin(g.Primary)
		if p == nil || p.Address == "" || p.Authority == "" || (p.Scheme == "https") != (p.ServerName != "") {
			t.Fatalf("origin %+v", p)
		}
		if p.Health != nil && (p.Health.Timeout > p.Health.Interval || len(p.Health.ExpectStatus) == 0) {
			t.Errorf("health %+v", p.Health)
		}
		if g.Secondary == "" {
			continue
		}
		if s := c.Origin(g.Secondary); s == nil || s == p || s.Address == p.Address {
			t.Errorf("primary %+v, secondary %+v", p, s)
		}
		if len(g.FailoverMethods) > 0 && r.Timeout < p.ConnectTimeout+p.ResponseHeaderTimeout+secondChance {
			t.Errorf("route %+v leaves no time for a second attempt", r)
		}
	}
}
