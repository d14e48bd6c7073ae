package suite

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Outcome is what came of a scenario.
type Outcome struct {
	Scenario *Scenario
	Begun    time.Time
	Took     time.Duration
	Lost     time.Duration // that the machine took from it
	Deaf     time.Duration // the most that it took at once
	Steps    []StepOutcome
	Claims   []Claim
	// Broken is every invariant that was violated, and what kept the scenario
	// from being played; nil if there is nothing of the kind.
	Broken  error
	Ledger  *chaos.Ledger
	Origins []*chaos.Origin

	faults  []Span
	marks   []Mark
	journal *journal
	lost    *chaos.Stalls
	totals  map[string]Line // by route, of all processes together
}

// StepOutcome is a step that was taken.
type StepOutcome struct {
	At, Took time.Duration // since the load began; for how long
	Text     string
	Err      error
}

// Claim is an expectation and why it did not come true, or nil.
type Claim struct {
	Text string
	Err  error
}

// Err is everything that did not hold, or nil.
func (o *Outcome) Err() error {
	all := []error{o.Broken}
	for _, s := range o.Steps {
		if s.Err != nil {
			all = append(all, fmt.Errorf("at %v: %s: %w", s.At.Round(time.Millisecond), s.Text, s.Err))
		}
	}
	for _, c := range o.Claims {
		if c.Err != nil {
			all = append(all, fmt.Errorf("%s: %w", c.Text, c.Err))
		}
	}
	return errors.Join(all...)
}

// What the machine may take from a scenario before its claims prove less: lateBy
// in all for those about time, and deafFor at once for any other. By then a
// healthy origin may have been taken for a dead one, whose quick probes have
// 190 ms to pass through three busy processes.
const (
	lateBy  = 200 * time.Millisecond
	deafFor = 100 * time.Millisecond
)

// Excused reports whether all that did not hold proves nothing, since the machine
// was too busy. An invariant that was violated is never excused.
func (o *Outcome) Excused() bool {
	if o.Broken != nil || o.Lost < lateBy {
		return false
	}
	return o.Deaf >= deafFor || o.onlyLate()
}

// onlyLate reports whether all that did not hold are claims about time.
func (o *Outcome) onlyLate() bool {
	for _, s := range o.Steps {
		if s.Err != nil && !errors.As(s.Err, new(lateError)) {
			return false
		}
	}
	for _, c := range o.Claims {
		if c.Err != nil && !errors.As(c.Err, new(lateError)) {
			return false
		}
	}
	return true
}

// Play plays a scenario to its end and judges it.
func Play(sc *Scenario) *Outcome {
	o := &Outcome{Scenario: sc, Begun: time.Now(), journal: &journal{}, Ledger: &chaos.Ledger{}}
	s, err := openStage(sc)
	defer func() { o.Broken = errors.Join(o.Broken, s.close()) }()
	o.journal, o.lost = s.journal, s.lost
	if err != nil {
		o.Broken = fmt.Errorf("the stage could not be set: %w", err)
		return o
	}
	s.begin()
	o.Begun = s.begun
	o.Steps = s.play()
	for _, r := range s.runs {
		r.Stop()
	}
	o.Ledger, o.Origins = s.ledger(), slices.Concat(s.order, s.others)
	o.Broken = s.settle()
	o.Took, o.Lost, o.Deaf = time.Since(s.begun), s.lost.Total(), s.lost.Worst()
	for i := range s.faults {
		if s.faults[i].To.IsZero() {
			s.faults[i].To = o.Begun.Add(o.Took)
		}
	}
	o.faults, o.marks = s.faults, s.marks
	o.sumUp()
	o.Broken = errors.Join(o.Broken, s.invariants(o))
	for _, want := range sc.Want {
		o.Claims = append(o.Claims, Claim{want.Text, want.Check(o)})
	}
	return o
}

// settle waits until the proxy is at rest after the load, ends it, and says what
// is left over.
func (s *Stage) settle() error {
	if s.resigned {
		return nil
	}
	select {
	case <-s.proxy.gone:
		return fmt.Errorf("the proxy ended by itself: %v\n%s", s.proxy.cmd.ProcessState, s.proxy.tail())
	default:
	}
	return errors.Join(s.atRest(), s.proxy.drain())
}

// atRest waits until the proxy holds nothing any more that it did not hold before
// the load, and says what is left over.
func (s *Stage) atRest() error {
	var leak error
	rested := func() bool {
		if leak = s.permitsOut(); leak != nil {
			return false
		}
		u, err := s.usage()
		if err != nil {
			leak = err
			return false
		}
		leak = u.backTo(s.rest)
		return leak == nil
	}
	if err := s.await(8*time.Second, "the proxy to be at rest", rested); err != nil {
		return fmt.Errorf("%w: %w", errLeak, leak)
	}
	return nil
}

// permitsOut says which permits, places in a queue or parked requests there still are.
func (s *Stage) permitsOut() error {
	status, err := s.admin.status()
	if err != nil {
		return err
	}
	for _, r := range status.Routes {
		if b := r.Bulkhead; b.InUse+b.Queued+b.Parked > 0 {
			return fmt.Errorf("route %s: %d permits in use, %d queued, %d parked", r.Name, b.InUse, b.Queued, b.Parked)
		}
	}
	if status.Connections.Open > 0 {
		return fmt.Errorf("%d connections of clients", status.Connections.Open)
	}
	return nil
}

// sumUp adds the totals that each process wrote at its end.
func (o *Outcome) sumUp() {
	o.totals = make(map[string]Line)
	for _, l := range o.journal.find("route totals", nil) {
		t := o.totals[l.Route]
		t.Accepted += l.Accepted
		t.Served += l.Served
		t.FailedOver += l.FailedOver
		t.Shed += l.Shed
		t.Failed += l.Failed
		t.Left += l.Left
		t.Parked += l.Parked
		t.InUse += l.InUse
		t.Queued += l.Queued
		o.totals[l.Route] = t
	}
}
