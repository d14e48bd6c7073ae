// Package follower reads another Fairlead's pointer over DNS, so that a group
// can go where that one goes.
//
// The other one publishes its pointer as a TXT record, read again each time its
// TTL is over:
//
//	shop.failover.example. 5 IN TXT "target=eu generation=7 since=... reason=primary_down"
//
// An answer holds for three times its TTL. When none has come by then, or it
// says nothing that can be followed, the group is on its own until one does.
//
// # Loops
//
// Followers that follow each other in a ring would hold on to whatever they
// last had, for ever. So each follower has an id, and publishes in a field
// via= its own and those that came with the answer that it follows. Who finds
// its own id in an answer is in a ring, and doesn't follow. That alone would
// make all of a ring let go together, find the ring gone, and close it again
// together. So the one with the smallest id stays out for longer than news
// takes to come around; to the others the ring is then a chain, which ends in
// it.
package follower

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// staleAfter is for how many TTLs an answer holds.
	staleAfter = 3
	// minPoll separates two questions at least, whatever the TTL.
	minPoll = time.Second
	// maxPoll separates two questions at most.
	maxPoll = 5 * time.Minute
	// maxChain bounds the followers that an answer may have come through.
	maxChain = 16
)

// Config describes a Follower. Every field but TTL and the last two is needed.
type Config struct {
	// Server is the other nameserver's address, ip:port, and Name the absolute
	// name of its group.
	Server, Name string
	// ID tells this follower from all others: letters and digits, at most 64.
	ID string
	// Origins are the names of origins that the pointer can be put to.
	Origins []string
	// Text asks a nameserver for the TXT records of a name.
	Text func(ctx context.Context, server, name string) (texts []string, ttl time.Duration, err error)
	// TTL is that of the answer by which somebody before this follower has led the
	// group, as far as it is known. The group stays led while Run has no answer
	// of its own, for three TTLs. 0, as for a group that is not led: a second.
	TTL time.Duration
	// Lead is told where the pointer is: one of Origins, or "" when nothing can
	// be followed. It is called when Run has found out, whatever the group was led
	// to before, and then when that changes; by Run, one call at a time.
	Lead func(origin string)
	// OnVia is called when what Via returns has changed. Nil: nobody is told.
	OnVia func()
	// OnEvent is told when following begins and ends, and why, before Lead is.
	// Nil: nobody is.
	OnEvent func(Event)
}

// Event says that following began, ended, or ended for another reason.
type Event struct {
	// Origin is where the followed pointer is; empty: it isn't followed.
	Origin string
	// Generation is the followed pointer's own count of its flips.
	Generation uint64
	// Err says why it isn't followed. Nil if it is.
	Err error
}

// Why an answer isn't followed, for errors.Is.
var (
	// ErrLoop: the answer came by way of this follower itself.
	ErrLoop = errors.New("followers follow each other in a ring")
	// ErrTooLong: the answer came by way of too many followers.
	ErrTooLong = errors.New("too many followers in a row")
	// ErrStale: no answer came for three TTLs.
	ErrStale = errors.New("no answer for three TTLs")
	// ErrNoTarget: the answer's pointer is at no origin that is known here.
	ErrNoTarget = errors.New("pointer is at no origin of this group")
	// ErrMalformed: the answer is not a pointer's.
	ErrMalformed = errors.New("answer is not a pointer")
)

// Follower follows one pointer. Make it with New.
type Follower struct {
	cfg Config
	via atomic.Pointer[[]string]

	// The rest belongs to Run.
	spoken   bool          // Lead was told something
	led      string        // what Lead was told last
	told     string        // what OnEvent was told last
	ttl      time.Duration // of the last answer
	goodTill time.Time     // how long the last answer holds
	outTill  time.Time     // out of a ring until then
}

// New makes a follower that follows nothing before Run.
func New(cfg Config) *Follower {
	f := &Follower{cfg: cfg, ttl: minPoll}
	f.via.Store(&[]string{cfg.ID})
	return f
}

// Via is what this group's own answer has to carry: the ids of the followers
// that the pointer comes through, this one first. It must not be changed. Safe
// for concurrent use.
func (f *Follower) Via() []string { return *f.via.Load() }

func (f *Follower) setVia(upstream []string) {
	via := append([]string{f.cfg.ID}, upstream...)
	if slices.Equal(via, f.Via()) {
		return
	}
	f.via.Store(&via)
	if f.cfg.OnVia != nil {
		f.cfg.OnVia()
	}
}

// Run follows until ctx is done, and then returns nil. What was followed last
// stays; the caller decides what becomes of it.
func (f *Follower) Run(ctx context.Context) error {
	f.goodTill = time.Now().Add(staleAfter * bounded(f.cfg.TTL))
	for {
		wait := f.poll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// poll asks once and returns how long to wait until the next time.
func (f *Follower) poll(ctx context.Context) time.Duration {
	texts, ttl, err := f.cfg.Text(ctx, f.cfg.Server, f.cfg.Name)
	if ctx.Err() != nil {
		return 0
	}
	now := time.Now()
	if err != nil {
		return f.missed(now, err)
	}
	f.ttl = bounded(ttl)
	f.goodTill = now.Add(staleAfter * f.ttl)
	a, err := readAnswer(texts)
	if err == nil {
		err = f.judge(a, now)
	}
	if err != nil {
		f.alone(err)
		return f.ttl
	}
	f.setVia(a.via)
	f.tell(Event{Origin: a.target, Generation: a.generation})
	f.lead(a.target)
	return f.ttl
}

// bounded is a TTL as it is gone by.
func bounded(ttl time.Duration) time.Duration { return min(max(ttl, minPoll), maxPoll) }

// missed is a question that got no answer. The last one may still hold; the
// wait is short enough to see its end in time.
func (f *Follower) missed(now time.Time, err error) time.Duration {
	left := f.goodTill.Sub(now)
	if left <= 0 {
		f.alone(fmt.Errorf("%w: %w", ErrStale, err))
		return f.ttl
	}
	return min(max(f.ttl/2, minPoll), left)
}

// judge says why an answer must not be followed, or nil.
func (f *Follower) judge(a answer, now time.Time) error {
	if i := slices.Index(a.via, f.cfg.ID); i >= 0 {
		ring := a.via[:i+1]
		if slices.Min(ring) == f.cfg.ID {
			// Each member may take a TTL to hear of it.
			f.outTill = now.Add(time.Duration(len(ring)+1) * staleAfter * f.ttl)
		}
		return ErrLoop
	}
	if now.Before(f.outTill) {
		return ErrLoop
	}
	if len(a.via) >= maxChain {
		return fmt.Errorf("%w: it came through %d", ErrTooLong, len(a.via))
	}
	if !slices.Contains(f.cfg.Origins, a.target) {
		return fmt.Errorf("%w: it is at %q", ErrNoTarget, a.target)
	}
	return nil
}

// alone stops following, for a reason.
func (f *Follower) alone(err error) {
	f.setVia(nil)
	f.tell(Event{Err: err})
	f.lead("")
}

func (f *Follower) lead(origin string) {
	if f.spoken && origin == f.led {
		return
	}
	f.spoken, f.led = true, origin
	f.cfg.Lead(origin)
}

// tell reports what is new, once.
func (f *Follower) tell(e Event) {
	what := "at " + e.Origin
	if e.Err != nil {
		what = kind(e.Err)
	}
	if what == f.told {
		return
	}
	f.told = what
	if f.cfg.OnEvent != nil {
		f.cfg.OnEvent(e)
	}
}

// kind is what an error has in common with those that need no second report.
func kind(err error) string {
	for _, k := range []error{ErrLoop, ErrTooLong, ErrStale, ErrNoTarget, ErrMalformed} {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	return err.Error()
}
