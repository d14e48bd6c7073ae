package admin

import (
	"net"
	"syscall"
)

// credentialsOf asks the kernel who connected (SO_PEERCRED, unix(7)).
func credentialsOf(c *net.UnixConn) (credentials, bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return credentials{}, false
	}
	var cred *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		cred, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || asked != nil {
		return credentials{}, false
	}
	return credentials{uid: cred.Uid, pid: cred.Pid}, true
}
