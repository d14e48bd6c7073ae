//go:build !unix

package netx

import (
	"errors"
	"syscall"
)

func peerClosed(syscall.RawConn) bool { return false }

func dead(syscall.RawConn) bool { return false }

func full(syscall.RawConn) bool { return true }

// CanTry says whether TryRead and TryWrite work here.
const CanTry = false

// TryRead is for sockets of Unix systems.
func TryRead(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

// TryWrite is for sockets of Unix systems.
func TryWrite(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }
