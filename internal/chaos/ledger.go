package chaos

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"
)

// Arrival is one request as an origin received it. It is recorded when its head ends, and completed when its body does;
// a request whose connection breaks off in the head is recorded too, since bytes of it reached the origin.
type Arrival struct {
	Head             // Line and Fields as far as they came
	Origin    string // the origin's name
	ID        string // Chaos-Id, "" if the request had none
	Method    string
	Target    string // as in the request line
	Conn      int    // the connection's number at this origin, from 1
	OnConn    int    // the request's number on its connection, from 1
	Time      time.Time
	Behaviour string // what the origin did about it
	HeadWhole bool
	BodyWhole bool // the body was read to its end; false when the behaviour does not read it
	BodyLen   int64
	BodyHash  [sha256.Size]byte // SHA-256 of the body; zero unless BodyWhole
	Trailers  []Field
	Fault     string // what was malformed about the request, "" for nothing
}

// Path returns the target without its query.
func (a *Arrival) Path() string {
	path, _, _ := strings.Cut(a.Target, "?")
	return path
}

const (
	maxArrivals     = 1 << 18
	maxArrivalBytes = 128 << 20
)

// journal is an origin's bounded ledger.
type journal struct {
	mu    sync.Mutex
	all   []*Arrival
	byID  map[string][]*Arrival
	bytes int
	lost  int
}

// add records an arrival that the caller may change later through update.
func (j *journal) add(a *Arrival) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.all) >= maxArrivals || j.bytes+len(a.Raw) > maxArrivalBytes {
		j.lost++
		return
	}
	if j.byID == nil {
		j.byID = make(map[string][]*Arrival)
	}
	j.all = append(j.all, a)
	j.byID[a.ID] = append(j.byID[a.ID], a)
	j.bytes += len(a.Raw)
}

func (j *journal) update(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}

func copyOf(arrivals []*Arrival) []Arrival {
	copies := make([]Arrival, len(arrivals))
	for i, a := range arrivals {
		copies[i] = *a
	}
	return copies
}

// Arrivals returns the requests with this id that reached the origin, oldest first. Requests of health probes, which
// carry no id, are found under "".
func (o *Origin) Arrivals(id string) []Arrival {
	o.journal.mu.Lock()
	defer o.journal.mu.Unlock()
	return copyOf(o.journal.byID[id])
}

// AllArrivals returns every recorded request, oldest first.
func (o *Origin) AllArrivals() []Arrival {
	o.journal.mu.Lock()
	defer o.journal.mu.Unlock()
	return copyOf(o.journal.all)
}

// Arrived returns how many requests with an id have reached the origin; probes are not among them.
func (o *Origin) Arrived() int {
	o.journal.mu.Lock()
	defer o.journal.mu.Unlock()
	return len(o.journal.all) - len(o.journal.byID[""])
}

// Lost returns how many requests did not fit into the ledger. [Check] fails if there was one.
func (o *Origin) Lost() int {
	o.journal.mu.Lock()
	defer o.journal.mu.Unlock()
	return o.journal.lost
}

// Forget empties the ledger.
func (o *Origin) Forget() {
	o.journal.mu.Lock()
	defer o.journal.mu.Unlock()
	o.journal.all, o.journal.byID, o.journal.bytes, o.journal.lost = nil, nil, 0, 0
}
