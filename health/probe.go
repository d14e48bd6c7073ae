package health

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
)

const (
	// headLimit bounds the bytes that are read while waiting for the final
	// response head, interim responses included.
	headLimit = 32 << 10

	// maxInterim bounds the responses before the final one, as it does for
	// requests: an origin that fails them by this is not healthy.
	maxInterim = 64

	// bodyLimit bounds the body bytes that are searched for ExpectBody.
	bodyLimit = 5120

	// rawBodyLimit bounds the bytes that are read to get at bodyLimit bytes
	// of body: one-byte chunks cost six bytes each, extensions more.
	rawBodyLimit = 16 * bodyLimit
)

// Conditions of a failed probe, to be found with [errors.Is] in [Result.Err].
// What the network reports (a refused connection, a bad certificate) is there
// as the system's or crypto/tls's own error.
var (
	// ErrTimeout means that the probe was not over within Timeout.
	ErrTimeout = errors.New("timed out")
	// ErrClosed means that the connection ended before or within the response
	// head.
	ErrClosed = errors.New("connection closed before a whole response head")
	// ErrMalformed means that what came back is no HTTP response.
	ErrMalformed = errors.New("malformed response")
	// ErrHeadTooLong means that no final response head came in 32 KiB.
	ErrHeadTooLong = errors.New("response head is too long")
	// ErrStatus means that the status is none of ExpectStatus.
	ErrStatus = errors.New("unexpected status")
	// ErrBody means that ExpectBody is not in the first 5120 bytes.
	ErrBody = errors.New("expected text not in body")
)

// A Phase names the part of a probe that failed.
type Phase string

// The phases of a probe, in order.
const (
	PhaseDial   Phase = "dial"
	PhaseTLS    Phase = "tls"
	PhaseWrite  Phase = "write"
	PhaseHead   Phase = "head"
	PhaseStatus Phase = "status"
	PhaseBody   Phase = "body"
)

// A ProbeError says where and why a probe failed.
type ProbeError struct {
	Origin string
	Phase  Phase
	Err    error
}

func (e *ProbeError) Error() string {
	return fmt.Sprintf("probe origin %s: %s: %v", e.Origin, e.Phase, e.Err)
}

// Unwrap returns Err.
func (e *ProbeError) Unwrap() error { return e.Err }

// A Result is what became of one probe.
type Result struct {
	// Start is when the probe began, Took how long it lasted.
	Start time.Time
	Took  time.Duration

	// Status is the final response's status, 0 if none came.
	Status int

	// Err is nil for a success, else a *[ProbeError].
	Err error

	// Dropped says that this failure was not counted, because our own
	// process stood still during the probe or had no file descriptor for it.
	Dropped bool
}

// A prober sends one probe after another, each on a connection of its own. It
// has no state and is safe for concurrent use.
type prober struct {
	cfg  Config
	tls  *tls.Config // nil: plain
	head []byte      // the request, the same each time
}

func newProber(cfg Config) *prober {
	return &prober{
		cfg: cfg,
		tls: cfg.tlsConfig(),
		head: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: fairlead-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
			cfg.Path, cfg.Host),
	}
}

// probe asks the origin once. It returns at the latest shortly after Timeout,
// or after ctx is done; in that case the result means nothing.
func (p *prober) probe(ctx context.Context) Result {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.Timeout, fmt.Errorf("%w after %s", ErrTimeout, p.cfg.Timeout))
	defer cancel()

	status, phase, err := p.ask(ctx)
	if err != nil {
		if ctx.Err() != nil {
			// The connection was taken away from under ask: why matters
			// more than how that looked.
			err = context.Cause(ctx)
		}
		err = &ProbeError{Origin: p.cfg.Origin, Phase: phase, Err: err}
	}
	return Result{Start: start, Took: time.Since(start), Status: status, Err: err}
}

// ask is the way of one probe through its phases. When err is set, phase is
// where it happened.
func (p *prober) ask(ctx context.Context) (status int, phase Phase, err error) {
	dialled, err := p.cfg.Dial(ctx, p.cfg.Network, p.cfg.Address)
	if err != nil {
		return 0, PhaseDial, err
	}
	defer dialled.Close()
	// Closing wakes every blocked call below, whatever kind of connection
	// Dial made.
	stop := context.AfterFunc(ctx, func() { dialled.Close() })
	defer stop()

	conn := dialled
	if p.tls != nil {
		secured := tls.Client(conn, p.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return 0, PhaseTLS, err
		}
		conn = secured
	}
	if _, err := conn.Write(p.head); err != nil {
		return 0, PhaseWrite, err
	}
	limited := &io.LimitedReader{R: conn}
	response, err := readHead(limited, bufio.NewReader(limited))
	if err != nil {
		return 0, PhaseHead, err
	}
	defer response.Body.Close()
	if err := p.judgeStatus(response.StatusCode); err != nil {
		return response.StatusCode, PhaseStatus, err
	}
	limited.N = rawBodyLimit
	if err := p.judgeBody(response.Body); err != nil {
		return response.StatusCode, PhaseBody, err
	}
	return response.StatusCode, "", nil
}

// readHead reads heads until the final one. Interim responses (RFC 9110,
// section 15.2) are skipped; 101 is final, it answers an upgrade that was not
// asked for.
func readHead(limited *io.LimitedReader, r *bufio.Reader) (*http.Response, error) {
	limited.N = headLimit
	for range maxInterim + 1 {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, headError(err, limited.N == 0)
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
	return nil, fmt.Errorf("%w: more than %d interim responses", ErrMalformed, maxInterim)
}

// headError tells the network's errors from the parser's. The latter repeat
// what the origin sent, so they are cut and made printable.
func headError(err error, limitReached bool) error {
	var netErr net.Error
	switch {
	case limitReached:
		return ErrHeadTooLong
	case errors.As(err, &netErr):
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe):
		return ErrClosed
	}
	return fmt.Errorf("%w: %.200s", ErrMalformed, strings.Map(printable, err.Error()))
}

// printable replaces what could move a terminal's cursor or end a log line.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return unicode.ReplacementChar
	}
	return r
}

func (p *prober) judgeStatus(status int) error {
	for _, r := range p.cfg.ExpectStatus {
		if r.contains(status) {
			return nil
		}
	}
	return fmt.Errorf("%w %d, not one of %s", ErrStatus, status, joinStatusRanges(p.cfg.ExpectStatus))
}

// judgeBody looks for ExpectBody while the body comes in and stops as soon as
// it is found, so that an endless body is no failure. How the body ends
// without it does not matter, only whether the time-out cut it off, which
// probe notices.
func (p *prober) judgeBody(body io.Reader) error {
	want := []byte(p.cfg.ExpectBody)
	if len(want) == 0 {
		return nil
	}
	buf := make([]byte, 0, bodyLimit)
	for len(buf) < bodyLimit {
		n, err := body.Read(buf[len(buf):bodyLimit])
		// A match ends in the new bytes, so it starts less than its own
		// length before them.
		from := max(0, len(buf)-len(want)+1)
		buf = buf[:len(buf)+n]
		if bytes.Contains(buf[from:], want) {
			return nil
		}
		if err != nil {
			break
		}
	}
	return fmt.Errorf("%w: %q not in its first %d bytes", ErrBody, p.cfg.ExpectBody, len(buf))
}
