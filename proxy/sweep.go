package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/netx"
)

// sweepEvery is how often deadlines and departures are looked at. It is the
// precision of every time-out but connect_timeout and queue_timeout, and well
// within what the promise on departures (250 ms) allows.
const sweepEvery = 50 * time.Millisecond

// clock is the server's monotonic time in nanoseconds since its start. coarse
// is as old as the last sweep and costs a load.
type clock struct {
	epoch  time.Time
	coarse atomic.Int64
	date   atomic.Pointer[[]byte] // the Date field's value, renewed each second
	second int64                  // the Unix time that date shows; the sweeper's own
}

func newClock() *clock {
	c := &clock{epoch: time.Now()}
	c.tick(c.epoch)
	return c
}

func (c *clock) now() int64 { return int64(time.Since(c.epoch)) }

// tick renews what is cached. Only one goroutine may call it.
func (c *clock) tick(now time.Time) {
	c.coarse.Store(int64(now.Sub(c.epoch)))
	if s := now.Unix(); s != c.second {
		date := now.UTC().AppendFormat(nil, "Mon, 02 Jan 2006 15:04:05 GMT")
		c.date.Store(&date)
		c.second = s
	}
}

// roster is the set of client connections.
type roster struct {
	mu    sync.Mutex
	conns slots[*conn] // guarded by mu
	seen  []*conn      // the sweep's own copy
}

func (r *roster) add(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns.add(c)
}

func (r *roster) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns.remove(c)
}

func (r *roster) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// snapshot lists the connections there are now. Only the sweeper may call it;
// the result is valid until its next call.
func (r *roster) snapshot() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.seen)
	r.seen = append(r.seen[:0], r.conns...)
	return r.seen
}

// all lists the connections there are now.
func (r *roster) all() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.conns)
}

// settledAfter is how long a client that has had an answer keeps its place
// although others wait for one. Without it, clients that are busy doing harm
// would push out those that merely pause between two requests.
const settledAfter = time.Second

// passedOver is how many of the oldest connections evict leaves alone since their
// request has come and only was not read yet.
const passedOver = 8

// evict closes the connection that has waited the longest for a request, or for
// its handshake, if there is one. It is not one that waits for us: in a flood a
// good client's first request may lie in its socket for a moment.
func (r *roster) evict() {
	all := r.all()
	for range passedOver {
		i := oldest(all)
		if i < 0 {
			return
		}
		if c := all[i]; c.raw == nil || !netx.Dead(c.raw) {
			c.makeRoom()
			return
		}
		all = slices.Delete(all, i, i+1)
	}
}

// oldest is the index of the connection that has waited the longest, -1 if none
// waits.
func oldest(all []*conn) int {
	found, first := -1, int64(noLimit)
	for i, c := range all {
		until, ok := c.waits()
		if ok && c.served.Load() {
			ok = until-int64(c.srv.current().idleTimeout()) <= c.srv.clock.coarse.Load()-int64(settledAfter)
		}
		if ok && until <= first {
			found, first = i, until
		}
	}
	return found
}

// sweep runs until stop is closed: it keeps the clock, enforces deadlines,
// notices clients that left, ends drills, and prunes idle connections to origins.
func (s *Server) sweep(stop <-chan struct{}) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	prune := time.Now()
	last := prune // the last visit
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			now := time.Now() // the tick may be old
			s.clock.tick(now)
			mono := s.clock.coarse.Load()
			s.visit(mono, now.Sub(last))
			s.sweepDrills(mono)
			last = now
			if now.Sub(prune) >= time.Second {
				prune = now
				s.current().table.prune(now)
				s.former.settle(s.log)
			}
		}
	}
}

// pauseFrom is how long after the last visit this one is no longer just late: the
// process stood still, or got next to no time from its machine.
const pauseFrom = 5 * sweepEvery

// visit looks at every connection, so long after the last visit. After a pause of
// this process no time is up yet: what came meanwhile waits in the sockets, and
// nobody has had a chance to read it. So deadlines move by the pause.
func (s *Server) visit(now int64, since time.Duration) {
	by := int64(s.pauses.forgive(since))
	for _, c := range s.conns.snapshot() {
		if by > 0 {
			c.prolong(by)
		}
		c.sweep(now)
	}
}

// pauses bounds what deadlines move by. Where every visit is late, the machine is
// too small for its load: time-outs that then take several times as long would keep
// that load up. The zero value has forgiven nothing. It is the sweeper's own.
type pauses struct {
	debt time.Duration // forgiven, and not yet paid back by the time since
}

const (
	// maxDebt is the debt from which on no pause is forgiven. A single one is,
	// however long it is.
	maxDebt = 10 * time.Second
	// payBack is how many times as long as a pause it takes to pay it back. So with
	// pauses all the time a time-out takes a third longer, beside maxDebt at first.
	payBack = 4
)

// forgive is how much deadlines move after a visit that came so long after the last
// one.
func (p *pauses) forgive(since time.Duration) time.Duration {
	p.debt = max(p.debt-since/payBack, 0)
	if since < pauseFrom || p.debt >= maxDebt {
		return 0
	}
	by := since - sweepEvery
	p.debt = min(p.debt+by, 2*maxDebt) // after a long one, others are forgiven before long
	return by
}

// prolong moves the deadlines of what is under way for the client.
func (c *conn) prolong(by int64) {
	c.x.prolong(by)
	if m := c.many.Load(); m != nil {
		m.prolong(by)
	}
}

// sweep looks at one connection. A mark that is the same as at the last visit
// belongs to a wait that has lasted a whole period.
func (c *conn) sweep(now int64) {
	if m := c.many.Load(); m != nil {
		m.sweep(now)
		return
	}
	mark := c.x.mark.Load()
	if mark&^phaseBits <= now {
		c.x.expire(mark, now, phase(mark&phaseBits) == phaseUpload && c.stuck())
		return
	}
	if mark != c.swept {
		c.swept, c.looked = mark, false
		return
	}
	switch phase(mark & phaseBits) {
	case phaseWait, phaseUpload, phaseBody:
		if c.gone() {
			c.x.interrupt(causeLeft)
		} else if !c.looked {
			c.looked = true
			c.x.nudge()
		}
	case phaseHandshake:
		if c.gone() {
			c.x.interrupt(causeLeft)
		}
	case phaseHead:
		// As below, but in one wait for a head there are many for its bytes.
		if c.gone() {
			c.x.interrupt(causeIdle)
		}
	case phaseIdle:
		// Once in each wait: the client's FIN may have come together with its
		// last request, and then no event tells of it (see onReadable).
		if !c.looked {
			c.looked = true
			if c.gone() {
				c.x.interrupt(causeIdle)
			}
		}
	}
}
