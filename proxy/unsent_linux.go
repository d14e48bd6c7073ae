package proxy

import (
	"net"

	"golang.org/x/sys/unix"
)

// maxUnsent is how much of a response the kernel takes beyond what is on its
// way already (TCP_NOTSENT_LOWAT). Without it the send buffer grows to megabytes
// for a client that takes nothing, and so does the receive buffer on the
// origin's side, which was read so fast. What is on its way does not count, so
// it slows no client down that takes what it is sent.
const maxUnsent = 256 << 10

// limitUnsent sets maxUnsent for a client's connection. (A listener's
// connections don't inherit it everywhere.)
func limitUnsent(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // what fails costs memory and no more
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		})
	}
}
