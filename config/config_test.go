package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakePatterns stands for the check that belongs to another package: a
// pattern needs a slash, and no two may be equal.
func fakePatterns(patterns []string) []PatternProblem {
	var problems []PatternProblem
	for i, p := range patterns {
		if !strings.Contains(p, "/") {
			problems = append(problems, PatternProblem{Index: i, Other: -1, Msg: "a pattern needs a path; write \"/\" for every path"})
		}
		for j, q := range patterns[:i] {
			if p == q {
				problems = append(problems, PatternProblem{Index: i, Other: j, Msg: "the same requests match another route"})
			}
		}
	}
	return problems
}

// testOptions reads CA files only from testdata.
func testOptions() Options {
	return Options{
		Patterns: fakePatterns,
		ReadFile: func(path string) ([]byte, error) {
			pem, err := os.ReadFile(filepath.Join("testdata", filepath.Base(path)))
			if err != nil {
				err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist} // reads the same on every system
			}
			return pem, err
		},
	}
}

// wanted returns the problems that a file says of itself: lines that begin
// with "# want: ", the rest being line:column: message.
func wanted(source string) []string {
	var want []string
	for line := range strings.Lines(source) {
		if w, ok := strings.CutPrefix(line, "# want: "); ok {
			want = append(want, strings.TrimSpace(w))
		}
	}
	return want
}

func problemsOf(err error) []string {
	problems, _ := err.(Problems)
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Msg))
	}
	return got
}

// No checker of patterns can break a message into lines.
func TestAPatternProblemStaysOneLine(t *testing.T) {
	opt := Options{Patterns: func([]string) []PatternProblem {
		return []PatternProblem{{Index: 0, Other: -1, Msg: "bad\n\x1b[31m"}}
	}}
	_, err := Parse("a.toml", []byte(skeleton), opt)
	if got := problemsOf(err); len(got) != 1 || got[0] != "21:9: route \"all\": match = \"/\": bad\ufffd\ufffd[31m" {
		t.Errorf("got %q", got)
	}
}

func TestEachMistakeHasItsExactMessage(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Parse(filepath.Base(file), source, testOptions())
			if cfg != nil {
				t.Error("a bad file gave a Config")
			}
			got := strings.Join(problemsOf(err), "\n# want: ")
			want := strings.Join(wanted(string(source)), "\n# want: ")
			if got != want {
				t.Errorf("got\n# want: %s\nwant\n# want: %s", got, want)
			}
		})
	}
}
