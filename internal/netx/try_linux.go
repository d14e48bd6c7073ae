package netx

import (
	"syscall"
	"unsafe"
)

// CanTry says whether TryRead and TryWrite work here.
const CanTry = true

// TryRead reads what is there from a socket in non-blocking mode. again is
// true, and n zero, if nothing is; n is zero without again and err at the end
// of the stream.
//
// It must not be used on anything that can block. syscall.Read tells the
// scheduler that it may take a while; on a machine that serves many sockets
// that is a lie told hundreds of thousands of times a second, and it is dear: the
// runtime's monitor believes it, wakes up every 20 us to look whether a call
// has got stuck, and hands the processor to another thread when one seems to
// have. A non-blocking call never gets stuck, so the scheduler is not told.
// This is the one use of unsafe, which a raw system call can't do without. By
// itself a call costs the same either way (BenchmarkEmptyRead); what it saves
// shows under load, see docs/adr/0004-raw-system-calls.md.
func TryRead(fd uintptr, p []byte) (n int, again bool, err error) {
	return try(syscall.SYS_READ, fd, p)
}

// TryWrite writes as much of p as fits into the buffer of a socket in
// non-blocking mode. again is true, and n zero, if nothing does. What TryRead's
// comment says goes for it too.
func TryWrite(fd uintptr, p []byte) (n int, again bool, err error) {
	return try(syscall.SYS_WRITE, fd, p)
}

func try(call, fd uintptr, p []byte) (int, bool, error) {
	if len(p) == 0 {
		return 0, false, nil
	}
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), false, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, true, nil
		default:
			return 0, false, errno
		}
	}
}
