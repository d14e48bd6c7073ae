package testrun

import (
	"os"
	"testing"
)

// ShortDir makes a folder whose name is short enough for a unix socket in it, which
// that of t.TempDir is not everywhere: a socket's path has room for 104 bytes on some
// systems. It is removed with all that is in it when the test ends.
func ShortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "fl")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
