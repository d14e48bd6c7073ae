package http1

import "strconv"

// A ResponseOut is how a response goes on to the client.
type ResponseOut struct {
	Body        BodyKind // the framing towards the client
	Close       bool     // the connection ends after this response, which says so; implied by BodyUntilClose
	KeepAlive   bool     // say that it does not: an HTTP/1.0 client asked for it
	Upgrade     bool     // this is a 101 response that the client gets
	Date        []byte   // sent as Date if the origin sent none; nil: none is sent
	ProxyStatus []byte   // sent as one more Proxy-Status field (RFC 9209); nil: none is sent
}

// AppendResponseHead appends the head that goes to a client for r: the fields
// in their order and spelling without the hop-by-hop ones, and the framing
// that o.Body says, stated once. BodyNone keeps a length that the origin
// stated, as in the answer to HEAD. An interim response (1xx) gets no framing,
// Date, Proxy-Status or Connection: close, and 204 no framing.
func AppendResponseHead(dst []byte, r *Response, o *ResponseOut) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, r.Reason...)
	dst = append(dst, "\r\n"...)
	framed := r.Status < 200 || r.Status == 204 // then there is none to state
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case framingFields.has(f.ID):
			if !framed {
				dst = appendResponseFraming(dst, r, o)
				framed = true
			}
		case !f.Hop:
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	if !framed {
		dst = appendResponseFraming(dst, r, o)
	}
	if r.Status >= 200 {
		if !r.HasDate {
			dst = appendKnown(dst, nameDate, o.Date)
		}
		dst = appendKnown(dst, nameProxyStatus, o.ProxyStatus)
	}
	return appendResponseHop(dst, r, o)
}

var (
	nameDate        = []byte("Date")
	nameProxyStatus = []byte("Proxy-Status")
)

func appendResponseFraming(dst []byte, r *Response, o *ResponseOut) []byte {
	if o.Body == BodyNone && r.Length >= 0 {
		return appendLength(dst, r.Length)
	}
	return appendFraming(dst, o.Body, r.Length)
}

func appendResponseHop(dst []byte, r *Response, o *ResponseOut) []byte {
	switch {
	case o.Upgrade:
		dst = appendField(dst, nameUpgrade, r.Upgrade)
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case r.Status < 200:
	case o.Close || o.Body == BodyUntilClose:
		dst = append(dst, "Connection: close\r\n"...)
	case o.KeepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}
