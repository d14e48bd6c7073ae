package suite

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// peak is the most memory that the proxy has had resident, in bytes.
func (s *Stage) peak() (int64, error) { return s.memory("VmHWM:") }

// memory is a line of the proxy's /proc/PID/status, in bytes.
func (s *Stage) memory(line string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.proxy.pid()))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, line); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in %s", line, text)
}

// MemoryAtMost fails if the proxy ever had more memory resident, in bytes. It
// needs [Linux].
func MemoryAtMost(most int64) Action {
	return Action{fmt.Sprintf("the proxy had at most %d MiB resident", most>>20), func(s *Stage) error {
		got, err := s.peak()
		if err == nil && got > most {
			err = fmt.Errorf("it had %d MiB", got>>20)
		}
		return err
	}}
}
