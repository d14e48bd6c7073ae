package suite

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Scenario is one row of the matrix.
type Scenario struct {
	// Name is lower case with underscores: the fault's, where there is one.
	Name string
	// Text says in a sentence what happens and what must become of it.
	Text string
	// Proves names promises of docs/chaos.md.
	Proves []string
	// Full keeps it out of the default set, since it takes long.
	Full bool
	// Alone lets nothing else run beside it, since it measures.
	Alone bool
	// Needs are what the machine must have; else it is skipped.
	Needs []Need

	Setup Setup
	// Load is what clients send from the beginning on. Address and Host are
	// filled in. No element: the load of Shopping.
	Load []chaos.Load
	// Steps are taken one after the other. The load ends after the last one.
	Steps []Step
	// Want must be true of the whole.
	Want []Expectation

	program string // in place of the one that is built: a mutant
}

// Step is what is done, or awaited, at a time.
type Step struct {
	// At is when it is done at the earliest, since the load began; a step waits
	// for the one before it.
	At time.Duration
	Do Action
}

// Action is something to do on the stage, or to wait for. It returns an error if
// what it waits for does not come.
type Action struct {
	Text string
	Do   func(*Stage) error
}

// Expectation is a claim about the whole scenario.
type Expectation struct {
	Text  string
	Check func(*Outcome) error
}

// Need is something that not every machine has.
type Need struct {
	Text string
	Has  func() bool
}

// Shopping is the usual load: requests a second, of which a fifth is POST.
func Shopping(rate float64) chaos.Load {
	return chaos.Load{Rate: rate, Mix: []chaos.Shot{
		{Weight: 4, Method: "GET", Path: "/product/"},
		{Weight: 1, Method: "POST", Path: "/order/", BodySize: 512},
	}}
}

// Reading is a load of GETs only.
func Reading(rate float64) chaos.Load {
	return chaos.Load{Rate: rate, Mix: []chaos.Shot{{Method: "GET", Path: "/product/"}}}
}

// Writing is a load of POSTs only.
func Writing(rate float64) chaos.Load {
	return chaos.Load{Rate: rate, Mix: []chaos.Shot{{Method: "POST", Path: "/order/", BodySize: 512}}}
}

// lateError is what did not come in time: the machine may have been too busy for
// it, which is never an excuse for anything else.
type lateError struct{ error }

func late(format string, args ...any) error { return lateError{fmt.Errorf(format, args...)} }
