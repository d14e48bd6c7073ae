//go:build !linux

package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
)

func isRole(string) bool { return false }

func runRole(string, []string) error { return nil }

// measure has nothing to offer here: the load is an epoll loop, and the figures come from /proc.
func measure(context.Context, options, io.Writer, io.Writer) error {
	return fmt.Errorf("needs Linux (epoll, CPU affinity, /proc), not %s", runtime.GOOS)
}
