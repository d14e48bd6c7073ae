package failover

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MinLeft is how much of a route's timeout must be left for a second attempt.
const MinLeft = 100 * time.Millisecond

// DefaultParkTimeout is the ParkTimeout of a PolicyConfig that leaves it out.
const DefaultParkTimeout = 3 * time.Second

// The statuses that may be listed as failures: every 4xx and 5xx.
const (
	minStatus = 400
	maxStatus = 599
)

// Unsafe says what becomes of an uncovered request of which nothing could be
// sent, because the origin refused the connection. The zero value is UnsafePark.
type Unsafe uint8

const (
	UnsafePark   Unsafe = iota // "park": wait for the pointer to move or the origin to accept
	UnsafeUnsent               // "unsent": send it to the other origin at once
	UnsafeNever                // "never": answer 502
)

var unsafeNames = [...]string{UnsafePark: "park", UnsafeUnsent: "unsent", UnsafeNever: "never"}

// String returns the word of the configuration: "park", "unsent" or "never".
func (u Unsafe) String() string { return nameOf(unsafeNames[:], u) }

// ParseUnsafe returns the Unsafe of that name, the reverse of String.
func ParseUnsafe(s string) (Unsafe, error) { return parseName[Unsafe]("unsafe", unsafeNames[:], s) }

// WhyNot says what keeps a request from failing over. The zero value is
// WhyNotNone. [Policy.Covers] finds the first four; the others come up during
// the request and are set by whoever sends it.
type WhyNot uint8

const (
	WhyNotNone            WhyNot = iota
	WhyNotNoSecondary            // the group has one origin
	WhyNotMethod                 // the method is not in failover_methods
	WhyNotBody                   // the request has a body
	WhyNotFailoverAttempt        // a trusted peer says that this already is a second attempt
	WhyNotCommitted              // the final response has begun
	WhyNotTimeout                // less than MinLeft of the route's timeout is left
	WhyNotBreakerOpen            // the other origin's breaker refuses
	WhyNotSameEndpoint           // the other origin is the same address and port
	WhyNotClientLeft             // nobody waits for the answer
	WhyNotDrained                // an operator has drained the other origin
)

var whyNotNames = [...]string{
	WhyNotNone:            "none",
	WhyNotNoSecondary:     "no_secondary",
	WhyNotMethod:          "method",
	WhyNotBody:            "body",
	WhyNotFailoverAttempt: "failover_attempt",
	WhyNotCommitted:       "committed",
	WhyNotTimeout:         "timeout",
	WhyNotBreakerOpen:     "breaker_open",
	WhyNotSameEndpoint:    "same_endpoint",
	WhyNotClientLeft:      "client_left",
	WhyNotDrained:         "drained",
}

// String returns the word of the access log's why_not, such as "same_endpoint".
func (w WhyNot) String() string { return nameOf(whyNotNames[:], w) }

// PolicyConfig says what a Policy covers. Nothing is covered by the zero value.
type PolicyConfig struct {
	// Methods that may be sent twice: GET, HEAD and OPTIONS or fewer. With none,
	// no request is covered.
	Methods []string

	// Statuses of a response that count as a failed attempt, each from 400 to
	// 599. With none, every response is a good one.
	Statuses []int

	// Unsafe is for uncovered requests. The zero value is UnsafePark.
	Unsafe Unsafe

	// ParkTimeout ends the wait of UnsafePark; 0 means DefaultParkTimeout.
	ParkTimeout time.Duration

	// HasSecondary says that there is another origin to go to.
	HasSecondary bool
}

// Policy answers "may this go elsewhere?" for the requests of one group. It is
// immutable and safe for concurrent use; its methods don't allocate. The zero
// value covers nothing; NewPolicy makes a useful one.
type Policy struct {
	get, head, options bool
	failed             [maxStatus - minStatus + 1]bool // by status, from minStatus
	unsafe             Unsafe
	parkTimeout        time.Duration
	hasSecondary       bool
}

// NewPolicy checks cfg and returns its Policy, or every problem of cfg joined
// into one error.
func NewPolicy(cfg PolicyConfig) (*Policy, error) {
	p := &Policy{unsafe: cfg.Unsafe, parkTimeout: cfg.ParkTimeout, hasSecondary: cfg.HasSecondary}
	var errs []error
	for _, m := range cfg.Methods {
		switch m {
		case "GET":
			p.get = true
		case "HEAD":
			p.head = true
		case "OPTIONS":
			p.options = true
		default:
			errs = append(errs, fmt.Errorf("method %q: only GET, HEAD and OPTIONS may fail over", m))
		}
	}
	for _, s := range cfg.Statuses {
		if s < minStatus || s > maxStatus {
			errs = append(errs, fmt.Errorf("status %d: a failure is from %d to %d", s, minStatus, maxStatus))
			continue
		}
		p.failed[s-minStatus] = true
	}
	if int(cfg.Unsafe) >= len(unsafeNames) {
		errs = append(errs, fmt.Errorf("unsafe %v: unknown", cfg.Unsafe))
	}
	switch {
	case cfg.ParkTimeout < 0:
		errs = append(errs, fmt.Errorf("park timeout %v: negative", cfg.ParkTimeout))
	case cfg.ParkTimeout == 0:
		p.parkTimeout = DefaultParkTimeout
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Unsafe returns what becomes of an uncovered request that could not be sent.
func (p *Policy) Unsafe() Unsafe { return p.unsafe }

// ParkTimeout returns how long UnsafePark waits.
func (p *Policy) ParkTimeout() time.Duration { return p.parkTimeout }

// HasSecondary reports whether the group has a second origin.
func (p *Policy) HasSecondary() bool { return p.hasSecondary }

// Covers reports whether a request may fail over, as far as that is known when
// it arrives, and if not why. The method is case-sensitive (RFC 9110, section
// 9.1). fromPeer says that a trusted peer marked the request as its second
// attempt. What comes up later (MinLeft, the commit, the other origin's breaker)
// is for the caller to ask before the second attempt.
func (p *Policy) Covers(method []byte, hasBody, fromPeer bool) (ok bool, why WhyNot) {
	switch {
	case !p.hasSecondary:
		return false, WhyNotNoSecondary
	case !p.CoversMethod(method):
		return false, WhyNotMethod
	case hasBody:
		return false, WhyNotBody
	case fromPeer:
		return false, WhyNotFailoverAttempt
	}
	return true, WhyNotNone
}

// CoversMethod reports whether the method alone allows a request to be sent
// twice, whether or not there is another origin. A request of such a method and
// without a body may also replace a pooled connection that died.
func (p *Policy) CoversMethod(method []byte) bool {
	switch string(method) {
	case "GET":
		return p.get
	case "HEAD":
		return p.head
	case "OPTIONS":
		return p.options
	}
	return false
}

// Classify returns the outcome of an attempt that was answered: ClassStatus for
// a status that counts as a failure, else ClassNone.
func (p *Policy) Classify(status int) Outcome {
	if p.failedStatus(status) {
		return Outcome{Class: ClassStatus, Status: status}
	}
	return Outcome{Class: ClassNone, Status: status}
}

// Failed reports whether o sends a covered request to the other origin: every
// class does, a status only if it is one of the configured ones.
func (p *Policy) Failed(o Outcome) bool {
	switch o.Class {
	case ClassNone:
		return false
	case ClassStatus:
		return p.failedStatus(o.Status)
	}
	return true
}

// CountsAgainst reports whether o is the origin's fault, so that its breaker
// counts it and its checker probes at once. That is every outcome that Failed
// reports, but for a 4xx: this fails over where it is configured to, yet it is
// the answer of a working origin. ClassBreakerOpen asks for probes too; the
// breaker can't count it, since it refused the call.
func (p *Policy) CountsAgainst(o Outcome) bool {
	if o.Class == ClassStatus && o.Status < 500 {
		return false
	}
	return p.Failed(o)
}

func (p *Policy) failedStatus(status int) bool {
	return status >= minStatus && status <= maxStatus && p.failed[status-minStatus]
}

// parseName returns the value whose name is s; what names the setting in the error.
func parseName[T ~uint8](what string, names []string, s string) (T, error) {
	i := slices.Index(names, s)
	if i < 0 {
		return 0, fmt.Errorf("%s %q: want one of %s", what, s, strings.Join(names, ", "))
	}
	return T(i), nil
}
