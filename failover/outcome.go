package failover

import "strconv"

// Class says how an attempt failed. The list is closed: logs, metrics and
// configuration know these classes and no others. The zero value is ClassNone.
//
// A client that left, a shed request and a bad request have no class, since
// they are nobody's failure.
type Class uint8

const (
	ClassNone           Class = iota // no failure
	ClassDNS                         // the origin's name has no address
	ClassConnectRefused              // the connection was refused, or failed in any way but by time
	ClassConnectTimeout              // connect_timeout passed first
	ClassTLS                         // the handshake or the certificate
	ClassWrite                       // the request could not be written out
	ClassHeaderTimeout               // response_header_timeout passed first
	ClassReset                       // the origin closed before a whole response head
	ClassMalformed                   // what came back was not HTTP
	ClassStatus                      // a response whose status counts as a failure
	ClassBreakerOpen                 // not attempted: the breaker of route and origin refused
)

var classNames = [...]string{
	ClassNone:           "none",
	ClassDNS:            "dns",
	ClassConnectRefused: "connect_refused",
	ClassConnectTimeout: "connect_timeout",
	ClassTLS:            "tls",
	ClassWrite:          "write",
	ClassHeaderTimeout:  "header_timeout",
	ClassReset:          "reset",
	ClassMalformed:      "malformed",
	ClassStatus:         "status",
	ClassBreakerOpen:    "breaker_open",
}

// String returns the name that logs and metrics use, such as "connect_refused".
// ClassStatus is "status"; [Outcome.String] adds the number.
func (c Class) String() string { return nameOf(classNames[:], c) }

// Unsent reports whether the class alone proves that no byte of the request left
// for the origin, so that even an uncovered request may still be sent. It is
// false for ClassWrite: some of the request may have been written, and only the
// connection knows.
func (c Class) Unsent() bool {
	switch c {
	case ClassDNS, ClassConnectRefused, ClassConnectTimeout, ClassTLS, ClassBreakerOpen:
		return true
	}
	return false
}

// Timeout reports whether time ran out on the origin. It decides between 504
// and 502 where the client has to be told.
func (c Class) Timeout() bool {
	return c == ClassConnectTimeout || c == ClassHeaderTimeout
}

// Outcome is what one attempt came to. The zero value is "there was no attempt".
type Outcome struct {
	Class  Class
	Status int // of the response; 0 if there was none
}

// Responded reports whether the origin answered with a whole response head.
func (o Outcome) Responded() bool { return o.Status != 0 }

// String returns the class's name, with the number for a status: "status:503".
func (o Outcome) String() string {
	if o.Class == ClassStatus {
		return "status:" + strconv.Itoa(o.Status)
	}
	return o.Class.String()
}

// nameOf returns names[v], or a visible oddity for a value outside the list.
func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return "invalid(" + strconv.Itoa(int(v)) + ")"
}
