package proxy

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenBeside binds an address that only listeners which are about to go have
// taken. Linux lets sockets of one user overlap while all of them ask for it
// (SO_REUSEPORT, see socket(7)). They ask for as long as this takes, so that no
// second Fairlead can share the port by mistake.
func listenBeside(address string, gone []*listener, why error) (net.Listener, error) {
	taken := overlapping(address, gone)
	if len(taken) == 0 {
		return nil, why
	}
	shareAll(taken, 1)
	defer shareAll(taken, 0)
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return share(raw, 1) }}
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, why
	}
	shareAll([]*net.TCPListener{l.(*net.TCPListener)}, 0)
	return l, nil
}

func shareAll(listeners []*net.TCPListener, on int) {
	for _, l := range listeners {
		if raw, err := l.SyscallConn(); err == nil {
			_ = share(raw, on) // a bind that fails for it says so
		}
	}
}

// share sets SO_REUSEPORT.
func share(raw syscall.RawConn, on int) (err error) {
	if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, on) }); cerr != nil {
		return cerr
	}
	return err
}
