package http2

import (
	"io"
	"strings"
	"testing"
)

// What ends a connection or a stream. The tests of conformance, here and in the files
// beside this one, are named after the sections of RFC 9113 whose rules they hold the
// connection against.

// TestConnectionErrors sends what a client must never send, and wants the
// connection to end with the code that the RFC names.
func TestConnectionErrors(t *testing.T) {
	open := func(p *peer) { p.headers(1, false, postHead...) } // stream 1 is open
	// Stream 1 has been closed by both sides.
	closed := func(p *peer) {
		p.headers(1, true, getHead...)
		p.wantResponse(1)
	}
	tests := []struct {
		name string
		give func(p *peer)
		want ErrCode
	}{
		{"3.4 a frame other than SETTINGS follows", nil, CodeProtocol},
		{"4.2 a frame is larger than we allow", func(p *peer) {
			open(p)
			p.frame(fData, 0, 1, make([]byte, 16385))
		}, CodeFrameSize},
		{"4.3 a field block does not decode", func(p *peer) {
			p.frame(fHeaders, endHeaders|endStream, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		}, CodeCompression},
		{"4.3 a field block names an entry that is not there", func(p *peer) { p.frame(fHeaders, endHeaders|endStream, 1, []byte{0x80 | 70}) }, CodeCompression},
		{"4.3 a field block ends within a field", func(p *peer) { p.frame(fHeaders, endHeaders|endStream, 1, []byte{0x82, 0x40, 0x05, 'a'}) }, CodeCompression},
		{"4.3 the table is made larger than allowed", func(p *peer) { p.frame(fHeaders, endHeaders|endStream, 1, []byte{0x3f, 0xe2, 0x1f}) }, CodeCompression},
		{"4.3 another frame comes within a field block", func(p *peer) {
			p.frame(fHeaders, 0, 1, p.block(getHead...))
			p.frame(fPing, 0, 0, make([]byte, 8))
		}, CodeProtocol},
		{"4.3 a field block is continued on another stream", func(p *peer) {
			p.frame(fHeaders, 0, 1, p.block(getHead...))
			p.frame(fCont, endHeaders, 3, nil)
		}, CodeProtocol},
		{"5.1 DATA on an idle stream", func(p *peer) { p.data(1, false, "x") }, CodeProtocol},
		{"5.1 RST_STREAM on an idle stream", func(p *peer) { p.frame(fReset, 0, 1, u32(8)) }, CodeProtocol},
		{"5.1 WINDOW_UPDATE on an idle stream", func(p *peer) { p.frame(fWindow, 0, 1, u32(8)) }, CodeProtocol},
		{"5.1 DATA on a stream closed by both sides", func(p *peer) {
			closed(p)
			p.data(1, false, "x")
		}, CodeStreamClosed},
		{"5.1 HEADERS on a stream closed by both sides", func(p *peer) {
			closed(p)
			p.headers(1, true, getHead...)
		}, CodeStreamClosed},
		{"5.1 DATA on a stream that the client has reset", func(p *peer) {
			open(p)
			p.frame(fReset, 0, 1, u32(8))
			p.data(1, false, "x")
		}, CodeStreamClosed},
		{"5.1.1 an even number", func(p *peer) { p.headers(2, true, getHead...) }, CodeProtocol},
		{"5.1.1 a number that was passed over", func(p *peer) {
			p.headers(5, true, getHead...)
			p.headers(3, true, getHead...)
		}, CodeProtocol},
		{"6.1 DATA without a stream", func(p *peer) { p.data(0, false, "x") }, CodeProtocol},
		{"6.1 DATA with more padding than payload", func(p *peer) {
			open(p)
			p.frame(fData, padded, 1, []byte{6, 'a', 0, 0, 0, 0})
		}, CodeProtocol},
		{"6.1 padded DATA without the padding's length", func(p *peer) {
			open(p)
			p.frame(fData, padded, 1, nil)
		}, CodeFrameSize},
		{"6.2 HEADERS without a stream", func(p *peer) { p.headers(0, true, getHead...) }, CodeProtocol},
		{"6.2 HEADERS with more padding than payload", func(p *peer) {
			p.frame(fHeaders, padded|endHeaders|endStream, 1, append([]byte{200}, p.block(getHead...)...))
		}, CodeProtocol},
		{"6.2 HEADERS too short for its priority", func(p *peer) { p.frame(fHeaders, priority|endHeaders|endStream, 1, []byte{1, 2, 3}) }, CodeFrameSize},
		{"6.3 PRIORITY without a stream", func(p *peer) { p.frame(fPriority, 0, 0, make([]byte, 5)) }, CodeProtocol},
		{"6.4 RST_STREAM without a stream", func(p *peer) { p.frame(fReset, 0, 0, u32(8)) }, CodeProtocol},
		{"6.4 RST_STREAM of another length", func(p *peer) {
			open(p)
			p.frame(fReset, 0, 1, []byte{1, 2, 3})
		}, CodeFrameSize},
		{"6.5 SETTINGS on a stream", func(p *peer) { p.frame(fSettings, 0, 1, nil) }, CodeProtocol},
		{"6.5 SETTINGS of another length", func(p *peer) { p.frame(fSettings, 0, 0, []byte{1, 2, 3}) }, CodeFrameSize},
		{"6.5 an acknowledgement with a payload", func(p *peer) { p.frame(fSettings, ack, 0, settings(1, 1)) }, CodeFrameSize},
		{"6.5.2 ENABLE_PUSH is 2", func(p *peer) { p.frame(fSettings, 0, 0, settings(2, 2)) }, CodeProtocol},
		{"6.5.2 INITIAL_WINDOW_SIZE is over the maximum", func(p *peer) { p.frame(fSettings, 0, 0, settings(4, 1<<31)) }, CodeFlowControl},
		{"6.5.2 MAX_FRAME_SIZE is too small", func(p *peer) { p.frame(fSettings, 0, 0, settings(5, 16383)) }, CodeProtocol},
		{"6.5.2 MAX_FRAME_SIZE is too large", func(p *peer) { p.frame(fSettings, 0, 0, settings(5, 1<<24)) }, CodeProtocol},
		{"6.6 PUSH_PROMISE from a client", func(p *peer) {
			open(p)
			p.frame(fPush, endHeaders, 1, append(u32(2), p.block(getHead...)...))
		}, CodeProtocol},
		{"6.7 PING on a stream", func(p *peer) { p.frame(fPing, 0, 1, make([]byte, 8)) }, CodeProtocol},
		{"6.7 PING of another length", func(p *peer) { p.frame(fPing, 0, 0, make([]byte, 7)) }, CodeFrameSize},
		{"6.8 GOAWAY on a stream", func(p *peer) { p.frame(fGoAway, 0, 1, make([]byte, 8)) }, CodeProtocol},
		{"6.8 GOAWAY too short", func(p *peer) { p.frame(fGoAway, 0, 0, make([]byte, 4)) }, CodeFrameSize},
		{"6.9 WINDOW_UPDATE of another length", func(p *peer) { p.frame(fWindow, 0, 0, []byte{1, 2, 3}) }, CodeFrameSize},
		{"6.9 WINDOW_UPDATE of the connection by nothing", func(p *peer) { p.frame(fWindow, 0, 0, u32(0)) }, CodeProtocol},
		{"6.9.1 the connection's window overflows", func(p *peer) { p.frame(fWindow, 0, 0, u32(1<<31-1)) }, CodeFlowControl},
		{"6.9.1 more DATA than the connection's window", func(p *peer) {
			for id := uint32(1); id <= 41; id += 2 { // 20 times 64 KiB, each within its stream's window
				p.headers(id, false, postHead...)
				for range 4 {
					p.data(id, false, strings.Repeat("x", 16384))
				}
			}
		}, CodeFlowControl},
		{"6.9.2 a window overflows by a new initial size", func(p *peer) {
			p.headers(1, false, with(postHead, "x-hold", "1")...)
			p.frame(fWindow, 0, 1, u32(1<<30))
			p.frame(fSettings, 0, 0, settings(4, 1<<31-1))
		}, CodeFlowControl},
		{"6.10 CONTINUATION without HEADERS", func(p *peer) { p.frame(fCont, endHeaders, 1, p.block(getHead...)) }, CodeProtocol},
		{"6.10 CONTINUATION after the end of the fields", func(p *peer) {
			open(p)
			p.frame(fCont, endHeaders, 1, p.block("a", "b"))
		}, CodeProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := connect(t, Config{Handler: holdOrEcho})
			if tt.give == nil {
				p.write([]byte(preface))
				p.frame(fPing, 0, 0, make([]byte, 8))
			} else {
				tt.give(p.greet())
			}
			p.wantError(tt.want)
		})
	}
}

// holdOrEcho reads nothing of a POST's body, and echoes anything else.
func holdOrEcho(s *Stream) {
	if string(s.Method) == "POST" {
		wait(s)
		return
	}
	echo(s)
}

// TestStreamErrors sends what a client must not send on a stream, and wants that
// stream to be reset and the connection to live.
func TestStreamErrors(t *testing.T) {
	send := func(end bool, pairs ...string) func(p *peer) {
		return func(p *peer) { p.headers(1, end, pairs...) }
	}
	plus := func(pairs ...string) func(p *peer) { return send(true, with(getHead, pairs...)...) }
	tests := []struct {
		name string
		give func(p *peer)
		want ErrCode
	}{
		{"5.1 DATA after the end of the stream", func(p *peer) {
			p.headers(1, true, with(getHead, "x-hold", "1")...)
			p.data(1, false, "x")
		}, CodeStreamClosed},
		{"5.1 HEADERS after the end of the stream", func(p *peer) {
			p.headers(1, true, with(getHead, "x-hold", "1")...)
			p.headers(1, true, "a", "b")
		}, CodeStreamClosed},
		{"6.3 PRIORITY of another length", func(p *peer) {
			p.headers(1, false, with(postHead, "x-hold", "1")...)
			p.frame(fPriority, 0, 1, make([]byte, 4))
		}, CodeFrameSize},
		{"6.9 WINDOW_UPDATE by nothing", func(p *peer) {
			p.headers(1, false, with(postHead, "x-hold", "1")...)
			p.frame(fWindow, 0, 1, u32(0))
		}, CodeProtocol},
		{"6.9.1 the stream's window overflows", func(p *peer) {
			p.headers(1, false, with(postHead, "x-hold", "1")...)
			p.frame(fWindow, 0, 1, u32(1<<31-1))
		}, CodeFlowControl},
		{"6.9.1 more DATA than the stream's window", func(p *peer) {
			p.headers(1, false, with(postHead, "x-hold", "1")...)
			for range 17 {
				p.data(1, false, strings.Repeat("x", 16384))
			}
		}, CodeFlowControl},
		{"8.1 trailers do not end the stream", func(p *peer) {
			p.headers(1, false, postHead...)
			p.headers(1, false, "a", "b")
		}, CodeProtocol},
		{"8.1 trailers hold a pseudo-field", func(p *peer) {
			p.headers(1, false, postHead...)
			p.headers(1, true, ":path", "/")
		}, CodeProtocol},
		{"8.5 a tunnel ends with trailers", func(p *peer) {
			p.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "example.com", ":path", "/", "x-hold", "1")
			p.headers(1, true, "a", "b")
		}, CodeProtocol},
		{"8.1.1 more DATA than content-length", func(p *peer) {
			p.headers(1, false, with(postHead, "content-length", "3")...)
			p.data(1, false, "1234")
		}, CodeProtocol},
		{"8.1.1 less DATA than content-length", func(p *peer) {
			p.headers(1, false, with(postHead, "content-length", "3")...)
			p.data(1, true, "12")
		}, CodeProtocol},
		{"8.1.1 less DATA than content-length before trailers", func(p *peer) {
			p.headers(1, false, with(postHead, "content-length", "3")...)
			p.data(1, false, "12")
			p.headers(1, true, "a", "b")
		}, CodeProtocol},
		{"8.1.1 a content-length without DATA", plus("content-length", "3"), CodeProtocol},
		{"8.1.1 a content-length that is no number", send(false, with(postHead, "content-length", "+3")...), CodeProtocol},
		{"8.1.1 two content-lengths", send(false, with(postHead, "content-length", "3", "content-length", "3")...), CodeProtocol},
		{"8.2 a name in upper case", plus("X-Upper", "1"), CodeProtocol},
		{"8.2.1 an empty name", plus("", "1"), CodeProtocol},
		{"8.2.1 a colon in a name", plus("a:b", "1"), CodeProtocol},
		{"8.2.1 a space in a name", plus("a b", "1"), CodeProtocol},
		{"8.2.1 a line feed in a value", plus("a", "1\n2"), CodeProtocol},
		{"8.2.1 a carriage return in a value", plus("a", "12345678\r"), CodeProtocol},
		{"8.2.1 a NUL in a value", plus("a", "1234567890\x00"), CodeProtocol},
		{"8.2.1 a space before a value", plus("a", " 1"), CodeProtocol},
		{"8.2.1 a tab after a value", plus("a", "1\t"), CodeProtocol},
		{"8.2.2 connection", plus("connection", "close"), CodeProtocol},
		{"8.2.2 keep-alive", plus("keep-alive", "1"), CodeProtocol},
		{"8.2.2 proxy-connection", plus("proxy-connection", "close"), CodeProtocol},
		{"8.2.2 transfer-encoding", plus("transfer-encoding", "chunked"), CodeProtocol},
		{"8.2.2 upgrade", plus("upgrade", "websocket"), CodeProtocol},
		{"8.2.2 te is not trailers", plus("te", "gzip"), CodeProtocol},
		{"8.3 a pseudo-field after another field", send(true, ":method", "GET", ":scheme", "https", "a", "b", ":path", "/", ":authority", "x"), CodeProtocol},
		{"8.3 an unknown pseudo-field", plus(":x", "1"), CodeProtocol},
		{"8.3 a response's pseudo-field", send(true, with([]string{":status", "200"}, getHead...)...), CodeProtocol},
		{"8.3.1 no method", send(true, getHead[2:]...), CodeProtocol},
		{"8.3.1 no scheme", send(true, ":method", "GET", ":path", "/", ":authority", "x"), CodeProtocol},
		{"8.3.1 no path", send(true, ":method", "GET", ":scheme", "https", ":authority", "x"), CodeProtocol},
		{"8.3.1 an empty path", send(true, ":method", "GET", ":scheme", "https", ":authority", "x", ":path", ""), CodeProtocol},
		{"8.3.1 a path without a slash", send(true, ":method", "GET", ":scheme", "https", ":authority", "x", ":path", "x"), CodeProtocol},
		{"8.3.1 a path with a space", send(true, ":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/a b"), CodeProtocol},
		{"8.3.1 an asterisk without OPTIONS", send(true, ":method", "GET", ":scheme", "https", ":authority", "x", ":path", "*"), CodeProtocol},
		{"8.3.1 two methods", send(true, with([]string{":method", "GET"}, getHead...)...), CodeProtocol},
		{"8.3.1 two paths", send(true, with([]string{":path", "/"}, getHead...)...), CodeProtocol},
		{"8.3.1 a method that is no token", send(true, ":method", "G T", ":scheme", "https", ":authority", "x", ":path", "/"), CodeProtocol},
		{"8.3.1 neither authority nor host", send(true, ":method", "GET", ":scheme", "https", ":path", "/"), CodeProtocol},
		{"8.3.1 a host that contradicts the authority", plus("host", "other.example"), CodeProtocol},
		{"8.3.1 two hosts", send(true, ":method", "GET", ":scheme", "https", ":path", "/", "host", "x", "host", "x"), CodeProtocol},
		{"8.3.1 userinfo in the authority", send(true, ":method", "GET", ":scheme", "https", ":authority", "u@x", ":path", "/"), CodeProtocol},
		{"8.5 CONNECT with a path", send(true, ":method", "CONNECT", ":authority", "x:1", ":path", "/"), CodeProtocol},
		{"RFC 8441, 4: a protocol without CONNECT", plus(":protocol", "websocket"), CodeProtocol},
		{"RFC 8441, 4: a protocol after other fields", send(true, with(getHead, "a", "b", ":protocol", "websocket")...), CodeProtocol},
		{"RFC 8441, 4: an extended CONNECT without a path", send(false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "x"), CodeProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := connect(t, Config{Handler: func(s *Stream) {
				if get(s, "x-hold") != "" {
					wait(s)
					return
				}
				buf := make([]byte, 100)
				for {
					if _, err := s.ReadBody(buf); err == io.EOF {
						_ = s.WriteHead(200, nil, true)
						return
					} else if err != nil {
						return
					}
				}
			}}).greet()
			tt.give(p)
			p.wantReset(1, tt.want)
			p.headers(101, true, getHead...)
			p.wantStatus(101, "200")
		})
	}
}
