package proxy

import (
	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/http2"
)

// stream is one HTTP/2 stream's side of an exchange: a front door. The stream's
// handler serves it; the sweeper and an upload reach in from outside, in the
// ways that watch and bodySource say.
type stream struct {
	m *multiplex
	x exchange
	s *http2.Stream // the same for ever

	slot int    // guarded by m.mu
	turn uint64 // which use of s this is; guarded by x.watch.mu

	swept   int64         // the mark at the sweeper's last visit
	fields  []http2.Field // of the response, while it is written
	names   []http1.Field // the request's trailers
	length  [20]byte      // a Content-Length in digits
	key     [24]byte      // Sec-WebSocket-Key, made for the origin
	discard bool          // the response's body is not for the client
}

func newStream(m *multiplex, hs *http2.Stream) *stream {
	c := m.conn
	st := &stream{m: m, s: hs}
	x := &st.x
	x.srv, x.door, x.client, x.proto, x.plain = c.srv, c.x.door, st, c.x.proto, c.x.plain
	x.peer, x.ip = c.x.peer, c.x.ip
	x.call, x.space = x.callOrigin, x.respSpace
	x.wake, x.revive = st.wake, st.revive
	x.until = noLimit
	x.mark.Store(at(phaseIdle, noLimit))
	return st
}

// place implements slots' member: where the stream is in its multiplex.
func (st *stream) place() *int { return &st.slot }

// serve is the handler of one request.
func (st *stream) serve() {
	x := &st.x
	st.m.add(st)
	defer st.end()
	x.takeBuffers()
	if err := st.request(); err == errClientGone {
		st.refuseHead(refuseNobody)
		return
	} else if err != nil {
		st.refuseHead(refuseHead(err))
		return
	}
	x.serve()
}

// begin makes the stream's turn the one that interrupts are for. It comes before
// serve, and before anything can be told of this turn's client.
func (st *stream) begin() {
	st.discard = false
	turn := st.s.Turn()
	st.x.mu.Lock()
	st.turn, st.x.cause = turn, causeNone
	st.x.mu.Unlock()
}

// end gives back what the request used. Nothing reaches the exchange after it,
// but an interrupt that finds nothing to do.
func (st *stream) end() {
	x := &st.x
	if v := recover(); v != nil {
		x.srv.panicked(v)
		x.abandon()
		st.abort()
	}
	st.m.remove(st)
	x.mark.Store(at(phaseIdle, noLimit))
	if x.buf != nil {
		x.giveBuffers()
	}
}

// wake and revive are called under the watch's lock.
func (st *stream) wake() { st.s.Interrupt(st.turn) }

func (st *stream) revive() { st.s.Revive() }

// sweep enforces the deadline of the exchange.
func (st *stream) sweep(now int64) {
	x := &st.x
	mark := x.mark.Load()
	switch {
	case mark&^phaseBits <= now:
		x.expire(mark, now, phase(mark&phaseBits) == phaseUpload && st.stuck())
	case mark != st.swept:
		st.swept = mark
	case phase(mark&phaseBits) != phaseIdle:
		x.nudge()
	}
}

// stuck reports whether an upload waits for the origin to take what is here,
// rather than for the client.
func (st *stream) stuck() bool {
	n, _ := st.s.Buffered()
	return st.x.body.writing.Load() || n > 0 && st.x.originFull()
}

// refusedHead is the answer to what internal/http2 can tell of a head without
// knowing what it is for.
func refusedHead(status int) error {
	switch status {
	case 405:
		return http1.ErrMethod
	case 414:
		return http1.ErrTargetTooLong
	case 431:
		return http1.ErrHeadTooLarge
	case 501:
		return errProtocol
	}
	return http1.ErrTarget
}

var errProtocol = &http1.Error{Status: 501, Msg: "only WebSocket can be connected to"}

// request turns the stream's head into a request.
func (st *stream) request() error {
	x, hs := &st.x, st.s
	if hs.Refusal != 0 {
		return refusedHead(hs.Refusal)
	}
	req := &x.req
	req.Method, req.Target, req.Host = hs.Method, hs.Path, hs.Authority
	fields := req.Fields[:0]
	for i := range hs.Fields {
		fields = append(fields, http1.Field{Name: hs.Fields[i].Name, Value: hs.Fields[i].Value})
	}
	upgrade := hs.Protocol != nil
	if upgrade {
		req.Method = methodGET
		fields = st.askForWebSocket(fields)
	}
	req.Fields = fields
	if err := req.Compose(hs.HasBody && !upgrade, hs.Length); err != nil {
		return err
	}
	if upgrade {
		req.Upgrade = hs.Protocol
	}
	return st.setBody()
}

// refuseHead answers what never became an exchange.
func (st *stream) refuseHead(r *refusal) {
	x := &st.x
	x.req = http1.Request{Fields: x.req.Fields[:0], Minor: 1}
	x.body.set(st, http1.BodyNone, 0, nil, true)
	x.begin()
	x.result = resultRefused
	if r == refuseNobody {
		x.result = resultLeft
	}
	x.refuse(r)
	x.finish()
}
