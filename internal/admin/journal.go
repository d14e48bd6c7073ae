package admin

import (
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// Kept is how many events a Journal remembers.
const Kept = 1000

// Journal remembers the last events. Its methods may be called from any
// goroutine.
type Journal struct {
	mu       sync.Mutex
	first    uint64                     // the Seq of the first event ever
	next     uint64                     // the Seq of the next one; guarded by mu
	ring     [Kept]adminapi.Event       // by Seq modulo its length; guarded by mu
	watchers map[chan struct{}]struct{} // guarded by mu
}

// NewJournal makes an empty journal. Started is when the process began: the
// numbers of its events begin at that time in milliseconds, so that they go on
// growing over restarts, and whoever resumes with the number of a process before
// this one misses nothing of this one.
func NewJournal(started time.Time) *Journal {
	first := uint64(max(started.UnixMilli(), 0)) + 1
	return &Journal{first: first, next: first, watchers: make(map[chan struct{}]struct{})}
}

// Add gives the event its Seq, and the time if it has none, and remembers it. It
// never waits for a reader. It returns the event as it is kept.
func (j *Journal) Add(e adminapi.Event) adminapi.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	e.Seq = j.next
	j.next++
	j.ring[e.Seq%Kept] = e
	for w := range j.watchers {
		select {
		case w <- struct{}{}:
		default: // it has been woken already
		}
	}
	return e
}

// Last is the Seq of the newest event, or where there is none the number right
// before the first one.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next - 1
}

// Since gives the events that came after the one numbered seq, oldest first, at
// most limit of them. Lost is how many more there were that are forgotten. A seq
// that no event of this journal had, or will have next, is of another process:
// then all events come after it.
func (j *Journal) Since(seq uint64, limit int) (events []adminapi.Event, lost uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq < j.first-1 || seq >= j.next {
		seq = j.first - 1
	}
	if oldest := j.oldestLocked(); seq+1 < oldest {
		lost, seq = oldest-1-seq, oldest-1
	}
	n := min(j.next-1-seq, uint64(max(limit, 0)))
	events = make([]adminapi.Event, 0, n)
	for s := seq + 1; s <= seq+n; s++ {
		events = append(events, j.ring[s%Kept])
	}
	return events, lost
}

// Latest gives the newest events that match, newest first, at most limit. Match
// must not call the journal; nil matches all.
func (j *Journal) Latest(limit int, match func(*adminapi.Event) bool) []adminapi.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := []adminapi.Event{}
	for s := j.next; s > j.oldestLocked() && len(events) < limit; s-- {
		if e := &j.ring[(s-1)%Kept]; match == nil || match(e) {
			events = append(events, *e)
		}
	}
	return events
}

// oldestLocked is the Seq of the oldest event that is kept, or next if there is none.
func (j *Journal) oldestLocked() uint64 {
	if j.next-j.first <= Kept {
		return j.first
	}
	return j.next - Kept
}

// Watch gives a channel that receives soon after each Add; several of them may
// be one receive. So nothing is kept for a reader but its place, the Seq of the
// last event that it has seen, and the ring is the buffer of all of them. Stop
// must be called in the end.
func (j *Journal) Watch() (woken <-chan struct{}, stop func()) {
	w := make(chan struct{}, 1)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watchers[w] = struct{}{}
	return w, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.watchers, w)
	}
}
