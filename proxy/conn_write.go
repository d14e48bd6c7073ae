package proxy

import (
	"io"
	"net"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/netx"
)

const (
	// lingerFor and lingerBytes bound how long, and how much, a client may
	// still send after the last response on its connection.
	lingerFor   = time.Second
	lingerBytes = 256 << 10
	// writePiece is the most that is written to a client whose socket is full
	// before the time in which nothing moved begins anew.
	// It is also the most that a TLS record holds.
	writePiece = 16 << 10
	// refuseWithin bounds the write of an error to a client that was
	// interrupted.
	refuseWithin = time.Second
)

// framing implements client.
func (c *conn) framing(resp *http1.Response) http1.BodyKind {
	switch resp.Body {
	case http1.BodyChunked, http1.BodyUntilClose:
		if c.x.req.Minor == 0 {
			return http1.BodyUntilClose
		}
		return http1.BodyChunked
	}
	return resp.Body
}

// interim implements client.
func (c *conn) interim(resp *http1.Response) error {
	if c.x.req.Minor == 0 {
		return nil
	}
	head := http1.AppendResponseHead(nil, resp, &http1.ResponseOut{Body: http1.BodyNone})
	// The sweeper watches the origin's time now, so this write has a limit of its own.
	if limit := c.srv.current().cfg.BodyIdleTimeout; limit > 0 {
		_ = c.nc.SetWriteDeadline(time.Now().Add(limit))
		defer c.x.unlessInterrupted(func() { _ = c.nc.SetWriteDeadline(time.Time{}) })
	}
	_, err := c.stream.Write(head)
	return err
}

// head implements client. The head is kept until the first of the body is there.
func (c *conn) head(resp *http1.Response, out *http1.ResponseOut) {
	out.KeepAlive = c.x.req.Minor == 0 && !out.Close
	c.bufs.out = http1.AppendResponseHead(c.bufs.out[:0], resp, out)
	c.pending = c.bufs.out
	c.chunked, c.untilClose = out.Body == http1.BodyChunked, out.Body == http1.BodyUntilClose
}

// body implements client: head, framing and data leave in one write.
func (c *conn) body(buf []byte, from, to int, last bool, trailers []http1.Field) error {
	if c.chunked {
		from, buf = frameChunk(buf, from, to)
		if last {
			buf = http1.AppendLastChunk(buf, trailers)
		}
		to = len(buf)
	}
	if n := len(c.pending); n > 0 && n <= from {
		from -= n
		copy(buf[from:], c.pending)
		c.pending = nil
	} else if n > 0 {
		if err := c.write(c.pending); err != nil {
			return err
		}
		c.pending = nil
	}
	err := c.write(buf[from:to])
	if err == nil && last && c.untilClose && c.sec != nil {
		// Over TLS the end of such a body is the close_notify, so it is awaited
		// like any of its bytes.
		err = c.sec.notify()
	}
	return err
}

// write sends all of p. Within onReadable it first writes what fits into the
// socket without the detour through the poller.
func (c *conn) write(p []byte) error {
	if c.sec != nil {
		return c.writePieces(p)
	}
	if c.fd != noFD {
		n, _, err := netx.TryWrite(c.fd, p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return c.writePieces(p)
}

// writePieces sends all of p in pieces, so that a slow client is seen to take
// some. Over TLS a piece is a record.
func (c *conn) writePieces(p []byte) error {
	for len(p) > 0 {
		n, err := c.stream.Write(p[:min(len(p), writePiece)])
		if err != nil {
			return err
		}
		p = p[n:]
		c.x.extend(c.x.idleDeadline())
	}
	return nil
}

// limitedSource is the io.LimitedReader that TCPConn.ReadFrom knows how to
// splice from, kept in the connection: one for each direction, since bodies
// may move both ways at once.
type limitedSource struct{ io.LimitedReader }

// move moves n bytes from src to dst; where the system can't splice, it copies.
func (l *limitedSource) move(dst, src *net.TCPConn, n int64) (int64, error) {
	l.R, l.N = src, n
	defer func() { l.R = nil }()
	return dst.ReadFrom(&l.LimitedReader)
}

// splice implements client.
func (c *conn) splice(x *exchange, n int64) (moved int64, can bool, err error) {
	src := x.oc.TCP()
	if src == nil || c.tcp == nil || c.sec != nil || c.chunked || !c.srv.fds.takePipe() {
		return 0, false, nil
	}
	defer c.srv.fds.givePipe()
	moved, err = c.down.move(c.tcp, src, n)
	if err == nil && moved < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && c.gone() {
		x.interrupt(causeLeft)
	}
	return moved, true, err
}

// abort implements client. A body whose length the client knows is ended by the
// close that follows; one that ends with the connection needs a reset, or it
// would look whole: even over TLS, where the close_notify is missing, since
// many clients don't mind. So does one that the client does not take: else the
// kernel would go on offering it for minutes.
func (c *conn) abort() {
	c.pending, c.aborted = nil, true
	if c.tcp != nil && (c.untilClose || c.x.interrupted() == causeBodyIdle) {
		_ = c.tcp.SetLinger(0)
	}
}

// refuse implements client.
func (c *conn) refuse(x *exchange, r *refusal) {
	late := x.interrupted() != causeNone
	if late {
		_ = c.nc.SetDeadline(time.Now().Add(refuseWithin))
	}
	buf := c.appendRefusal(c.bufs.out[:0], r, x.closeAfter, x.id)
	if c.write(buf) != nil {
		x.closeAfter = true
		return
	}
	if late && !x.closeAfter {
		c.revive() // the deadline was not meant for the next request
	}
	c.lingering = x.closeAfter
}

// refuseHead answers what never became an exchange.
func (c *conn) refuseHead(r *refusal) {
	x := &c.x
	x.req = http1.Request{Fields: x.req.Fields[:0], Minor: 1}
	x.body.set(c, http1.BodyNone, 0, nil, true)
	x.begin()
	x.result = resultRefused
	if c.bufs == nil {
		c.bufs = x.takeBuffers()
	}
	x.refuse(r)
	x.finish()
}

// appendRefusal writes a response of our own.
func (c *conn) appendRefusal(dst []byte, r *refusal, end bool, id []byte) []byte {
	var bodyBuf [512]byte
	var body []byte
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(r.status)...)
	dst = append(dst, "\r\nDate: "...)
	dst = append(dst, *c.srv.clock.date.Load()...)
	if r.text != "" {
		var contentType string
		body, contentType = appendRefusalBody(bodyBuf[:0], r, c.x.req.Get(http1.FieldAccept), id)
		dst = append(dst, "\r\nContent-Type: "...)
		dst = append(dst, contentType...)
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(body)), 10)
	}
	if r.retryAfter > 0 {
		dst = append(dst, "\r\nRetry-After: "...)
		dst = strconv.AppendInt(dst, int64(r.retryAfter), 10)
	}
	if r.toHTTPS {
		dst = append(dst, "\r\nLocation: "...)
		dst = c.x.appendHTTPS(dst)
	}
	if r.allow != "" {
		dst = append(dst, "\r\nAllow: "...)
		dst = append(dst, r.allow...)
	}
	if c.srv.current().cfg.ProxyStatus {
		dst = append(dst, "\r\nProxy-Status: "...)
		dst = appendProxyStatus(dst, r)
	}
	if end {
		dst = append(dst, "\r\nConnection: close"...)
	} else if c.x.req.Minor == 0 {
		dst = append(dst, "\r\nConnection: keep-alive"...)
	}
	dst = append(dst, "\r\n\r\n"...)
	if c.x.req.MethodID != http1.MethodHEAD {
		dst = append(dst, body...)
		c.x.sent = int64(len(body))
	}
	return dst
}

// drainClient ends the sending side and takes what the client has still on its
// way, so that the response is not lost to a reset (RFC 9112, section 9.6). It
// reads, so it must run outside a RawConn's callback.
func (c *conn) drainClient() {
	w, ok := c.stream.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	c.x.mark.Store(at(phaseTunnel, noLimit))
	_ = c.nc.SetDeadline(time.Now().Add(lingerFor))
	if w.CloseWrite() != nil {
		return
	}
	c.r, c.w = 0, 0 // nothing of what is here is served any more
	buf := c.space()
	for n := 0; n < lingerBytes; {
		m, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		n += m
	}
}
