package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/drill"
)

const (
	defaultDrillRate = 50
	maxDrillRate     = 10_000
	maxDrillFor      = 10 * time.Minute
	// easyRate is how many requests a second a drill sends in all, unless it is told
	// otherwise: so few that this machine is in nobody's way.
	easyRate = 800
	maxLanes = 4
	// maxAgain is how many faults are played again, alone, because this machine was too
	// busy for their figures. Those by which covered requests failed meanwhile are not
	// counted: each has its second chance.
	maxAgain = 5
	// drillOverhead is what a fault takes beside its times.
	drillOverhead = 300 * time.Millisecond
)

// drillOptions is what "fairlead drill" was asked for.
type drillOptions struct {
	faults []drill.Fault // nil: all
	routes []string      // nil: all
	rate   float64       // 0: as few as are easy
	during time.Duration // 0: as long as each fault takes
	asJSON bool
	html   string    // a file; "": none
	lanes  int       // faults at the same time; 0: as many as fit
	live   liveDrill // instead of all that; where.config is the file in any case
}

// file is the configuration.
func (o *drillOptions) file() string { return cmp.Or(o.live.where.config, "fairlead.toml") }

// register defines the flags.
func (o *drillOptions) register(flags *flag.FlagSet) {
	o.live.register(flags)
	flags.StringVar(&o.live.where.config, "c", "", "")
	flags.BoolVar(&o.asJSON, "json", false, "")
	flags.StringVar(&o.html, "html", "", "")
	flags.Func("fault", "", func(s string) error {
		for name := range strings.SplitSeq(s, ",") {
			name = strings.TrimSpace(name)
			f, ok := drill.FaultByName(name)
			if !ok {
				return fmt.Errorf("there is no fault %q, but %s", name, strings.Join(drill.FaultNames(), ", "))
			}
			if !slices.ContainsFunc(o.faults, func(other drill.Fault) bool { return other.Name == name }) {
				o.faults = append(o.faults, f)
			}
		}
		return nil
	})
	flags.Func("route", "", func(s string) error {
		o.routes = append(o.routes, strings.Split(s, ",")...)
		return nil
	})
	flags.Func("rate", "", func(s string) error {
		rate, err := strconv.ParseFloat(s, 64)
		if err != nil || !(rate >= 1 && rate <= maxDrillRate) { // NaN is neither
			return fmt.Errorf("write requests a second, from 1 to %d", maxDrillRate)
		}
		o.rate = rate
		return nil
	})
	flags.Func("for", "", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("write a time such as 5s or 10m")
		}
		o.during = d
		return nil
	})
}

// routeNames are those of the configuration, for completion, none if it is bad.
func (o *drillOptions) routeNames() []string {
	cfg, err := load(o.file())
	if err != nil {
		return nil
	}
	var names []string
	for i := range cfg.Routes {
		names = append(names, cfg.Routes[i].Name)
	}
	return names
}

// check says which flags don't go together, "" for none.
func (o *drillOptions) check(flags *flag.FlagSet) string {
	if o.live.group == "" {
		if given := o.live.given(flags); given != nil {
			return given[0] + " is for --live"
		}
		if o.during > maxDrillFor {
			return fmt.Sprintf("--for is %v: without --live it is %v at most", o.during, maxDrillFor)
		}
		return ""
	}
	wrong := ""
	flags.Visit(func(f *flag.Flag) {
		if slices.Contains([]string{"fault", "route", "rate", "html"}, f.Name) {
			wrong = "--" + f.Name + " is not for --live, which takes the requests that come"
		}
	})
	return wrong
}

// drillCommand is "fairlead drill".
func (p *program) drillCommand(ctx context.Context, args []string) error {
	const name = "drill"
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	var o drillOptions
	o.register(flags)
	rest, err := parseMixed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help([]string{name})
	case err != nil:
		return &usageError{name, err.Error()}
	case len(rest) > 0:
		return &usageError{name, fmt.Sprintf("unexpected argument %q", rest[0])}
	}
	if wrong := o.check(flags); wrong != "" {
		return &usageError{name, wrong}
	}
	ctx, stop := p.untilHangup(ctx)
	defer stop()
	if o.live.group != "" {
		o.live.lasting, o.live.asJSON = o.during, o.asJSON
		return p.drillLive(ctx, &o.live)
	}
	return p.drill(ctx, &o)
}

// drill drills a configuration, and says what came of it. The error says that
// something did that must not.
func (p *program) drill(ctx context.Context, o *drillOptions) error {
	cfg, err := load(o.file())
	if err != nil {
		return missing(err)
	}
	doc := &drill.Document{Config: o.file(), Version: buildVersion(), Started: time.Now().UTC(), Notes: drillNotes(cfg), Faults: []drill.Result{}}
	d, err := newDrillRun(cfg, o, doc)
	if err != nil {
		return err
	}
	faults := o.faults
	if faults == nil {
		faults = drill.Faults()
	}
	jobs := d.jobs(faults)
	page, err := openDrillPage(o.html)
	if err != nil {
		return err
	}
	out := newDrillPrinter(p, o, doc)
	if err := out.greet(len(faults), d.estimate(jobs)); err != nil {
		return err
	}
	err = d.run(ctx, jobs, out, page)
	out.progress.end()
	if err != nil {
		return err
	}
	doc.Complete = len(doc.Faults) == len(jobs)
	doc.TookS = time.Since(doc.Started).Seconds()
	doc.Tally()
	if err := out.sum(); err != nil {
		return err
	}
	if err := page.write(doc); err != nil {
		return err
	}
	return drillError(doc, len(jobs))
}

// drillError is what makes the exit code 1.
func drillError(doc *drill.Document, jobs int) error {
	var errs []string
	if n := doc.Violations; n > 0 {
		errs = append(errs, fmt.Sprintf("%s of Fairlead's own promises: this is a defect of Fairlead, please report it", count(n, "violation")))
	}
	if n := doc.CoveredFailed; n > 0 {
		errs = append(errs, count(n, "covered request")+" failed"+doubts(doc))
	}
	if !doc.Complete {
		errs = append(errs, fmt.Sprintf("stopped after %d of %s", len(doc.Faults), count(jobs, "fault")))
	}
	if errs == nil {
		return nil
	}
	return errors.New(strings.Join(errs, "; "))
}

// doubts says how much of what failed may be this machine's doing, "" for nothing.
func doubts(doc *drill.Document) string {
	n, faults := 0, 0
	for i := range doc.Faults {
		if r := &doc.Faults[i]; r.Doubtful() {
			n += r.CoveredFailed()
			faults++
		}
	}
	switch n {
	case 0:
		return ""
	case doc.CoveredFailed:
		return fmt.Sprintf(", all by %s in which this machine stood still, also when played again: that may be why, so drill when it is not busy, or with a lower --rate", count(faults, "fault"))
	}
	return fmt.Sprintf(", %d of them by %s in which this machine stood still, also when played again", n, count(faults, "fault"))
}

// drillNotes are what is dangerous about the configuration, and what of it a
// drill does in another way.
func drillNotes(cfg *config.Config) []string {
	notes := dangers(cfg)
	for i := range cfg.Groups {
		if g := &cfg.Groups[i]; g.Follow != nil {
			notes = append(notes, fmt.Sprintf("group %s follows %s: in the drill its pointer goes by its own verdicts, and %s is not asked", g.Name, g.Follow, g.Follow))
		}
	}
	if notes == nil {
		notes = []string{}
	}
	return notes
}

// newDrillRun settles which routes are driven and how hard, and says so in doc.
func newDrillRun(cfg *config.Config, o *drillOptions, doc *drill.Document) (*drillRun, error) {
	wanted, err := drillWanted(cfg, o.routes)
	if err != nil {
		return nil, err
	}
	d := &drillRun{cfg: cfg, during: o.during, rate: o.rate}
	if d.certs, err = drillCertificates(cfg); err != nil {
		return nil, err
	}
	ask, err := newDrillRouter(cfg)
	if err != nil {
		return nil, err
	}
	var whys []string
	for _, c := range wanted {
		r, why := newDrillRoute(cfg, c, ask)
		if why != "" {
			whys = append(whys, c.Name+": "+why)
			doc.Routes = append(doc.Routes, drill.Route{Name: c.Name, Match: c.Match, Group: c.Group, Why: why})
			continue
		}
		d.routes = append(d.routes, r)
	}
	if len(d.routes) == 0 {
		return nil, fmt.Errorf("%w: %s", errNothingToDrive, strings.Join(whys, "; "))
	}
	if d.rate == 0 {
		d.rate = float64(max(1, min(defaultDrillRate, easyRate/len(d.routes))))
	}
	d.lanes = cmp.Or(o.lanes, d.fit(runtime.GOMAXPROCS(0)))
	for i, r := range d.routes {
		doc.Routes = slices.Insert(doc.Routes, i, r.describe(d.rate))
	}
	return d, nil
}

// fit is how many faults this machine can play at the same time, so that each has
// enough of it. Handshakes are what takes most.
func (d *drillRun) fit(processors int) int {
	lanes := min(easyRate/int(d.rate*float64(len(d.routes))), maxLanes, 2*processors)
	if d.certs != nil {
		lanes /= 2
	}
	return max(lanes, 1)
}

// drillWanted are the routes of these names, all for none.
func drillWanted(cfg *config.Config, names []string) ([]*config.Route, error) {
	var wanted []*config.Route
	var known []string
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		known = append(known, r.Name)
		if names == nil || slices.Contains(names, r.Name) {
			wanted = append(wanted, r)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, &usageError{"drill", fmt.Sprintf("there is no route %q, but %s", name, listed(known))}
		}
	}
	return wanted, nil
}

// drillJob is one fault of a drill.
type drillJob struct {
	fault  drill.Fault
	rounds []*drillRound // none: nothing of the configuration can have the fault
}

func (d *drillRun) jobs(faults []drill.Fault) []drillJob {
	jobs := make([]drillJob, len(faults))
	for i, f := range faults {
		jobs[i] = drillJob{f, d.rounds(f)}
	}
	return jobs
}

// total is how long a job takes, at most.
func (j *drillJob) total() time.Duration {
	var sum time.Duration
	for _, round := range j.rounds {
		sum += round.times.Total() + drillOverhead
	}
	return sum
}

// estimate is how long the jobs take together.
func (d *drillRun) estimate(jobs []drillJob) time.Duration {
	free := make([]time.Duration, d.lanes) // when each lane is
	for i := range jobs {
		slices.Sort(free)
		free[0] += jobs[i].total()
	}
	return slices.Max(free)
}

// drillDone is a job that is over.
type drillDone struct {
	result *drill.Result // nil: it was not begun, or stopped
	seen   []*drillSeen
	err    error
}

// run does the jobs, as many at the same time as there are lanes, and hands the
// results on in their order. When ctx ends it stops, and those that are over stay.
func (d *drillRun) run(ctx context.Context, jobs []drillJob, out *drillPrinter, page *drillPage) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make([]chan drillDone, len(jobs))
	for i := range done {
		done[i] = make(chan drillDone, 1)
	}
	var lanes sync.WaitGroup
	defer lanes.Wait()
	var road road
	next := make(chan int, len(jobs))
	for i := range jobs {
		next <- i
	}
	close(next)
	out.progress.begin(jobs)
	for range d.lanes {
		lanes.Go(func() {
			for i := range next {
				out.progress.began(i)
				over := road.drive(func() drillDone { return d.do(ctx, &jobs[i]) })
				done[i] <- over
				out.progress.ended(i, over.result != nil)
			}
		})
	}
	for i := range jobs {
		over := <-done[i]
		switch {
		case over.err != nil:
			stop()
			return over.err
		case over.result == nil:
			continue
		}
		page.add(over.result, over.seen)
		if err := out.result(over.result); err != nil {
			stop()
			return err
		}
	}
	return nil
}

// road lets jobs go side by side until this machine turns out to be too narrow for
// that: then they go one after the other, and the one that showed it goes again. So
// does each that failed while the machine was short of time.
type road struct {
	alone  sync.RWMutex // written by who goes alone
	narrow atomic.Bool
	again  atomic.Int32
}

// drive does a job when there is room for it.
func (r *road) drive(job func() drillDone) drillDone {
	if !r.narrow.Load() {
		r.alone.RLock()
		over := job()
		r.alone.RUnlock()
		if over.result == nil || !over.result.Busy() && !over.result.Doubtful() {
			return over
		}
		if over.result.Busy() {
			r.narrow.Store(true)
		}
		if !over.result.Doubtful() && r.again.Add(1) > maxAgain {
			return over
		}
		r.alone.Lock()
		defer r.alone.Unlock()
		return again(job, over)
	}
	r.alone.Lock()
	defer r.alone.Unlock()
	over := job()
	if over.result == nil || !over.result.Doubtful() {
		return over
	}
	return again(job, over)
}

// again does a job once more, and returns what came of it, or of the first time if
// the second one was stopped. A promise that Fairlead broke the first time stays
// broken: no machine is too busy for a write to come once.
func again(job func() drillDone, first drillDone) drillDone {
	last := job()
	switch {
	case last.result != nil:
		last.result.Again = true
		for i, seen := range first.seen {
			last.result.Violations = append(last.result.Violations, seen.violations...)
			if i < len(last.seen) {
				last.seen[i].violations = append(last.seen[i].violations, seen.violations...)
			}
		}
		return last
	case last.err != nil:
		return last
	}
	return first
}

// do does one job.
func (d *drillRun) do(ctx context.Context, job *drillJob) drillDone {
	if ctx.Err() != nil {
		return drillDone{}
	}
	r := &drill.Result{Fault: job.fault.Name, Text: job.fault.Text, Violations: []string{}, Routes: []drill.RouteResult{}}
	if len(job.rounds) == 0 {
		r.Skipped = "no group of the drilled routes has a secondary"
		if job.fault.TLS {
			r.Skipped = "no primary of the drilled routes speaks TLS"
		}
		return drillDone{result: r}
	}
	var all []*drillSeen
	for _, round := range job.rounds {
		seen, err := d.play(ctx, round)
		switch {
		case ctx.Err() != nil:
			return drillDone{}
		case errors.Is(err, errFaultImpossible):
			r.Skipped = err.Error()
			return drillDone{result: r}
		case err != nil:
			return drillDone{err: fmt.Errorf("fault %s: %w", job.fault.Name, err)}
		}
		all = append(all, seen)
		r.For = drill.Millis(seen.end.Sub(seen.begin))
		r.Stood = max(r.Stood, drill.Millis(seen.stood))
		r.Violations = append(append(r.Violations, seen.violations...), seen.unrest...)
		r.Routes = append(r.Routes, seen.results()...)
	}
	return drillDone{result: r, seen: all}
}
