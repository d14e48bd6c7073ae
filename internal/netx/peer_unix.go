//go:build unix && !linux

package netx

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerClosed peeks, since POLLRDHUP is Linux's own and what POLLHUP means for
// a half-closed socket differs between systems.
func peerClosed(rc syscall.RawConn) bool {
	closed := false
	err := rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch err {
		case nil:
			closed = n == 0
		case unix.EAGAIN, unix.EINTR:
		default:
			closed = true
		}
	})
	return err != nil || closed
}
