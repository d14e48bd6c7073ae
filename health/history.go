package health

import (
	"sync"
	"time"
)

// remembered is how many probes a [Checker] remembers.
const remembered = 60

// history is what a Checker remembers for those who look at it. It decides
// nothing: the machine has its own state.
type history struct {
	mu     sync.Mutex
	probes [remembered]Result // guarded by mu; a ring
	count  int                // guarded by mu; of all probes ever
	since  time.Time          // guarded by mu
}

// add appends a result. moved says that it changed the verdict, at a time.
func (h *history) add(r Result, moved bool, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probes[h.count%remembered] = r
	h.count++
	if moved {
		h.since = at
	}
}

// Probes returns the last 60 probes, the oldest first, those included that did
// not count. It is there when the event of a probe is told.
func (c *Checker) Probes() []Result {
	h := &c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(h.count, remembered)
	last := make([]Result, 0, n)
	for i := h.count - n; i < h.count; i++ {
		last = append(last, h.probes[i%remembered])
	}
	return last
}

// Since returns when the verdict last changed. Before it ever did, that is when
// the Checker was made.
func (c *Checker) Since() time.Time {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	return c.history.since
}
