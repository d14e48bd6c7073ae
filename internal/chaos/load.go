package chaos

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// Shot is one sort of request in a load's mix.
type Shot struct {
	Weight   int    // share of the mix; 0 counts as 1
	Method   string // "": GET
	Path     string // the id is appended, so every path is unique, unless Fixed; "": "/"
	Fixed    bool   // Path is sent as it is
	Query    string // without the question mark
	BodySize int64
	Chunked  bool
	WantSize int64 // as in Request
	Fields   []Field
}

// Load describes a flow of requests. Either it is closed, with Conns connections that each send their next request when
// the last is answered, or open, with Rate requests a second that come whether the others were answered or not; then
// latency counts from the moment when a request was due.
type Load struct {
	Network  string // "": tcp
	Address  string
	Host     string        // the Host field; "": chaos.test
	Conns    int           // connections; 0: 8, or 256 with Rate, where it is an upper limit
	Rate     float64       // requests a second over all connections; 0: closed loop
	Count    int           // ends the load; 0: 1,000,000
	Duration time.Duration // ends the load; 0: 30 s
	Timeout  time.Duration // for each request; 0: 10 s
	TLS      *tls.Config   // nil: none
	HTTP2    bool          // as in Client, but requests share connections
	Preface  string        // as in Client
	Mix      []Shot        // nil: GETs of "/"

	// CoveredMethods are those that may reach origins more than once, if they have no body; nil: GET, HEAD and OPTIONS.
	CoveredMethods []string
}

// Run is a load under way.
type Run struct {
	load     Load
	schedule []Shot
	session  *session // nil but for HTTP/2
	ledger   *Ledger
	next     atomic.Int64
	stopping chan struct{}
	once     sync.Once
	finished chan struct{}
}

// Start starts the load in the background. It ends by itself at Count or Duration, by Stop, or when ctx ends; in the
// last case requests in flight are abandoned and recorded as Left.
func (l Load) Start(ctx context.Context) *Run {
	r := &Run{load: l.complete(), ledger: &Ledger{}, stopping: make(chan struct{}), finished: make(chan struct{})}
	r.schedule = schedule(r.load.Mix)
	if r.load.HTTP2 {
		r.session = r.client().newSession()
		r.session.shared = true
	}
	go r.run(ctx)
	return r
}

// Do runs the load to its end.
func (l Load) Do(ctx context.Context) *Ledger { return l.Start(ctx).Wait() }

func (l Load) complete() Load {
	if l.Conns <= 0 {
		l.Conns = 8
		if l.Rate > 0 {
			l.Conns = 256
		}
	}
	if l.Count <= 0 {
		l.Count = 1_000_000
	}
	l.Duration = orDuration(l.Duration, 30*time.Second)
	if len(l.Mix) == 0 {
		l.Mix = []Shot{{}}
	}
	if l.CoveredMethods == nil {
		l.CoveredMethods = coveredMethods
	}
	return l
}

// schedule spreads the mix evenly: at each step the shot that is furthest behind its share is taken.
func schedule(mix []Shot) []Shot {
	total := 0
	for _, shot := range mix {
		total += max(shot.Weight, 1)
	}
	var order []Shot
	credit := make([]int, len(mix))
	for range total {
		best := 0
		for i, shot := range mix {
			if credit[i] += max(shot.Weight, 1); credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		order = append(order, mix[best])
	}
	return order
}

// Ledger returns the ledger, which grows while the load runs.
func (r *Run) Ledger() *Ledger { return r.ledger }

// Stop sends no more requests, waits for the answers to those in flight and returns the ledger.
func (r *Run) Stop() *Ledger {
	r.once.Do(func() { close(r.stopping) })
	return r.Wait()
}

// Wait waits for the load's end and returns the ledger.
func (r *Run) Wait() *Ledger {
	<-r.finished
	return r.ledger
}

func (r *Run) run(ctx context.Context) {
	defer close(r.finished)
	if r.session != nil {
		defer r.session.transport.CloseIdleConnections()
	}
	timer := time.AfterFunc(r.load.Duration, func() { r.once.Do(func() { close(r.stopping) }) })
	defer timer.Stop()
	if r.load.Rate > 0 {
		r.open(ctx)
		return
	}
	var workers sync.WaitGroup
	for range r.load.Conns {
		workers.Go(func() { r.closed(ctx) })
	}
	workers.Wait()
}

// ended reports whether no further request is to be sent.
func (r *Run) ended(ctx context.Context) bool {
	select {
	case <-r.stopping:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// pause waits for d and reports whether the load goes on.
func (r *Run) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return !r.ended(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stopping:
		return false
	case <-ctx.Done():
		return false
	}
}

func (r *Run) client() *Client {
	return &Client{Network: r.load.Network, Address: r.load.Address, Host: r.load.Host, Timeout: r.load.Timeout,
		TLS: r.load.TLS, HTTP2: r.load.HTTP2, Preface: r.load.Preface, session: r.session}
}

// closed is one connection of the closed loop.
func (r *Run) closed(ctx context.Context) {
	client := r.client()
	defer client.Close()
	for !r.ended(ctx) {
		n := r.next.Add(1) - 1
		if n >= int64(r.load.Count) {
			return
		}
		// Without a pause a proxy that is gone would be dialled in a hot loop.
		if r.do(ctx, client, n, time.Time{}) == Unsent && !r.pause(ctx, 10*time.Millisecond) {
			return
		}
	}
}

type job struct {
	n   int64
	due time.Time
}

// open hands out requests when they are due, to an idle connection or else to a new one.
func (r *Run) open(ctx context.Context) {
	jobs := make(chan job)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(jobs)
	start, conns := time.Now(), 0
	for n := range int64(r.load.Count) {
		due := start.Add(time.Duration(float64(n) / r.load.Rate * float64(time.Second)))
		if !r.pause(ctx, time.Until(due)) {
			return
		}
		select {
		case jobs <- job{n, due}:
			continue
		default:
		}
		if conns < r.load.Conns {
			conns++
			workers.Go(func() { r.serve(ctx, jobs) })
		}
		select {
		case jobs <- job{n, due}:
		case <-r.stopping:
			return
		case <-ctx.Done():
			return
		}
	}
}

// serve is one connection of the open loop.
func (r *Run) serve(ctx context.Context, jobs <-chan job) {
	client := r.client()
	defer client.Close()
	for j := range jobs {
		r.do(ctx, client, j.n, j.due)
	}
}

func (r *Run) do(ctx context.Context, client *Client, n int64, due time.Time) Kind {
	shot := r.schedule[n%int64(len(r.schedule))]
	id := NewID()
	path := orString(shot.Path, "/")
	if !shot.Fixed {
		path += id
	}
	if shot.Query != "" {
		path += "?" + shot.Query
	}
	result := client.Do(ctx, Request{ID: id, Method: shot.Method, Path: path, BodySize: shot.BodySize,
		Chunked: shot.Chunked, WantSize: shot.WantSize, Fields: shot.Fields})
	result.Covered = result.covered(r.load.CoveredMethods)
	if !due.IsZero() {
		result.Latency += result.Start.Sub(due)
		result.Start = due
	}
	r.ledger.Add(result)
	return result.Kind
}
