package demo

import (
	"net"
	"strconv"
)

// listenNear listens on 127.0.0.1 at the port, at one of the nine above it, or
// at any that is free. The ports that the demonstration asks for lie below those
// that systems give to outgoing connections, so that nobody takes the port of
// an origin while it is broken.
func listenNear(port int) (net.Listener, error) {
	for p := port; p < port+10; p++ {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p))); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// FreeAddress returns an address of 127.0.0.1 that was free a moment ago, at the
// given port if possible.
func FreeAddress(port int) (string, error) {
	l, err := listenNear(port)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
