package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// session is what clients of HTTP/2 share: as few connections as their streams need. Safe for concurrent use.
type session struct {
	transport *http.Transport
	shared    bool // others use it too: the load ends it
}

// maxSessions bounds the connections of a session, so that streams share them.
const maxSessions = 2

// newSession makes a session for clients like this one, whose connections begin as its own do.
func (c *Client) newSession() *session {
	t := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols), MaxResponseHeaderBytes: maxHead, MaxConnsPerHost: maxSessions}
	like := Client{Network: c.Network, Address: c.Address, Preface: c.Preface}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return like.dial(ctx, time.Time{}) // ctx ends it
	}
	if c.TLS == nil {
		t.Protocols.SetUnencryptedHTTP2(true)
		return &session{transport: t}
	}
	t.Protocols.SetHTTP2(true)
	t.TLSClientConfig = c.TLS.Clone()
	return &session{transport: t}
}

// leave ends the connections of a session that nobody else uses.
func (s *session) leave() {
	if !s.shared {
		s.transport.CloseIdleConnections()
	}
}

// errNever tells a request that found no connection.
var errNever = errors.New("no connection")

// stream is Do over HTTP/2. net/http's transport sends a request again only where the peer has said that it has not
// looked at it; if that were not so, the origins would see it.
func (c *Client) stream(ctx context.Context, q Request) Result {
	r := Result{Request: q, Covered: q.covered(coveredMethods), Start: time.Now()}
	if c.session == nil {
		c.session = c.newSession()
	}
	limited, cancel := context.WithTimeoutCause(ctx, orDuration(c.Timeout, 10*time.Second), os.ErrDeadlineExceeded)
	defer cancel()
	err := c.roundTrip(limited, &r)
	r.Latency = time.Since(r.Start)
	switch {
	case err == nil && r.Status >= 400:
		r.Kind = Refused
	case err == nil:
		r.Kind = Served
	case ctx.Err() != nil:
		r.Kind, r.Err = Left, context.Cause(ctx)
	case errors.Is(err, errNever):
		r.Kind, r.Err = Unsent, err
	case limited.Err() != nil:
		r.fail(os.ErrDeadlineExceeded)
	default:
		r.fail(err)
	}
	return r
}

// roundTrip sends the request on a stream and verifies the answer.
func (c *Client) roundTrip(ctx context.Context, r *Result) error {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:        func(info httptrace.GotConnInfo) { r.Reused = info.Reused; sent.Store(true) },
		Got1xxResponse: func(int, textproto.MIMEHeader) error { r.Interim++; return nil },
	})
	q, err := c.request(ctx, &r.Request)
	if err != nil {
		return err
	}
	resp, err := c.session.transport.RoundTrip(q)
	if err != nil {
		if !sent.Load() {
			err = errors.Join(errNever, err)
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	r.held()
	r.Status, r.Head.Line = resp.StatusCode, resp.Proto+" "+resp.Status
	for _, name := range sortedKeys(resp.Header) {
		for _, value := range resp.Header[name] {
			r.Head.Fields = append(r.Head.Fields, Field{name, value})
		}
	}
	if resp.ProtoMajor != 2 {
		return malformed("an answer in " + resp.Proto)
	}
	if err := r.identify(); err != nil {
		return err
	}
	size, err := r.size()
	if err != nil {
		return err
	}
	bodyless := r.Method == "HEAD" || r.Status == 204 || r.Status == 304
	return r.verify(resp.Body, size, bodyless, make([]byte, 16<<10), make([]byte, 16<<10))
}

// request makes what the transport sends.
func (c *Client) request(ctx context.Context, q *Request) (*http.Request, error) {
	target, err := url.ParseRequestURI(q.Path)
	if err != nil {
		return nil, err
	}
	target.Scheme, target.Host = "http", orString(c.Host, "chaos.test")
	if c.TLS != nil {
		target.Scheme = "https"
	}
	req := (&http.Request{Method: q.Method, URL: target, Host: target.Host, Header: make(http.Header)}).WithContext(ctx)
	if q.BodySize > 0 {
		req.Body = io.NopCloser(&counted{newContent(sender, q.ID, q.BodySize), q.Progress})
		if req.ContentLength = q.BodySize; q.Chunked {
			req.ContentLength = -1
		}
	}
	req.Header.Set(FieldID, q.ID)
	if q.WantSize != 0 {
		req.Header.Set(FieldSize, strconv.FormatInt(max(q.WantSize, 0), 10))
	}
	for _, f := range q.Fields {
		req.Header.Add(f.Name, f.Value)
	}
	return req, nil
}

// counted is an upload whose progress somebody may want to know.
type counted struct {
	io.Reader
	n *atomic.Int64 // nil: nobody
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.n != nil {
		c.n.Add(int64(n))
	}
	return n, err
}
