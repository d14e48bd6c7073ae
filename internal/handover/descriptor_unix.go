//go:build unix

package handover

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// kindOf says what a descriptor is good for, or why for nothing.
func kindOf(fd int) (kind, error) {
	if mode, err := modeOf(fd); err != nil {
		return "", err
	} else if mode != unix.S_IFSOCK {
		return "", errors.New("not a socket")
	}
	t, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return "", fmt.Errorf("ask for its type: %w", err)
	}
	switch t {
	case unix.SOCK_DGRAM:
		return datagram, nil
	case unix.SOCK_STREAM:
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err == nil && listens == 0 {
			return "", errors.New("a stream socket that doesn't listen; with Accept=yes in a socket unit, write Accept=no")
		}
		return stream, nil
	}
	return "", fmt.Errorf("a socket of type %d; only stream and datagram sockets can be used", t)
}

// wantPipe checks that a descriptor is a pipe.
func wantPipe(fd int) error {
	mode, err := modeOf(fd)
	if err == nil && mode != unix.S_IFIFO {
		err = errors.New("not a pipe")
	}
	if err != nil {
		return fmt.Errorf("descriptor %d, by which %s lets the parent talk: %w", fd, variable, err)
	}
	return nil
}

func modeOf(fd int) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, errors.New("not open")
	}
	return uint32(st.Mode) & unix.S_IFMT, nil
}

// takePipe makes a pipe ours, with deadlines that work.
func takePipe(fd int, name string) (*os.File, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// duplicate returns a second descriptor for a socket. File of the net package
// would do, but what it returns turns blocking once its descriptor is asked for,
// and the socket here with it: closing a listener would no longer end Accept.
func duplicate(conn syscall.Conn) (*os.File, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var f *os.File
	var failed error
	err = raw.Control(func(fd uintptr) {
		if _, failed = kindOf(int(fd)); failed != nil {
			return
		}
		var dup int
		if dup, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failed == nil {
			f = os.NewFile(uintptr(dup), "socket")
		}
	})
	if err != nil {
		return nil, err
	}
	return f, failed
}
