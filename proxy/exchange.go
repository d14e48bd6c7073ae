package proxy

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/upstream"
)

// exchange is one request and its response. It knows no wire: a front door
// (client) fills req, calls serve, and is called back with the response. The
// struct is reused for every request of its connection or stream.
type exchange struct {
	watch
	srv    *Server
	snap   *snapshot // the configuration at work
	door   *listener // by which the client came
	client client
	req    http1.Request
	resp   http1.Response
	buf    *buffers
	call   func() (struct{}, error) // callOrigin, bound once
	space  func() []byte            // respSpace, bound once
	record []zap.Field              // the access record's one field, made once

	// The client, set once.
	peer  []byte     // its address; nil on a unix socket
	ip    netip.Addr // the same; none where nothing is believed of it
	proto string     // "http" or "https"
	plain bool       // it came to a listener without TLS

	// The client, decided anew when a reload has changed whom to trust.
	trust   *trust
	trusted bool // it is a trusted proxy

	// The request.
	start      int64  // server clock, nanoseconds
	id         []byte // X-Request-Id; aliases idBuf or the request's head
	idBuf      [32]byte
	body       upload
	route      *routeState // nil if none matched
	accepted   bool        // it is counted as accepted and not yet as anything else
	permit     bulkhead.Permit
	pointer    *failover.State // as read when the permit was granted
	covered    bool            // may fail over
	replayable bool            // covered method without a body: a dead pooled connection is replaced
	whyNot     failover.WhyNot
	queued     time.Duration
	parked     time.Duration
	drill      *drill // that might have picked it; nil: none
	picked     bool   // and did: the secondary is asked in the primary's place

	// The attempt that is under way, or the last one.
	tries   [2]attempt
	tried   int
	last    *attempt // of tries
	leg     *leg
	nth     int // 1, or 2 at the other origin
	oc      *upstream.Conn
	outcome failover.Outcome
	halted  bool // it ended for a reason that is nobody's failure
	limited bool // namely our own limit on connections
	knocked bool // the origin has accepted a connection since the request was parked
	held    heldResponse

	// The response's head is buf.resp[headAt:bodyAt], and the first of its
	// body buf.resp[bodyAt:filled].
	headAt, bodyAt, filled int
	respBody               originBody
	out                    http1.ResponseOut

	// What became of it.
	result     result
	refusal    *refusal // a response of our own; nil if it was an origin's, or none
	status     int
	sent       int64 // body bytes to the client
	end        int64 // server clock
	closeAfter bool  // the client's connection ends with this exchange
}

// result is what became of a request, for the counters: accepted = served +
// failed over + shed + failed + left.
type result uint8

const (
	resultServed     result = iota // an origin's response, from the first candidate
	resultFailedOver               // an origin's response, after a failover
	resultShed                     // refused by a bulkhead or a connection limit
	resultFailed                   // an error of ours, or a response that broke off
	resultLeft                     // the client went away first
	resultRefused                  // a bad request or no route: it was never accepted
)

var resultNames = [...]string{"served", "failed_over", "shed", "failed", "left", "refused"}

func (r result) String() string { return resultNames[r] }

// client is the front door: the side of an exchange that faces the client.
// Its methods are called by the exchange's goroutine unless they say otherwise.
type client interface {
	// framing is how a response's body will be delimited towards the client.
	framing(resp *http1.Response) http1.BodyKind
	// interim relays a 1xx response at once, where the version has them.
	interim(resp *http1.Response) error
	// head takes the final response's head. It leaves with the first body
	// bytes, so body must be called at least once after it.
	head(resp *http1.Response, out *http1.ResponseOut)
	// body sends buf[from:to] as the next piece of the body. The front door
	// may write into the free room before from and after to, up to roomBefore
	// and roomAfter bytes. last ends the message.
	body(buf []byte, from, to int, last bool, trailers []http1.Field) error
	// splice moves n bytes of a body of known length from the origin's socket
	// without copying. can is false when this front door has no such way.
	splice(x *exchange, n int64) (moved int64, can bool, err error)
	// refuse sends a response of our own.
	refuse(x *exchange, r *refusal)
	// tunnel relays bytes both ways after a 101, until both sides ended.
	tunnel(x *exchange) error
	// abort ends the response unmistakably before its end.
	abort()
}

// serve takes the request in x.req from its route to its account. The caller
// has set req, body and buf.
func (x *exchange) serve() {
	x.begin()
	if r := x.admit(); r != nil {
		x.refuse(r)
	} else {
		x.dispatch()
	}
	x.finish()
}

// begin resets what the last exchange left.
func (x *exchange) begin() {
	x.start, x.snap = x.srv.clock.now(), x.srv.current()
	if x.trust != x.snap.trust {
		x.trust = x.snap.trust
		x.trusted = x.trust.includes(x.ip)
	}
	x.route, x.pointer, x.leg = nil, nil, nil
	x.whyNot, x.outcome = failover.WhyNotNone, failover.Outcome{}
	x.queued, x.parked = 0, 0
	x.drill, x.picked = nil, false
	x.tried, x.nth, x.last, x.limited, x.knocked = 0, 1, nil, false, false
	x.result, x.refusal, x.status, x.sent = resultFailed, nil, 0, 0
	x.closeAfter = x.req.Close
	x.held.reset()
	x.id = x.requestID()
	x.awake()
}

// admit finds the route and takes a permit. It returns why the request can't
// go on.
func (x *exchange) admit() *refusal {
	x.result = resultRefused
	if x.req.Form == http1.FormAsterisk {
		return answerOptions
	}
	if err := http1.CheckPath(x.req.Path, x.snap.cfg.KeepEncodedSlash); err != nil {
		return refuseHead(err)
	}
	if r := x.redirect(); r != nil {
		return r
	}
	if x.req.Looped(x.srv.instance) {
		return refuseLoop
	}
	table := x.snap.table
	i := table.router.Match(x.req.Method, x.req.Host, x.req.Path)
	if i < 0 {
		return refuseNoRoute
	}
	x.bind(table.routes[i])
	if x.body.tooLarge(x.route.maxBody) {
		return refuseBodyTooLarge
	}
	x.route.stats.accepted.Add(1)
	x.accepted = true
	x.result = resultFailed
	x.limit(after(x.start, x.route.timeout))
	return x.acquire(x.route.bulk.Acquire)
}

// bind makes r the exchange's route.
func (x *exchange) bind(r *routeState) {
	x.route = r
	fromPeer := x.trusted && x.req.Get(http1.FieldFailoverAttempt) != nil
	x.replayable = r.policy.CoversMethod(x.req.Method) && !x.body.present()
	x.covered, x.whyNot = r.policy.Covers(x.req.Method, x.body.present(), fromPeer)
}

// rebind takes what a reload has made of the exchange's route since, so that
// one that waited goes where it would go now. A route that is gone stays, also
// if there is another one of its name by now: its account is its own.
func (x *exchange) rebind() {
	now := x.srv.current()
	if now == x.snap {
		return
	}
	x.snap = now
	if r := now.table.named[x.route.name]; r != nil && r.stats == x.route.stats {
		x.bind(r)
	}
}

// acquire takes a permit, waiting in the queue in the given way if there is none.
func (x *exchange) acquire(queue func(context.Context, *bulkhead.Permit) error) *refusal {
	if x.route.bulk.TryAcquire(&x.permit) {
		return nil
	}
	if c := x.enter(phaseWait, x.watch.until); c != causeNone {
		return x.refuseCause(c)
	}
	from := x.srv.clock.now()
	ctx, done := x.context()
	err := queue(ctx, &x.permit)
	done()
	x.queued += time.Duration(x.srv.clock.now() - from)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bulkhead.ErrFull):
		x.result = resultShed
		return refuseFull
	case errors.Is(err, bulkhead.ErrQueueTimeout):
		x.result = resultShed
		return refuseQueueTimeout
	default:
		return x.refuseCause(x.interrupted())
	}
}

// refuseCause is the answer to an interrupt; the result follows from it.
func (x *exchange) refuseCause(c cause) *refusal {
	switch c {
	case causeLeft, causeIdle:
		x.result = resultLeft
		return refuseNobody
	case causeBadBody:
		x.result = resultLeft
		return refuseBadChunk
	case causeBodyTooLarge:
		x.result = resultLeft
		return refuseBodyTooLarge
	case causeBodyIdle:
		x.result = resultLeft
		return refuseBodyIdle
	case causeForced:
		x.result = resultFailed
		return refuseShuttingDown
	default:
		x.result = resultFailed
		return refuseTimeout
	}
}

// refuse answers the client with a response of our own.
func (x *exchange) refuse(r *refusal) {
	x.release()
	if r == refuseNobody {
		x.closeAfter = true
		return
	}
	if r.end || x.body.unread() || x.leaving() {
		x.closeAfter = true
	}
	x.status, x.refusal = r.status, r
	x.mark.Store(at(phaseBody, x.idleDeadline()))
	x.client.refuse(x, r)
}

// leaving reports whether the client's connection is to end with this response.
func (x *exchange) leaving() bool {
	soon, _ := x.door.leaves()
	return soon
}

// idleDeadline is when no byte will have moved for too long, from now. The
// coarse clock is up to one sweep behind.
func (x *exchange) idleDeadline() int64 {
	return after(x.srv.clock.coarse.Load()+int64(sweepEvery), x.srv.current().cfg.BodyIdleTimeout)
}

// release returns the permit, if it is held.
func (x *exchange) release() {
	if x.permit.Held() {
		x.permit.Release()
	}
}

// finish accounts for the exchange.
func (x *exchange) finish() {
	x.release()
	x.over()
	x.end = x.srv.clock.now()
	if x.accepted {
		x.account()
	} else {
		x.srv.refused.Add(1)
	}
	if x.snap.remembered > 0 {
		x.remember()
	}
	if x.snap.access != nil {
		x.logAccess()
	}
	x.forget()
}

// account counts a request that its route has accepted. What failed of its
// attempts was counted when it did.
func (x *exchange) account() {
	s := x.route.stats
	x.accepted = false
	if x.last != nil && !x.halted && x.outcome.Class == failover.ClassNone {
		x.last.leg.stats.count(failover.ClassNone)
	}
	if x.drill != nil {
		x.drilled()
	}
	if x.result == resultFailedOver && !x.picked && x.tries[0].outcome.Class != failover.ClassNone &&
		x.route.policy.Classify(x.status).Class == failover.ClassNone {
		s.saved.Add(1)
	}
	s.count(x.result, x.end-x.start) // last: who sees it over sees the rest counted, too
}

// forget lets go of the configuration: a connection at rest keeps none alive.
func (x *exchange) forget() {
	x.snap, x.route, x.pointer, x.leg, x.drill = nil, nil, nil, nil, nil
	x.tries[0].leg, x.tries[1].leg = nil, nil
}

// abandon gives back what the exchange holds after a panic, which is nobody's
// failure but ours.
func (x *exchange) abandon() {
	if x.oc != nil {
		x.drop()
	}
	x.release()
	if x.accepted {
		x.route.stats.count(resultFailed, x.srv.clock.now()-x.start)
		x.accepted = false
	}
	x.forget()
}
