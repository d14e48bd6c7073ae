package http1

import (
	"bytes"
	"strconv"
)

// A RequestOut is what a gateway adds to a request that it forwards.
type RequestOut struct {
	Host      []byte // sent as Host; nil: the client's
	ClientIP  []byte // the peer's address without port or brackets; nil if it has none, as on a unix socket
	RequestID []byte // sent as X-Request-Id; nil: none is sent
	Instance  []byte // this instance in CDN-Loop (RFC 8586), a token; nil: none is sent
	Proto     string // "http" or "https": how the client came
	Trusted   bool   // the client is a proxy whose forwarding fields are believed
	Attempt   int    // 2 on the second attempt, which says so
}

// rewritten are the fields that AppendRequestHead doesn't copy as they are.
var rewritten = framingFields | (forwardingFields &^ setOf(FieldVia, FieldCDNLoop)) | setOf(FieldHost, FieldExpect)

// AppendRequestHead appends the head that goes to an origin for r: the fields
// in their order and spelling without the hop-by-hop ones, the framing stated
// once, the forwarding fields as o says, and the fields of the next hop. It
// depends on nothing but r's exported fields, so that a caller may change Body
// and Length, or clear Expect100, Upgrade or TETrailers, before.
func AppendRequestHead(dst []byte, r *Request, o *RequestOut) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Path...)
	if r.HasQuery {
		dst = append(dst, '?')
		dst = append(dst, r.Query...)
	}
	dst = append(dst, " HTTP/1.1\r\n"...)
	if first(r.Fields, FieldHost) == nil {
		dst = appendHost(dst, nameHost, r, o)
	}
	var done fieldSet
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case rewritten.has(f.ID):
			dst = appendRewritten(dst, f, done, r, o)
			done |= 1 << f.ID
		case !f.Hop:
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	if done&framingFields == 0 {
		dst = appendFraming(dst, r.Body, r.Length)
	}
	dst = appendForwarding(dst, done, r, o)
	return appendHop(dst, r)
}

// appendRewritten writes what becomes of f. Of most fields the first one is
// replaced and the others vanish.
func appendRewritten(dst []byte, f *Field, done fieldSet, r *Request, o *RequestOut) []byte {
	if o.Trusted {
		switch f.ID {
		case FieldForwarded, FieldXRealIP, FieldXForwardedHost, FieldXForwardedProto, FieldXForwardedOther:
			return appendField(dst, f.Name, f.Value)
		}
	}
	if done.has(f.ID) && f.ID != FieldFailoverAttempt {
		return dst
	}
	switch f.ID {
	case FieldHost:
		return appendHost(dst, f.Name, r, o)
	case FieldContentLength, FieldTransferEncoding:
		if r.Body == BodyNone && f.ID == FieldContentLength {
			return appendLength(dst, 0)
		}
		return appendFraming(dst, r.Body, r.Length)
	case FieldExpect:
		if r.Expect100 {
			return appendField(dst, f.Name, f.Value)
		}
	case FieldXForwardedFor:
		return appendForwardedFor(dst, f.Name, r, o)
	case FieldXForwardedProto:
		return appendField(dst, f.Name, o.proto())
	case FieldXForwardedHost:
		return appendKnown(dst, f.Name, r.Host)
	case FieldXRequestID:
		return appendKnown(dst, f.Name, o.RequestID)
	case FieldXRealIP:
		return appendKnown(dst, f.Name, o.ClientIP)
	case FieldForwarded:
		return appendForwarded(dst, f.Name, r, o)
	case FieldFailoverAttempt:
		if o.Trusted && o.Attempt < 2 {
			return appendField(dst, f.Name, f.Value)
		}
	}
	return dst
}

// appendForwarding writes the forwarding fields that were not there to be
// rewritten, and those that every gateway adds its own line to.
func appendForwarding(dst []byte, done fieldSet, r *Request, o *RequestOut) []byte {
	if !done.has(FieldXForwardedFor) {
		dst = appendForwardedFor(dst, nameForwardedFor, r, o)
	}
	if !done.has(FieldXForwardedProto) {
		dst = appendField(dst, nameForwardedProto, o.proto())
	}
	if !done.has(FieldXForwardedHost) {
		dst = appendKnown(dst, nameForwardedHost, r.Host)
	}
	if !done.has(FieldXRequestID) {
		dst = appendKnown(dst, nameRequestID, o.RequestID)
	}
	if o.Attempt == 2 {
		dst = append(dst, "Failover-Attempt: 2\r\n"...)
	}
	if r.Minor == 0 {
		dst = append(dst, "Via: 1.0 fairlead\r\n"...)
	} else {
		dst = append(dst, "Via: 1.1 fairlead\r\n"...)
	}
	return appendKnown(dst, nameCDNLoop, o.Instance)
}

// appendHop writes the fields that are between us and the origin alone, and
// the empty line.
func appendHop(dst []byte, r *Request) []byte {
	if r.TETrailers {
		dst = append(dst, "TE: trailers\r\n"...)
	}
	if r.Upgrade != nil {
		dst = appendField(dst, nameUpgrade, r.Upgrade)
	}
	switch {
	case r.Upgrade != nil && r.TETrailers:
		dst = append(dst, "Connection: Upgrade, TE\r\n"...)
	case r.Upgrade != nil:
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case r.TETrailers:
		dst = append(dst, "Connection: TE\r\n"...)
	}
	return append(dst, "\r\n"...)
}

var (
	nameHost           = []byte("Host")
	nameForwardedFor   = []byte("X-Forwarded-For")
	nameForwardedProto = []byte("X-Forwarded-Proto")
	nameForwardedHost  = []byte("X-Forwarded-Host")
	nameRequestID      = []byte("X-Request-Id")
	nameCDNLoop        = []byte("CDN-Loop")
	nameUpgrade        = []byte("Upgrade")

	protoHTTP  = []byte("http")
	protoHTTPS = []byte("https")
)

func (o *RequestOut) proto() []byte {
	if o.Proto == "https" {
		return protoHTTPS
	}
	return protoHTTP
}

func appendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendKnown appends a field unless its value is empty.
func appendKnown(dst, name, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	return appendField(dst, name, value)
}

func appendHost(dst, name []byte, r *Request, o *RequestOut) []byte {
	if o.Host != nil {
		return appendField(dst, name, o.Host)
	}
	return appendField(dst, name, r.Host)
}

// appendFraming states how long the body is; nothing is said of no body and
// of one that ends with the connection.
func appendFraming(dst []byte, kind BodyKind, length int64) []byte {
	switch kind {
	case BodyLength:
		return appendLength(dst, length)
	case BodyChunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return dst
}

func appendLength(dst []byte, length int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, length, 10)
	return append(dst, "\r\n"...)
}

// appendForwardedFor lists the addresses that a trusted proxy has named, in
// however many fields, and then the peer's own.
func appendForwardedFor(dst, name []byte, r *Request, o *RequestOut) []byte {
	start := len(dst)
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	values := len(dst)
	if o.Trusted {
		for i := range r.Fields {
			if f := &r.Fields[i]; f.ID == FieldXForwardedFor && len(f.Value) > 0 {
				dst = append(dst, f.Value...)
				dst = append(dst, ", "...)
			}
		}
	}
	dst = append(dst, o.ClientIP...)
	dst = bytes.TrimSuffix(dst, commaSpace)
	if len(dst) == values {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

var commaSpace = []byte(", ")

// appendForwarded writes a Forwarded field (RFC 7239) of what we know.
func appendForwarded(dst, name []byte, r *Request, o *RequestOut) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": for="...)
	switch {
	case len(o.ClientIP) == 0:
		dst = append(dst, "unknown"...)
	case bytes.IndexByte(o.ClientIP, ':') >= 0:
		dst = append(dst, `"[`...)
		dst = append(dst, o.ClientIP...)
		dst = append(dst, `]"`...)
	default:
		dst = append(dst, o.ClientIP...)
	}
	if len(r.Host) > 0 {
		dst = append(dst, `;host="`...)
		dst = append(dst, r.Host...)
		dst = append(dst, '"')
	}
	dst = append(dst, ";proto="...)
	dst = append(dst, o.proto()...)
	return append(dst, "\r\n"...)
}
