// Package http1 is the HTTP/1.1 wire (RFC 9112): it parses the heads of
// requests and responses in place, writes the heads that a gateway forwards,
// and takes chunked bodies apart and puts them together. It works on byte
// slices that the caller owns; parsed values alias the head they came from
// and are valid as long as those bytes are left alone.
//
//	buf := make([]byte, 0, 32<<10)
//	// ... read from the client into buf ...
//	buf = buf[http1.EmptyLines(buf):]
//	end, err := http1.HeadEnd(buf, 0) // 0: read more
//	var r http1.Request
//	if err == nil && end > 0 {
//		err = r.Parse(buf[:end])
//	}
//	if err == nil {
//		err = http1.CheckPath(r.Path, false)
//	}
//	if refusal, ok := errors.AsType[*http1.Error](err); ok {
//		// answer refusal.Status and close
//	}
//	out := http1.RequestOut{Host: r.Host, ClientIP: ip, RequestID: id, Proto: "http"}
//	head := http1.AppendRequestHead(nil, &r, &out)
//
// Between a gateway and its origins, leniency is how requests are smuggled:
// whatever two parsers read differently becomes somebody else's request. So
// there is one reading of every message here, and what has two is refused:
// bare CR and LF, folded lines, white space around a field's name, a second
// Content-Length, one beside Transfer-Encoding, any coding but chunked, names
// that become Content-Length in a CGI environment. What is forwarded is never
// the received head, always a new one that states its framing once.
//
// The package opens no sockets, starts no goroutines, reads no clock and keeps
// no state between messages. It buffers no bodies, decodes no content codings,
// and doesn't clean, redirect or rewrite paths. Nothing is safe for concurrent
// use unless it says so; package functions have no shared state.
package http1
