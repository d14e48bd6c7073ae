package chaos

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Request is one request that a [Client] sends.
type Request struct {
	ID       string // Chaos-Id; "": a new one from NewID
	Method   string // "": GET
	Path     string // "": "/" and the id
	BodySize int64  // of the upload, which is Body("client", ID, BodySize)
	Chunked  bool   // the upload is sent in chunks
	WantSize int64  // Chaos-Size when over 0: the size of the body wanted; -1 wants an empty one
	// Pace is how long the client waits before each 256 KiB of an upload over 4096 bytes. 0: it does not.
	Pace   time.Duration
	Fields []Field
	// Hold keeps the client from reading the answer, with all the buffers that the system gives it, until it is closed.
	// nil: it reads at once.
	Hold <-chan struct{}
	// Progress counts the bytes of an upload over 4096 bytes that the socket has taken, over HTTP/2 those that the windows
	// let through. nil: nobody wants to know.
	Progress *atomic.Int64
}

// Kind is what became of a request.
type Kind uint8

const (
	// Served is a whole response below 400 of one origin, verified to the last byte.
	Served Kind = iota + 1
	// Refused is a whole response of 400 or more, from an origin (verified like any) or from the proxy itself.
	Refused
	// Aborted is a connection that ended, in order or not, before a whole response had come.
	Aborted
	// Wrong is a response that can't be true: another request's, of mixed or missing bytes, or no HTTP.
	Wrong
	// Hung is a request without a whole answer within the client's time-out.
	Hung
	// Left is a request that this client abandoned because its context ended.
	Left
	// Unsent is a request for which no connection could be made.
	Unsent
)

var kindNames = [...]string{"none", "served", "refused", "aborted", "wrong", "hung", "left", "unsent"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Result is what became of one request. It is a value; nothing in it changes any more.
type Result struct {
	Request
	Covered bool // may by its nature reach origins more than once: see Load.CoveredMethods
	Kind    Kind
	Status  int    // of the final response's head, 0 if none came
	Origin  string // Chaos-Origin, "" for the proxy's own answers
	Head    Head   // of the final response
	Text    string // the first 256 bytes of the body of a Refused
	Interim int    // 1xx responses before the final one
	Reused  bool   // sent on a connection that had carried another request
	Start   time.Time
	Latency time.Duration // from Start to the last byte, or to whatever ended it
	Err     error         // why Kind is none of Served and Refused
}

// String is one line for a failed test.
func (r Result) String() string {
	text := fmt.Sprintf("%s %s %s: %s", r.Method, r.Path, r.ID, r.Kind)
	if r.Status != 0 {
		text += " " + strconv.Itoa(r.Status)
	}
	if r.Origin != "" {
		text += " from " + r.Origin
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text + " (" + r.Latency.Round(time.Microsecond).String() + ")"
}

var (
	idRun   = strconv.FormatUint(uint64(rand.Uint32()), 36)
	idCount atomic.Uint64
)

// NewID returns an id that no other request of this process has.
func NewID() string {
	return idRun + "-" + strconv.FormatUint(idCount.Add(1), 10)
}

// Client sends requests one after the other on one keep-alive connection, dials anew when it must, and believes nothing
// that comes back. It never sends a request twice. Not safe for concurrent use; the caller closes it.
type Client struct {
	Network string        // "": tcp
	Address string        // host:port or a socket's path
	Host    string        // the Host field; "": chaos.test
	Timeout time.Duration // for one request; 0: 10 s
	TLS     *tls.Config   // nil: none
	// HTTP2 speaks HTTP/2: over TLS where that is set, else with prior knowledge.
	HTTP2 bool
	// Preface is sent first on each connection, before TLS, such as a header of the PROXY protocol. "": nothing.
	Preface string

	session *session // of HTTP/2
	nc      net.Conn
	br      *bufio.Reader
	used    bool
	buf     []byte
	scratch []byte
}

// coveredMethods may fail over if a configuration does not say otherwise.
var coveredMethods = []string{"GET", "HEAD", "OPTIONS"}

// Do sends one request and verifies what comes back. The end of ctx abandons the request.
func (c *Client) Do(ctx context.Context, q Request) Result {
	q = q.complete()
	if c.HTTP2 {
		return c.stream(ctx, q)
	}
	r := Result{Request: q, Covered: q.covered(coveredMethods), Start: time.Now()}
	deadline := r.Start.Add(orDuration(c.Timeout, 10*time.Second))
	if err := c.connect(ctx, deadline); err != nil {
		r.Kind, r.Err, r.Latency = Unsent, err, time.Since(r.Start)
		if ctx.Err() != nil {
			r.Kind = Left
		}
		return r
	}
	r.Reused, c.used = c.used, true
	nc := c.nc
	_ = nc.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(longAgo) })
	sent := c.send(q)
	keep := c.receive(&r)
	r.Latency = time.Since(r.Start)
	r.honest(nc)
	if keep {
		sent.wait() // the connection goes on only when the whole request is out
		keep = sent.err == nil
	}
	if !stop() && (r.Kind == Hung || r.Kind == Aborted) {
		r.Kind, r.Err = Left, context.Cause(ctx)
	}
	if !keep || ctx.Err() != nil {
		c.Close()
	}
	sent.wait()
	return r
}

// Close ends the connection. The client may be used again.
func (c *Client) Close() {
	if c.session != nil {
		c.session.leave()
		c.session = nil
	}
	if c.nc != nil {
		_ = c.nc.Close()
	}
	c.nc, c.br, c.used = nil, nil, false
}

func (c *Client) connect(ctx context.Context, deadline time.Time) error {
	if c.nc != nil {
		return nil
	}
	nc, err := c.dial(ctx, deadline)
	if err != nil {
		return err
	}
	if c.TLS != nil {
		if nc, err = handshake(ctx, nc, c.TLS, deadline); err != nil {
			return err
		}
	}
	c.nc, c.br = nc, bufio.NewReaderSize(nc, 16<<10)
	if c.buf == nil {
		c.buf, c.scratch = make([]byte, 16<<10), make([]byte, 16<<10)
	}
	return nil
}

// dial connects and sends the preface.
func (c *Client) dial(ctx context.Context, deadline time.Time) (net.Conn, error) {
	dialer := net.Dialer{Deadline: deadline}
	nc, err := dialer.DialContext(ctx, orString(c.Network, "tcp"), c.Address)
	if err != nil || c.Preface == "" {
		return nc, err
	}
	if _, err := io.WriteString(nc, c.Preface); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return nc, nil
}

func (q Request) complete() Request {
	if q.ID == "" {
		q.ID = NewID()
	}
	q.Method = orString(q.Method, "GET")
	q.Path = orString(q.Path, "/"+q.ID)
	return q
}

func (q *Request) covered(methods []string) bool {
	return q.BodySize == 0 && !q.Chunked && slices.Contains(methods, q.Method)
}

func orString(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func orDuration(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

func (c *Client) head(q Request) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", q.Method, q.Path, orString(c.Host, "chaos.test"), FieldID, q.ID)
	if q.WantSize != 0 {
		b = fmt.Appendf(b, "%s: %d\r\n", FieldSize, max(q.WantSize, 0))
	}
	switch {
	case q.Chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case q.BodySize > 0 || q.Method == "POST" || q.Method == "PUT" || q.Method == "PATCH":
		b = fmt.Appendf(b, "Content-Length: %d\r\n", q.BodySize)
	}
	for _, f := range q.Fields {
		b = fmt.Appendf(b, "%s: %s\r\n", f.Name, f.Value)
	}
	return append(b, "\r\n"...)
}

// paced is how much of an upload goes out between two waits.
const paced = 256 << 10

// sending is an upload under way.
type sending struct {
	done chan struct{}
	err  error // valid after done
}

func (s *sending) wait() { <-s.done }

// send writes the request, in the background if its body is long, since an answer may come before the upload's end.
func (c *Client) send(q Request) *sending {
	s := &sending{done: make(chan struct{})}
	nc, head := c.nc, c.head(q)
	if q.BodySize <= 4096 {
		defer close(s.done)
		_, s.err = nc.Write(appendUpload(head, Body(sender, q.ID, q.BodySize), q.Chunked, true))
		return s
	}
	go func() {
		defer close(s.done)
		content := newContent(sender, q.ID, q.BodySize)
		piece, out := make([]byte, 16<<10), head
		for left := q.BodySize; left > 0 && s.err == nil; out = out[:0] {
			if (q.BodySize-left)%paced == 0 {
				time.Sleep(q.Pace)
			}
			n, _ := content.Read(piece)
			left -= int64(n)
			n, s.err = nc.Write(appendUpload(out, piece[:n], q.Chunked, left == 0))
			if q.Progress != nil {
				q.Progress.Add(int64(n))
			}
		}
	}()
	return s
}

func appendUpload(dst, piece []byte, chunked, last bool) []byte {
	if !chunked {
		return append(dst, piece...)
	}
	if len(piece) > 0 {
		dst = fmt.Appendf(dst, "%x\r\n%s\r\n", len(piece), piece)
	}
	if last {
		dst = append(dst, "0\r\n\r\n"...)
	}
	return dst
}

// receive reads the answer, fills in the result and reports whether the connection can carry another request.
func (c *Client) receive(r *Result) (keep bool) {
	r.held()
	if err := c.receiveHead(r); err != nil {
		r.fail(err)
		return false
	}
	keep, err := c.receiveBody(r)
	if err == nil && c.br.Buffered() > 0 {
		err = malformed(strconv.Itoa(c.br.Buffered()) + " bytes after the end of the response")
	}
	if err != nil {
		r.fail(err)
		return false
	}
	r.Kind = Served
	if r.Status >= 400 {
		r.Kind = Refused
	}
	return keep
}

func (c *Client) receiveHead(r *Result) error {
	for {
		head, err := readHead(c.br)
		if err != nil {
			return err
		}
		if fault := head.fault(); fault != "" {
			return malformed(fault)
		}
		r.Head = head
		if r.Status, err = status(head.Line); err != nil {
			return err
		}
		if r.Status >= 200 {
			break
		}
		if r.Interim++; r.Status == 101 || r.Interim > maxInter {
			return malformed("unasked " + head.Line)
		}
	}
	return r.identify()
}

func status(line string) (int, error) {
	version, rest, _ := strings.Cut(line, " ")
	code, _, ok := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if !ok || version != "HTTP/1.1" || len(code) != 3 || err != nil || n < 100 {
		return 0, malformed("bad status line " + strconv.Quote(line))
	}
	return n, nil
}

// receiveBody reads the content to the end of its framing.
func (c *Client) receiveBody(r *Result) (keep bool, err error) {
	h := &r.Head
	framing, stated, err := h.frame(framingUntilClose)
	if err != nil {
		return false, err
	}
	bodyless := r.Method == "HEAD" || r.Status == 204 || r.Status == 304
	if bodyless {
		framing = framingNone
	}
	size, err := r.size()
	if err != nil {
		return false, err
	}
	if r.Method == "HEAD" && r.Origin != "" && h.Get("Content-Length") != "" && stated != size {
		return false, malformed("answer to HEAD states another length than the origin")
	}
	if err := r.verify(&body{br: c.br, framing: framing, left: stated}, size, bodyless, c.buf, c.scratch); err != nil {
		return false, err
	}
	return framing != framingUntilClose && !h.names("Connection", "close"), nil
}
