package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/upstream"
)

// maxInterim bounds the 1xx responses before a final one.
const maxInterim = 64

// attempt is the record of one try at one origin, for the log.
type attempt struct {
	leg       *leg
	outcome   failover.Outcome
	status    int
	remote    string
	before    string // where it was sent to over a connection that was replaced
	reused    bool
	sent      bool  // some of the request may have reached the origin
	retried   bool  // a dead pooled connection was replaced
	begun     int64 // server clock, nanoseconds
	connected int64
	firstByte int64 // 0: none came
	counts    bool  // the outcome counts against the origin
}

// try sends the request to an origin, through its breaker, and reads the head
// of the response. The outcome is in x.outcome; with a response, x.oc is the
// connection and x.resp the head. nth is 2 at the other origin.
func (x *exchange) try(l *leg, nth int) failover.Outcome {
	if x.tried < len(x.tries) {
		x.tried++
	}
	a := &x.tries[x.tried-1]
	*a = attempt{leg: l, begun: x.start}
	if x.tried > 1 || x.queued > 0 || x.parked > 0 {
		a.begun = x.srv.clock.now()
	}
	x.leg, x.nth, x.last = l, nth, a
	x.outcome, x.halted, x.limited = failover.Outcome{Class: failover.ClassBreakerOpen}, false, false
	if x.knocked && l.refusing.Load() {
		// The breaker is open because the origin refused connections, and
		// has just been shown to be wrong about that.
		_, _ = x.call()
	} else {
		l.breaker.run(x.call)
	}
	x.knocked = false
	if x.oc == nil {
		x.renew()
	}
	a.outcome = x.outcome
	if x.outcome.Class != failover.ClassNone && !x.halted {
		l.stats.count(x.outcome.Class)
	}
	if a.counts {
		l.refusing.Store(x.outcome.Class.Unsent())
	}
	if (a.counts || x.outcome.Class == failover.ClassBreakerOpen) && x.snap.cfg.OnFailure != nil {
		x.snap.cfg.OnFailure(l.origin.name, x.outcome)
	}
	return x.outcome
}

// callOrigin is what the breaker runs. It is bound once, as x.call.
func (x *exchange) callOrigin() (struct{}, error) {
	x.outcome = x.send()
	a := x.last
	switch {
	case x.halted:
		return struct{}{}, errExcluded
	case x.route.policy.CountsAgainst(x.outcome):
		a.counts = true
		return struct{}{}, errFailed
	}
	return struct{}{}, nil
}

// send makes the connection, writes the request and reads the response's head.
// x.halted says that the attempt ended for a reason that is nobody's failure.
func (x *exchange) send() failover.Outcome {
	for fresh := false; ; {
		if o, ok := x.connect(fresh); !ok {
			return o
		}
		a := x.last
		if x.twin(a.remote) {
			x.drop()
			x.halted, x.whyNot = true, failover.WhyNotSameEndpoint
			return failover.Outcome{}
		}
		n, err := x.transmit()
		if err == nil {
			a.firstByte = x.srv.clock.now()
			return x.readHead(n)
		}
		c := x.drop()
		if c == causeNone && a.reused && !fresh && x.replayable && x.body.still() {
			// The pooled connection died under the request. Nothing of a
			// response came, so this is no attempt at the origin.
			a.retried, fresh = true, true
			if a.sent {
				a.before = a.remote
			}
			x.route.stats.connRetry.Add(1)
			continue
		}
		return x.fault(c, err)
	}
}

// connect takes a pooled connection or dials one. On success it is x.oc,
// within reach of an interrupt.
func (x *exchange) connect(fresh bool) (failover.Outcome, bool) {
	a := x.last
	var oc *upstream.Conn
	if !fresh {
		oc = x.leg.pool.Idle(!x.replayable)
	}
	for oc != nil && x.twin(oc.Remote()) {
		_ = oc.Close()
		oc = x.leg.pool.Idle(!x.replayable) // the origin may have another address
	}
	if oc == nil {
		if c := x.enter(phaseWait, x.spare(x.watch.until)); c != causeNone {
			return x.fault(c, nil), false
		}
		ctx, done := x.context()
		var err error
		oc, err = x.leg.pool.Dial(ctx, x.avoid()...)
		done()
		if err != nil {
			if d, ok := errors.AsType[*upstream.DialError](err); ok && d.Addr != "" {
				a.remote = d.Addr
			}
			return x.dialFault(err), false
		}
		a.connected = x.srv.clock.now()
	}
	a.remote, a.reused = oc.Remote(), oc.Reused()
	p, deadline := phaseWait, x.spare(after(max(a.begun, a.connected), x.leg.origin.headerTimeout))
	if x.body.streamed() {
		p, deadline = phaseUpload, x.idleDeadline()
	}
	if c := x.attach(oc, p, deadline); c != causeNone {
		_ = oc.Close()
		return x.fault(c, nil), false
	}
	x.oc = oc
	return failover.Outcome{}, true
}

// transmit writes the request and waits for the first bytes of a response,
// which it leaves in buf.resp from roomBefore on.
func (x *exchange) transmit() (n int, err error) {
	b := x.buf
	b.out = x.appendRequest(b.out[:0])
	b.out = x.body.appendReady(b.out)
	if !x.body.streamed() {
		n, err = x.oc.ExchangeInto(b.out, x.space)
	} else {
		var sent int
		if sent, err = x.oc.Write(b.out); err != nil {
			err = &upstream.WriteError{Sent: sent, Err: err}
		} else {
			x.body.start(x)
			n, err = x.readFirst()
		}
	}
	if !x.last.sent && (err == nil || !unsentWrite(err)) {
		x.last.sent = true
		x.route.stats.sent[x.leg.role].Add(1)
	}
	if n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// readFirst reads the first of a response while the request's body may still be
// on its way. Who only waits for it holds a small buffer.
func (x *exchange) readFirst() (int, error) {
	small := waitPool.Get().(*[]byte)
	defer waitPool.Put(small)
	n, err := x.oc.Read(*small)
	return copy(x.respSpace(), (*small)[:n]), err
}

// appendRequest writes the head for the attempt that is under way.
func (x *exchange) appendRequest(dst []byte) []byte {
	host := x.leg.origin.host
	if host == nil {
		if host = x.req.Host; len(host) == 0 {
			host = x.leg.origin.urlHost
		}
	}
	out := http1.RequestOut{
		Host:      host,
		ClientIP:  x.peer,
		Proto:     x.proto,
		RequestID: x.id,
		Instance:  x.srv.instance,
		Trusted:   x.trusted,
		Attempt:   x.nth,
	}
	return http1.AppendRequestHead(dst, &x.req, &out)
}

// readHead parses the response's head, of which n bytes are there, relaying
// 1xx responses on the way.
func (x *exchange) readHead(n int) failover.Outcome {
	b := x.buf
	head, filled, scanned := roomBefore, roomBefore+n, 0
	for interim := 0; interim <= maxInterim; {
		end, err := http1.HeadEnd(b.resp[head:filled], scanned)
		if err != nil || end > x.snap.maxHead || end == 0 && filled-head >= x.snap.maxHead {
			return x.malformed()
		}
		if end == 0 {
			scanned = filled - head
			switch full := filled == len(b.resp)-roomAfter; {
			case full && head > roomBefore: // interim responses that were relayed make room
				filled = roomBefore + copy(b.resp[roomBefore:], b.resp[head:filled])
				head = roomBefore
			case full && !b.growResp(x.snap.maxHead):
				return x.malformed()
			}
			n, err := x.oc.Read(b.resp[filled : len(b.resp)-roomAfter])
			if n == 0 && err != nil {
				return x.fault(x.drop(), err)
			}
			filled += n
			continue
		}
		if x.resp.Parse(b.resp[head:head+end], x.req.MethodID) != nil {
			return x.malformed()
		}
		if x.resp.Status >= 200 || x.resp.Status == 101 {
			return x.final(head, head+end, filled)
		}
		if err := x.client.interim(&x.resp); err != nil {
			x.leave()
			return x.fault(x.drop(), err)
		}
		head, scanned = head+end, 0
		interim++
	}
	return x.malformed()
}

// final ends the reading of heads. The head is at buf.resp[headAt:bodyAt], the
// body's first bytes are at buf.resp[bodyAt:filled].
func (x *exchange) final(headAt, bodyAt, filled int) failover.Outcome {
	x.headAt, x.bodyAt, x.filled = headAt, bodyAt, filled
	x.last.status = x.resp.Status
	if x.resp.Status == 101 && (x.resp.Upgrade == nil || x.req.Upgrade == nil) {
		return x.malformed()
	}
	// From here on the head's deadline is over; what comes next sets its own.
	if c := x.enter(phaseBody, x.idleDeadline()); c != causeNone {
		return x.fault(x.drop(), errInterrupted)
	}
	x.respBody.reset(x.resp.Body, x.resp.Length)
	return x.route.policy.Classify(x.resp.Status)
}

// isWriteError reports whether the request could not be written out.
func isWriteError(err error) bool {
	var e *upstream.WriteError
	return errors.As(err, &e)
}

// unsentWrite reports whether err proves that the kernel took no byte of the
// request.
func unsentWrite(err error) bool {
	var e *upstream.WriteError
	return errors.As(err, &e) && e.Sent == 0
}

var errInterrupted = errors.New("interrupted")

// drop closes the attempt's connection, which ends the attempt at the origin,
// and returns the cause if it had been interrupted.
func (x *exchange) drop() cause {
	if x.oc == nil {
		return x.interrupted()
	}
	c := x.detach()
	x.body.halt(x.oc)
	_ = x.oc.Close()
	x.oc = nil
	return c
}

func (x *exchange) malformed() failover.Outcome {
	if c := x.drop(); c != causeNone {
		return x.fault(c, errInterrupted)
	}
	return failover.Outcome{Class: failover.ClassMalformed}
}

// fault names what ended an attempt: an interrupt or an error.
func (x *exchange) fault(c cause, err error) failover.Outcome {
	switch c {
	case causeNone:
		if x.body.broke() || isWriteError(err) {
			return failover.Outcome{Class: failover.ClassWrite}
		}
		return failover.Outcome{Class: failover.ClassReset}
	case causeHeaderTimeout:
		x.forgive(c)
	case causeTimeout:
		// The route's time ran out. It is the origin's doing if this attempt
		// had at least half of it, and the client has sent all that it had to.
		x.halted = x.body.unread() || 2*(x.srv.clock.now()-x.last.begun) < int64(x.route.timeout)
	default:
		x.halted = true
		return failover.Outcome{}
	}
	return failover.Outcome{Class: failover.ClassHeaderTimeout}
}

// dialFault names why there is no connection.
func (x *exchange) dialFault(err error) failover.Outcome {
	if c := x.interrupted(); c != causeNone {
		o := x.fault(c, nil)
		if o.Class == failover.ClassHeaderTimeout {
			o.Class = failover.ClassConnectTimeout
		}
		return o
	}
	var o failover.Outcome
	switch {
	case errors.Is(err, upstream.ErrLimit):
		x.halted, x.limited = true, true
	case errors.Is(err, upstream.ErrResolve):
		o.Class = failover.ClassDNS
	case errors.Is(err, upstream.ErrTLS):
		o.Class = failover.ClassTLS
	case errors.Is(err, upstream.ErrTimeout):
		o.Class = failover.ClassConnectTimeout
	default:
		o.Class = failover.ClassConnectRefused
	}
	return o
}

// twin reports whether remote is an endpoint that the first attempt was sent
// to, and this is the second: two origins that resolve to one address are one.
func (x *exchange) twin(remote string) bool {
	first := &x.tries[0]
	return x.nth == 2 && x.tried == 2 && first.sent && (remote == first.remote || remote == first.before)
}

// avoid lists the endpoints that twin forbids.
func (x *exchange) avoid() []string {
	first := &x.tries[0]
	if !x.twin(first.remote) {
		return nil
	}
	return []string{first.remote, first.before}
}

// left is how much of the route's timeout remains.
func (x *exchange) left() time.Duration {
	return time.Duration(x.watch.until - x.srv.clock.now())
}
