package chaos

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// errCut is the end of a connection without a close_notify, whose place a FIN does not take.
var errCut = errors.New("TLS was cut off")

// strict is a socket whose FIN is an error, so that crypto/tls says io.EOF only after a close_notify.
type strict struct{ net.Conn }

func (s strict) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

// watched is a connection over TLS that remembers whether the peer ended it with a close_notify.
type watched struct {
	*tls.Conn
	goodbye bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.goodbye = w.goodbye || errors.Is(err, io.EOF)
	return n, err
}

// handshake makes a connection one over TLS, or closes it.
func handshake(ctx context.Context, nc net.Conn, config *tls.Config, deadline time.Time) (net.Conn, error) {
	secured := &watched{Conn: tls.Client(strict{nc}, config)}
	_ = nc.SetDeadline(deadline)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return secured, nil
}

// honest makes a result wrong if its response was cut off and yet the connection ended with a goodbye: to a client that
// goes by the end of the connection such a response looks whole.
func (r *Result) honest(nc net.Conn) {
	if w, ok := nc.(*watched); ok && r.Kind == Aborted && r.Status != 0 && w.goodbye {
		r.Kind, r.Err = Wrong, malformed("a response that was cut off ends with a close_notify")
	}
}
