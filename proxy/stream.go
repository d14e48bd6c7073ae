package proxy

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" // RFC 6455 wants it; nothing is secured by it
	"encoding/base64"
	"io"
	"strconv"

	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/http2"
	"github.com/fairlead/fairlead/internal/upstream"
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
	x.srv, x.client, x.proto, x.plain = c.srv, st, c.x.proto, c.x.plain
	x.peer, x.trusted = c.x.peer, c.x.trusted
	x.call, x.space = x.callOrigin, x.respSpace
	x.wake, x.revive = st.wake, st.revive
	x.until = noLimit
	x.mark.Store(at(phaseIdle, noLimit))
	return st
}

// serve is the handler of one request.
func (st *stream) serve() {
	x := &st.x
	st.begin()
	defer st.end()
	x.takeBuffers()
	if err := st.request(); err != nil {
		st.refuseHead(refuseHead(err))
		return
	}
	x.serve()
}

// begin makes the stream's turn the one that interrupts are for.
func (st *stream) begin() {
	st.discard = false
	turn := st.s.Turn()
	st.x.mu.Lock()
	st.turn, st.x.cause = turn, causeNone
	st.x.mu.Unlock()
	st.m.add(st)
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
	return st.x.body.writing.Load() || n > 0
}

// refusedHead is the answer to what internal/http2 can tell of a head without
// knowing what it is for.
func refusedHead(status int) error {
	switch status {
	case 405:
		return http1.ErrMethod
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

var (
	methodGET         = []byte("GET")
	nameWebSocketKey  = []byte("Sec-WebSocket-Key")
	nameContentLength = []byte("content-length")
	nameContentType   = []byte("content-type")
	nameDate          = []byte("date")
	nameProxyStatus   = []byte("proxy-status")
	nameRetryAfter    = []byte("retry-after")
	nameAllow         = []byte("allow")
	nameLocation      = []byte("location")
)

// askForWebSocket adds the field that a WebSocket over HTTP/1.1 needs and one
// over HTTP/2 doesn't have (RFC 8441, section 5).
func (st *stream) askForWebSocket(fields []http1.Field) []http1.Field {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	base64.StdEncoding.Encode(st.key[:], nonce[:])
	kept := fields[:0]
	for _, f := range fields {
		if !bytes.EqualFold(f.Name, nameWebSocketKey) {
			kept = append(kept, f)
		}
	}
	return append(kept, http1.Field{Name: nameWebSocketKey, Value: st.key[:]})
}

// setBody tells the exchange what body the request has. One that is here whole
// and small goes to the origin with the head.
func (st *stream) setBody() error {
	x := &st.x
	kind, length := x.req.Body, x.req.Length
	if kind == http1.BodyNone {
		x.body.set(st, http1.BodyNone, 0, nil, true)
		return nil
	}
	n, whole := st.s.Buffered()
	if !whole || n > len(x.buf.in) {
		x.body.set(st, kind, length, nil, false)
		return nil
	}
	ready := x.buf.in[:0]
	for done := false; !done; {
		_, to, last, err := st.readBody(x.buf.in[len(ready):])
		if err != nil {
			return http1.ErrContentLength
		}
		ready, done = x.buf.in[:len(ready)+to], last
	}
	if kind == http1.BodyChunked && len(ready) == 0 && len(st.trailers()) == 0 {
		kind, x.req.Body, x.req.Length = http1.BodyNone, http1.BodyNone, 0
	}
	x.body.set(st, kind, max(length, 0), ready, true)
	return nil
}

// readBody implements bodySource.
func (st *stream) readBody(p []byte) (from, to int, done bool, err error) {
	n, err := st.s.ReadBody(p)
	switch err {
	case nil:
		return 0, n, false, nil
	case io.EOF:
		return 0, n, true, nil
	case http2.ErrBody:
		return 0, n, false, errBodyMalformed
	}
	return 0, n, false, errClientGone
}

// trailers implements bodySource.
func (st *stream) trailers() []http1.Field {
	st.names = st.names[:0]
	for _, f := range st.s.Trailers() {
		st.names = append(st.names, http1.Field{Name: f.Name, Value: f.Value})
	}
	return http1.ComposeTrailers(st.names)
}

// spliceBody implements bodySource: frames can't be spliced.
func (st *stream) spliceBody(*upstream.Conn, int64) (moved int64, can bool, err error) {
	return 0, false, nil
}

// stopBody implements bodySource.
func (st *stream) stopBody() { st.s.InterruptRead(st.turn) }

// framing implements client: a body's end is the stream's, whatever its length.
func (st *stream) framing(resp *http1.Response) http1.BodyKind {
	if resp.Body == http1.BodyUntilClose {
		return http1.BodyChunked
	}
	return resp.Body
}

// interim implements client.
func (st *stream) interim(resp *http1.Response) error {
	return st.s.WriteInformational(resp.Status, st.kept(resp))
}

// kept are the fields of an origin's response that travel on, but for the
// framing.
func (st *stream) kept(resp *http1.Response) []http2.Field {
	fields := st.fields[:0]
	for i := range resp.Fields {
		f := &resp.Fields[i]
		if !f.Hop && f.ID != http1.FieldContentLength && f.ID != http1.FieldTransferEncoding {
			fields = append(fields, http2.Field{Name: f.Name, Value: f.Value})
		}
	}
	st.fields = fields
	return fields
}

// head implements client. It leaves with the first of the body.
func (st *stream) head(resp *http1.Response, out *http1.ResponseOut) {
	status := resp.Status
	fields := st.kept(resp)
	if st.x.req.Upgrade != nil {
		status = st.connected(resp, out)
	} else if stated := out.Body == http1.BodyLength || out.Body == http1.BodyNone && resp.Length >= 0; stated && status != 204 {
		fields = append(fields, http2.Field{Name: nameContentLength, Value: strconv.AppendInt(st.length[:0], resp.Length, 10)})
	}
	if !resp.HasDate && out.Date != nil {
		fields = append(fields, http2.Field{Name: nameDate, Value: out.Date})
	}
	if out.ProxyStatus != nil {
		fields = append(fields, http2.Field{Name: nameProxyStatus, Value: out.ProxyStatus})
	}
	st.fields = fields
	_ = st.s.WriteHead(status, fields, false) // what goes wrong shows at the first write
}

// connected is the status of the answer to a CONNECT: 200 if the origin has
// switched (RFC 8441, section 5). Any other success would be taken for that, so
// it becomes a 502 without a body.
func (st *stream) connected(resp *http1.Response, out *http1.ResponseOut) int {
	switch {
	case out.Upgrade && st.accepted():
		return 200
	case out.Upgrade || resp.Status < 300:
		st.discard = true
		return 502
	}
	return resp.Status
}

// accepted reports whether the origin has answered the key that it was sent
// (RFC 6455, section 4.2.2), and takes that answer out.
func (st *stream) accepted() bool {
	sum := sha1.Sum(append(st.key[:len(st.key):len(st.key)], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	want := base64.StdEncoding.EncodeToString(sum[:])
	ok := false
	kept := st.fields[:0]
	for _, f := range st.fields {
		if bytes.EqualFold(f.Name, []byte("Sec-WebSocket-Accept")) {
			ok = string(f.Value) == want
			continue
		}
		kept = append(kept, f)
	}
	st.fields = kept
	return ok
}

// body implements client. A slow client is seen to take some.
func (st *stream) body(buf []byte, from, to int, last bool, trailers []http1.Field) error {
	if st.discard {
		from, trailers = to, nil
		if !last {
			return nil
		}
	}
	for to-from > writePiece {
		if err := st.s.WriteBody(buf[from:from+writePiece], false); err != nil {
			return err
		}
		from += writePiece
		st.x.extend(st.x.idleDeadline())
	}
	if !last || len(trailers) == 0 {
		return st.s.WriteBody(buf[from:to], last)
	}
	if err := st.s.WriteBody(buf[from:to], false); err != nil {
		return err
	}
	fields := st.fields[:0]
	for _, f := range trailers {
		fields = append(fields, http2.Field{Name: f.Name, Value: f.Value})
	}
	st.fields = fields
	return st.s.WriteTrailers(fields)
}

// splice implements client: frames can't be spliced.
func (st *stream) splice(*exchange, int64) (moved int64, can bool, err error) { return 0, false, nil }

// refuse implements client. To a client that was interrupted the head alone is
// sent, since its window may be what kept it.
func (st *stream) refuse(x *exchange, r *refusal) {
	late := x.interrupted() != causeNone
	if late {
		st.revive()
	}
	var bodyBuf [512]byte
	var body []byte
	fields := append(st.fields[:0], http2.Field{Name: nameDate, Value: *x.srv.clock.date.Load()})
	add := func(name, value []byte) { fields = append(fields, http2.Field{Name: name, Value: value}) }
	if r.text != "" && !late {
		var contentType string
		body, contentType = appendRefusalBody(bodyBuf[:0], r, x.req.Get(http1.FieldAccept), x.id)
		add(nameContentType, []byte(contentType))
		add(nameContentLength, strconv.AppendInt(st.length[:0], int64(len(body)), 10))
	}
	if r.retryAfter > 0 {
		add(nameRetryAfter, strconv.AppendInt(nil, int64(r.retryAfter), 10))
	}
	if r.allow != "" {
		add(nameAllow, []byte(r.allow))
	}
	if r.toHTTPS {
		add(nameLocation, x.appendHTTPS(nil))
	}
	if x.srv.cfg.ProxyStatus {
		add(nameProxyStatus, appendProxyStatus(nil, r))
	}
	st.fields = fields
	if x.req.MethodID == http1.MethodHEAD {
		body = nil
	}
	if st.s.WriteHead(r.status, fields, len(body) == 0) == nil && len(body) > 0 && st.s.WriteBody(body, true) == nil {
		x.sent = int64(len(body))
	}
}

// refuseHead answers what never became an exchange.
func (st *stream) refuseHead(r *refusal) {
	x := &st.x
	x.req = http1.Request{Fields: x.req.Fields[:0], Minor: 1}
	x.body.set(st, http1.BodyNone, 0, nil, true)
	x.begin()
	x.result = resultRefused
	x.refuse(r)
	x.finish()
}

// abort implements client: a stream that is reset is never taken for whole.
func (st *stream) abort() { st.s.Reset(http2.CodeInternal) }

// tunnel implements client.
func (st *stream) tunnel(x *exchange) error {
	if st.discard {
		return st.s.WriteBody(nil, true)
	}
	if err := st.s.Flush(); err != nil {
		return err
	}
	if early := x.buf.resp[x.bodyAt:x.filled]; len(early) > 0 {
		if err := st.s.WriteBody(early, false); err != nil {
			return err
		}
		x.sent += int64(len(early))
	}
	x.buf.dropResp()
	return x.pipeBoth((*streamDuplex)(st))
}

// streamDuplex is a stream as the client's side of a tunnel.
type streamDuplex stream

func (d *streamDuplex) Read(p []byte) (int, error) { return d.s.ReadBody(p) }

func (d *streamDuplex) Write(p []byte) (int, error) {
	if err := d.s.WriteBody(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *streamDuplex) CloseWrite() error { return d.s.WriteBody(nil, true) }
