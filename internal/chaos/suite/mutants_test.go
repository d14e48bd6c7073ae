package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the sources'.
const root = "../../.."

func mutants(t *testing.T) (all []*Mutant) {
	t.Helper()
	files, err := filepath.Glob("../testdata/mutants/*.patch")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d mutants: %v", len(files), err)
	}
	for _, file := range files {
		m, err := ReadMutant(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// A patch that no longer fits proves nothing, so it is noticed at once.
func TestMutantsFitTheSources(t *testing.T) {
	for _, m := range mutants(t) {
		if _, err := m.Apply(root, t.TempDir()); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(matrix(), func(sc Scenario) bool { return sc.Name == m.Scenario }) {
			t.Errorf("mutant %s: there is no scenario %s", m.Name, m.Scenario)
		}
	}
}

// TestMutantsAreCaught breaks one rule after the other and holds the suite
// against the result: the scenario that the patch names must fail for the reason
// that it names.
func TestMutantsAreCaught(t *testing.T) {
	if os.Getenv(fullVariable) != "full" {
		t.Skipf("it builds the program many times: set %s=full", fullVariable)
	}
	for _, m := range mutants(t) {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			m.mustBeCaught(t)
		})
	}
}

// building lets one compiler work at a time, or the scenarios beside it starve.
var building sync.Mutex

func (m *Mutant) build(overlay string) (program string, err error) {
	building.Lock()
	defer building.Unlock()
	return build("mutant-"+m.Name, "-overlay", overlay)
}

func (m *Mutant) mustBeCaught(t *testing.T) {
	absolute, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := m.Apply(absolute, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, err := m.build(overlay)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(matrix(), func(sc Scenario) bool { return sc.Name == m.Scenario })
	if i < 0 {
		t.Fatalf("there is no scenario %s", m.Scenario)
	}
	sc := matrix()[i]
	for _, need := range sc.Needs {
		if !need.Has() {
			t.Skipf("its scenario needs %s", need.Text)
		}
	}
	sc.program = program
	o := playBeside(&sc)
	err = o.Err()
	if err == nil || !strings.Contains(err.Error(), m.Finds) {
		err = fmt.Errorf("%s: %s does not find it; it says: %w", m.Breaks, sc.Name, err)
		t.Error(err)
	} else {
		err = nil
	}
	results.caught(m, o, err)
}
