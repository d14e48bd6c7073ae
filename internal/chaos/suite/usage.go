package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// usage is what the proxy holds of the machine.
type usage struct {
	sockets    int // -1 where the system does not tell
	files      int // other descriptors, but for pipes, which the runtime keeps for later splices
	goroutines int
	idle       int // connections to origins in the pools
}

func (s *Stage) usage() (usage, error) {
	u := usage{sockets: -1, files: -1}
	m, err := s.admin.metrics()
	if err != nil {
		return u, err
	}
	u.goroutines, u.idle = int(m["go_goroutines"]), int(m["fairlead_idle_connections"])
	if runtime.GOOS != "linux" {
		return u, nil // no other system tells
	}
	dir := fmt.Sprintf("/proc/%d/fd", s.proxy.pid())
	open, err := os.ReadDir(dir)
	if err != nil {
		return u, err
	}
	u.sockets, u.files = 0, 0
	for _, f := range open {
		switch to, _ := os.Readlink(filepath.Join(dir, f.Name())); {
		case strings.HasPrefix(to, "socket:"):
			u.sockets++
		case !strings.HasPrefix(to, "pipe:"):
			u.files++
		}
	}
	return u, nil
}

// backTo reports what is left over that before did not have.
func (u usage) backTo(before usage) error {
	// A scrape is a connection of its own with two goroutines, which may or may not be over yet.
	if over := u.goroutines - before.goroutines; over > 3 {
		return fmt.Errorf("%d goroutines are left over (%d before the load, %d after it)", over, before.goroutines, u.goroutines)
	}
	if u.sockets < 0 {
		return nil
	}
	if over := u.sockets - u.idle - (before.sockets - before.idle); over > 1 {
		return fmt.Errorf("%d sockets are left over (%d before the load, %d after it, of which %d are idle connections to origins)",
			over, before.sockets, u.sockets, u.idle)
	}
	if over := u.files - before.files; over > 0 {
		return fmt.Errorf("%d files are left open", over)
	}
	return nil
}

// resident is the proxy's memory in bytes, 0 where the system does not tell.
func (s *Stage) resident() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.proxy.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
