package suite

import (
	"fmt"

	"github.com/fairlead/fairlead/internal/chaos/dnsfault"
	"github.com/fairlead/fairlead/internal/chaos/netns"
	"github.com/fairlead/fairlead/internal/chaos/toxic"
)

// props are what stands between the proxy, its origins and its clients.
type props struct {
	dns   *dnsfault.Server
	links map[string]*toxic.Link // by origin; that of clients is under ""
	nets  map[string]*netns.Net  // by origin
}

// kit lets the parts that were made for tests make their things on a stage. What
// they call fatal ends [Stage.with].
type kit struct{ s *Stage }

// fatal is what a kit panics with.
type fatal struct{ error }

func (k kit) Helper()             {}
func (k kit) Cleanup(undo func()) { k.s.later(undo) }

// Errorf tells what could not be put away at the stage's end.
func (k kit) Errorf(format string, args ...any) {
	k.s.unclean = append(k.s.unclean, fmt.Errorf(format, args...))
}

func (k kit) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

// Skipf comes too late: a scenario says by Needs what it needs.
func (k kit) Skipf(format string, args ...any) { k.Fatalf(format, args...) }

// with does something with a kit and returns what was fatal.
func (s *Stage) with(do func(kit)) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fatal:
			err = r.error
		default:
			panic(r)
		}
	}()
	do(kit{s})
	return nil
}
