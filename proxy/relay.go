package proxy

import (
	"errors"
	"io"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/upstream"
)

// spliceFrom is the number of body bytes still to come from which a body is
// moved by splice rather than by copying. Below it, setting up costs more
// than the copies do.
const spliceFrom = 256 << 10

// spliceTail is the end of a body that is copied all the same. A read with room
// to spare finds what an origin sent beyond the end, which would otherwise
// become the response to another request; and the last write comes after the
// permit is given back, see relay.
const spliceTail = 16 << 10

// originBody reads the body of an origin's response: it removes the framing
// and says where the message ends.
type originBody struct {
	kind   http1.BodyKind
	remain int64 // of BodyLength
	chunks http1.ChunkDecoder
	done   bool
	excess bool // bytes came after the end
}

func (b *originBody) reset(kind http1.BodyKind, length int64) {
	b.kind, b.remain, b.done, b.excess = kind, length, false, false
	switch kind {
	case http1.BodyNone:
		b.done = true
	case http1.BodyLength:
		b.done = length == 0
	case http1.BodyChunked:
		b.chunks.Reset()
	}
}

// take removes the framing from p, in place: the body bytes are p[from:to].
func (b *originBody) take(p []byte) (from, to int, err error) {
	switch b.kind {
	case http1.BodyLength:
		if int64(len(p)) > b.remain {
			p, b.excess = p[:b.remain], true
		}
		b.remain -= int64(len(p))
		b.done = b.remain == 0
		return 0, len(p), nil
	case http1.BodyChunked:
		data, n, err := b.chunks.Decode(p)
		b.done = b.chunks.Done()
		b.excess = n < len(p)
		if len(data) > 0 {
			from = cap(p) - cap(data)
		}
		return from, from + len(data), err
	case http1.BodyUntilClose:
		return 0, len(p), nil
	default:
		b.excess = len(p) > 0
		return 0, 0, nil
	}
}

// eof is called when the origin closed. It reports whether that ends the body.
func (b *originBody) eof() bool {
	if b.kind == http1.BodyUntilClose {
		b.done = true
	}
	return b.done
}

func (b *originBody) trailers() []http1.Field {
	if b.kind == http1.BodyChunked {
		return b.chunks.Trailers()
	}
	return nil
}

// relay commits: it sends the response whose head is in x.resp to the client.
func (x *exchange) relay(result result) {
	x.result, x.status = result, x.resp.Status
	if x.resp.Status == 101 {
		x.relayUpgrade()
		return
	}
	x.sendHead()
	from, to, err := x.respBody.take(x.buf.resp[x.bodyAt:x.filled])
	from, to = x.bodyAt+from, x.bodyAt+to
	switch {
	case err == nil && x.respBody.done:
		// All of it is here. What the origin and the route gave is returned
		// before the last write, so that a client that has seen the end of
		// its response finds the permit free.
		x.settle()
		x.sendBody(x.buf.resp, from, to, true)
	case !x.sendBody(x.buf.resp, from, to, false):
	case err != nil:
		x.breakOff(err)
	default:
		x.stream()
	}
}

// sendHead hands the final head to the front door.
func (x *exchange) sendHead() {
	kind := x.client.framing(&x.resp)
	if kind == http1.BodyUntilClose || x.body.unread() || x.leaving() {
		x.closeAfter = true
	}
	x.out = http1.ResponseOut{
		Body:  kind,
		Close: x.closeAfter,
		Date:  *x.srv.clock.date.Load(),
	}
	if x.snap.cfg.ProxyStatus {
		x.out.ProxyStatus = x.proxyStatus()
	}
	x.client.head(&x.resp, &x.out)
}

// sendBody sends a piece of the body. It reports whether the client took it;
// if not, the exchange is over.
func (x *exchange) sendBody(buf []byte, from, to int, last bool) bool {
	x.sent += int64(to - from)
	var trailers []http1.Field
	if last {
		trailers = x.respBody.trailers()
	}
	if err := x.client.body(buf, from, to, last, trailers); err != nil {
		x.lost()
		return false
	}
	return true
}

// stream relays the rest of a body.
func (x *exchange) stream() {
	if x.respBody.kind == http1.BodyLength && x.respBody.remain >= spliceFrom && x.spliced() {
		return
	}
	space := x.respSpace()
	buf := x.buf.resp
	for {
		n, err := x.oc.Read(space)
		if n == 0 && err != nil {
			if err == io.EOF && x.respBody.eof() {
				x.settle()
				x.sendBody(buf, roomBefore, roomBefore, true)
			} else {
				x.breakOff(err)
			}
			return
		}
		from, to, err := x.respBody.take(space[:n])
		if err != nil {
			x.breakOff(err)
			return
		}
		if x.respBody.done {
			x.settle()
			x.sendBody(buf, roomBefore+from, roomBefore+to, true)
			return
		}
		if from < to && !x.sendBody(buf, roomBefore+from, roomBefore+to, false) {
			return
		}
		x.extend(x.idleDeadline())
	}
}

// spliced moves a body of known length from socket to socket, but for its
// tail. It reports whether the exchange is over; false leaves what remains of
// the body to be copied.
func (x *exchange) spliced() (over bool) {
	for piece := int64(bulkSize); x.respBody.remain > spliceTail; {
		began := x.srv.clock.coarse.Load()
		n, can, err := x.client.splice(x, min(piece, x.respBody.remain-spliceTail))
		x.respBody.remain -= n
		x.sent += n
		if !can {
			return false
		}
		if err != nil || n == 0 {
			x.breakOff(err)
			return true
		}
		x.extend(x.idleDeadline())
		// Progress shows between pieces only, so a slow peer gets small ones.
		if fast := x.srv.clock.coarse.Load()-began < int64(sweepEvery); fast {
			piece = min(2*piece, 1<<20)
		} else {
			piece = max(piece/2, 16<<10)
		}
	}
	return false
}

// settle is called when the origin's response has been read to its end: it
// returns the connection and the permit.
func (x *exchange) settle() {
	x.giveBack()
	if x.body.unread() {
		x.closeAfter = true
	}
	x.release()
}

// giveBack ends the use of the origin's connection, whose response has been
// read to its end: it is pooled, if another exchange can follow, or closed.
func (x *exchange) giveBack() {
	c, oc := x.detach(), x.oc
	x.oc = nil
	x.body.halt(oc)
	if c == causeNone && x.body.finished() && !x.resp.Close && !x.respBody.excess && x.respBody.kind != http1.BodyUntilClose {
		x.keep(oc)
	} else {
		_ = oc.Close()
	}
}

// keep gives a connection back to its pool. Some origins send a body where
// there is none (HEAD, 304), and it may still be on its way.
func (x *exchange) keep(oc *upstream.Conn) {
	if x.respBody.kind == http1.BodyNone {
		oc.Distrust()
	}
	x.leg.pool.Put(oc)
}

// breakOff ends a response that the origin, or an interrupt, broke off: the
// client must not take it for whole.
func (x *exchange) breakOff(err error) {
	c := x.drop()
	x.closeAfter = true
	switch c {
	case causeNone:
		x.outcome = failover.Outcome{Class: failover.ClassReset}
		if _, bad := errors.AsType[*http1.Error](err); bad {
			x.outcome.Class = failover.ClassMalformed
		}
		if x.last.outcome.Class == failover.ClassNone { // else it has been counted
			x.last.leg.stats.count(x.outcome.Class)
		}
		x.last.outcome = x.outcome
		x.result = resultFailed
		if x.snap.cfg.OnFailure != nil {
			x.snap.cfg.OnFailure(x.leg.origin.name, x.outcome)
		}
	case causeLeft:
		x.result = resultLeft
	default:
		x.result = resultFailed
	}
	x.whyNot = failover.WhyNotCommitted
	x.client.abort()
}

// lost ends an exchange whose client does not take the response any more.
func (x *exchange) lost() {
	x.drop()
	x.closeAfter = true
	x.result = resultLeft
	x.client.abort()
}

// relayUpgrade sends the 101 and turns the connection into a tunnel.
func (x *exchange) relayUpgrade() {
	x.out = http1.ResponseOut{Body: http1.BodyNone, Upgrade: true, Date: *x.srv.clock.date.Load()}
	x.client.head(&x.resp, &x.out)
	x.closeAfter = true
	x.enter(phaseTunnel, x.idleDeadline())
	if err := x.client.tunnel(x); err != nil {
		switch x.interrupted() {
		case causeNone:
			x.result = resultFailed
		case causeLeft:
			x.result = resultLeft
		}
		x.client.abort()
	}
	x.drop()
}
