// Package proxyproto reads the header of the PROXY protocol, with which a
// balancer that passes connections on says whose they are (HAProxy,
// doc/proxy-protocol.txt, versions 1 and 2).
//
// It works on bytes that somebody else has read, and says how many of them are
// the header, so that what belongs to HTTP or TLS is never touched:
//
//	h, n, err := proxyproto.Parse(buf)
//	switch {
//	case err != nil: // no header, or none that can be believed
//	case n == 0: // read more, and ask again
//	default: // buf[n:] is what follows; h.Source is who sent it
//	}
//
// It reads no socket, keeps nothing and knows no trust: whether a header may be
// believed is decided by whoever knows the peer. What a header says besides the
// client's address (the destination, ports, TLVs) is skipped, and a checksum in
// it is not verified, which the specification leaves to the receiver: TCP has
// one.
package proxyproto
