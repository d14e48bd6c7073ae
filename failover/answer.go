package failover

import "net/http"

// Answer is what the client gets when no attempt succeeded.
type Answer uint8

const (
	AnswerUnavailable    Answer = iota // 503 with Retry-After: the breakers left no origin to try
	AnswerSecond                       // relay the second attempt's response
	AnswerFirst                        // relay the first attempt's response, which was held
	AnswerBadGateway                   // 502
	AnswerGatewayTimeout               // 504
)

// Status returns the status of an answer that the proxy makes up itself, and 0
// for a response that is relayed.
func (a Answer) Status() int {
	switch a {
	case AnswerUnavailable:
		return http.StatusServiceUnavailable
	case AnswerBadGateway:
		return http.StatusBadGateway
	case AnswerGatewayTimeout:
		return http.StatusGatewayTimeout
	}
	return 0
}

// BothFailed returns what the client gets when neither attempt succeeded:
//
//	the second attempt's response, if it gave one;
//	else the first attempt's response, which was held for this;
//	else 504 if the last attempt ended by a time-out, and 502 otherwise;
//	else, where the breakers allowed no attempt at all, 503.
//
// The zero Outcome stands for an attempt that was never made, so
// BothFailed(first, Outcome{}) answers a request that could not fail over. A
// response of the first attempt that was too large to hold is passed with
// Status 0. A refusal by a breaker is no attempt: a connection refused and then
// a breaker that is open make 502.
func BothFailed(first, second Outcome) Answer {
	if second.Responded() {
		return AnswerSecond
	}
	if first.Responded() {
		return AnswerFirst
	}
	last := second
	if !attempted(second) {
		last = first
	}
	switch {
	case !attempted(last):
		return AnswerUnavailable
	case last.Class.Timeout():
		return AnswerGatewayTimeout
	}
	return AnswerBadGateway
}

// attempted reports whether the origin was tried.
func attempted(o Outcome) bool {
	return o.Class != ClassNone && o.Class != ClassBreakerOpen
}
