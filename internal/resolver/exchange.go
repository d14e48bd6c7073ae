package resolver

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// An exchanger sends a query to a server over "udp" or "tcp" and hands each
// message that comes back to accept, which must not keep it, until accept says
// that one was it. It ends with ctx at the latest.
type exchanger func(ctx context.Context, network, server string, query []byte, accept func([]byte) bool) error

// exchange is the exchanger for real sockets, a new one each time. Its source
// port is the kernel's choice, and being connected it gets nothing from
// anybody but the server (RFC 5452, sections 9.1 and 9.2).
func exchange(ctx context.Context, network, server string, query []byte, accept func([]byte) bool) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server)
	if err != nil {
		return err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		return exchangeTCP(conn, query, accept)
	}
	return exchangeUDP(conn, query, accept)
}

// exchangeUDP waits on when what comes is not the answer, since who forges the
// server's address may be faster than it. The buffer holds any datagram: on
// Windows one that doesn't fit is an error.
func exchangeUDP(conn net.Conn, query []byte, accept func([]byte) bool) error {
	if _, err := conn.Write(query); err != nil {
		return err
	}
	buf := make([]byte, dnswire.MaxSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if accept(buf[:n]) {
			return nil
		}
	}
}

// exchangeTCP puts two bytes of length before each message (RFC 1035, section
// 4.2.2), in one write with it (RFC 7766, section 8).
func exchangeTCP(conn net.Conn, query []byte, accept func([]byte) bool) error {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(query)), uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return err
	}
	buf := make([]byte, dnswire.MaxSize)
	for {
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return err
		}
		msg := buf[:binary.BigEndian.Uint16(buf)]
		if _, err := io.ReadFull(conn, msg); err != nil {
			return err
		}
		if accept(msg) {
			return nil
		}
	}
}
