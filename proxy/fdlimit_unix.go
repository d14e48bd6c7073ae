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

// originLimit is how many connections to origins the file-descriptor limit
// allows beside so many client connections. It is more than one for each, since
// HTTP/2 clients may need many.
func originLimit(clients int) int {
	n := descriptors()
	return max(n-fdReserve-clients, n/4, 1)
}

// connectionLimit is how many client connections the file-descriptor limit
// allows, if each of them may need one to an origin. (Go raises the soft limit
// to the hard one at start.)
func connectionLimit() int {
	n := descriptors()
	if n <= 2*fdReserve {
		return max(n/4, 1)
	}
	return (n - fdReserve) / 2
}

// descriptors is the file-descriptor limit, or more than enough.
func descriptors() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 2 * manyConnections
	}
	return int(min(uint64(r.Cur), 2*manyConnections))
}
