package proxy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// MaxDrill is how long a drill lasts at most.
const MaxDrill = time.Hour

// What StartDrill and EndDrill may meet; the errors that they return say more.
var (
	// ErrNoGroup: there is no group of that name.
	ErrNoGroup = errors.New("no such group")
	// ErrDrillConfig: what is asked for is no drill.
	ErrDrillConfig = errors.New("bad drill")
	// ErrDrillRuns: one runs in the group already.
	ErrDrillRuns = errors.New("a drill runs in the group")
	// ErrNoDrill: none runs in the group.
	ErrNoDrill = errors.New("no drill runs in the group")
)

// DrillUnfitError is the error of StartDrill for a group that is in no state for it.
type DrillUnfitError struct {
	// Why is what would end a drill at once, or DrillSecondaryDown where there is
	// no secondary.
	Why failover.DrillEnd
}

func (e *DrillUnfitError) Error() string { return "the group is unfit for a drill: " + e.Why.String() }

// DrillConfig is what a drill does.
type DrillConfig struct {
	// Group names a group that has a secondary.
	Group string
	// Share is how many of the requests that may fail over are picked, above 0
	// and at most 1, which is all of them.
	Share float64
	// StopAt ends the drill when the share of errors among the picked requests is
	// so much above that among the others: 0.01 is one in a hundred. It is above 0
	// and at most 1.
	StopAt float64
	// For is how long it lasts, above 0 and at most MaxDrill.
	For time.Duration
}

func (c *DrillConfig) check() error {
	switch {
	case !(c.Share > 0 && c.Share <= 1):
		return fmt.Errorf("%w: the share must be above 0 and at most 1, not %v", ErrDrillConfig, c.Share)
	case !(c.StopAt > 0 && c.StopAt <= 1):
		return fmt.Errorf("%w: what to stop at must be above 0 and at most 1, not %v", ErrDrillConfig, c.StopAt)
	case c.For <= 0 || c.For > MaxDrill:
		return fmt.Errorf("%w: it must last for more than 0 and at most %v, not %v", ErrDrillConfig, MaxDrill, c.For)
	}
	return nil
}

// DrillSet are requests of a drill that are over: those that it picked, or the
// others that it might have picked.
type DrillSet struct {
	// Requests are those whose client has stayed, or has given up: it left after a
	// second without a byte of a response, or after the origin that was asked first
	// had failed. Errors are those of them for which that origin gave no whole
	// response, or one that counts as a failure or has a status of 500 and above,
	// whatever the client got.
	Requests, Errors uint64
	// Left are the others, whose client went away sooner.
	Left uint64
	// Durations are those of Requests.
	Durations Histogram
}

// DrillStatus is a drill at one moment. It counts on after its end, until its last
// request is over.
type DrillStatus struct {
	DrillConfig
	Began, Until time.Time
	Why          failover.DrillEnd // DrillRuns while it runs
	Ended        time.Time         // zero while it runs

	Picked, Others DrillSet
	// Secondary, Rescued and Failed are the picked ones by what their clients got:
	// a good response of the secondary; one of the primary after the secondary had
	// failed; an error, a response that broke off, or nothing until they gave up.
	Secondary, Rescued, Failed uint64
}

// DrillStats are the drills of one group since the Server was made.
type DrillStats struct {
	Group string
	// Results are the picked requests of all drills: "secondary", "rescued" and
	// "failed" as in DrillStatus, and "left".
	Results []DrillCount
	// Last is the drill that runs, or the last one; nil if there was none.
	Last *DrillStatus
}

// DrillCount is how many picked requests came to one result.
type DrillCount struct {
	Result string
	Count  uint64
}

// drillResult is what the client of a picked request got.
type drillResult uint8

const (
	drillSecondary drillResult = iota
	drillRescued
	drillFailed
	drillLeft
	drillResults
)

var drillResultNames = [drillResults]string{"secondary", "rescued", "failed", "left"}

// drillSeat is a group as its drills see it. Drills stays through reloads.
type drillSeat struct {
	pointer *failover.Group
	origins [3]*originState // by failover.Role
	drills  *groupDrills
}

// groupDrills are the drills of a group. Its routes look at running with each
// request that may fail over; it costs them one load.
type groupDrills struct {
	running atomic.Pointer[drill] // nil: none
	last    atomic.Pointer[drill] // the same, or the one before
	results [drillResults]atomic.Uint64
}

// drill is one that runs, or did.
type drill struct {
	cfg          DrillConfig
	seat         *drillSeat
	share        failover.DrillShare
	began, until int64 // server clock

	picked, others drillCounts
	results        [drillResults]atomic.Uint64

	mu    sync.Mutex
	judge failover.DrillJudge // guarded by mu
	ended int64               // guarded by mu; server clock; 0: it runs
}

type drillCounts struct {
	errors, left atomic.Uint64
	durations    durations
}

func (c *drillCounts) counted() DrillSet {
	s := DrillSet{Errors: c.errors.Load(), Left: c.left.Load(), Durations: c.durations.counted()}
	s.Requests = s.Durations.Count()
	return s
}

// place is how the group is now.
func (s *drillSeat) place() failover.DrillPlace {
	p := failover.DrillPlace{Pointer: *s.pointer.Pointer()}
	for _, o := range s.origins {
		p.Drained = p.Drained || o != nil && o.drained.Load()
	}
	return p
}

// sameAs reports whether a drill goes on in the seat that a reload made.
func (s *drillSeat) sameAs(next *drillSeat) bool {
	return next != nil && s.pointer == next.pointer && slices.EqualFunc(s.origins[:], next.origins[:], func(a, b *originState) bool {
		return a == nil && b == nil || a != nil && b != nil && a.upstream == b.upstream
	})
}

// look ends the drill if its group or the moment says so.
func (d *drill) look(now int64) failover.DrillEnd {
	at := d.seat.place()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judge.Look(time.Duration(now), &at)
	return d.concludeLocked(now)
}

// record counts a request that is over.
func (d *drill) record(now int64, picked, failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judge.Record(time.Duration(now), picked, failed)
	d.concludeLocked(now)
}

// stop ends the drill, unless it has ended, and returns why it did.
func (d *drill) stop(now int64, why failover.DrillEnd) failover.DrillEnd {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judge.Stop(why)
	return d.concludeLocked(now)
}

// concludeLocked lets no more requests into a drill that has ended.
func (d *drill) concludeLocked(now int64) failover.DrillEnd {
	why := d.judge.End()
	if why != failover.DrillRuns && d.ended == 0 {
		d.ended = max(now, 1)
		d.seat.drills.running.CompareAndSwap(d, nil)
	}
	return why
}

func (d *drill) status(epoch time.Time) DrillStatus {
	d.mu.Lock()
	why, ended := d.judge.End(), d.ended
	d.mu.Unlock()
	s := DrillStatus{
		DrillConfig: d.cfg, Why: why, Began: epoch.Add(time.Duration(d.began)), Until: epoch.Add(time.Duration(d.until)),
		Picked: d.picked.counted(), Others: d.others.counted(),
		Secondary: d.results[drillSecondary].Load(), Rescued: d.results[drillRescued].Load(), Failed: d.results[drillFailed].Load(),
	}
	if ended != 0 {
		s.Ended = epoch.Add(time.Duration(ended))
	}
	return s
}

// drilling are the drills whose end nobody has been told of yet.
type drilling struct {
	mu  sync.Mutex
	all []*drill // guarded by mu
}

func (l *drilling) add(d *drill) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// remove takes d out, and reports whether it was there.
func (l *drilling) remove(d *drill) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.all, d)
	if i < 0 {
		return false
	}
	l.all = slices.Delete(l.all, i, i+1)
	return true
}

// present lists them; nil if there is none.
func (l *drilling) present() []*drill {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// StartDrill begins to treat a share of a group's real requests as if its primary
// had failed. Those that may fail over are picked from, and no other: while the
// pointer is at the primary, a picked one is not sent there but to the secondary,
// as a failover. If the secondary fails it, too, it goes to the primary after all,
// for which half of the time that its route leaves it is kept; one with less than
// DrillMinLeft is not picked. No breaker, verdict or
// probe of the primary is touched. A write is never picked, nor is an upgrade, which
// would stay at the secondary for longer than the drill.
//
// The drill ends by itself by the rules of failover.DrillJudge, and with a Reload
// that takes its group away, gives it other origins or another pointer. Config.OnDrill
// is told of it, while Run is at work.
//
// The error is ErrNoGroup, ErrDrillConfig, ErrDrillRuns, ErrStopped or a
// *DrillUnfitError.
func (s *Server) StartDrill(cfg DrillConfig) (DrillStatus, error) {
	if err := cfg.check(); err != nil {
		return DrillStatus{}, err
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.stage == stopping {
		return DrillStatus{}, ErrStopped
	}
	seat := s.current().table.seats[cfg.Group]
	if seat == nil {
		return DrillStatus{}, fmt.Errorf("%w: %q", ErrNoGroup, cfg.Group)
	}
	if seat.origins[failover.RoleSecondary] == nil {
		return DrillStatus{}, &DrillUnfitError{failover.DrillSecondaryDown}
	}
	if at := seat.place(); at.Unfit() != failover.DrillRuns {
		return DrillStatus{}, &DrillUnfitError{at.Unfit()}
	}
	now := s.clock.now()
	d := &drill{cfg: cfg, seat: seat, began: now, until: after(now, cfg.For)}
	d.judge = failover.NewDrillJudge(time.Duration(d.until), cfg.StopAt)
	d.share.Set(cfg.Share)
	if !seat.drills.running.CompareAndSwap(nil, d) {
		return DrillStatus{}, fmt.Errorf("%w %s", ErrDrillRuns, cfg.Group)
	}
	seat.drills.last.Store(d)
	s.drilling.add(d)
	return d.status(s.clock.epoch), nil
}

// EndDrill ends the drill of a group. Requests that it has picked are finished as
// they began. Config.OnDrill is not told. The error is ErrNoGroup or ErrNoDrill.
func (s *Server) EndDrill(group string) (DrillStatus, error) {
	seat := s.current().table.seats[group]
	if seat == nil {
		return DrillStatus{}, fmt.Errorf("%w: %q", ErrNoGroup, group)
	}
	d := seat.drills.running.Load()
	if d == nil || !s.drilling.remove(d) {
		return DrillStatus{}, fmt.Errorf("%w %s", ErrNoDrill, group)
	}
	if d.stop(s.clock.now(), failover.DrillOperator) != failover.DrillOperator {
		s.drilling.add(d) // it has ended by itself a moment ago, which is yet to be told
		return DrillStatus{}, fmt.Errorf("%w %s", ErrNoDrill, group)
	}
	return d.status(s.clock.epoch), nil
}

// EndDrills ends the drills of all groups, for a reason that Config.OnDrill is told.
// A Server ends them itself when its drain begins.
func (s *Server) EndDrills(why failover.DrillEnd) {
	for _, d := range s.drilling.present() {
		d.stop(s.clock.now(), why)
	}
}

// Drill is the drill of a group that runs, or the last one. ok is false if there was
// none since the Server was made. It may be called from any goroutine.
func (s *Server) Drill(group string) (d DrillStatus, ok bool) {
	seat := s.current().table.seats[group]
	if seat == nil {
		return DrillStatus{}, false
	}
	last := seat.drills.last.Load()
	if last == nil {
		return DrillStatus{}, false
	}
	return last.status(s.clock.epoch), true
}

// Drills reports on the drills of every group, in the order of the configuration.
// It may be called from any goroutine.
func (s *Server) Drills() []DrillStats {
	n := s.current()
	all := make([]DrillStats, 0, len(n.cfg.Groups))
	for i := range n.cfg.Groups {
		g := DrillStats{Group: n.cfg.Groups[i].Name}
		drills := n.table.seats[g.Group].drills
		for r := range drillResults {
			g.Results = append(g.Results, DrillCount{drillResultNames[r], drills.results[r].Load()})
		}
		if d := drills.last.Load(); d != nil {
			last := d.status(s.clock.epoch)
			g.Last = &last
		}
		all = append(all, g)
	}
	return all
}

// sweepDrills ends those that must end, and tells of those that have. Only one
// goroutine may call it.
func (s *Server) sweepDrills(now int64) {
	for _, d := range s.drilling.present() {
		if d.look(now) != failover.DrillRuns && s.drilling.remove(d) && s.cfg.OnDrill != nil {
			s.cfg.OnDrill(d.status(s.clock.epoch))
		}
	}
}

// seat makes a group's place for drills, or goes on with the one there is.
func (b *tableBuilder) seat(g *Group) *drillSeat {
	seat := &drillSeat{pointer: g.Pointer}
	seat.origins[failover.RolePrimary] = b.table.origins[g.Primary]
	seat.origins[failover.RoleSecondary] = b.table.origins[g.Secondary]
	if was := b.old.seats[g.Name]; was != nil {
		seat.drills = was.drills
	} else {
		seat.drills = &groupDrills{}
	}
	return seat
}

// endDrills ends what of old can't go on in the table that takes its place.
func (t *table) endDrills(old *table, now int64) {
	for name, seat := range old.seats {
		if d := seat.drills.running.Load(); d != nil && !d.seat.sameAs(t.seats[name]) {
			d.stop(now, failover.DrillReload)
		}
	}
}
