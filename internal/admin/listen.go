package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// listen binds an address. A unix socket that nobody listens on any more is
// replaced.
func listen(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		return net.Listen("tcp", address)
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	// Whoever may connect may move traffic. Until here the umask said who may,
	// which is nobody but the owner with any that is usual.
	if err := os.Chmod(path, 0o660); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// abandoned reports whether the path is that of a socket that nobody listens on.
func abandoned(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// checkBound holds what was really bound against the need for a token: a name
// such as localhost may be any address, and so may a socket that was inherited.
func checkBound(l net.Listener, guarded bool) error {
	if guarded {
		return nil
	}
	switch addr := l.Addr().(type) {
	case *net.UnixAddr:
		return nil
	case *net.TCPAddr:
		if addr.IP.IsLoopback() {
			return nil
		}
	}
	return fmt.Errorf("admin: %w", needsToken(l.Addr().String()))
}
