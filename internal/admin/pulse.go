package admin

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// pulse asks the backend for what all dashboards show, once for all of them, and
// only while there is one. A slow reader gets the newest status instead of all that
// it missed.
type pulse struct {
	backend Backend
	journal *Journal
	fault   func(error)
	every   time.Duration // how often without an event
	soonest time.Duration // how soon after the one before, with one

	mu       sync.Mutex
	watchers map[chan struct{}]struct{} // guarded by mu
	stop     chan struct{}              // ends the goroutine, nil if there is none; guarded by mu
	beat     *beat                      // nil: not yet; guarded by mu
	running  sync.WaitGroup
}

// beat is what there is to show. It doesn't change.
type beat struct {
	n       uint64 // counts the beats
	status  []byte
	samples uint64   // how many there were since the pulse began
	last    [][]byte // the last of them, oldest first, at most mostSamples
}

const mostSamples = 16

func newPulse(b Backend, j *Journal, fault func(error)) *pulse {
	return &pulse{backend: b, journal: j, fault: fault, every: time.Second, soonest: 100 * time.Millisecond, watchers: make(map[chan struct{}]struct{})}
}

// join gives a channel that receives when there is a new beat. Leave must be
// called in the end.
func (p *pulse) join() (woken <-chan struct{}, leave func()) {
	w := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers[w] = struct{}{}
	if p.stop == nil {
		stop := make(chan struct{})
		p.stop, p.beat = stop, nil
		p.running.Go(func() { p.run(stop) })
	}
	return w, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.watchers, w); len(p.watchers) == 0 {
			close(p.stop)
			p.stop = nil
		}
	}
}

// now is the newest beat, nil before the first one.
func (p *pulse) now() *beat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beat
}

// wait waits for the goroutine, once all have left.
func (p *pulse) wait() { p.running.Wait() }

// run beats until stop.
func (p *pulse) run(stop chan struct{}) {
	woken, unwatch := p.journal.Watch()
	defer unwatch()
	b := &beat{}
	var newest time.Time // the sample that was sent last
	for {
		b, newest = p.next(b, newest)
		if !p.publish(stop, b) || !p.rest(stop, woken) {
			return
		}
	}
}

// rest waits until the next beat is due.
func (p *pulse) rest(stop chan struct{}, woken <-chan struct{}) bool {
	soonest := time.NewTimer(p.soonest)
	defer soonest.Stop()
	every := time.NewTimer(p.every)
	defer every.Stop()
	select {
	case <-stop:
		return false
	case <-every.C:
		return true
	case <-woken:
	}
	select {
	case <-stop:
		return false
	case <-soonest.C:
		return true
	}
}

// next asks the backend. If that goes wrong the beat before stays.
func (p *pulse) next(old *beat, newest time.Time) (b *beat, last time.Time) {
	defer func() {
		if r := recover(); r != nil {
			p.fault(fmt.Errorf("panic while looking at the status: %v", r))
			b, last = old, newest
		}
	}()
	status, err := json.Marshal(p.backend.Status())
	if err != nil {
		p.fault(fmt.Errorf("status: %w", err))
		return old, newest
	}
	b = &beat{n: old.n + 1, status: status, samples: old.samples, last: old.last}
	samples := p.backend.History().Samples
	for _, s := range samples[firstAfter(samples, newest):] {
		if frame, err := json.Marshal(s); err == nil && !newest.IsZero() {
			b.samples++
			b.last = append(b.last[max(0, len(b.last)+1-mostSamples):len(b.last):len(b.last)], frame)
		}
	}
	last = newest
	if n := len(samples); n > 0 {
		last = samples[n-1].At
	} else if newest.IsZero() {
		last = time.Unix(0, 0) // whatever comes is new
	}
	return b, last
}

// firstAfter is the index of the first sample after t. On the first beat, where t
// is zero, nothing is new: the page has asked for the history.
func firstAfter(samples []adminapi.Sample, t time.Time) int {
	i := len(samples)
	for i > 0 && samples[i-1].At.After(t) && !t.IsZero() {
		i--
	}
	return i
}

// publish shows a beat to all, unless the pulse has stopped.
func (p *pulse) publish(stop chan struct{}, b *beat) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != stop {
		return false
	}
	p.beat = b
	for w := range p.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return true
}
