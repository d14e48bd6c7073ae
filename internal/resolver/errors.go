package resolver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// A Kind is why a lookup gave no addresses.
type Kind uint8

const (
	// NotFound says that there is no such name (NXDOMAIN), or that the host
	// can't be a name.
	NotFound Kind = iota + 1
	// NoAddress says that the name exists without a usable address, or
	// without a record of the type that was asked for.
	NoAddress
	// ServerFailure is a response code such as SERVFAIL or REFUSED.
	ServerFailure
	// Timeout says that nothing that matches the question came in time.
	Timeout
	// Unreachable says that the network refused: no route, a closed port, a
	// connection that broke off.
	Unreachable
	// Malformed is a response that can't be right: a loop of aliases or too
	// many of them, or a truncated response over TCP.
	Malformed
	// Lame is a response of a server that neither has the answer nor looks
	// for it.
	Lame
	// Canceled says that the caller's context ended first.
	Canceled
	// Overloaded says that too many names are being looked up.
	Overloaded
	// Closed says that the Resolver was closed.
	Closed
)

// String is the kind as it stands in logs.
func (k Kind) String() string {
	names := [...]string{"invalid", "not_found", "no_address", "server_failure", "timeout", "unreachable",
		"malformed", "lame", "canceled", "overloaded", "closed"}
	if int(k) >= len(names) {
		k = 0
	}
	return names[k]
}

// An Error is a lookup without addresses. It may be shared: it must not be
// changed.
type Error struct {
	Host   string // in lower case, but for Text the name as it was given
	Kind   Kind
	Server string // "ip:port" of the server that said it, or was asked last; may be empty
	Err    error  // what happened
}

// Error is such as "resolve origin.example: nameserver 127.0.0.1:53: SERVFAIL".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("resolve ")
	b.WriteString(e.Host)
	if e.Server != "" {
		b.WriteString(": nameserver ")
		b.WriteString(e.Server)
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap gives what happened.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether time ran out, the servers' or the caller's.
func (e *Error) Timeout() bool {
	return e.Kind == Timeout || errors.Is(e.Err, context.DeadlineExceeded)
}

// negative reports whether e is an answer, which says that there is nothing, and
// not a lack of one.
func (e *Error) negative() bool { return e != nil && (e.Kind == NotFound || e.Kind == NoAddress) }

var (
	errNoName     = errors.New("no such name")
	errNoAddress  = errors.New("no usable address")
	errNoRecord   = errors.New("no record of this type")
	errBadName    = errors.New("this can't be a name")
	errPending    = errors.New("not answered yet")
	errLoop       = errors.New("a loop of aliases")
	errTooLong    = fmt.Errorf("more than %d aliases", maxLinks)
	errTruncated  = errors.New("a truncated response over TCP")
	errLame       = errors.New("a response that neither answers nor denies")
	errOverloaded = errors.New("too many names are being looked up")
	errClosed     = errors.New("the resolver is closed")
	errTooStale   = errors.New("the last answer is too old")
)

// rcodeError is a response code that is no answer.
type rcodeError dnswire.Rcode

func (e rcodeError) Error() string { return dnswire.Rcode(e).String() }

// exchangeError makes an Error of what an exchange met, which had the time
// that timeout says.
func exchangeError(ctx context.Context, server string, timeout time.Duration, err error) *Error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Kind: Canceled, Server: server, Err: context.Canceled}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Timeout, Server: server, Err: fmt.Errorf("no answer within %s", timeout)}
	}
	return &Error{Kind: Unreachable, Server: server, Err: err}
}
