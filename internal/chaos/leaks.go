package chaos

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Baseline is which goroutines and file descriptors a process had at one moment. Make it with [Rest]. What a library
// such as goleak does for goroutines is done by hand, because descriptors have to be waited for in the same breath, and
// because programs that are no tests use the kit too.
type Baseline struct {
	goroutines map[string]string // id: stack
	files      map[string]int    // what descriptors point to: how many; nil where the system does not tell
}

// Rest takes the baseline that a process at rest is to return to. File descriptors are seen on Linux only.
func Rest() Baseline {
	return Baseline{goroutines: goroutines(), files: openFiles()}
}

// Wait polls until nothing is left that the baseline has not, at most for the time given, and returns what is left
// then: the stacks of goroutines and the names of descriptors.
func (b Baseline) Wait(limit time.Duration) error {
	var left string
	if poll(limit, func() bool {
		left = b.left()
		if strings.Contains(left, " of pipe:") {
			runtime.GC() // the pipes that splices go through are kept for the next one until then
		}
		return left == ""
	}) {
		return nil
	}
	return fmt.Errorf("left over after %v:\n%s", limit, left)
}

// CheckLeaks takes the baseline now and, when the test ends, reports what is not gone within five seconds. Call it
// first, so that its check runs after every other cleanup. Tests that run in parallel see each other's goroutines.
func CheckLeaks(tb TB) {
	tb.Helper()
	baseline := Rest()
	tb.Cleanup(func() {
		if err := baseline.Wait(5 * time.Second); err != nil {
			tb.Errorf("%v", err)
		}
	})
}

func (b Baseline) left() string {
	var left []string
	now := goroutines()
	for _, id := range slices.Sorted(maps.Keys(now)) {
		if _, old := b.goroutines[id]; !old {
			left = append(left, now[id])
		}
	}
	files := openFiles()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if more := files[name] - b.files[name]; more > 0 {
			left = append(left, fmt.Sprintf("%d descriptors of %s", more, name))
		}
	}
	return strings.Join(left, "\n\n")
}

// goroutines returns every goroutine's stack but the caller's by its id.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := bytes.Split(buf, []byte("\n\n"))
	found := make(map[string]string, len(stacks))
	for _, stack := range stacks[1:] { // the first is our own
		if bytes.Contains(stack, []byte("os/signal.")) {
			continue // once started it never ends, by design
		}
		id, _, _ := strings.Cut(string(stack), " [")
		found[id] = string(stack)
	}
	return found
}

// Await polls until ok is true and fails the test if that takes longer than the limit.
func Await(tb TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	if !poll(limit, ok) {
		tb.Fatalf("no %s within %v", what, limit)
	}
}

// poll asks at once and then ever less often, up to every 20 ms.
func poll(limit time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(limit)
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		if ok() {
			return true
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		time.Sleep(min(wait, left))
	}
}
