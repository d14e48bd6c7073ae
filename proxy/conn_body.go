package proxy

import (
	"errors"
	"sync"

	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/upstream"
)

// clientBody is the state of a request's body on the client's side.
type clientBody struct {
	kind   http1.BodyKind
	remain int64 // of BodyLength
	chunks http1.ChunkDecoder
}

// readBody implements bodySource.
func (c *conn) readBody(p []byte) (from, to int, done bool, err error) {
	b := &c.clientBody
	if b.kind == http1.BodyLength {
		p = p[:min(int64(len(p)), b.remain)]
		n, err := c.stream.Read(p)
		b.remain -= int64(n)
		if err != nil && b.remain > 0 {
			return 0, n, false, errClientGone
		}
		return 0, n, b.remain == 0, nil
	}
	n, err := c.stream.Read(p)
	if n == 0 && err != nil {
		return 0, 0, false, errClientGone
	}
	data, used, err := b.chunks.Decode(p[:n])
	if err != nil {
		return 0, 0, false, errBodyMalformed
	}
	if len(data) > 0 {
		from = cap(p) - cap(data)
	}
	done = b.chunks.Done()
	if done {
		c.putBack(p[used:n])
	}
	return from, from + len(data), done, nil
}

// putBack keeps bytes of the next request that came with the end of a body.
func (c *conn) putBack(p []byte) {
	c.bufs.in = append(c.bufs.in[:c.w], p...)
	c.w += len(p)
	c.bufs.in = c.bufs.in[:cap(c.bufs.in)]
}

// trailers implements bodySource.
func (c *conn) trailers() []http1.Field {
	if c.clientBody.kind != http1.BodyChunked {
		return nil
	}
	return c.clientBody.chunks.Trailers()
}

// spliceBody implements bodySource.
func (c *conn) spliceBody(dst *upstream.Conn, n int64) (moved int64, can bool, err error) {
	to := dst.TCP()
	if to == nil || c.tcp == nil || c.sec != nil || !c.srv.fds.takePipe() {
		return 0, false, nil
	}
	defer c.srv.fds.givePipe()
	moved, err = c.up.move(to, c.tcp, n)
	c.clientBody.remain -= moved
	if moved < n && (err == nil || c.gone()) {
		err = errClientGone
	}
	return moved, true, err
}

// pieces implements bodySource.
func (c *conn) pieces() *sync.Pool { return &bulkPool }

// stopBody implements bodySource.
func (c *conn) stopBody() { _ = c.nc.SetReadDeadline(longAgo) }

// tunnel implements client: bytes both ways until both sides have ended.
func (c *conn) tunnel(x *exchange) error {
	if _, err := c.stream.Write(c.pending); err != nil {
		return err
	}
	c.pending = nil
	if early := x.buf.resp[x.bodyAt:x.filled]; len(early) > 0 {
		if _, err := c.stream.Write(early); err != nil {
			return err
		}
		x.sent += int64(len(early))
	}
	x.buf.dropResp()
	if early := c.unread(); len(early) > 0 {
		if _, err := x.oc.Write(early); err != nil {
			return err
		}
		c.r = c.w
	}
	client, ok := c.stream.(duplex)
	if !ok {
		return errors.ErrUnsupported
	}
	return x.pipeBoth(client)
}
