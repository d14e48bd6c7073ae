package suite

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/chaos/report"
)

// reportVariable names the folder for the report, in the environment. Unset:
// none is written.
const reportVariable = "FAIRLEAD_CHAOS_REPORT"

// results are the outcomes of a run.
var results collection

type collection struct {
	mu  sync.Mutex
	all []report.Scenario
}

func (c *collection) put(s report.Scenario) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, s)
}

func (c *collection) add(o *Outcome) {
	if os.Getenv(reportVariable) != "" {
		c.put(o.Report())
	}
}

func (c *collection) skip(sc *Scenario, why string) {
	c.put(report.Scenario{Name: sc.Name, Text: sc.Text, Proves: sc.Proves, Outcome: report.Skipped, Why: "it needs " + why})
}

// caught adds a mutant: it holds if the scenario did not.
func (c *collection) caught(m *Mutant, o *Outcome, err error) {
	if os.Getenv(reportVariable) == "" {
		return
	}
	s := o.Report()
	s.Name, s.Text = "mutant "+m.Name, "The rule that is broken on purpose: "+m.Breaks+". "+m.Scenario+" must find it."
	line := slices.IndexFunc(strings.Split(s.Why, "\n"), func(l string) bool { return strings.Contains(l, m.Finds) })
	s.Outcome, s.Why = report.Held, "found: "+strings.Split(s.Why, "\n")[max(line, 0)]
	if err != nil {
		s.Outcome, s.Why = report.Broken, err.Error()
	}
	c.put(s)
}

func (c *collection) write(dir string) error {
	if dir == "" || len(c.all) == 0 {
		return nil
	}
	slices.SortFunc(c.all, func(a, b report.Scenario) int { return strings.Compare(a.Name, b.Name) })
	r := report.Report{Title: "Fairlead under chaos", Made: made(), Scenarios: c.all}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return r.Write(dir)
}

// made says when, of what and where.
func made() string {
	text := time.Now().UTC().Format("2006-01-02 15:04 UTC")
	if commit, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		text += ", commit " + strings.TrimSpace(string(commit))
	}
	return text + fmt.Sprintf(", %s, %s/%s, %d processors", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
