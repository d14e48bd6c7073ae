package proxy

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/upstream"
)

// bodySource is where a request's body comes from: the front door.
type bodySource interface {
	// readBody reads and unframes the next bytes into p; they are p[from:to].
	// done comes with the last of them. The error is errBodyMalformed or
	// errClientGone. It is called by the upload's goroutine.
	readBody(p []byte) (from, to int, done bool, err error)
	// trailers are those of a chunked body, once readBody is done.
	trailers() []http1.Field
	// spliceBody moves up to n bytes of a body of known length straight to an
	// origin's socket. can is false when there is no such way; an error other
	// than errClientGone is the origin's.
	spliceBody(dst *upstream.Conn, n int64) (moved int64, can bool, err error)
	// pieces are the buffers that the body is read into.
	pieces() *sync.Pool
	// stopBody wakes a blocked readBody for good: the client's side can't be
	// read again. It may be called from any goroutine.
	stopBody()
}

// lastWrite is how long the end of an upload may still be under way when the
// response has come to its end.
const lastWrite = 20 * time.Millisecond

// What ends an upload on the client's side.
var (
	errBodyMalformed = errors.New("request body is malformed")
	errClientGone    = errors.New("client is gone")
)

// upload is the body of a request on its way to an origin. A body that came
// whole with its head leaves with the head, in one write. Any other is
// streamed by a goroutine of its own, since an origin may answer before the
// upload ends.
type upload struct {
	source  bodySource
	kind    http1.BodyKind
	length  int64  // of BodyLength
	ready   []byte // unframed bytes that are here already
	whole   bool   // ready is all of it
	maxBody int64  // of the route; 0 means no limit

	started bool          // bytes of it may have been sent
	running chan struct{} // closed when the goroutine that streams it ends; nil without one
	sent    atomic.Int64
	ended   atomic.Bool // all of it was read from the client
	written atomic.Bool // all of it was written to the origin
	failed  atomic.Bool // the origin did not take it
	halted  atomic.Bool // the rest of it is not wanted, and the client's side was stopped
	writing atomic.Bool // some of it is being written to the origin
}

// set describes the body of the next request.
func (u *upload) set(source bodySource, kind http1.BodyKind, length int64, ready []byte, whole bool) {
	u.source, u.kind, u.length, u.ready, u.whole = source, kind, length, ready, whole
	u.maxBody, u.started, u.running = 0, false, nil
	u.sent.Store(0)
	u.ended.Store(false)
	u.written.Store(false)
	u.failed.Store(false)
	u.halted.Store(false)
}

// present reports whether the request has a body.
func (u *upload) present() bool { return u.kind != http1.BodyNone }

// streamed reports whether some of the body is still to be read from the client.
func (u *upload) streamed() bool { return u.present() && !u.whole }

// still reports whether no byte of a body was sent.
func (u *upload) still() bool { return !u.started }

// broke reports whether the origin stopped taking the body.
func (u *upload) broke() bool { return u.failed.Load() }

// finished reports whether the origin has all of the body.
func (u *upload) finished() bool { return !u.streamed() || u.written.Load() }

// unread reports whether some of the body is still with the client, so that
// the connection can't carry another request.
func (u *upload) unread() bool { return u.streamed() && (!u.ended.Load() || u.halted.Load()) }

// tooLarge sets the route's limit and reports whether the body is known to
// be over it.
func (u *upload) tooLarge(maxBody int64) bool {
	u.maxBody = maxBody
	if maxBody <= 0 {
		return false
	}
	return u.kind == http1.BodyLength && u.length > maxBody || int64(len(u.ready)) > maxBody
}

// appendReady appends what is here of the body to the head, framed.
func (u *upload) appendReady(dst []byte) []byte {
	if !u.present() {
		return dst
	}
	u.started = true
	u.sent.Store(int64(len(u.ready)))
	if u.kind == http1.BodyLength {
		return append(dst, u.ready...)
	}
	if len(u.ready) > 0 {
		dst = http1.AppendChunkHeader(dst, len(u.ready))
		dst = append(dst, u.ready...)
		dst = append(dst, "\r\n"...)
	}
	if u.whole {
		dst = http1.AppendLastChunk(dst, u.source.trailers())
	}
	return dst
}

// start streams the rest of the body to the attempt's origin.
func (u *upload) start(x *exchange) {
	u.running = make(chan struct{})
	go x.uploadBody(x.oc)
}

// halt ends the goroutine that streams the body, if there is one. A body that
// did not reach the origin whole makes that connection unusable, and one that
// was not read whole the client's. A last write that is just under way, while
// the response to it is here already, is given a moment.
func (u *upload) halt(oc *upstream.Conn) {
	if u.running == nil {
		return
	}
	if u.ended.Load() && !u.written.Load() {
		select {
		case <-u.running:
		case <-time.After(lastWrite):
		}
	}
	if !u.written.Load() {
		if !u.ended.Load() {
			u.halted.Store(true)
			u.source.stopBody()
		}
		oc.Interrupt()
	}
	<-u.running
	u.running = nil
}

// uploadBody streams the body of x to oc. It is the body of a goroutine.
func (x *exchange) uploadBody(oc *upstream.Conn) {
	u := &x.body
	defer close(u.running)
	defer x.contain()
	pool := u.source.pieces()
	bulk := pool.Get().(*[]byte)
	defer pool.Put(bulk)
	remain := u.length - int64(len(u.ready))
	for {
		if u.kind == http1.BodyLength && remain >= spliceFrom {
			n, can, err := u.source.spliceBody(oc, min(remain, bulkSize))
			remain -= n
			u.sent.Add(n)
			if err == errClientGone {
				x.spoil(err)
				return
			}
			if err != nil {
				u.failed.Store(true)
				return
			}
			if can {
				x.extend(x.idleDeadline())
				continue
			}
		}
		n, done, ok := x.uploadPiece(oc, *bulk)
		remain -= n
		if !ok {
			return
		}
		if done {
			u.written.Store(true)
			x.uploaded(after(x.srv.clock.now(), x.leg.origin.headerTimeout))
			return
		}
		x.extend(x.idleDeadline())
	}
}

// contain ends an exchange in which a goroutine of its own has panicked: a
// defect of ours must not end the process. It must be deferred.
func (x *exchange) contain() {
	if v := recover(); v != nil {
		x.srv.panicked(v)
		x.body.failed.Store(true)
		x.interrupt(causeForced)
	}
}

// uploadPiece reads one piece of the body and writes it to the origin.
func (x *exchange) uploadPiece(oc *upstream.Conn, buf []byte) (n int64, done, ok bool) {
	u := &x.body
	from, to, done, err := u.source.readBody(buf[roomBefore : len(buf)-roomAfter])
	from, to = roomBefore+from, roomBefore+to
	n = int64(to - from)
	if err != nil {
		x.spoil(err)
		return n, false, false
	}
	if total := u.sent.Add(n); u.maxBody > 0 && total > u.maxBody {
		x.interrupt(causeBodyTooLarge)
		return n, false, false
	}
	if done {
		u.ended.Store(true)
	}
	if u.kind == http1.BodyChunked {
		from, buf = frameChunk(buf, from, to)
		to = len(buf)
		if done {
			buf = http1.AppendLastChunk(buf, u.source.trailers())
			to = len(buf)
		}
	}
	if from < to {
		u.writing.Store(true)
		_, err := oc.Write(buf[from:to])
		u.writing.Store(false)
		if err != nil {
			u.failed.Store(true)
			return n, false, false
		}
	}
	return n, done, true
}

// spoil ends an exchange whose client does not give the rest of the body,
// unless it was us who stopped taking it.
func (x *exchange) spoil(err error) {
	switch {
	case x.body.halted.Load():
	case err == errBodyMalformed:
		x.interrupt(causeBadBody)
	default:
		x.interrupt(causeLeft)
	}
}

// frameChunk puts the framing of a chunk around buf[from:to], in the room
// around it. No data is no chunk.
func frameChunk(buf []byte, from, to int) (int, []byte) {
	if from == to {
		return to, buf[:to]
	}
	var size [24]byte
	h := http1.AppendChunkHeader(size[:0], to-from)
	from -= len(h)
	copy(buf[from:], h)
	return from, append(buf[:to], "\r\n"...)
}
