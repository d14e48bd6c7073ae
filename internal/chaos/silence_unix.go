//go:build unix

package chaos

import (
	"net"
	"runtime"
	"syscall"
)

// canSilence says why connects can't be left unanswered here, nil where that may be tried.
var canSilence error

// setBacklog changes how many connections may wait to be accepted; 0 is as few as can be.
func setBacklog(listener *net.TCPListener, n int) error {
	if n == 0 && runtime.GOOS != "linux" {
		n = 1 // elsewhere 0 means as many as can be
	}
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), n) })
	if err != nil {
		return err
	}
	return failed
}
