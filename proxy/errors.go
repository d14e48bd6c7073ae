package proxy

import (
	"errors"
	"strconv"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/http1"
)

// refusal is a response that Fairlead makes itself: one row of the one table
// that turns conditions into statuses.
type refusal struct {
	status int
	// text goes to the client. It says what happened, nothing about the inside.
	text string
	// proxyError is the error type of RFC 9209, section 2.3, or "".
	proxyError string
	// retryAfter, in seconds, is sent when it is not zero.
	retryAfter int
	// allow is sent as Allow when it is not empty.
	allow string
	// toHTTPS sends Location with the request's own URL under https.
	toHTTPS bool
	// end closes the connection after the response.
	end bool
}

// refuseNobody ends an exchange whose client is not there any more.
var refuseNobody = &refusal{}

// answerOptions answers "OPTIONS *", which asks about the server and not about
// anything behind a route (RFC 9110, section 9.3.7).
var answerOptions = &refusal{status: 204, allow: allowedMethods}

// allowedMethods are all that have a name but CONNECT and TRACE. Others without
// one are allowed too.
const allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

var (
	refuseNoRoute      = &refusal{status: 404, text: "no route matches this request", proxyError: "destination_not_found"}
	refuseBodyTooLarge = &refusal{status: 413, text: "the request body is larger than this route takes", proxyError: "http_request_denied", end: true}
	refuseBadChunk     = &refusal{status: 400, text: "the chunked request body is malformed", proxyError: "http_request_error", end: true}
	refuseHeadTimeout  = &refusal{status: 408, text: "the request head took too long", proxyError: "http_request_error", end: true}
	refuseBodyIdle     = &refusal{status: 408, text: "the request body stopped arriving", proxyError: "http_request_error", end: true}
	refuseLoop         = &refusal{status: 508, text: "this request has already passed through this proxy", proxyError: "proxy_loop_detected"}
	refuseFull         = &refusal{status: 503, text: "too many requests are in flight on this route", proxyError: "connection_limit_reached", retryAfter: 1}
	refuseQueueTimeout = &refusal{status: 503, text: "the request waited too long in this route's queue", proxyError: "connection_limit_reached", retryAfter: 1}
	refuseOriginLimit  = &refusal{status: 503, text: "too many connections are in use", proxyError: "connection_limit_reached", retryAfter: 1}
	refuseNoOrigin     = &refusal{status: 503, text: "no origin is available", proxyError: "destination_unavailable", retryAfter: 2}
	refuseParked       = &refusal{status: 503, text: "no origin became available in time", proxyError: "destination_unavailable", retryAfter: 2}
	refuseTimeout      = &refusal{status: 504, text: "the request took too long", proxyError: "http_response_timeout"}
	refuseShuttingDown = &refusal{status: 503, text: "the proxy is shutting down", proxyError: "proxy_internal_response", retryAfter: 1, end: true}
	refuseHalted       = &refusal{status: 502, text: "the origin did not answer this request", proxyError: "connection_terminated"}
)

// refuseHead is the answer to a head that http1 refused.
func refuseHead(err error) *refusal {
	var e *http1.Error
	if !errors.As(err, &e) {
		return &refusal{status: 400, text: "bad request", proxyError: "http_request_error", end: true}
	}
	r := &refusal{status: e.Status, text: e.Msg, proxyError: "http_request_error", end: true}
	if e.Status == 405 {
		r.allow = allowedMethods // RFC 9110, section 15.5.6
	}
	return r
}

// refuseOutcome is the answer when attempts failed and no origin's response
// can be relayed: 504 if the last class was a time-out, 502 otherwise, and
// 503 if a breaker left no candidate.
func refuseOutcome(o failover.Outcome, openFor int) *refusal {
	switch o.Class {
	case failover.ClassBreakerOpen:
		return &refusal{status: 503, text: "no origin is available", proxyError: "destination_unavailable", retryAfter: max(openFor, 1)}
	case failover.ClassConnectTimeout:
		return &refusal{status: 504, text: "the origin did not accept a connection in time", proxyError: "connection_timeout"}
	case failover.ClassHeaderTimeout:
		return &refusal{status: 504, text: "the origin did not answer in time", proxyError: "http_response_timeout"}
	case failover.ClassDNS:
		return &refusal{status: 502, text: "the origin's name does not resolve", proxyError: "dns_error"}
	case failover.ClassConnectRefused:
		return &refusal{status: 502, text: "the origin refused the connection", proxyError: "connection_refused"}
	case failover.ClassTLS:
		return &refusal{status: 502, text: "no secure connection to the origin could be made", proxyError: "tls_protocol_error"}
	case failover.ClassMalformed:
		return &refusal{status: 502, text: "the origin's response was malformed", proxyError: "http_protocol_error"}
	default:
		return refuseHalted
	}
}

// statusText is the reason phrase of the statuses that Fairlead makes itself.
func statusText(status int) string {
	switch status {
	case 204:
		return "No Content"
	case 308:
		return "Permanent Redirect"
	case 400:
		return "Bad Request"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
	case 431:
		return "Request Header Fields Too Large"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	case 508:
		return "Loop Detected"
	}
	return "Status " + strconv.Itoa(status)
}
