package proxy

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// What is remembered of the last requests, and how long the texts of one may be.
const (
	maxRemembered = 64      // of one kind, of a route
	allRemembered = 1 << 15 // of one kind, of all routes together

	maxIDText     = 64
	maxMethodText = 16
	maxHostText   = 64
	maxTargetText = 256
	maxClientText = 48
)

// How often a route remembers at most, but for the first maxRemembered: under
// load a sample is as good, and costs a hundredth.
const (
	goodEvery = int64(5 * time.Millisecond)
	badEvery  = int64(time.Millisecond)
)

// Decision is one request that is over, what became of it and why. Its texts are
// the client's own, the query included, cut as Server.Recent says.
type Decision struct {
	ID         string
	Start      time.Time // when the head was there
	Client     string    // its address, "" on a unix socket
	Method     string
	Host       string
	Target     string
	Route      string // "" if no route matches it, and then also Group
	Group      string
	Status     int    // 0 if the client left before it was answered
	Result     string // one of Results, or "refused"
	Role       string // where the pointer was: "primary", "secondary", "none"; "" if it was not asked
	Generation uint64 // of the pointer
	Covered    bool   // it might have failed over
	WhyNot     string // why it did not, where it would have; a failover.WhyNot
	Error      string // the text of a response of our own
	Queued     time.Duration
	Parked     time.Duration
	Total      time.Duration
	BytesIn    int64 // of the body
	BytesOut   int64
	Drill      bool      // a drill has picked it
	Attempts   []Attempt // at most two, the first and the last, and before them one that is simulated
}

// Attempt is one try at one origin.
type Attempt struct {
	Origin    string
	Role      string
	Address   string // "" if there was no connection
	Class     string // "ok" or a failover.Outcome, such as "status:503"
	Why       string // Class in words, "" for "ok"
	Status    int
	Reused    bool          // it went over a pooled connection
	ConnRetry bool          // a dead pooled connection was replaced
	Start     time.Duration // since the request's
	Connect   time.Duration // of the attempt; 0 if no connection was made for it
	FirstByte time.Duration // of the response, since the attempt began; 0 if there was none
	Simulated bool          // a drill has it that the origin failed: it was not asked
}

// Recent lists the last decisions of a route, or of all routes and of requests
// that no route matches if route is "", the newest first and at most limit of
// them; 0 or less means all. With failed it lists those alone that did not just go
// well: anything but served at the first attempt, with a status below 500. What a
// drill has sent to the secondary, and that served, went well. It needs
// Config.Remember.
//
// Each route remembers 64 of these and 64 of the others, which take 100 KB; with
// more than 512 routes it is fewer, so that all take no more than 55 MB. Nothing is
// taken before the first request. When they come faster than 200 a
// second, or 1000 of those that did not go well, not each is remembered. Texts are
// cut: ids after 64 bytes, methods after 16, hosts after 64, targets after 256.
func (s *Server) Recent(route string, failed bool, limit int) []Decision {
	var all []decision
	table := s.current().table
	if route == "" {
		all = s.strays.appendTo(all, failed)
		for _, r := range table.routes {
			all = r.memory.appendTo(all, failed)
		}
	} else if r := table.named[route]; r != nil {
		all = r.memory.appendTo(all, failed)
	}
	slices.SortStableFunc(all, func(a, b decision) int { return cmp.Compare(b.end, a.end) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	list := make([]Decision, len(all))
	for i := range all {
		list[i] = all[i].public(s.clock.epoch)
	}
	return list
}

// rememberedOf is how many decisions of each kind a route among so many
// remembers.
func rememberedOf(routes int) int {
	return min(max(allRemembered/max(routes, 1), 1), maxRemembered)
}

// memory is what a route remembers.
type memory struct{ good, bad ring }

func (m *memory) appendTo(all []decision, failed bool) []decision {
	all = m.bad.appendTo(all)
	if !failed {
		all = m.good.appendTo(all)
	}
	return all
}

// ring holds the last decisions of one kind. It has no memory of its own before
// the first.
type ring struct {
	due   atomic.Int64 // server clock; see wants
	mu    sync.Mutex
	slots []decision // guarded by mu
	count uint64     // guarded by mu; of all ever
}

// wants reports whether a decision at now is to be remembered, one in each period
// and as many as the ring holds at once.
func (r *ring) wants(now, every int64) bool {
	// due runs ahead of the clock by as much as the ring holds: a ring that is new
	// or has rested takes so many at once.
	ahead := every * maxRemembered
	due := r.due.Load()
	if due > now+ahead {
		return false
	}
	// Of two at the same time both may be wanted: that is not worth a loop.
	r.due.Store(max(due, now) + every)
	return true
}

// next is the slot for one more decision. The ring must be locked.
func (r *ring) next(size int) *decision {
	if r.slots == nil {
		r.slots = make([]decision, size)
	}
	d := &r.slots[r.count%uint64(len(r.slots))]
	r.count++
	return d
}

// remembered is how many decisions the ring holds now.
func (r *ring) remembered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(min(r.count, uint64(len(r.slots))))
}

func (r *ring) appendTo(all []decision) []decision {
	if r.remembered() == 0 {
		return all
	}
	all = slices.Grow(all, maxRemembered) // before the lock, which requests that end wait for
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(all, r.slots[:min(r.count, uint64(len(r.slots)))]...)
}

// decision is a Decision as it lies in a ring: the client's texts are one after
// the other in one array, and the other strings are those of the configuration.
type decision struct {
	start, end     int64 // server clock
	queued, parked time.Duration
	in, out        int64
	route, group   string
	refusal        string
	drill          string // the origin that a drill has kept it from, "": none
	generation     uint64
	status         int
	result         result
	target         failover.Role
	pointed        bool // target and generation are set
	covered        bool
	whyNot         failover.WhyNot
	tried          int
	tries          [2]pastTry
	ends           [5]uint16 // of the texts
	text           [maxIDText + maxMethodText + maxHostText + maxTargetText + maxClientText]byte
}

// pastTry is what is remembered of an attempt.
type pastTry struct {
	origin, remote              string
	role                        failover.Role
	outcome                     failover.Outcome
	status                      int
	reused, retried             bool
	started, connect, firstByte time.Duration
}

// remember puts the exchange, which is over, into the memory of its route.
func (x *exchange) remember() {
	m, size := &x.srv.strays, maxRemembered
	if x.route != nil {
		m, size = x.route.memory, x.snap.remembered
	}
	r, every := &m.bad, badEvery
	if (x.result == resultServed || x.picked && x.result == resultFailedOver) && x.tried == 1 && x.status < 500 {
		r, every = &m.good, goodEvery
	}
	if !r.wants(x.end, every) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next(size).set(x)
}

// set copies what is to be remembered of an exchange.
func (d *decision) set(x *exchange) {
	d.start, d.end, d.queued, d.parked = x.start, x.end, x.queued, x.parked
	d.in, d.out = x.body.sent.Load(), x.sent
	d.status, d.result, d.covered, d.whyNot = x.status, x.result, false, failover.WhyNotNone
	d.route, d.group, d.refusal, d.drill, d.pointed = "", "", "", "", false
	if x.route != nil {
		d.route, d.group, d.covered = x.route.name, x.route.group, x.covered
	}
	if x.refusal != nil {
		d.refusal = x.refusal.text
	}
	if x.pointer != nil {
		d.pointed, d.target, d.generation = true, x.pointer.Target, x.pointer.Generation
	}
	if x.picked {
		d.drill = x.notTaken().origin
	}
	if x.wanted() {
		d.whyNot = x.whyNot
	}
	d.tried = x.tried
	for i := range x.tried {
		d.tries[i].set(&x.tries[i], x.start)
	}
	n := 0
	for i, t := range [...]struct {
		text []byte
		most int
	}{{x.id, maxIDText}, {x.req.Method, maxMethodText}, {x.req.Host, maxHostText}, {x.req.Target, maxTargetText}, {x.peer, maxClientText}} {
		n += copy(d.text[n:n+t.most], t.text)
		d.ends[i] = uint16(n)
	}
}

func (t *pastTry) set(a *attempt, start int64) {
	*t = pastTry{origin: a.leg.origin.name, remote: a.remote, role: a.leg.role, outcome: a.outcome, status: a.status,
		reused: a.reused, retried: a.retried, started: time.Duration(a.begun - start)}
	if a.connected != 0 {
		t.connect = time.Duration(a.connected - a.begun)
	}
	if a.firstByte != 0 {
		t.firstByte = time.Duration(a.firstByte - a.begun)
	}
}

// public is the decision as others see it.
func (d *decision) public(epoch time.Time) Decision {
	var texts [len(d.ends)]string
	from := uint16(0)
	for i, to := range d.ends {
		texts[i], from = string(d.text[from:to]), to
	}
	p := Decision{
		ID: texts[0], Method: texts[1], Host: texts[2], Target: texts[3], Client: texts[4],
		Start: epoch.Add(time.Duration(d.start)), Route: d.route, Group: d.group,
		Status: d.status, Result: d.result.String(), Covered: d.covered, Error: d.refusal,
		Queued: d.queued, Parked: d.parked, Total: time.Duration(d.end - d.start), BytesIn: d.in, BytesOut: d.out,
	}
	if d.pointed {
		p.Role, p.Generation = d.target.String(), d.generation
	}
	if d.whyNot != failover.WhyNotNone {
		p.WhyNot = d.whyNot.String()
	}
	if d.drill != "" {
		p.Drill, p.Attempts = true, append(p.Attempts, notTaken{d.drill}.public())
	}
	for _, t := range d.tries[:d.tried] {
		a := Attempt{
			Origin: t.origin, Role: t.role.String(), Address: t.remote, Class: "ok", Why: why(t.outcome), Status: t.status,
			Reused: t.reused, ConnRetry: t.retried, Start: t.started, Connect: t.connect, FirstByte: t.firstByte,
		}
		if t.outcome.Class != failover.ClassNone {
			a.Class = t.outcome.String()
		}
		p.Attempts = append(p.Attempts, a)
	}
	return p
}
