package proxy

import (
	"bytes"
	"strconv"
)

// proxyStatus is the Proxy-Status member of a relayed response (RFC 9209): the
// origin it came from and, after a failover, why.
func (x *exchange) proxyStatus() []byte {
	status := x.leg.origin.status
	if x.nth != 2 || x.tried == 0 {
		return status
	}
	s := append([]byte(nil), status...)
	if x.picked && x.tried == 1 {
		return append(s, `; details="failover by a drill"`...)
	}
	return appendString(append(s, "; details="...), "failover after "+x.tries[0].outcome.String())
}

// appendProxyStatus appends the member for a response of our own.
func appendProxyStatus(dst []byte, r *refusal) []byte {
	dst = append(dst, "fairlead"...)
	if r.proxyError != "" {
		dst = append(dst, "; error="...)
		dst = append(dst, r.proxyError...)
	}
	return dst
}

// appendString appends s as a structured field's string (RFC 8941, section
// 3.3.3), which holds printable ASCII only.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch b := s[i]; {
		case b < ' ' || b > '~':
			dst = append(dst, '?')
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}

// appendRefusalBody writes the text of an error: JSON where the client asks
// for it, else plain text. id is our own or from a trusted proxy, and holds
// nothing that would need escaping.
func appendRefusalBody(dst []byte, r *refusal, accept, id []byte) (body []byte, contentType string) {
	if acceptsJSON(accept) {
		dst = append(dst, `{"status":`...)
		dst = strconv.AppendInt(dst, int64(r.status), 10)
		dst = append(dst, `,"error":`...)
		dst = strconv.AppendQuote(dst, r.text)
		dst = append(dst, `,"request_id":"`...)
		dst = append(dst, id...)
		return append(dst, "\"}\n"...), "application/json"
	}
	dst = strconv.AppendInt(dst, int64(r.status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(r.status)...)
	dst = append(dst, ": "...)
	dst = append(dst, r.text...)
	dst = append(dst, "\nrequest id: "...)
	dst = append(dst, id...)
	return append(dst, '\n'), "text/plain; charset=utf-8"
}

// acceptsJSON reports whether a client asks for JSON rather than for a page.
func acceptsJSON(accept []byte) bool {
	return bytes.Contains(accept, []byte("application/json")) && !bytes.Contains(accept, []byte("text/html"))
}
