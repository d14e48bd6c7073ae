package drill

import (
	"slices"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Place says which origins of a group a fault befalls.
type Place uint8

// The places of a fault.
const (
	AtPrimary   Place = iota // the primary
	AtSecondary              // the secondary
	AtBoth                   // every origin
)

// Fault is a fault of the chaos kit and where it strikes.
type Fault struct {
	chaos.Fault
	Place Place
}

// Faults are all that a drill has, in its order: those of the kit at the primary, then the two that are about the
// secondary.
func Faults() []Fault {
	var all []Fault
	for _, f := range chaos.Faults() {
		all = append(all, Fault{Fault: f})
	}
	refused, _ := chaos.FaultByName("connect_refused")
	secondary, both := refused, refused
	secondary.Name, secondary.Text = "secondary_down", "the secondary refuses connections, the primary is well"
	both.Name, both.Text = "both_down", "both origins refuse connections"
	return append(all, Fault{secondary, AtSecondary}, Fault{both, AtBoth})
}

// FaultNames are the names of Faults.
func FaultNames() []string {
	var names []string
	for _, f := range Faults() {
		names = append(names, f.Name)
	}
	return names
}

// FaultByName returns a fault of Faults.
func FaultByName(name string) (Fault, bool) {
	all := Faults()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return all[i], true
}

// hangs reports whether an attempt at the fault takes a time-out instead of failing at once.
func (f *Fault) hangs() bool {
	return f.Class == "header_timeout" || f.Class == "connect_timeout" || f.Name == "tls_stall"
}

// unsent reports whether nothing of a request reaches the origin, so that one that is not covered can still be sent.
func (f *Fault) unsent() bool {
	return slices.Contains([]string{"connect_refused", "connect_timeout", "tls", "dns"}, f.Class)
}
