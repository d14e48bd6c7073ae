package http2

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// Requests and responses: section 8 of RFC 9113.

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
