//go:build unix

package proxy

import "syscall"

// canWaitRaw says that a connection can be waited for without a buffer.
const canWaitRaw = true

// readNow reads without blocking; again is true when nothing is there.
func readNow(fd uintptr, p []byte) (n int, again bool, err error) {
	for {
		n, err = syscall.Read(int(fd), p)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, true, nil
		}
		return n, false, err
	}
}
