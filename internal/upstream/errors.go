package upstream

import (
	"errors"
	"fmt"
)

// What [Pool.Dial] or [Origin.Connect] met, for errors.Is. A [*DialError] is at most one of them;
// it is none of them when the caller gave up.
var (
	// ErrLimit: no connection was tried, because the origin's
	// MaxConnections, or the process's file descriptors, were in use. That is
	// our own limit and not the origin's fault.
	ErrLimit = errors.New("connection limit reached")

	// ErrResolve: the origin's name has no address.
	ErrResolve = errors.New("name not resolved")

	// ErrRefused: no address accepted the connection, for whatever reason
	// but a time-out.
	ErrRefused = errors.New("connection refused")

	// ErrTimeout: an address was silent, or did not finish the TLS handshake,
	// until the time was up.
	ErrTimeout = errors.New("connect timed out")

	// ErrTLS: the TLS handshake failed, for instance because the origin's
	// certificate can't be verified.
	ErrTLS = errors.New("TLS handshake failed")
)

// Phase is how far a failed [Pool.Dial] came. With several addresses it is the
// furthest that any of them came, in the order of the constants.
type Phase uint8

const (
	PhaseCanceled       Phase = iota // the caller's context was cancelled: nobody's fault
	PhaseLimit                       // ErrLimit
	PhaseResolve                     // ErrResolve
	PhaseConnectRefused              // ErrRefused
	PhaseConnectTimeout              // ErrTimeout
	PhaseTLS                         // ErrTLS
)

var phases = [...]struct {
	name     string
	sentinel error
}{
	PhaseCanceled:       {"canceled", nil},
	PhaseLimit:          {"limit", ErrLimit},
	PhaseResolve:        {"resolve", ErrResolve},
	PhaseConnectRefused: {"connect refused", ErrRefused},
	PhaseConnectTimeout: {"connect timeout", ErrTimeout},
	PhaseTLS:            {"tls", ErrTLS},
}

// String names the phase in words for a log.
func (p Phase) String() string {
	if int(p) < len(phases) {
		return phases[p].name
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// A DialError says why [Pool.Dial] gave no connection. It is matched by its
// phase's sentinel and by whatever Err is matched by.
type DialError struct {
	Origin string // the origin's name
	Phase  Phase
	Addr   string // the address that came furthest; empty before there was one
	Err    error  // the cause; the context's cause for PhaseCanceled
}

// Error reads "dial origin eu: …".
func (e *DialError) Error() string {
	text := "dial origin " + e.Origin + ": "
	if e.Addr != "" {
		text += e.Addr + ": "
	}
	if s := phases[e.Phase].sentinel; s != nil && e.Err != s {
		text += s.Error() + ": "
	}
	return text + e.Err.Error()
}

// Unwrap gives the phase's sentinel and the cause.
func (e *DialError) Unwrap() []error {
	if s := phases[e.Phase].sentinel; s != nil {
		return []error{s, e.Err}
	}
	return []error{e.Err}
}

// A WriteError says that [Conn.Exchange] could not hand the whole request to
// the kernel. Any other error from Exchange comes after the whole of it was.
type WriteError struct {
	// Sent is how many bytes the kernel took; over TLS, bytes of records. If
	// it is zero the origin has seen nothing of the request. Otherwise it may
	// have seen that many bytes and, since a request's end can't be guessed
	// from them, may have acted on them.
	Sent int
	Err  error
}

// Error reads "write request: …".
func (e *WriteError) Error() string { return "write request: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *WriteError) Unwrap() error { return e.Err }
