//go:build unix

package proxy

import "syscall"

const (
	// fdReserve is kept for listeners, logs, probes and connections that are
	// between closing and being opened.
	fdReserve = 100
	// manyConnections is the limit where the system sets none.
	manyConnections = 1 << 20
)

// connectionLimit is how many client connections the file-descriptor limit
// allows, if each of them may need one to an origin. (Go raises the soft limit
// to the hard one at start.)
func connectionLimit() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return manyConnections
	}
	n := min(uint64(r.Cur), 2*manyConnections)
	if n <= 2*fdReserve {
		return max(int(n/4), 1)
	}
	return int(n-fdReserve) / 2
}
