package netx

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerClosed asks for POLLRDHUP, which the kernel raises when the FIN arrives,
// whatever waits in the receive buffer before it. A peek would see only the
// bytes.
func peerClosed(rc syscall.RawConn) bool { return holds(rc, unix.POLLRDHUP) }
