//go:build unix

package main

import "syscall"

// withoutWaiting lets a named pipe that nobody reads be an error, not a wait for
// somebody who does.
const withoutWaiting = syscall.O_NONBLOCK
