package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// What an operator's wish may meet.
var (
	// ErrPinned is returned by Group.Failback while the pointer is pinned.
	ErrPinned = errors.New("pointer is pinned")

	// ErrFollowing is returned by Group.Failback while the pointer follows
	// another one.
	ErrFollowing = errors.New("pointer follows another one")

	// ErrPrimaryDown is returned by Group.Failback while the primary is down.
	ErrPrimaryDown = errors.New("primary is down")

	// ErrNoOrigin is returned by Group.Pin for a role that the group lacks.
	ErrNoOrigin = errors.New("group has no such origin")
)

// GroupConfig describes a Group.
type GroupConfig struct {
	Name string // for errors and logs

	PointerConfig

	// OnFlip, if not nil, is called after each change of the target, one call at
	// a time, in order, and under no lock: it may call the Group. It runs on the
	// goroutine of the call that moved the pointer or of one that came at the same
	// time, so it must not block for long. By then the new state is published.
	OnFlip func(from, to State)
}

// Group is the pointer of one group of origins. All methods are safe for
// concurrent use. Make it with NewGroup; there is nothing to close.
type Group struct {
	cfg     GroupConfig
	current atomic.Pointer[published]

	mu         sync.Mutex // held while current changes; guards the rest
	flips      []flip     // not yet delivered to OnFlip
	delivering bool       // some goroutine is in deliver, or about to be
}

// published is a State that readers may see, with how they learn of its end.
type published struct {
	State
	changed  chan struct{} // closed when Target changes; shared by the states until then
	replaced chan struct{} // closed when any other state takes its place
}

type flip struct{ from, to State }

// NewGroup returns a Group that points to the primary and counts both origins as
// healthy.
func NewGroup(cfg GroupConfig) *Group {
	cfg.PointerConfig = cfg.PointerConfig.withDefaults()
	g := &Group{cfg: cfg}
	g.current.Store(&published{
		State:    newState(time.Now(), &cfg.PointerConfig),
		changed:  make(chan struct{}),
		replaced: make(chan struct{}),
	})
	return g
}

// Name returns the group's name.
func (g *Group) Name() string { return g.cfg.Name }

// Pointer returns the current state, never nil, which must not be changed. It
// costs one atomic load. A request calls it once and keeps what it got.
func (g *Group) Pointer() *State { return &g.current.Load().State }

// Changed returns a channel that is closed when the target next changes. Take it
// before Pointer: a change between the two then closes the channel already taken,
// whereas the other way round it would be missed.
func (g *Group) Changed() <-chan struct{} { return g.current.Load().changed }

// Verdict tells the group that the origin in role r is healthy or down. A verdict
// that repeats the last one changes nothing, nor does one of RoleNone or of a
// secondary that the group lacks.
func (g *Group) Verdict(r Role, healthy bool) {
	g.apply(event{kind: eventVerdict, role: r, healthy: healthy})
}

// Failback brings the pointer back to a healthy primary now, whatever waits are
// left. It does nothing if the pointer is there. ErrPinned, ErrFollowing and
// ErrPrimaryDown say that it stayed elsewhere.
func (g *Group) Failback() error {
	s := g.apply(event{kind: eventFailback})
	switch {
	case s.Target == RolePrimary:
		return nil
	case s.Pin != RoleNone:
		return fmt.Errorf("failback of group %s: %w", g.cfg.Name, ErrPinned)
	case s.Lead != RoleNone:
		return fmt.Errorf("failback of group %s: %w", g.cfg.Name, ErrFollowing)
	}
	return fmt.Errorf("failback of group %s: %w", g.cfg.Name, ErrPrimaryDown)
}

// Pin fixes the target to the origin in role r, healthy or not, for d or until
// Unpin; 0 or less means until Unpin. A second pin replaces the first. Its end
// needs Run. The error is ErrNoOrigin.
func (g *Group) Pin(r Role, d time.Duration) error {
	if !g.cfg.canPin(r) {
		return fmt.Errorf("pin group %s to %s: %w", g.cfg.Name, r, ErrNoOrigin)
	}
	g.apply(event{kind: eventPin, role: r, lasting: d})
	return nil
}

// Unpin ends a pin, if there is one. The pointer then goes where the verdicts
// and the waits for a failback put it.
func (g *Group) Unpin() { g.apply(event{kind: eventUnpin}) }

// Follow puts the pointer where another group's pointer is, at the origin in
// role r, whatever the verdicts say; only a pin outranks it. RoleNone, or a role
// that the group lacks, says that there is nothing to follow now: the verdicts
// decide again, and a failback has its waits.
func (g *Group) Follow(r Role) { g.apply(event{kind: eventFollow, role: r}) }

// Run moves the pointer when time alone does it: at a failback and at the end of
// a pin. It blocks until ctx is done and then returns nil. Everything but these
// two works without it.
func (g *Group) Run(ctx context.Context) error {
	for {
		p := g.current.Load()
		var due <-chan time.Time // nil: never
		if at, ok := deadline(p.State, &g.cfg.PointerConfig); ok {
			due = time.After(time.Until(at)) // an abandoned timer is collected
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.replaced:
		case <-due:
			g.apply(event{})
		}
	}
}

// apply feeds e to the machine, publishes what comes of it and tells OnFlip. It
// returns the state after e.
func (g *Group) apply(e event) State {
	s, mustDeliver := g.publish(e)
	if mustDeliver {
		g.deliver()
	}
	return s
}

// publish is the part of apply that needs the lock. If mustDeliver is true, the
// caller has to call deliver.
func (g *Group) publish(e event) (s State, mustDeliver bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.current.Load()
	s = next(old.State, e, time.Now(), &g.cfg.PointerConfig)
	if s == old.State {
		return s, false
	}
	p := &published{State: s, changed: old.changed, replaced: make(chan struct{})}
	if s.Target == old.Target {
		g.current.Store(p)
		close(old.replaced)
		return s, false
	}
	p.changed = make(chan struct{})
	g.current.Store(p)
	close(old.replaced)
	close(old.changed)
	if g.cfg.OnFlip == nil {
		return s, false
	}
	g.flips = append(g.flips, flip{old.State, s})
	mustDeliver = !g.delivering
	g.delivering = true
	return s, mustDeliver
}

// deliver calls OnFlip until no flip waits. Only one goroutine at a time does it,
// for all: this keeps the order without calling OnFlip under the lock.
func (g *Group) deliver() {
	for {
		f, ok := g.takeFlip()
		if !ok {
			return
		}
		g.cfg.OnFlip(f.from, f.to)
	}
}

// takeFlip returns the next flip to deliver, or ends the delivery.
func (g *Group) takeFlip() (f flip, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.flips) == 0 {
		g.flips, g.delivering = nil, false
		return flip{}, false
	}
	f, g.flips = g.flips[0], g.flips[1:]
	return f, true
}
