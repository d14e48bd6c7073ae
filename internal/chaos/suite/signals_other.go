//go:build !unix

package suite

import "os"

// Scenarios that need these are skipped where there are none.
var (
	sigstop = os.Kill
	sigcont = os.Kill
	sigusr2 = os.Kill
)
