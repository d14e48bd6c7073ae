//go:build !unix

package netx

import "syscall"

func peerClosed(syscall.RawConn) bool { return false }

func dead(syscall.RawConn) bool { return false }
