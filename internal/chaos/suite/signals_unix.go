//go:build unix

package suite

import "syscall"

const (
	sigstop = syscall.SIGSTOP
	sigcont = syscall.SIGCONT
	sigusr2 = syscall.SIGUSR2
)
