package suite

import "sync"

// reportVariable names the folder for the report, in the environment. Unset:
// none is written.
const reportVariable = "FAIRLEAD_CHAOS_REPORT"

// results are the outcomes of a run.
var results collection

type collection struct {
	mu    sync.Mutex
	all   []*Outcome
	skip_ map[string]string
}

func (c *collection) add(o *Outcome)                { c.mu.Lock(); c.all = append(c.all, o); c.mu.Unlock() }
func (c *collection) skip(sc *Scenario, why string) {}
func (c *collection) write(dir string) error        { return nil }

func (c *collection) caught(m *Mutant, o *Outcome) {}
