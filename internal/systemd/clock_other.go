//go:build !linux

package systemd

import "time"

// monotonic is zero: systemd runs on Linux only.
func monotonic() time.Duration { return 0 }
