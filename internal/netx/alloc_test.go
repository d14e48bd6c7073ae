//go:build linux && !race

// Under the race detector sync.Pool forgets at random; elsewhere than on Linux
// a peek needs a closure.

package netx

import "testing"

func TestQuestionsDoNotAllocate(t *testing.T) {
	ours, _ := pair(t, "tcp")
	rc := rawConn(t, ours)
	if n := testing.AllocsPerRun(1000, func() { Dead(rc); PeerClosed(rc) }); n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}
