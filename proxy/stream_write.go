package proxy

import (
	"strconv"

	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/http2"
)

// The names of fields that are made here, as HTTP/2 has them.
var (
	nameContentLength = []byte("content-length")
	nameContentType   = []byte("content-type")
	nameDate          = []byte("date")
	nameProxyStatus   = []byte("proxy-status")
	nameRetryAfter    = []byte("retry-after")
	nameAllow         = []byte("allow")
	nameLocation      = []byte("location")
)

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
		fields = st.fields // the answer to the key was taken out
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
	if x.srv.current().cfg.ProxyStatus {
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

// abort implements client: a stream that is reset is never taken for whole.
func (st *stream) abort() { st.s.Reset(http2.CodeInternal) }
