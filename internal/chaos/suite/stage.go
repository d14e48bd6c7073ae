package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// healthPath is what probes ask for.
const healthPath = "/healthz"

// patience bounds every wait for what has to happen some time.
const patience = 20 * time.Second

// Stage is a scenario while it is played: origins, a proxy and clients.
type Stage struct {
	scenario *Scenario
	dir      string
	listen   string // the proxy's address; before the first start it ends in :0
	order    []*chaos.Origin
	origins  map[string]*chaos.Origin
	others   []*chaos.Origin // further servers of origins
	props    props
	certs    *chaos.Certificates // nil without TLS
	site     *site               // nil without Doors
	dns      string              // the nameserver's address, "" without one
	follower *follower           // nil without one
	proxy    *process
	journal  *journal
	admin    *admin
	runs     []*chaos.Run
	own      chaos.Ledger // of requests that actions send themselves
	rest     usage        // of the proxy before the load
	begun    time.Time
	lost     *chaos.Stalls
	restarts int
	tasks    map[string]*task // beside the steps
	siege    *chaos.Siege     // the last one
	resigned bool             // the process was meant to end otherwise than by a drain

	mu      sync.Mutex
	marks   []Mark
	faults  []Span
	cleanup []func()
	unclean []error // what the cleanup met
}

// Mark is a moment of a scenario.
type Mark struct {
	At   time.Time
	Text string
}

// Span is a fault that an origin had for some time. To is zero until its end.
type Span struct {
	Origin, Fault string
	From, To      time.Time
}

// openStage makes everything but the load.
func openStage(sc *Scenario) (*Stage, error) {
	s := &Stage{scenario: sc, listen: "127.0.0.1:0", origins: make(map[string]*chaos.Origin), journal: &journal{}, lost: chaos.MeasureStalls()}
	s.later(s.lost.Stop)
	var err error
	if s.dir, err = os.MkdirTemp(workspace(), "s"); err != nil {
		return s, err
	}
	s.admin = newAdmin(filepath.Join(s.dir, "a"))
	names := []string{"eu", "us"}
	if sc.Setup.Single {
		names = names[:1]
	}
	if sc.Setup.TLS {
		if s.certs, err = chaos.NewCertificates(); err != nil {
			return s, err
		}
	}
	if sc.Setup.Doors {
		if s.site, err = newSite(s.dir); err != nil {
			return s, err
		}
	}
	for _, name := range names {
		if err := s.addOrigin(name); err != nil {
			return s, err
		}
	}
	if err := s.openNames(); err != nil {
		return s, err
	}
	if prepare := sc.Setup.Prepare; prepare != nil {
		if err := prepare(s); err != nil {
			return s, err
		}
	}
	if err := s.start(); err != nil {
		return s, err
	}
	s.rest, err = s.usage()
	return s, err
}

func (s *Stage) addOrigin(name string) error {
	var o *chaos.Origin
	var err error
	if slices.Contains(s.scenario.Setup.Far, name) {
		o, err = s.farOrigin(name)
	} else if s.certs != nil {
		o, err = chaos.ListenTLS(name, "tcp", "127.0.0.1:0", s.certs)
	} else {
		o, err = chaos.Listen(name, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return err
	}
	s.later(o.Close)
	s.order = append(s.order, o)
	s.origins[name] = o
	return nil
}

// later is done at the stage's end, the last one first.
func (s *Stage) later(do func()) { s.cleanup = append(s.cleanup, do) }

// close ends whatever is still there, and says what can't be.
func (s *Stage) close() error {
	if s.proxy != nil {
		s.proxy.kill()
	}
	for _, do := range slices.Backward(s.cleanup) {
		do()
	}
	_ = os.RemoveAll(s.dir)
	return errors.Join(s.unclean...)
}

func (s *Stage) adminListen() string { return "unix:" + filepath.Join(s.dir, "a") }

func (s *Stage) configFile() string { return filepath.Join(s.dir, "fairlead.toml") }

// reach is the URL by which the proxy knows an origin.
func (s *Stage) reach(o *chaos.Origin) string {
	if reach := s.scenario.Setup.Reach; reach != nil {
		return reach(s, o)
	}
	if names := s.scenario.Setup.Names; names != nil {
		return names.url(o)
	}
	return o.URL()
}

// trust is what an origin's table says about its certificate.
func (s *Stage) trust(*chaos.Origin) string {
	if s.certs == nil {
		return ""
	}
	return fmt.Sprintf("ca = %q\n", filepath.Join(s.dir, "ca.pem"))
}

// configure writes the configuration file in one step, as an operator should.
func (s *Stage) configure() error {
	if s.certs != nil {
		if err := os.WriteFile(filepath.Join(s.dir, "ca.pem"), s.certs.CA(), 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.configFile()+".new", []byte(s.scenario.Setup.toml(s)), 0o600); err != nil {
		return err
	}
	return os.Rename(s.configFile()+".new", s.configFile())
}

// start starts the proxy and waits until it listens and has looked at its origins.
func (s *Stage) start() error {
	if err := s.configure(); err != nil {
		return err
	}
	heard := len(s.journal.find("admin listening", nil))
	program := s.scenario.program
	if program == "" {
		var err error
		if program, err = binary(); err != nil {
			return err
		}
	}
	var err error
	if s.proxy, err = startProcess(program, s.configFile(), s.scenario.Setup.Before, s.scenario.Setup.Env, s.journal); err != nil {
		return err
	}
	listening := func() bool { return len(s.journal.find("admin listening", nil)) > heard }
	if err := s.await(patience, "the proxy to listen", listening); err != nil {
		return fmt.Errorf("%w\n%s%s", err, s.text(), s.proxy.tail())
	}
	s.listened()
	if s.scenario.Setup.Lines {
		_, err = s.link("", s.listen)
	}
	return err
}

// listened takes the addresses at which the proxy listens from its log.
func (s *Stage) listened() {
	s.listen = last(s.journal.find("listening", func(l *Line) bool { return !l.TLS })).Address
	s.dns = last(s.journal.find("answering", nil)).Address
	if s.site != nil {
		s.site.listen = last(s.journal.find("listening", func(l *Line) bool { return l.TLS })).Address
	}
}

// last is the last of some lines, an empty one if there is none.
func last(lines []Line) Line {
	if len(lines) == 0 {
		return Line{}
	}
	return lines[len(lines)-1]
}

// text is what the log has said so far.
func (s *Stage) text() (all string) {
	for _, msg := range []string{"configuration", "stray"} {
		for _, l := range s.journal.find(msg, nil) {
			all += l.Raw + "\n"
		}
	}
	return all
}

// await polls until ok. It gives up if the proxy ends, and later than limit where the
// machine takes time, but no more than three times as late.
func (s *Stage) await(limit time.Duration, what string, ok func() bool) error {
	end, before := time.Now().Add(limit), s.lost.Allowance()
	for !ok() {
		select {
		case <-s.proxy.gone:
			if !ok() {
				return fmt.Errorf("the proxy ended while this was waited for: %s", what)
			}
			return nil
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(end.Add(min(s.lost.Allowance()-before, 2*limit))) {
			if ok() {
				return nil
			}
			return late("not within %v: %s", limit, what)
		}
	}
	return nil
}

// begin starts the load.
func (s *Stage) begin() {
	loads := s.scenario.Load
	if len(loads) == 0 {
		loads = []chaos.Load{Shopping(120)}
	}
	s.begun = time.Now()
	for _, l := range loads {
		l = s.addressed(l)
		if l.Duration == 0 {
			l.Duration = 10 * time.Minute
		}
		s.runs = append(s.runs, l.Start(context.Background()))
	}
}

// addressed says where a load goes, and whom it trusts.
func (s *Stage) addressed(l chaos.Load) chaos.Load {
	if l.Address == "" {
		l.Address = s.front()
	}
	if l.TLS != nil {
		l.Address, l.TLS = s.site.listen, s.site.client
	}
	return l
}

// play takes the steps and returns what of them did not hold.
func (s *Stage) play() (done []StepOutcome) {
	for _, step := range s.scenario.Steps {
		if wait := time.Until(s.begun.Add(step.At)); wait > 0 {
			time.Sleep(wait) // the scenario's own clock, nothing that could be awaited
		}
		at := time.Since(s.begun)
		err := step.Do.Do(s)
		done = append(done, StepOutcome{At: at, Took: time.Since(s.begun) - at, Text: step.Do.Text, Err: err})
		if err != nil && !errors.As(err, new(lateError)) {
			break // what follows would only repeat it
		}
	}
	return done
}

// front is where clients connect to: the proxy, or the line to it.
func (s *Stage) front() string {
	if l := s.props.links[""]; l != nil {
		return l.Address()
	}
	return s.listen
}

// ledger is what became of all requests so far.
func (s *Stage) ledger() *chaos.Ledger {
	ledgers := []*chaos.Ledger{&s.own}
	for _, r := range s.runs {
		ledgers = append(ledgers, r.Ledger())
	}
	return chaos.Merge(ledgers...)
}

// from is how many requests an origin has served.
func (s *Stage) from(origin string) (n int) {
	n = s.own.From(origin)
	for _, r := range s.runs {
		n += r.Ledger().From(origin)
	}
	return n
}

// mark remembers a moment for the picture.
func (s *Stage) mark(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks = append(s.marks, Mark{time.Now(), text})
}

// beginFault and endFault remember what an origin had when.
func (s *Stage) beginFault(origin, fault string) {
	s.endFault(origin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, Span{Origin: origin, Fault: fault, From: time.Now()})
}

func (s *Stage) endFault(origin string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		if f := &s.faults[i]; f.Origin == origin && f.To.IsZero() {
			f.To = time.Now()
		}
	}
}
