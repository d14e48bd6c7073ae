package main

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/statefile"
)

// keeper keeps the pointers' state in a file, so that a restart in the middle of
// an outage goes on where it was. It never holds up a pointer, and what is wrong
// with the file never keeps the proxy from serving.
//
// Make it with newKeeper, load once, make each group with what initial returns
// and with changed as its OnChange, tell setGroups, and run. All methods are safe
// for concurrent use.
type keeper struct {
	log   *zap.Logger
	write func(path string, s statefile.Snapshot) error // statefile.Save, but in tests
	dirty chan struct{}                                 // holds a token while there is something to save
	hurry chan struct{}                                 // a token ends the wait between two saves

	saving sync.Mutex // held during a save; taken before mu

	mu       sync.Mutex // guards the rest
	path     string     // empty: nothing is written
	paused   bool
	handed   bool                      // before came from another process
	before   statefile.Snapshot        // of an earlier life; until setGroups
	restored map[string]failover.State // what initial made of it, by group; until setGroups
	groups   []keptGroup               // that live now; nil before setGroups
	pins     map[string]pinNote        // by group; of pins that may be over
	out      []string                  // origins that are drained
	trouble  trouble
	begun    uint64        // saves
	ended    uint64        // the last of begun that is over, whatever came of it
	news     chan struct{} // closed when ended changes
}

// keptGroup is a pointer with the names of its origins.
type keptGroup struct {
	*config.Group
	pointer *failover.Group
}

// trouble is an episode in which nothing can be saved. The zero value: there is none.
type trouble struct {
	kind   error // what was last told
	since  time.Time
	failed int
}

// pinNote is what a pointer doesn't know of its pin, and which one that is.
type pinNote struct {
	target     string
	until      time.Time // zero: until unpin
	reason, by string
}

// newKeeper makes a keeper for the file at path; with an empty one it writes and
// reads nothing, but can still encode.
func newKeeper(path string, log *zap.Logger) *keeper {
	return &keeper{
		log: log, write: statefile.Save, path: path,
		dirty: make(chan struct{}, 1), hurry: make(chan struct{}, 1), news: make(chan struct{}),
		restored: make(map[string]failover.State), pins: make(map[string]pinNote),
	}
}

// newKeeperFrom makes a keeper that begins with what another process's encode
// returned. Then load doesn't read the file, unless handed makes no sense.
func newKeeperFrom(handed []byte, path string, log *zap.Logger) *keeper {
	k := newKeeper(path, log)
	s, err := statefile.Decode(handed)
	if err != nil {
		log.Warn("state that was handed over can't be used", zap.Error(err))
		return k
	}
	k.adopt(s)
	k.handed = true
	return k
}

// load reads the file, if there is one. Whatever comes of it is logged, and
// serving goes on.
func (k *keeper) load() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.path == "" || k.handed {
		return
	}
	file := zap.String("file", k.path)
	s, err := statefile.Load(k.path)
	switch {
	case err == nil:
		k.adopt(s)
		k.log.Info("state loaded", file, zap.Time("saved", s.Saved), zap.Int("groups", len(s.Groups)))
	case errors.Is(err, fs.ErrNotExist):
		k.log.Info("no state yet", file)
	case errors.Is(err, statefile.ErrForeign), errors.Is(err, statefile.ErrVersion):
		k.failedLocked(err)
	case errors.Is(err, statefile.ErrEmpty), errors.Is(err, statefile.ErrDamaged):
		k.log.Warn("state can't be restored", file, zap.Error(err),
			zap.String("what_now", "the pointers begin at their primaries, and the file is replaced with their state; nothing is to be done"))
	default:
		k.log.Warn("state can't be restored", file, zap.Error(err),
			zap.String("what_now", "the pointers begin at their primaries; make the file readable and restart to restore it, or remove it"))
	}
}

// initial returns where the pointer of a group begins: where it is, if it lives
// already, else where it was when it was saved. Origins are matched by name, as
// their roles may have been swapped. The zero State means: as a new one.
func (k *keeper) initial(cfg *config.Config, g *config.Group) failover.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, unwatched, ok := k.findLocked(g.Name)
	if !ok || old.Generation == 0 || old.Target != "" && roleOf(g, old.Target) == failover.RoleNone {
		return failover.State{}
	}
	s := stateFor(cfg, g, &old, unwatched)
	// A drained origin is down for its groups, whether it is checked or not.
	s.Primary.Down = s.Primary.Down || slices.Contains(k.out, g.Primary)
	s.Secondary.Down = s.Secondary.Down || slices.Contains(k.out, g.Secondary)
	k.restored[g.Name] = s
	return s
}

// adopt takes over what was saved. It is called while nobody else knows k, or
// with mu held.
func (k *keeper) adopt(s statefile.Snapshot) {
	k.before, k.out = s, s.Drained
	for _, g := range s.Groups {
		if g.Pin != "" {
			k.pins[g.Name] = pinNote{g.Pin, g.PinUntil, g.PinReason, g.PinBy}
		}
	}
}

// notePin remembers why a group was pinned, and by whom.
func (k *keeper) notePin(group string, n pinNote) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pins[group] = n
	k.changed()
}

// pinned is what notePin was told of this pin, empty if it was of another one.
func (k *keeper) pinned(group, target string, until time.Time) (reason, by string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pinnedLocked(group, target, until)
}

func (k *keeper) pinnedLocked(group, target string, until time.Time) (reason, by string) {
	n := k.pins[group]
	if n.target != target || !n.until.Equal(until) {
		return "", ""
	}
	return n.reason, n.by
}

// setDrained remembers which origins are out of service.
func (k *keeper) setDrained(origins []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.out = origins
	k.changed()
}

// drained are the origins that are out of service.
func (k *keeper) drained() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.out
}

// kept is the file, and whether the last save went well.
func (k *keeper) kept() (path string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.path, k.trouble.kind == nil
}

// lost says what initial can't keep of a group.
func (k *keeper) lost(g *config.Group) []note {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, _, ok := k.findLocked(g.Name)
	gone := func(origin string) bool { return origin != "" && roleOf(g, origin) == failover.RoleNone }
	group := zap.String("group", g.Name)
	switch {
	case !ok || old.Generation == 0:
	case gone(old.Target):
		return []note{{"state of a group ignored: its origin is no longer one of the group's", []zap.Field{group, zap.String("origin", old.Target)}}}
	case gone(old.Pin):
		return []note{{"pin dropped: its origin is no longer one of the group's", []zap.Field{group, zap.String("origin", old.Pin)}}}
	}
	return nil
}

// findLocked returns what is known of a group, and for how long nobody has
// watched its origins since.
func (k *keeper) findLocked(name string) (g statefile.Group, unwatched time.Duration, ok bool) {
	for _, live := range k.groups {
		if live.Name == name {
			return live.snapshot(), 0, true
		}
	}
	for _, g := range k.before.Groups {
		if g.Name == name {
			return g, max(time.Since(k.before.Saved), 0), true
		}
	}
	return statefile.Group{}, 0, false
}

// stateFor turns what was saved of a group into a State for its present origins.
// What is out of range in it is for failover to repair.
func stateFor(cfg *config.Config, g *config.Group, old *statefile.Group, unwatched time.Duration) failover.State {
	s := failover.State{
		Target:     roleOf(g, old.Target),
		Generation: old.Generation,
		Since:      old.Since,
		Primary:    verdictFor(cfg, old, g.Primary, unwatched),
		Secondary:  verdictFor(cfg, old, g.Secondary, unwatched),
		Hold:       old.Hold,
		Pin:        roleOf(g, old.Pin),
	}
	if s.Pin != failover.RoleNone {
		s.PinUntil = old.PinUntil
	}
	if g.Follow != nil { // or nobody would ever let the lead go
		s.Lead = roleOf(g, old.Lead)
	}
	// The reason tells of roles. If these were swapped, it tells nothing.
	if reason, err := failover.ParseReason(old.Reason); err == nil && (old.Target == old.Primary) == (old.Target == g.Primary) {
		s.Reason = reason
	}
	return s
}

// verdictFor returns the saved verdict of an origin. One that has no check any
// more counts as healthy, since nobody would ever bring it back; so does one that
// was not in the group. A down origin stays down until its checker says otherwise.
//
// Time in which nobody watched is no time of unbroken health: it puts off the
// beginning, and with it an automatic failback.
func verdictFor(cfg *config.Config, old *statefile.Group, origin string, unwatched time.Duration) failover.Verdict {
	o := cfg.Origin(origin)
	if o == nil || o.Health == nil {
		return failover.Verdict{}
	}
	var v statefile.Verdict
	switch origin {
	case old.Primary:
		v = old.PrimaryVerdict
	case old.Secondary:
		v = old.SecondaryVerdict
	}
	if !v.Down && !v.Since.IsZero() {
		v.Since = v.Since.Add(unwatched)
	}
	return failover.Verdict(v)
}

// roleOf returns an origin's role in a group, RoleNone if it has none.
func roleOf(g *config.Group, origin string) failover.Role {
	switch origin {
	case "":
		return failover.RoleNone
	case g.Primary:
		return failover.RolePrimary
	case g.Secondary:
		return failover.RoleSecondary
	}
	return failover.RoleNone
}

// setGroups tells which pointers live from now on, in the configuration's order.
// What was loaded has served its purpose then.
func (k *keeper) setGroups(cfg *config.Config, pointers []*failover.Group) {
	groups := make([]keptGroup, len(pointers))
	for i, p := range pointers {
		groups[i] = keptGroup{&cfg.Groups[i], p}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	first := k.groups == nil
	k.groups = groups
	for _, g := range groups {
		if s, ok := k.restored[g.Name]; ok && first {
			k.tellRestored(g, s)
		}
	}
	maps.DeleteFunc(k.pins, func(group string, _ pinNote) bool { return cfg.Group(group) == nil })
	k.before = statefile.Snapshot{}
	clear(k.restored)
	k.changed()
}

// tellRestored tells of a pointer that does not begin as a new one would. The
// table may have moved it on since it was saved, of which no flip tells.
func (k *keeper) tellRestored(g keptGroup, was failover.State) {
	is := g.pointer.Pointer()
	if was.Target == failover.RolePrimary && is.Target == failover.RolePrimary && is.Pin == failover.RoleNone {
		return
	}
	level := zapcore.WarnLevel
	if is.Target == failover.RolePrimary {
		level = zapcore.InfoLevel
	}
	k.log.Log(level, "pointer restored", zap.String("group", g.Name), zap.Stringer("target", is.Target),
		zap.String("from", originIn(g.Group, was.Target)), zap.String("to", originIn(g.Group, is.Target)),
		zap.Stringer("reason", is.Reason), zap.Uint64("generation", is.Generation), zap.Time("since", is.Since),
		zap.Duration("hold", is.Hold), zap.Stringer("pin", is.Pin))
}
