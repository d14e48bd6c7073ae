// Package memlimit tells Go's runtime how much memory the process may have: what
// the operator says in GOMEMLIMIT, else a share of what its container may have.
//
//	set, err := memlimit.Set() // once, at the start
//
// The runtime knows of no container. Without a limit it lets the heap grow to
// twice of what lives before it collects, and the kernel ends a process that is
// over its container's. The limit is a soft one (runtime/debug.SetMemoryLimit):
// near it the runtime collects more often, and it refuses nothing. What refuses
// are max_connections and max_concurrent.
package memlimit

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// share is how much of a container's memory is the runtime's, in percent. The
// kernel's buffers of sockets count as the container's too, and with slow
// clients there are more of them than there is heap.
const share = 70

// least is the smallest limit that is set: below it the runtime would collect
// all the time.
const least = 32 << 20

// From says where a limit came from. It is empty if there is none.
type From string

// Where limits come from.
const (
	FromNowhere     From = ""
	FromEnvironment From = "GOMEMLIMIT"
	FromContainer   From = "cgroup"
)

// Limit is what the runtime was told.
type Limit struct {
	From  From
	Bytes int64 // of memory that the runtime manages; meaningless if From is empty
}

// Set sets the limit for the whole process and tells which it is. GOMEMLIMIT
// wins, "off" too. Without it, and without a container that has a limit, nothing
// is set. The error says why a container's limit could not be read; nothing is
// set then, and the process may go on. Call it once, before there is load.
func Set() (Limit, error) {
	return set(os.Getenv("GOMEMLIMIT"), memlimit.FromCgroup, debug.SetMemoryLimit)
}

func set(environment string, container func() (uint64, error), tell func(int64) int64) (Limit, error) {
	if environment != "" {
		return Limit{From: FromEnvironment, Bytes: tell(-1)}, nil // the runtime has read it
	}
	bytes, err := container()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return Limit{}, nil
	case err != nil:
		return Limit{}, fmt.Errorf("read the container's memory limit (GOMEMLIMIT sets one by hand): %w", err)
	}
	l := Limit{From: FromContainer, Bytes: max(int64(min(bytes, 1<<62)/100*share), least)}
	tell(l.Bytes)
	return l, nil
}
