package main

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// adoptsOrphans: processes whose parent has ended become this one's children.
const adoptsOrphans = true

// adoptOrphans lets them from now on, so that their exit codes can be had.
func adoptOrphans(t *testing.T) {
	t.Helper()
	if err := becomeSubreaper(); err != nil {
		t.Fatal(err)
	}
}

var becomeSubreaper = sync.OnceValue(func() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
