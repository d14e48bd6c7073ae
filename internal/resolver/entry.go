package resolver

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// epoch is what entries count time of use from.
var epoch = time.Now()

// An entry is a name in the cache.
type entry struct {
	host  string // in lower case
	state atomic.Pointer[state]

	used                         atomic.Int64 // when, since epoch
	lookups, failures, staleUsed atomic.Uint64
	busy, watched                atomic.Bool // there is a flight, a watcher

	// What follows is guarded by the Resolver's mu.
	flight   *flight
	watchers []*watcher
	timer    *time.Timer // wakes a watched name; nil until it was
}

// A flight is the one goroutine that works for a name: it looks it up if that
// is due, and tells who is to be told. So whatever is told of a name is told in
// order.
type flight struct {
	// ready is closed as soon as the state has what the flight found.
	ready  chan struct{}
	closed bool // by the flight's goroutine
}

func (f *flight) setReady() {
	if !f.closed {
		f.closed = true
		close(f.ready)
	}
}

// A watcher is one call of Watch.
type watcher struct {
	changed func([]netip.Addr)

	// What follows is guarded by the Resolver's mu.
	told    []netip.Addr
	running chan struct{} // closed when the call of changed that is under way ends; nil: none is
}

// find gives the entry of host, or nil. It doesn't allocate if host is in
// lower case.
func (r *Resolver) find(host string) *entry {
	host = strings.ToLower(host)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names[host]
}

func (r *Resolver) findOrAdd(host string) (*entry, error) {
	host = strings.ToLower(host)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, &Error{Host: host, Kind: Closed, Err: errClosed}
	}
	e := r.addLocked(host, false)
	if e == nil {
		return nil, &Error{Host: host, Kind: Overloaded, Err: errOverloaded}
	}
	return e, nil
}

// addLocked gives the entry of host, in lower case, and makes it if there is
// none. A name that nobody watches takes the place of the one that was used the
// longest ago if there are too many; nil means that all of those are being
// looked up.
func (r *Resolver) addLocked(host string, watched bool) *entry {
	if e := r.names[host]; e != nil {
		return e
	}
	if !watched && !r.makeRoomLocked() {
		return nil
	}
	e := &entry{host: host}
	e.state.Store(&state{})
	e.used.Store(int64(time.Since(epoch)))
	r.names[host] = e
	return e
}

func (r *Resolver) makeRoomLocked() bool {
	if len(r.names) < maxNames {
		return true
	}
	unwatched := 0
	var oldest *entry
	for _, e := range r.names {
		if len(e.watchers) > 0 {
			continue
		}
		unwatched++
		if e.flight == nil && (oldest == nil || e.used.Load() < oldest.used.Load()) {
			oldest = e
		}
	}
	if unwatched < maxNames {
		return true
	}
	if oldest == nil {
		return false
	}
	oldest.stopTimer()
	delete(r.names, oldest.host)
	return true
}

func (e *entry) stopTimer() {
	if e.timer != nil {
		e.timer.Stop()
	}
}

// Watch keeps the answer for host fresh from now on, so that Lookup doesn't
// wait after the first one, and calls changed with the addresses when there
// are some for the first time and whenever their set changes; with none if they
// are withdrawn. Addresses must not be changed.
//
// Calls come one at a time, from a goroutine of the Resolver, which looks the
// name up no more until changed returns. Any number may watch one name. Stop
// ends the watch and waits for a call that is running, so changed must not
// call it, nor Close. It may be called more than once.
func (r *Resolver) Watch(host string, changed func(addrs []netip.Addr)) (stop func()) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return func() {}
	}
	w := &watcher{changed: changed}
	e := r.addLocked(strings.ToLower(host), true)
	e.watchers = append(e.watchers, w)
	e.watched.Store(true)
	r.mu.Unlock()
	r.wake(e)
	return func() { r.unwatch(e, w) }
}

func (r *Resolver) unwatch(e *entry, w *watcher) {
	r.mu.Lock()
	e.watchers = slices.DeleteFunc(e.watchers, func(x *watcher) bool { return x == w })
	if len(e.watchers) == 0 {
		e.stopTimer()
		e.watched.Store(false)
	}
	running := w.running
	r.mu.Unlock()
	if running != nil {
		<-running
	}
}

// wake gives the flight of e, a new one if there is none. It is nil if the
// Resolver is closed.
func (r *Resolver) wake(e *entry) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.flight == nil && !r.closed {
		e.flight = &flight{ready: make(chan struct{})}
		e.busy.Store(true)
		f := e.flight
		r.work.Go(func() { r.fly(e, f) })
	}
	return e.flight
}

// fly is a flight's goroutine.
func (r *Resolver) fly(e *entry, f *flight) {
	defer f.setReady()
	now := time.Now()
	if s, events := expired(*e.state.Load(), nil, now, r.limits); len(events) > 0 {
		e.state.Store(&s)
		r.notify(e, events)
		r.tell(e)
	}
	if s := e.state.Load(); r.mustAsk(s, now) {
		r.ask(e, f)
	}
	f.setReady()
	for {
		r.tell(e)
		if r.land(e) {
			return
		}
	}
}

// mustAsk reports whether a lookup is due. Who wakes an entry with an answer
// may have come late, or only have something told.
func (r *Resolver) mustAsk(s *state, now time.Time) bool {
	if !s.usable(now, r.limits.staleMax) && s.err == nil {
		return true
	}
	return !now.Before(s.due)
}

// ask looks e's name up and publishes what comes of it.
func (r *Resolver) ask(e *entry, f *flight) {
	take := func(res result) {
		if r.ctx.Err() != nil {
			return // cut off by Close, which says nothing of the name
		}
		before := e.state.Load()
		s, events := next(*before, res, time.Now(), r.limits, rand.Float64())
		if s.failed > before.failed {
			e.failures.Add(1)
		}
		e.state.Store(&s)
		f.setReady()
		r.notify(e, events)
	}
	res, ok := r.askInTurn(e, func(res result) {
		take(res)
		r.tell(e)
	})
	if ok {
		take(res)
	}
}

// askInTurn waits for a slot. It is not ok if the Resolver was closed first.
func (r *Resolver) askInTurn(e *entry, early func(result)) (res result, ok bool) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-r.ctx.Done():
		return res, false
	}
	e.lookups.Add(1)
	return r.lookup(r.ctx, e.host, early), true
}

func (r *Resolver) notify(e *entry, events []Event) {
	for _, ev := range events {
		ev.Host = e.host
		r.cfg.OnEvent(ev)
	}
}

// tell calls the watchers that know another set of addresses.
func (r *Resolver) tell(e *entry) {
	for {
		r.mu.Lock()
		addrs := e.state.Load().addrs
		w := e.untoldLocked(addrs)
		if w == nil || r.closed {
			r.mu.Unlock()
			return
		}
		w.told = addrs
		w.running = make(chan struct{})
		r.mu.Unlock()

		w.changed(addrs)

		r.mu.Lock()
		close(w.running)
		w.running = nil
		r.mu.Unlock()
	}
}

func (e *entry) untoldLocked(addrs []netip.Addr) *watcher {
	for _, w := range e.watchers {
		if !sameSet(w.told, addrs) {
			return w
		}
	}
	return nil
}

// land ends the flight and sets the time of the next one, unless there is
// somebody left to tell.
func (r *Resolver) land(e *entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := e.state.Load()
	if !r.closed && e.untoldLocked(s.addrs) != nil {
		return false
	}
	e.flight = nil
	e.busy.Store(false)
	if r.closed || len(e.watchers) == 0 {
		return true
	}
	in := max(time.Until(s.due), 0)
	if e.timer == nil {
		e.timer = time.AfterFunc(in, func() { r.wake(e) })
	} else {
		e.timer.Reset(in)
	}
	return true
}

func sortStats(all []NameStats) {
	slices.SortFunc(all, func(a, b NameStats) int { return cmp.Compare(a.Host, b.Host) })
}
