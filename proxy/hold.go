package proxy

import (
	"io"
	"time"

	"github.com/fairlead/fairlead/internal/http1"
)

const (
	// maxHeld bounds the failed response that is held for the case that the
	// other origin fails too.
	maxHeld = 64 << 10
	// holdFor bounds the wait for the rest of it: a failover must not wait
	// for the body of an error page.
	holdFor = 100 * time.Millisecond
)

// heldResponse is the primary's failed response: its head as received and its
// body without framing.
type heldResponse struct {
	head, body []byte
	whole      bool
}

func (h *heldResponse) reset() { *h = heldResponse{} }

// hold reads the response of a failed attempt to its end and gives its
// connection back. A response that is too large or too slow is not held.
func (x *exchange) hold() {
	b := x.buf
	head := b.resp[x.headAt:x.bodyAt]
	x.held.head = append([]byte(nil), head...)
	x.enter(phaseWait, min(x.srv.clock.now()+int64(holdFor), x.watch.until))
	p := b.resp[x.bodyAt:x.filled]
	for {
		from, to, err := x.respBody.take(p)
		x.held.body = append(x.held.body, p[from:to]...)
		if err != nil || len(x.held.body) > maxHeld {
			break
		}
		if x.respBody.done {
			x.held.whole = true
			break
		}
		p = x.respSpace()
		n, err := x.oc.Read(p)
		if n == 0 && err != nil {
			x.held.whole = err == io.EOF && x.respBody.eof()
			break
		}
		p = p[:n]
	}
	if x.held.whole {
		x.giveBack() // but not the permit: the exchange goes on
	} else {
		x.held.reset()
		x.drop()
	}
	x.renew()
}

// relayHeld sends the held response.
func (x *exchange) relayHeld(result result) {
	x.result = result
	x.forgive(causeTimeout)
	x.enter(phaseBody, x.idleDeadline())
	if x.resp.Parse(x.held.head, x.req.MethodID) != nil {
		x.refuse(refuseHalted) // it parsed before
		return
	}
	x.status = x.resp.Status
	if x.resp.Body != http1.BodyNone {
		x.resp.Body, x.resp.Length = http1.BodyLength, int64(len(x.held.body))
	}
	x.leg, x.nth = x.tries[0].leg, 1
	x.respBody.reset(http1.BodyNone, 0)
	x.sendHead()
	x.release()
	buf := make([]byte, roomBefore+len(x.held.body)+roomAfter)
	copy(buf[roomBefore:], x.held.body)
	x.sendBody(buf, roomBefore, roomBefore+len(x.held.body), true)
}
