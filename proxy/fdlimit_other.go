//go:build !unix

package proxy

// connectionLimit is the limit where file descriptors have none that can be
// asked for.
func connectionLimit() int { return 1 << 16 }

// originLimit is the same for connections to origins.
func originLimit(int) int { return 1 << 17 }
