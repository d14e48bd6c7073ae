package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/statefile"
)

const (
	// saveEvery is the least time between two saves.
	saveEvery = 100 * time.Millisecond

	// retryEvery is how soon a save that failed is tried again.
	retryEvery = 5 * time.Second

	// savePatience is how long the answer to a change by hand waits for the file.
	savePatience = time.Second
)

// changed tells that a pointer's state is another one. It never blocks.
func (k *keeper) changed() { poke(k.dirty) }

// poke puts a token into a channel that has room for one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// setPath changes the file; empty: nothing is written any more. The old file
// stays as it is.
func (k *keeper) setPath(path string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if path == k.path {
		return
	}
	k.log.Info("state is kept elsewhere", zap.String("from", k.path), zap.String("to", path))
	k.path, k.trouble = path, trouble{}
	k.changed()
	poke(k.hurry)
}

// pause ends writing until resume. When it returns, no save is in progress.
func (k *keeper) pause() { k.setPaused(true) }

// resume ends a pause, and has the present state saved.
func (k *keeper) resume() {
	k.setPaused(false)
	k.changed()
	poke(k.hurry)
}

func (k *keeper) setPaused(paused bool) {
	k.saving.Lock()
	defer k.saving.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused = paused
}

// present returns the present state.
func (k *keeper) present() statefile.Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.groups == nil {
		return k.before
	}
	return k.snapshotLocked()
}

// encode packs a state for newKeeperFrom in another process; nil if that can't be.
func (k *keeper) encode(s statefile.Snapshot) []byte {
	data, err := statefile.Encode(s)
	if err != nil {
		k.log.Warn("state can't be handed over", zap.Error(err))
	}
	return data
}

// run saves after changes, and once more when ctx ends.
func (k *keeper) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			k.save()
			return
		case <-k.dirty:
		}
		wait := saveEvery
		if !k.save() {
			wait = retryEvery
			k.changed()
		}
		select {
		case <-ctx.Done():
		case <-k.hurry:
		case <-time.After(wait):
		}
	}
}

// awaitSaved has the present state saved at once, and returns when that is over, or
// after savePatience: a disk that hangs holds up nobody for longer.
func (k *keeper) awaitSaved() {
	k.mu.Lock()
	due, want := k.dueLocked(), k.begun+1 // one that has begun may have been too early
	k.mu.Unlock()
	if !due {
		return
	}
	k.changed()
	poke(k.hurry)
	patience := time.NewTimer(savePatience)
	defer patience.Stop()
	for {
		k.mu.Lock()
		over, news := k.ended >= want, k.news
		k.mu.Unlock()
		if over {
			return
		}
		select {
		case <-news:
		case <-patience.C:
			return
		}
	}
}

// dueLocked reports whether there is anything to write, and a place for it.
func (k *keeper) dueLocked() bool { return k.path != "" && !k.paused && k.groups != nil }

// save writes the present state, if it is to be written. It reports whether
// nothing is left to do.
func (k *keeper) save() bool {
	k.saving.Lock()
	defer k.saving.Unlock()
	k.mu.Lock()
	path, due := k.path, k.dueLocked()
	if !due {
		k.mu.Unlock()
		return true
	}
	s := k.snapshotLocked()
	k.begun++
	k.mu.Unlock()
	err := k.write(path, s)

	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = k.begun // no other has begun while saving is held
	close(k.news)
	k.news = make(chan struct{})
	switch {
	case path != k.path: // nobody asks for this file any more
	case err != nil:
		k.failedLocked(err)
	case k.trouble.kind != nil:
		k.log.Info("state is saved again", zap.String("file", path), zap.Int("failed", k.trouble.failed),
			zap.Duration("after", time.Since(k.trouble.since)))
		k.trouble = trouble{}
	}
	return err == nil
}

// failedLocked takes note that the state can't be saved. It tells so once, and
// again when the kind of error is another one.
func (k *keeper) failedLocked(err error) {
	t := &k.trouble
	if t.kind == nil {
		t.since = time.Now()
	}
	t.failed++
	kind, whatNow := errAnother, "serving goes on, and saving is tried again every 5 s; a restart would begin with what was saved last"
	for _, e := range []error{statefile.ErrForeign, statefile.ErrVersion} {
		if errors.Is(err, e) {
			kind, whatNow = e, "the file is left alone and nothing is kept; give another path for the state, or move the file away"
		}
	}
	if kind != t.kind {
		t.kind = kind
		k.log.Warn("state can't be kept", zap.String("file", k.path), zap.Error(err), zap.String("what_now", whatNow))
	}
}

// errAnother stands for all errors that may pass by themselves.
var errAnother = errors.New("another error")

// snapshotLocked returns the present state.
func (k *keeper) snapshotLocked() statefile.Snapshot {
	s := statefile.Snapshot{Saved: time.Now(), Drained: k.out}
	for _, g := range k.groups {
		kept := g.snapshot()
		if kept.Pin != "" {
			kept.PinReason, kept.PinBy = k.pinnedLocked(g.Name, kept.Pin, kept.PinUntil)
		}
		s.Groups = append(s.Groups, kept)
	}
	return s
}

// snapshot returns the present state of one group.
func (g keptGroup) snapshot() statefile.Group {
	s := g.pointer.Pointer()
	return statefile.Group{
		Name: g.Name, Primary: g.Primary, Secondary: g.Secondary,
		Target: g.origin(s.Target), Generation: s.Generation, Since: s.Since, Reason: s.Reason.String(), Hold: s.Hold,
		PrimaryVerdict: statefile.Verdict(s.Primary), SecondaryVerdict: statefile.Verdict(s.Secondary),
		Pin: g.origin(s.Pin), PinUntil: s.PinUntil, Lead: g.origin(s.Lead),
	}
}

// origin names the origin in a role, the empty string for RoleNone.
func (g keptGroup) origin(r failover.Role) string {
	if r == failover.RoleNone {
		return ""
	}
	return originIn(g.Group, r)
}
