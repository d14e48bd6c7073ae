package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2/hpack"
)

// The tests of this file are named after the sections of RFC 9113 whose rules
// they hold the connection against.

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

// get is the value of a request's field, "" if it isn't there.
func get(s *Stream, name string) string {
	for _, f := range s.Fields {
		if string(f.Name) == name {
			return string(f.Value)
		}
	}
	return ""
}

// wait blocks until the stream has ended, however it ends.
func wait(s *Stream) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for s.state == streamOpen && s.stopped == 0 {
		s.readable.Wait()
	}
}

// TestAnswers sends heads that are answered.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name string
		give []string
		want string // method, scheme, authority, path, protocol, refusal; fields
	}{
		{"8.3.1 a plain request", getHead, "GET https example.com /  0"},
		{"8.3.1 an authority of the host field", []string{":method", "GET", ":scheme", "http", ":path", "/", "a", "b", "host", "h:80"}, "GET http h:80 /  0 a=b"},
		{"8.3.1 a host that agrees is not passed on", with(getHead, "host", "EXAMPLE.com"), "GET https example.com /  0"},
		{"8.3.1 an asterisk", []string{":method", "OPTIONS", ":scheme", "https", ":authority", "x", ":path", "*"}, "OPTIONS https x *  0"},
		{"8.3.1 an IPv6 authority", []string{":method", "GET", ":scheme", "https", ":authority", "[::1]:8443", ":path", "/?"}, "GET https [::1]:8443 /?  0"},
		{"8.3.1 another scheme", []string{":method", "GET", ":scheme", "ftp", ":authority", "x", ":path", "/"}, "GET ftp x /  400"},
		{"8.2.2 te: trailers", with(getHead, "te", "trailers"), "GET https example.com /  0 te=trailers"},
		{"8.2.1 tabs, spaces and high bytes within a value", with(getHead, "a", "x\ty z\xff12345678\t90"), "GET https example.com /  0 a=x\ty z\xff12345678\t90"},
		{"8.2.3 the crumbs of a cookie", with(getHead, "a", "1", "cookie", "x=1", "b", "2", "cookie", "y=2", "cookie", "z=3", "c", "3"), "GET https example.com /  0 a=1 cookie=x=1; y=2; z=3 b=2 c=3"},
		{"8.2.3 a lone cookie", with(getHead, "cookie", "x=1"), "GET https example.com /  0 cookie=x=1"},
		{"8.5 CONNECT is refused", []string{":method", "CONNECT", ":authority", "x:443"}, "CONNECT  x:443   405"},
		{"RFC 8441, 4: WebSocket", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "x", ":path", "/chat", "sec-websocket-version", "13"}, "CONNECT https x /chat websocket 0 sec-websocket-version=13"},
		{"RFC 8441, 4: another protocol", []string{":method", "CONNECT", ":protocol", "webtransport", ":scheme", "https", ":authority", "x", ":path", "/"}, "CONNECT https x / webtransport 501"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			p := connect(t, Config{Handler: func(s *Stream) {
				got = fmt.Sprintf("%s %s %s %s %s %d", s.Method, s.Scheme, s.Authority, s.Path, s.Protocol, s.Refusal)
				for _, f := range s.Fields {
					got += " " + string(f.Name) + "=" + string(f.Value)
				}
				_ = s.WriteHead(204, nil, true)
			}}).greet()
			p.headers(1, true, tt.give...)
			p.wantStatus(1, "204")
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSection3Point4ThePrefaceMayComeInPieces(t *testing.T) {
	p := connect(t, Config{Handler: echo})
	for _, b := range append([]byte(preface), rawFrame(fSettings, 0, 0, settings(3, 10, 0x9999, 7))...) {
		p.write([]byte{b})
	}
	p.want(fSettings, 0)
	for _, b := range rawFrame(fHeaders, endHeaders|endStream, 1, p.block(getHead...)) {
		p.write([]byte{b})
	}
	p.wantStatus(1, "200")
}

func TestSection3Point4WhatWasReadBeforeCountsAsRead(t *testing.T) {
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for i := 0; i < len(postHead); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: postHead[i], Value: postHead[i+1]})
	}
	all := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
	all = append(all, rawFrame(fHeaders, endHeaders, 1, head.Bytes())...)
	for range 4 {
		all = append(all, rawFrame(fData, 0, 1, bytes.Repeat([]byte("x"), 10000))...)
	}
	all = append(all, rawFrame(fData, endStream, 1, nil)...)
	for _, n := range []int{0, 3, 24, 30, 33, 5000, len(all)} {
		p := connectEarly(t, Config{Handler: echo}, all[:n])
		p.write(all[n:])
		if r := p.wantStatus(1, "200"); len(r.body) != 40000 {
			t.Errorf("%d bytes early: %d bytes came back", n, len(r.body))
		}
	}
}

func TestSection3Point4WhatIsNoPrefaceEndsTheConnection(t *testing.T) {
	p := connect(t, Config{Handler: echo})
	p.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	p.wantError(CodeProtocol)
}

func TestSection4Point1UnknownFramesAreIgnored(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(0xbe, 0xff, 0, []byte("anything"))
	p.headers(1, false, postHead...)
	p.frame(0xbe, 0xff, 1, []byte("anything"))
	p.data(1, true, "abc")
	if r := p.wantStatus(1, "200"); r.body != "abc" {
		t.Errorf("body %q", r.body)
	}
}

func TestSection4Point1TheReservedBitIsIgnored(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(fHeaders, endHeaders|endStream, 1|1<<31, p.block(getHead...))
	p.wantStatus(1, "200")
}

func TestSection4Point3AFieldBlockMayComeInPieces(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	b := p.block(with(getHead, "x-long", strings.Repeat("long value ", 100)+".")...)
	p.frame(fHeaders, endStream, 1, b[:1])
	p.frame(fCont, 0, 1, nil)
	p.frame(fCont, 0, 1, b[1:100])
	p.frame(fCont, endHeaders, 1, b[100:])
	p.wantStatus(1, "200")
}

func TestSection5Point1FramesMayComeOnAStreamThatWeHaveReset(t *testing.T) {
	p := connect(t, Config{Handler: func(s *Stream) {
		if string(s.Method) == "POST" {
			s.Reset(CodeCancel)
			return
		}
		echo(s)
	}}).greet()
	p.headers(1, false, postHead...)
	p.wantReset(1, CodeCancel)
	p.data(1, false, "late")
	p.frame(fWindow, 0, 1, u32(100))
	p.headers(1, true, "late", "too")
	p.frame(fReset, 0, 1, u32(8))
	p.headers(3, true, getHead...)
	p.wantStatus(3, "200")
}

func TestSection5Point1AResponseMayEndBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: func(s *Stream) { _ = s.WriteHead(413, nil, true) }}).greet()
		p.headers(1, false, postHead...)
		p.wantStatus(1, "413")
		p.wantReset(1, CodeNo)
		p.data(1, true, "late")
		p.alive()
	})
}

func TestSection5Point1Point2StreamsOverTheLimitAreRefused(t *testing.T) {
	p := connect(t, Config{Handler: wait, MaxStreams: 2}).greet()
	for id := uint32(1); id <= 5; id += 2 {
		p.headers(id, true, getHead...)
	}
	p.wantReset(5, CodeRefusedStream)
	p.alive()
}

func TestSection5Point3PrioritiesAreIgnored(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(fPriority, 0, 77, []byte{0, 0, 0, 77, 16})
	p.frame(fHeaders, endHeaders|endStream|priority, 1, append([]byte{0x80, 0, 0, 1, 255}, p.block(getHead...)...))
	p.wantStatus(1, "200")
	p.frame(fPriority, 0, 1, []byte{0, 0, 0, 3, 16})
	p.alive()
}

func TestSection6Point1PaddingIsNoDataAndIsGivenBack(t *testing.T) {
	for _, size := range []int{0, 1, 100} {
		p := connect(t, Config{StreamWindow: 65536, Patience: 5000, Handler: func(s *Stream) {
			n, err := io.Copy(io.Discard, readerOf(s))
			if n != int64(2000*size+2) || err != nil {
				t.Errorf("read %d bytes, %v", n, err)
			}
			_ = s.WriteHead(200, nil, true)
		}}).greet()
		p.frame(fHeaders, endHeaders|padded, 1, append(append([]byte{3}, p.block(postHead...)...), 0, 0, 0))
		payload := append(append([]byte{250}, make([]byte, size)...), make([]byte, 250)...)
		window := 65536
		for range 2000 { // several times the window
			for window < len(payload) {
				if f := p.next(); f.typ == fWindow && f.id == 1 {
					window += int(f.u32(0))
				}
			}
			window -= len(payload)
			p.frame(fData, padded, 1, payload)
		}
		p.frame(fData, padded|endStream, 1, []byte{2, 'e', 'n', 0, 0})
		p.wantStatus(1, "200")
	}
}

func TestSection6Point5SettingsAreStated(t *testing.T) {
	p := connect(t, Config{Handler: echo, MaxStreams: 7, StreamWindow: 70000, MaxHeaderBytes: 5000})
	f := p.next()
	want := settings(3, 7, 4, 70000, 6, 5000, 8, 1, 9, 1)
	if f.typ != fSettings || !bytes.Equal(f.payload, want) {
		t.Errorf("got %+v, want %v", f, want)
	}
	if f = p.next(); f.typ != fWindow || f.id != 0 || f.u32(0) != 1<<20-65535 {
		t.Errorf("the connection's window: %+v", f)
	}
}

func TestSection6Point7APingIsAnsweredWithItsData(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(fPing, 0, 0, []byte("12345678"))
	if f := p.want(fPing, 0); f.flags != ack || string(f.payload) != "12345678" {
		t.Errorf("got %+v", f)
	}
	p.frame(fPing, ack, 0, []byte("12345678")) // an answer that nobody asked for
	p.alive()
}

func TestSection6Point9AResponseWaitsForTheStreamsWindow(t *testing.T) {
	p := connect(t, Config{Handler: bodyOf(10)}).greet(4, 3) // initial window: 3
	p.headers(1, true, getHead...)
	p.want(fHeaders, 1)
	wantData(p, 1, "012", false)
	p.alive() // and no more data comes
	p.frame(fWindow, 0, 1, u32(1))
	wantData(p, 1, "3", false)
	p.frame(fSettings, 0, 0, settings(4, 0)) // the window becomes negative
	p.want(fSettings, 0)
	p.frame(fWindow, 0, 1, u32(3))
	p.alive()
	p.frame(fWindow, 0, 1, u32(2))
	wantData(p, 1, "45", false)
	p.frame(fSettings, 0, 0, settings(4, 100))
	wantData(p, 1, "6789", true)
}

func TestSection6Point9AResponseWaitsForTheConnectionsWindow(t *testing.T) {
	p := connect(t, Config{Handler: bodyOf(70000)}).greet(4, 1<<20)
	p.headers(1, true, getHead...)
	p.want(fHeaders, 1)
	got := 0
	for got < 65535 {
		got += len(p.want(fData, 1).payload)
	}
	p.headers(3, true, with(getHead, "x-empty", "1")...)
	p.wantStatus(3, "204") // a head needs no window
	p.frame(fWindow, 0, 0, u32(1))
	wantData(p, 1, "5", false)
	p.frame(fWindow, 0, 0, u32(1<<20))
	for got++; got < 70000; {
		got += len(p.want(fData, 1).payload)
	}
}

func TestSection6Point9StreamsShareTheConnectionsWindowInTurn(t *testing.T) {
	p := connect(t, Config{Handler: bodyOf(1 << 20)}).greet(4, 1<<20)
	got := map[uint32]int{}
	ids := []uint32{1, 3, 5}
	for _, id := range ids {
		p.headers(id, true, getHead...)
	}
	for total, heads := 0, 0; total < 65535 || heads < len(ids); {
		switch f := p.next(); f.typ {
		case fData:
			total += len(f.payload)
		case fHeaders:
			heads++
		}
	}
	for range 30 {
		p.frame(fWindow, 0, 0, u32(1000))
		f := p.next()
		for f.typ != fData {
			f = p.next()
		}
		got[f.id] += len(f.payload)
	}
	for _, id := range ids {
		if got[id] != 10000 {
			t.Errorf("stream %d got %d of 30000 bytes: %v", id, got[id], got)
		}
	}
}

// bodyOf answers with a body of that many digits.
func bodyOf(n int) func(*Stream) {
	body := []byte(strings.Repeat("0123456789", n/10+1)[:n])
	return func(s *Stream) {
		if get(s, "x-empty") != "" {
			_ = s.WriteHead(204, nil, true)
		} else if s.WriteHead(200, nil, false) == nil {
			_ = s.WriteBody(body, true)
		}
	}
}

func wantData(p *peer, id uint32, body string, end bool) {
	p.t.Helper()
	f := p.want(fData, id)
	if string(f.payload) != body || (f.flags&endStream != 0) != end {
		p.t.Fatalf("got %q end=%t, want %q end=%t", f.payload, f.flags&endStream != 0, body, end)
	}
}

func TestSection6Point9TheRequestsWindowOpensOnlyAsTheHandlerReads(t *testing.T) {
	read := make(chan int)
	p := connect(t, Config{StreamWindow: 65536, Handler: func(s *Stream) {
		buf := make([]byte, 65536)
		for n := range read {
			if _, err := io.ReadFull(readerOf(s), buf[:n]); err != nil {
				t.Error(err)
			}
		}
		_ = s.WriteHead(200, nil, true)
	}}).greet()
	p.headers(1, false, postHead...)
	for range 4 {
		p.data(1, false, strings.Repeat("x", 16384))
	}
	p.alive() // no window update comes before the ping's answer
	read <- 16383
	p.alive()
	read <- 1
	if f := p.want(fWindow, 1); f.u32(0) != 16384 {
		t.Errorf("opened by %d", f.u32(0))
	}
	close(read)
	p.wantStatus(1, "200")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func readerOf(s *Stream) io.Reader { return readerFunc(s.ReadBody) }

func TestSection8Point1InformationalResponsesAndTrailers(t *testing.T) {
	p := connect(t, Config{Handler: func(s *Stream) {
		_ = s.WriteInformational(103, fields("Link", "</a>"))
		_ = s.WriteHead(200, fields("Trailer", "X-Sum"), false)
		_ = s.WriteBody([]byte("abc"), false)
		_ = s.WriteTrailers(fields("X-Sum", "3"))
		if err := s.WriteBody([]byte("more"), true); !errors.Is(err, ErrEnded) {
			t.Errorf("a write after the end: %v", err)
		}
	}}).greet()
	p.headers(1, true, getHead...)
	f := p.want(fHeaders, 1)
	_, _ = p.dec.Write(f.payload)
	if len(p.list) != 2 || p.list[0] != [2]string{":status", "103"} || p.list[1] != [2]string{"link", "</a>"} {
		t.Errorf("interim response: %v", p.list)
	}
	r := p.wantStatus(1, "200")
	if r.body != "abc" || len(r.trailers) != 1 || r.trailers[0] != [2]string{"x-sum", "3"} {
		t.Errorf("got %+v", r)
	}
}

func TestSection8Point1RequestTrailersComeAfterTheBody(t *testing.T) {
	here := make(chan struct{})
	p := connect(t, Config{Handler: func(s *Stream) {
		<-here
		if s.Trailers() != nil {
			t.Error("trailers before the body was read")
		}
		echo(s)
	}}).greet()
	p.headers(1, false, postHead...)
	p.data(1, false, "abc")
	p.headers(1, true, "x-sum", "3")
	p.alive() // all of it is here
	close(here)
	r := p.wantStatus(1, "200")
	if r.body != "abc" || len(r.trailers) != 1 || r.trailers[0] != [2]string{"x-sum", "3"} {
		t.Errorf("got %+v", r)
	}
}

func TestSection8Point1ResponsesWithoutABodyHaveNone(t *testing.T) {
	for _, tt := range []struct{ method, status string }{{"HEAD", "200"}, {"GET", "204"}, {"GET", "304"}} {
		p := connect(t, Config{Handler: func(s *Stream) {
			_ = s.WriteHead(map[string]int{"200": 200, "204": 204, "304": 304}[tt.status], fields("content-length", "5"), false)
			_ = s.WriteBody([]byte("abc"), false)
			_ = s.WriteBody([]byte("de"), true)
		}}).greet()
		p.headers(1, true, with([]string{":method", tt.method}, getHead[2:]...)...)
		if r := p.wantStatus(1, tt.status); r.body != "" {
			t.Errorf("%v: body %q", tt, r.body)
		}
	}
}

func TestSection8Point1AnUnfinishedResponseIsReset(t *testing.T) {
	for name, handler := range map[string]func(*Stream){
		"nothing": func(*Stream) {},
		"a head":  func(s *Stream) { _ = s.WriteHead(200, nil, false) },
		"a piece": func(s *Stream) {
			_ = s.WriteHead(200, nil, false)
			_ = s.WriteBody([]byte("x"), false)
		},
		"a panic": func(s *Stream) {
			_ = s.WriteHead(200, nil, false)
			panic("oh")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, Config{Handler: handler, Panicked: func(any) {}}).greet()
			p.headers(1, true, getHead...)
			for {
				f := p.next()
				if f.typ == fReset {
					if ErrCode(f.u32(0)) != CodeInternal {
						t.Errorf("code %v", ErrCode(f.u32(0)))
					}
					break
				}
				if f.flags&endStream != 0 {
					t.Fatal("the response looks whole")
				}
			}
			p.alive()
		})
	}
}

func TestLongResponseHeadsAreContinued(t *testing.T) {
	long := strings.Repeat("v", 20000)
	p := connect(t, Config{Handler: func(s *Stream) { _ = s.WriteHead(200, fields("a", long, "b", long), true) }}).greet()
	p.headers(1, true, getHead...)
	f := p.want(fHeaders, 1)
	block := f.payload
	if f.flags != endStream || len(f.payload) != 16384 {
		t.Errorf("HEADERS: flags %x, %d bytes", f.flags, len(f.payload))
	}
	for f.flags&endHeaders == 0 {
		if f = p.next(); f.typ != fCont || f.id != 1 {
			t.Fatalf("got type %d", f.typ)
		}
		block = append(block, f.payload...)
	}
	if _, err := p.dec.Write(block); err != nil || len(p.list) != 3 || p.list[2][1] != long {
		t.Errorf("%d fields, %v", len(p.list), err)
	}
}
