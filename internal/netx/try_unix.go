//go:build unix && !linux

package netx

import "syscall"

// CanTry says whether TryRead and TryWrite work here.
const CanTry = true

// TryRead reads what is there from a socket in non-blocking mode. again is
// true, and n zero, if nothing is; n is zero without again and err at the end
// of the stream.
func TryRead(fd uintptr, p []byte) (n int, again bool, err error) {
	return try(syscall.Read, fd, p)
}

// TryWrite writes as much of p as fits into the buffer of a socket in
// non-blocking mode. again is true, and n zero, if nothing does.
func TryWrite(fd uintptr, p []byte) (n int, again bool, err error) {
	return try(syscall.Write, fd, p)
}

func try(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, bool, error) {
	if len(p) == 0 {
		return 0, false, nil
	}
	for {
		n, err := call(int(fd), p)
		switch err {
		case nil:
			return n, false, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, true, nil
		default:
			return 0, false, err
		}
	}
}
