package http1

import (
	"testing"

	"pgregory.net/rapid"
)

// A fuzzer that changes bytes seldom makes a message with two faults that
// matter only together. These tests put messages together from the pieces
// that smuggling has been made of, and hold them against net/http as the fuzz
// targets do.

var (
	hostilePieces = struct {
		methods, targets, versions, names, colons, values, ends []string
	}{
		methods: []string{"GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "get", "CONNECT", "G ET", "X-Y_Z!"},
		targets: []string{"/", "/", "/a/b?c=d", "*", "http://t", "http://t:80/x", "https://[::1]/?q", "http://t?x", "//t/x", "/%2e%2e", "/%2F?%", "/?",
			"/a;b/..c", "/ HTTP/1.1\r\nX: y", "t:80", "http://u@t/", "/\\", "/a#b", "/|{}\"<>^`", "http://t%41/", "http:///"},
		versions: []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/1.1 ", "http/1.1"},
		names: []string{"Host", "Host", "Content-Length", "content-length", "Transfer-Encoding", "TRANSFER-encoding", "Content_Length", "Connection", "Connection",
			"Keep-Alive", "Upgrade", "TE", "Trailer", "Expect", "Via", "CDN-Loop", "X-Forwarded-For", "x-forwarded-port", "Forwarded", "X-Real-IP", "X-Request-Id",
			"Failover-Attempt", "Pragma", "Cache-Control", "Date", "Set-Cookie", "A", "", " A", "Proxy-Connection", "HTTP2-Settings"},
		colons: []string{": ", ": ", ": ", ": ", ":", ":\t", " : ", ":  \t", ": \x0b", "", ":\r\n "},
		values: []string{"a", "3", "0", "03", "3, 3", "+3", "-1", "9223372036854775807", "18446744073709551617", "chunked", "Chunked ", "chunked, chunked",
			"gzip, chunked", "identity", "", "close", "keep-alive", "Upgrade", "close, Host, Content-Length", "Transfer-Encoding", "TE, Upgrade, X-Forwarded-For",
			"websocket", "h2c", "trailers", "100-continue", "no-cache", "a,b", "a:80", "[::1]", "a\x00", "caf\xc3\xa9", "\x7f", "a\rb", "Content-Length"},
		ends: []string{"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\r\n ", "\r\n\r\n"},
	}
)

func drawFields(t *rapid.T) string {
	p := &hostilePieces
	var s string
	for range rapid.IntRange(0, 5).Draw(t, "fields") {
		s += rapid.SampledFrom(p.names).Draw(t, "name") + rapid.SampledFrom(p.colons).Draw(t, "colon") +
			rapid.SampledFrom(p.values).Draw(t, "value") + rapid.SampledFrom(p.ends).Draw(t, "end")
	}
	return s + "\r\n"
}

func TestHostileRequestsAreReadAsNetHTTPDoesOrNotAtAll(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		p := &hostilePieces
		head := rapid.SampledFrom(p.methods).Draw(t, "method") + " " + rapid.SampledFrom(p.targets).Draw(t, "target") + " " +
			rapid.SampledFrom(p.versions).Draw(t, "version") + rapid.SampledFrom(p.ends).Draw(t, "end")
		if rapid.IntRange(0, 3).Draw(t, "with Host") > 0 {
			head += "Host: h\r\n"
		}
		if checkRequest(t, []byte(head+drawFields(t))) {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("none was accepted, so nothing was compared")
	}
}

func TestHostileResponsesAreReadAsNetHTTPDoesOrNotAtAll(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		p := &hostilePieces
		head := rapid.SampledFrom(p.versions).Draw(t, "version") +
			rapid.SampledFrom([]string{" 200 OK", " 200", " 204 ", " 304 x", " 100 Continue", " 101 x", " 103 x", " 999 x", " 20 x", "  200 OK"}).Draw(t, "status") +
			rapid.SampledFrom(p.ends).Draw(t, "end") + drawFields(t)
		if checkResponse(t, []byte(head), rapid.SampledFrom([]Method{MethodGET, MethodHEAD}).Draw(t, "method")) {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("none was accepted, so nothing was compared")
	}
}

func TestHostileChunksAreReadAsNetHTTPDoesOrNotAtAll(t *testing.T) {
	pieces := []string{"0\r\n", "0\r\n\r\n", "1\r\na\r\n", "3\r\nabc\r\n", "1;x=\"y\"\r\na\r\n", "00002\r\n\r\n\r\n", "\r\n", "\n", "\r", "1 \r\na\r\n", "0x1\r\na\r\n",
		"-1\r\n", "+1\r\na\r\n", "2\r\na\r\n", "1\r\nab\r\n", "1\na\r\n", "A: b\r\n", "A: b\r\n c\r\n", "Content-Length: 3\r\n", "0;\x00\r\n", "ffffffffffffffff\r\n", "GET / HTTP/1.1\r\n"}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		var body string
		for range rapid.IntRange(0, 5).Draw(t, "pieces") {
			body += rapid.SampledFrom(pieces).Draw(t, "piece")
		}
		if checkChunks(t, body) {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("none was accepted, so nothing was compared")
	}
}
