// Package http2 is the server's side of an HTTP/2 connection (RFC 9113): it
// reads frames, keeps the table of streams and the windows of both directions,
// runs a handler for each request, and writes what the handlers send. It knows
// nothing of routes or origins, and nothing of TLS: a connection is any
// net.Conn on which the client speaks HTTP/2 from its first byte.
//
//	srv := http2.NewServer(http2.Config{Handler: func(s *http2.Stream) {
//		fields := []http2.Field{{Name: []byte("content-length"), Value: []byte("3")}}
//		if s.WriteHead(200, fields, false) == nil {
//			_ = s.WriteBody([]byte("hi\n"), true)
//		}
//	}})
//	c := srv.NewConn(nc, nil)
//	err := c.Serve() // until the connection and every handler have ended
//
// A connection has one goroutine that reads, which is Serve's own, one that
// writes, and as many workers as handlers have been running at once, which
// serve stream after stream. Whatever is to be sent is gathered in one buffer;
// the writer lets the other goroutines run once before it takes what is there,
// so that the responses of several streams leave in one write.
//
// What a peer can make the package do is bounded: streams by MaxStreams, heads
// by MaxHeaderBytes, bodies by the windows, which open only as the handler
// reads, and what costs more than it is worth (resets, pings, settings, empty
// frames, windows of one byte) by one budget, see Config.Patience. A request
// that is malformed ends its stream, a peer that breaks the protocol its
// connection.
//
// The package pushes nothing, follows no priorities, keeps no dynamic table
// for what it sends, and doesn't judge paths, hosts or methods beyond their
// syntax.
package http2
