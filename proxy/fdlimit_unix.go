//go:build unix

package proxy

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// count asks the system how many descriptors there may be, beside those that
// are open already, and shares them out. (Go raises the soft limit to the hard
// one at start.)
func (d *descriptors) count() {
	limit := 2 * manyConnections
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		limit = int(min(uint64(r.Cur), uint64(limit)))
	}
	open := limit
	if next, err := lowestFree(); err == nil {
		open = min(next, limit)
	}
	d.reserve(limit, open)
}

// taken reports whether all but the last descriptors are in use now: whether
// the next one would be one of those.
func (d *descriptors) taken() bool {
	next, err := lowestFree()
	if err != nil {
		return errors.Is(err, syscall.EMFILE)
	}
	return next >= d.last
}

// lowestFree is the number of the next descriptor. All below it are in use.
func lowestFree() (int, error) {
	const stderr = 2 // which is open in every Go program
	next, err := unix.FcntlInt(stderr, unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(next)
	}
	return next, err
}
