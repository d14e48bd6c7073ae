package suite

import (
	"os"
	"os/exec"
	"runtime"
)

// Signals, a shell and /proc.
var (
	Unix = Need{"a system with signals and a shell", func() bool {
		_, err := exec.LookPath("sh")
		return runtime.GOOS != "windows" && err == nil
	}}
	Linux = Need{"Linux", func() bool { return runtime.GOOS == "linux" }}
	Root  = Need{"root on Linux, and the command ip: network namespaces", func() bool {
		_, err := exec.LookPath("ip")
		return runtime.GOOS == "linux" && os.Geteuid() == 0 && err == nil
	}}
)
