package suite

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mutant is the program with one rule broken on purpose: a unified diff with a
// head that says which rule it is and which scenario finds it.
//
//	Breaks: a POST is sent at most once
//	Caught by: keepalive_close: uncovered request reached origins more than once
//	--- a/proxy/attempt.go
//	+++ b/proxy/attempt.go
//	@@ ...
type Mutant struct {
	Name     string // the file's, without its extension
	Breaks   string
	Scenario string // that finds it
	Finds    string // a part of what it says
	changes  map[string][]hunk
}

// hunk is one change of a file: what stands there, and what is to.
type hunk struct{ old, new string }

// ReadMutant reads a patch.
func ReadMutant(path string) (*Mutant, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &Mutant{Name: strings.TrimSuffix(filepath.Base(path), ".patch"), changes: make(map[string][]hunk)}
	file, within := "", false
	for line := range strings.Lines(string(text)) {
		rest := ""
		switch {
		case cut(line, "Breaks: ", &m.Breaks), cut(line, "--- ", &rest):
			within = false
		case cut(line, "Caught by: ", &rest):
			m.Scenario, m.Finds, _ = strings.Cut(rest, ": ")
		case cut(line, "+++ b/", &rest):
			file, within = rest, false
		case strings.HasPrefix(line, "@@"):
			m.changes[file] = append(m.changes[file], hunk{})
			within = true
		case within:
			m.changes[file][len(m.changes[file])-1].take(line)
		}
	}
	if m.Breaks == "" || m.Scenario == "" || m.Finds == "" || len(m.changes) == 0 {
		return nil, fmt.Errorf("%s: a mutant needs the lines \"Breaks:\" and \"Caught by: SCENARIO: TEXT\", and a change", path)
	}
	return m, nil
}

func cut(line, prefix string, rest *string) bool {
	after, ok := strings.CutPrefix(line, prefix)
	if ok {
		*rest = strings.TrimSpace(after)
	}
	return ok
}

// take adds a line of a diff.
func (h *hunk) take(line string) {
	switch rest := line[1:]; line[0] {
	case '-':
		h.old += rest
	case '+':
		h.new += rest
	case ' ':
		h.old += rest
		h.new += rest
	case '\n':
		h.old += line
		h.new += line
	}
}

// Apply writes the changed files into dir and returns the name of the file that
// tells the compiler of them. Root is the sources'. What a hunk takes away must
// stand in its file once, wherever that is.
func (m *Mutant) Apply(root, dir string) (overlay string, err error) {
	replace := make(map[string]string)
	for file, hunks := range m.changes {
		path := filepath.Join(root, filepath.FromSlash(file))
		source, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		text := string(source)
		for _, h := range hunks {
			if n := strings.Count(text, h.old); n != 1 {
				return "", fmt.Errorf("mutant %s no longer fits %s: what it changes is there %d times:\n%s", m.Name, file, n, h.old)
			}
			text = strings.Replace(text, h.old, h.new, 1)
		}
		replace[path] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(err, os.WriteFile(overlay, b, 0o600))
}
