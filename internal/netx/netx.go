// Package netx asks a socket about its peer without reading from it.
//
// A proxy wants to know two things that [net.Conn] does not tell: whether the
// client of a request that is being served has gone, and whether a pooled
// connection has died since it was last used.
//
//	rc, err := conn.SyscallConn()
//	…
//	if netx.PeerClosed(rc) {
//		// nobody waits for this answer any more
//	}
//
// Both questions go through [syscall.RawConn.Control], never through
// RawConn.Read, so they may be asked while another goroutine is blocked in
// Read or Write on the same connection. They never block, consume no byte and
// are safe for concurrent use. A RawConn should be kept, not made for each
// question: SyscallConn allocates, the questions do not.
//
// The package does not wait for anything, does not look into TLS (a buffered
// record or an alert is invisible to it) and cannot notice a peer that
// vanished without a word; that is what time-outs and TCP's keep-alive are for.
package netx

import "syscall"

// PeerClosed reports whether the peer has closed its end for writing or the
// connection is broken or closed. A peer that only half closes its connection
// counts as closed: for an HTTP/1.1 client it means the same.
//
// On Linux the answer is right even if bytes sent before the FIN wait to be
// read. On other Unix systems such bytes hide the FIN and the answer is false
// until they are read. Elsewhere it is always false.
func PeerClosed(rc syscall.RawConn) bool { return peerClosed(rc) }

// Dead reports whether an idle connection, one from which nothing is expected,
// can't be used again: the peer closed it, it is broken, or bytes arrived that
// nobody asked for. Outside Unix it is always false.
func Dead(rc syscall.RawConn) bool { return dead(rc) }

// Full reports whether a write to the connection would wait now: the peer does
// not take what was written before. Outside Unix it is always true, since nobody
// can say that it is not so.
func Full(rc syscall.RawConn) bool { return full(rc) }
