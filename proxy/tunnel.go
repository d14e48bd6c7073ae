package proxy

import (
	"errors"
	"io"
	"os"

	"github.com/fairlead/fairlead/internal/http2"
)

// tunnelBuffer is for one direction of a tunnel. Tunnels live long and carry
// little.
const tunnelBuffer = 8 << 10

// duplex is a stream whose sending side can be ended alone.
type duplex interface {
	io.ReadWriter
	CloseWrite() error
}

// pipeBoth relays between the client and the origin until both have ended.
func (x *exchange) pipeBoth(client duplex) error {
	up := make(chan error, 1)
	go func() {
		defer close(up)
		defer x.contain()
		up <- x.pipe(x.oc, client, client, nil)
	}()
	down := x.pipe(client, x.oc, client, &x.sent)
	if down != nil {
		x.oc.Interrupt()
		x.wake()
	}
	return errors.Join(down, <-up)
}

// pipe is one direction of a tunnel. On an error it ends both.
func (x *exchange) pipe(dst, src, client duplex, count *int64) error {
	buf := make([]byte, tunnelBuffer)
	for {
		n, err := src.Read(buf)
		at := src
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				err, at = werr, dst
			} else if count != nil {
				*count += int64(n)
			}
			x.extend(x.idleDeadline())
		}
		if err == io.EOF {
			return dst.CloseWrite()
		}
		if err != nil {
			if at == client && !isInterrupt(err) {
				x.interrupt(causeLeft)
			}
			x.oc.Interrupt()
			x.wake()
			return err
		}
	}
}

// isInterrupt reports whether an error is what an interrupt of ours causes.
func isInterrupt(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, http2.ErrInterrupted)
}
