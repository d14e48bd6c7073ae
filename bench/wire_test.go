package main

import (
	"strings"
	"testing"
)

func TestARightHeadIsAcceptedHoweverItsFieldsAreSpelled(t *testing.T) {
	for _, give := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length:5\r\nVia: y\r\n\r\n",
		"HTTP/1.1 200 \r\nCONTENT-LENGTH:  5 \r\n\r\n",
	} {
		got, err := checkHead([]byte(give+"hello"), 5)
		if err != nil || got != len(give) {
			t.Errorf("%q: got %d, %v, want %d", give, got, err, len(give))
		}
	}
}

func TestAWrongHeadIsAnError(t *testing.T) {
	for _, tt := range []struct{ name, give, want string }{
		{"status", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\n", "502 Bad Gateway"},
		{"version", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.0"},
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "6 bytes instead of 5"},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", "five bytes instead of 5"},
		{"no length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", errNoLength.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := checkHead([]byte(tt.give), 5)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something with %q", err, tt.want)
			}
		})
	}
}

func TestAHeadInPiecesIsWaitedFor(t *testing.T) {
	whole := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	for i := range len(whole) {
		if got, err := checkHead([]byte(whole[:i]), 5); got != 0 || err != nil {
			t.Fatalf("after %d bytes: got %d, %v", i, got, err)
		}
	}
}

func TestTheOriginAnswersWithWhatThePathAsksFor(t *testing.T) {
	for _, tt := range []struct {
		give string
		want int64
	}{
		{"/0", 0},
		{"/1024", 1024},
		{"/route00017/65536", 65536},
		{"/healthz", 0},
		{"/-1", 0},
		{"/99999999999999999999", 0},
		{"/999999999999", 0},
	} {
		size := requestedSize(requestFor(tt.give))
		if size != tt.want {
			t.Errorf("%s: got %d, want %d", tt.give, size, tt.want)
		}
		response := responseOf(size, "Thu, 01 Jan 1970 00:00:00 GMT")
		head, err := checkHead(response, size)
		if err != nil || int64(len(response)-head) != size {
			t.Errorf("%s: a response of %d bytes after a head of %d, %v", tt.give, len(response), head, err)
		}
	}
	for _, bad := range []string{"", "\r\n", "GET", " "} {
		if got := requestedSize([]byte(bad)); got != 0 {
			t.Errorf("%q: got %d", bad, got)
		}
	}
}
