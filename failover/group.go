package failover

import (
	"context"
	"errors"
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

	// ErrStale is returned by Group.PinIf, UnpinIf and FailbackIf: the pointer has
	// another generation than the asker knows.
	ErrStale = errors.New("pointer has moved meanwhile")
)

// GroupConfig describes a Group.
type GroupConfig struct {
	Name string // for errors and logs

	PointerConfig

	// Initial is where the pointer begins: the State that an earlier Group of
	// these origins had. With a Generation of 0, as in the zero value, the group
	// is new: it points to the primary and counts both origins as healthy.
	//
	// It is repaired, not trusted. What the group lacks, what has expired and what
	// can't be is dropped, times are brought to the past and Hold between MinHold
	// and MaxHold. If the table then puts the pointer elsewhere, it is there when
	// NewGroup returns, one generation later, and no hook is told.
	//
	// Lead is believed like a pin, and has no end of its own: the pointer stays led
	// until Follow says otherwise. So whoever gives a Lead goes on following, and
	// calls Follow with RoleNone if the other pointer can't be heard of any more.
	// Who doesn't go on leaves it out.
	Initial State

	// OnFlip, if not nil, is called after each change of the target, one call at
	// a time, in order, and under no lock: it may call the Group. It runs on the
	// goroutine of the call that moved the pointer or of one that came at the same
	// time, so it must not block for long. By then the new state is published.
	OnFlip func(from, to State)

	// OnChange, if not nil, is called after each change of the State, whether or
	// not the target is another one, under no lock and before OnFlip. By then the
	// new state is published. It runs on the goroutine of the call that made the
	// change, so there may be several calls at a time. It must not block.
	OnChange func()
}

// Group is the pointer of one group of origins. All methods are safe for
// concurrent use. Make it with NewGroup; there is nothing to close.
type Group struct {
	name     string
	onFlip   func(from, to State)
	onChange func()
	current  atomic.Pointer[published]

	mu         sync.Mutex // held while current changes; guards the rest
	flips      []flip     // not yet delivered to OnFlip
	delivering bool       // some goroutine is in deliver, or about to be
}

// published is a State that readers may see, with the configuration that it
// moves by and how they learn of its end.
type published struct {
	State
	config   *PointerConfig // never changed, with its defaults filled in
	changed  chan struct{}  // closed when Target changes; shared by the states until then
	replaced chan struct{}  // closed when another state or configuration takes its place
}

type flip struct{ from, to State }

// NewGroup returns a Group that begins where cfg.Initial says.
func NewGroup(cfg GroupConfig) *Group {
	c := cfg.PointerConfig.withDefaults()
	g := &Group{name: cfg.Name, onFlip: cfg.OnFlip, onChange: cfg.OnChange}
	g.current.Store(&published{
		State:    restore(cfg.Initial, time.Now(), &c),
		config:   &c,
		changed:  make(chan struct{}),
		replaced: make(chan struct{}),
	})
	return g
}

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

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

// Follow puts the pointer where another group's pointer is, at the origin in
// role r, whatever the verdicts say; only a pin outranks it. RoleNone, or a role
// that the group lacks, says that there is nothing to follow now: the verdicts
// decide again, and a failback has its waits.
func (g *Group) Follow(r Role) { g.apply(event{kind: eventFollow, role: r}) }

// Reconfigure replaces the configuration that the pointer moves by. The state
// stays, and what is new holds at once, also for waits that have begun: a Hold
// that was the least becomes the new least, any other is brought between the new
// MinHold and MaxHold. A group that loses its secondary forgets its verdict, its
// pin and its lead, and the pointer goes where the table says. One that gains a
// secondary counts it as healthy until a verdict comes.
func (g *Group) Reconfigure(c PointerConfig) {
	c = c.withDefaults()
	_, _ = g.change(event{}, &c)
}

// Run moves the pointer when time alone does it: at a failback and at the end of
// a pin. It blocks until ctx is done and then returns nil. Everything but these
// two works without it.
func (g *Group) Run(ctx context.Context) error {
	for {
		p := g.current.Load()
		var due <-chan time.Time // nil: never
		if at, ok := deadline(p.State, p.config); ok {
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

// apply feeds e to the machine, publishes what comes of it and tells the hooks.
func (g *Group) apply(e event) { _, _ = g.change(e, nil) }

// change is apply with a new configuration, unless c is nil. It returns the
// state after e. If e was refused, that is the state as it stays.
func (g *Group) change(e event, c *PointerConfig) (State, error) {
	s, did, err := g.publish(e, c)
	if did.changed && g.onChange != nil {
		g.onChange()
	}
	if did.mustDeliver {
		g.deliver()
	}
	return s, err
}

// consequence is what is left to do for whoever has published a state: changed
// says that it is another one, mustDeliver that deliver has to be called.
type consequence struct{ changed, mustDeliver bool }

// publish is the part of change that needs the lock.
func (g *Group) publish(e event, c *PointerConfig) (s State, did consequence, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.current.Load()
	if err := refusal(e, old); err != nil {
		return old.State, consequence{}, err
	}
	now := time.Now()
	s = old.State
	if c == nil {
		c = old.config
	} else {
		s = refit(s, now, old.config, c)
	}
	s = next(s, e, now, c)
	if s == old.State && *c == *old.config {
		return s, consequence{}, nil
	}
	p := &published{State: s, config: c, changed: old.changed, replaced: make(chan struct{})}
	if s.Target == old.Target {
		g.current.Store(p)
		close(old.replaced)
		return s, consequence{changed: s != old.State}, nil
	}
	p.changed = make(chan struct{})
	g.current.Store(p)
	close(old.replaced)
	close(old.changed)
	if g.onFlip == nil {
		return s, consequence{changed: true}, nil
	}
	g.flips = append(g.flips, flip{old.State, s})
	did = consequence{changed: true, mustDeliver: !g.delivering}
	g.delivering = true
	return s, did, nil
}

// deliver calls OnFlip until no flip waits. Only one goroutine at a time does it,
// for all: this keeps the order without calling OnFlip under the lock.
func (g *Group) deliver() {
	for {
		f, ok := g.takeFlip()
		if !ok {
			return
		}
		g.onFlip(f.from, f.to)
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
