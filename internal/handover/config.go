package handover

import (
	"syscall"
	"time"
)

// DefaultTimeout is how long a child may take to be ready if Config doesn't say.
const DefaultTimeout = time.Minute

// Config is what Start hands over.
type Config struct {
	// Sockets are what the child inherits, MaxSockets at most. They stay open
	// here and stay usable: the child has duplicates.
	Sockets []Socket
	// State is what Parent.State returns in the child, MaxState bytes at most.
	// It must not change until Wait has returned.
	State []byte
	// Confirm, if not nil, is called once, when the child is ready and before it
	// is told that it is in charge: the last moment to see whether State is still
	// true. An error ends the child, and Wait's error wraps it. It runs on a
	// goroutine of its own, and must return soon, since the child waits.
	Confirm func() error
	// Timeout is how long the child may take to be ready. Zero means
	// DefaultTimeout.
	Timeout time.Duration
}

// Socket is a socket to be handed over.
type Socket struct {
	// Address is what the configuration calls it, to the letter. Two sockets
	// may have one address: a listener and a packet socket do at a nameserver.
	Address string
	// Conn is the listener or packet connection: *net.TCPListener,
	// *net.UnixListener or *net.UDPConn.
	Conn syscall.Conn
}
