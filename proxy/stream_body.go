package proxy

import (
	"io"
	"sync"

	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/http2"
	"github.com/fairlead/fairlead/internal/upstream"
)

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
		if err == errBodyMalformed {
			return http1.ErrContentLength
		}
		if err != nil {
			return err
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

// pieces implements bodySource.
func (st *stream) pieces() *sync.Pool { return &framePool }

// stopBody implements bodySource.
func (st *stream) stopBody() { st.s.InterruptRead(st.turn) }
