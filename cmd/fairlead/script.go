package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/demo"
	"github.com/fairlead/fairlead/proxy"
)

// errInterrupted: the demonstration should have shown an outage, but was stopped.
var errInterrupted = errors.New("stopped before the outage was over")

// act is where the script of the demonstration stands.
//
//	act     ends with                   then
//	calm    its time                    the primary is broken: broken; or the end
//	broken  the pointer's flip          away
//	away    its time                    the primary is mended: mended
//	mended  the pointer's return        calm
//
// Broken and mended also end when patience is over, as a failure.
type act uint8

const (
	calm act = iota
	broken
	away
	mended
)

// moment is something that the proxy's parts said.
type moment struct {
	at      time.Time
	flip    bool // else the primary is healthy again
	primary bool // the flip is to the primary
}

// outage is when the primary was broken and the pointer left it, and when the
// primary was mended and the pointer came back.
type outage struct{ broken, left, mended, back time.Time }

// detection is how long the pointer took to leave, in words.
func (o outage) detection() string { return seconds(o.left.Sub(o.broken)) }

// script plays the demonstration and prints its timeline. All but flip and
// health belongs to the goroutine of play.
type script struct {
	pace    pace
	once    bool
	out     io.Writer
	err     error // the first one of out
	picture demo.Picture
	primary *demo.Origin
	load    *demo.Load
	stats   func() []proxy.RouteStats
	moments chan moment

	start time.Time
	act   act
	timer *time.Timer
	now   outage // the one that goes on
	last  outage // the last one that is over; zero if none is

	failedOver, parked int           // as of the last row
	waited             int           // POSTs that were parked in this outage
	longestWait        time.Duration // of a POST in this outage
	tellWaited         bool          // the next row is the first after the flip
}

func newScript(pace pace, once bool, out io.Writer, primary *demo.Origin) *script {
	full := (demo.GetsPerSecond + demo.PostsPerSecond) * int(pace.row) / int(time.Second)
	return &script{
		pace: pace, once: once, out: out, primary: primary,
		picture: demo.Picture{Primary: "eu", Secondary: "us", Full: full, Colour: colours(out)},
		// Few moments come in an outage, so this never fills.
		moments: make(chan moment, 64),
	}
}

// flip is told of the pointer's moves; it is called by a health checker.
func (s *script) flip(_ *config.Group, _, to failover.State) {
	s.tell(moment{at: time.Now(), flip: true, primary: to.Target == failover.RolePrimary})
}

// health is told of probes and verdicts; it is called by the checkers.
func (s *script) health(e health.Event) {
	if e.Kind == health.VerdictChanged && e.Origin == s.picture.Primary && e.From == health.Down {
		s.tell(moment{at: time.Now()})
	}
}

func (s *script) tell(m moment) {
	select {
	case s.moments <- m:
	default:
	}
}

// play runs the script until ctx ends, or for one outage.
func (s *script) play(ctx context.Context) error {
	s.start = time.Now()
	rows := time.NewTicker(s.pace.row)
	defer rows.Stop()
	s.timer = time.NewTimer(s.pace.calm)
	defer s.timer.Stop()
	s.say(s.picture.Heading())
	for s.err == nil {
		select {
		case <-ctx.Done():
			if s.once {
				return errInterrupted
			}
			return nil
		case now := <-rows.C:
			s.row(now)
		case m := <-s.moments:
			s.happened(m)
		case <-s.timer.C:
			if done, err := s.timeUp(); done || err != nil {
				return err
			}
		}
	}
	return nil
}

// timeUp goes on where time alone ends an act.
func (s *script) timeUp() (done bool, err error) {
	switch s.act {
	case calm:
		if s.once && s.last != (outage{}) {
			return true, nil
		}
		s.breakPrimary()
	case away:
		return false, s.mendPrimary()
	case broken:
		return true, fmt.Errorf("the pointer did not leave eu within %v", s.pace.patience)
	case mended:
		return true, fmt.Errorf("the pointer did not return to eu within %v", s.pace.patience)
	}
	return false, nil
}

func (s *script) breakPrimary() {
	s.now = outage{broken: time.Now()}
	s.waited, s.longestWait = 0, 0
	s.mark(s.now.broken, "eu dies: its listener is closed, its connections are reset")
	s.primary.Break()
	s.enter(broken, s.pace.patience)
}

func (s *script) mendPrimary() error {
	if err := s.primary.Mend(); err != nil {
		return err
	}
	s.now.mended = time.Now()
	s.mark(s.now.mended, "eu is mended: it listens again")
	s.enter(mended, s.pace.patience)
	return nil
}

func (s *script) enter(a act, d time.Duration) {
	s.act = a
	s.timer.Reset(d)
}

// happened prints a moment and goes on where the script waits for it.
func (s *script) happened(m moment) {
	switch {
	case !m.flip:
		s.mark(m.at, fmt.Sprintf("eu is healthy: the pointer waits until that has lasted for %v", s.pace.failback))
	case m.primary:
		s.mark(m.at, "FAILBACK: the pointer returns to eu")
		if s.act == mended {
			s.now.back = m.at
			s.last = s.now
			s.enter(calm, s.pace.calm)
		}
	case s.act == broken:
		s.now.left, s.tellWaited = m.at, true
		s.mark(m.at, fmt.Sprintf("FLIP: eu was found down after %s, the pointer moves to us", s.now.detection()))
		s.enter(away, s.pace.away)
	default:
		s.mark(m.at, "FLIP: the pointer moves to us, though nobody broke eu: is this machine very busy?")
	}
}

// row prints the line of the time that has just ended.
func (s *script) row(now time.Time) {
	t := s.load.Take()
	failedOver, parked := sums(s.stats())
	s.say(s.picture.Row(demo.Row{
		At:         now.Sub(s.start),
		Tally:      t,
		FailedOver: failedOver - s.failedOver,
		Waited:     parked - s.parked,
	}))
	if s.act != calm {
		s.waited += parked - s.parked
		s.longestWait = max(s.longestWait, t.SlowestPost)
	}
	s.failedOver, s.parked = failedOver, parked
	if s.tellWaited && s.waited > 0 {
		s.mark(now, fmt.Sprintf("%s could not be sent and waited for the flip, %s at most, then went to us",
			count(s.waited, "POST"), seconds(s.longestWait)))
	}
	s.tellWaited = false
}

func (s *script) mark(at time.Time, text string) { s.say(s.picture.Mark(at.Sub(s.start), text)) }

func (s *script) say(line string) {
	if _, err := fmt.Fprintln(s.out, line); err != nil && s.err == nil {
		s.err = err
	}
}

// seconds prints a time as people say it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// greet says what is there and what to try.
func (s *script) greet(proxy, eu, us string) {
	s.say(fmt.Sprintf(`Two origins and Fairlead in front of them, all in this process.

  open   http://%[1]s/    a page that shows which origin made it
  try    curl -i http://%[1]s/
         curl -i -d 'one pizza' http://%[1]s/order

  eu     http://%[2]s    the primary; it dies in %[4]v
  us     http://%[3]s    the secondary

%[5]d GETs and %[6]d POSTs a second are on their way. Ctrl-C ends this.
`, proxy, eu, us, s.pace.calm, demo.GetsPerSecond, demo.PostsPerSecond))
}

// summary says what came of it. The error is nil unless a promise was broken.
// It is called when every request has been answered.
func (s *script) summary(twice int) error {
	t := s.load.Total()
	failedOver, parked := sums(s.stats())
	s.say("")
	if o := s.last; o != (outage{}) {
		s.say(fmt.Sprintf("Outage   eu was dead for %s. The pointer left it after %s, and returned %s after it was mended.",
			seconds(o.mended.Sub(o.broken)), o.detection(), seconds(o.back.Sub(o.mended))))
	}
	s.say(fmt.Sprintf("GET      %d sent, %d answered. %d of them went to the other origin within the same request. The slowest took %d ms.",
		t.Gets, t.Gets-t.GetsFailed, failedOver, t.SlowestGet.Milliseconds()))
	s.say(fmt.Sprintf("POST     %d sent, %d answered. %d of them waited for the pointer, %s at most. %d arrived twice.",
		t.Posts, t.Posts-t.PostsFailed, parked, seconds(t.SlowestPost), twice))
	if t.PostsFailed > 0 {
		s.say(fmt.Sprintf("         %s failed, the last one with: %s. What was sent once is never sent again.",
			count(t.PostsFailed, "POST"), t.PostFailure))
	}
	if err := judge(t, twice); err != nil {
		s.say(s.picture.Verdict(false, "Result   "+err.Error()))
		return err
	}
	s.say(s.picture.Verdict(true, "Result   no covered request failed, and no POST arrived twice"))
	return nil
}

// judge returns which promise was broken.
func judge(t demo.Tally, twice int) error {
	var errs []error
	if t.GetsFailed > 0 {
		errs = append(errs, fmt.Errorf("%s failed, the last one with: %s", count(t.GetsFailed, "covered request"), t.GetFailure))
	}
	if twice > 0 {
		errs = append(errs, fmt.Errorf("%s arrived twice", count(twice, "POST")))
	}
	if t.Lost > 0 {
		errs = append(errs, fmt.Errorf("%s was answered but arrived nowhere", count(t.Lost, "POST")))
	}
	if t.Gets == 0 {
		errs = append(errs, errors.New("no request was answered, so nothing is proved"))
	}
	return errors.Join(errs...)
}
