package proxy

import (
	"bytes"
	"net"
	"strconv"

	"github.com/fairlead/fairlead/internal/http1"
)

var (
	// answerRedirect sends a client that came in plain to the same place by
	// https. 308 keeps the method and the body (RFC 9110, section 15.4.9).
	answerRedirect = &refusal{status: 308, text: "this site is served over HTTPS only", proxyError: "http_request_denied", toHTTPS: true}
	refuseNowhere  = &refusal{status: 400, text: "this site is served over HTTPS only, and the request names no host", proxyError: "http_request_error", end: true}
)

// redirect answers a request on a plain listener, if it is to be sent to https.
// A trusted proxy that took it by https has done what this is for.
func (x *exchange) redirect() *refusal {
	switch {
	case !x.plain || !x.snap.cfg.HTTPSRedirect:
		return nil
	case x.trusted && bytes.EqualFold(x.req.Get(http1.FieldXForwardedProto), []byte("https")):
		return nil
	case len(x.req.Host) == 0:
		return refuseNowhere
	}
	return answerRedirect
}

// appendHTTPS appends the URL of the request on the first TLS listener.
func (x *exchange) appendHTTPS(dst []byte) []byte {
	host := x.req.Host
	if colon := bytes.LastIndexByte(host, ':'); colon > bytes.LastIndexByte(host, ']') {
		host = host[:colon]
	}
	dst = append(dst, "https://"...)
	dst = append(dst, host...)
	if port := x.srv.httpsPort.Load(); port != 0 && port != 443 {
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, int64(port), 10)
	}
	if x.req.Form == http1.FormOrigin {
		return append(dst, x.req.Target...)
	}
	dst = append(dst, x.req.Path...)
	if x.req.HasQuery {
		dst = append(dst, '?')
		dst = append(dst, x.req.Query...)
	}
	return dst
}

// portOf is the port of a bound address; 0 for a unix socket.
func portOf(a net.Addr) int32 {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return int32(tcp.Port)
	}
	return 0
}
