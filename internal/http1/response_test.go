package http1

import (
	"strings"
	"testing"
)

func parseResponse(t testing.TB, head string, m Method) *Response {
	t.Helper()
	r := new(Response)
	if err := r.Parse([]byte(head), m); err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	return r
}

// ok is a good response with some field lines.
func ok(lines ...string) string { return status("200 OK", lines...) }

func status(s string, lines ...string) string {
	return "HTTP/1.1 " + s + "\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}

func TestStatusLinesAreSplit(t *testing.T) {
	tests := []struct {
		give   string
		minor  int
		status int
		reason string
	}{
		{"HTTP/1.1 200 OK", 1, 200, "OK"},
		{"HTTP/1.0 404 Not Found", 0, 404, "Not Found"},
		{"HTTP/1.1 200 ", 1, 200, ""},
		{"HTTP/1.1 200", 1, 200, ""},
		{"HTTP/1.1 599 caf\xc3\xa9\t!", 1, 599, "caf\xc3\xa9\t!"},
		{"HTTP/1.1 999 Request denied", 1, 999, "Request denied"},
		{"HTTP/1.1 103 Early Hints", 1, 103, "Early Hints"},
	}
	for _, tt := range tests {
		r := parseResponse(t, tt.give+"\r\n\r\n", MethodGET)
		if r.Minor != tt.minor || r.Status != tt.status || string(r.Reason) != tt.reason {
			t.Errorf("%s: %d %d %q", tt.give, r.Minor, r.Status, r.Reason)
		}
	}
}

func TestResponseBodiesAreFramed(t *testing.T) {
	const long = "Content-Length: 12"
	tests := []struct {
		name   string
		give   string
		method Method
		body   BodyKind
		length int64
		close  bool
	}{
		{"length", ok(long), MethodGET, BodyLength, 12, false},
		{"length 0", ok("Content-Length: 0"), MethodGET, BodyNone, 0, false},
		{"chunked", ok("Transfer-Encoding: chunked"), MethodGET, BodyChunked, -1, false},
		{"neither", ok(), MethodGET, BodyUntilClose, -1, true},
		{"neither, although it says keep-alive", ok("Connection: keep-alive"), MethodGET, BodyUntilClose, -1, true},
		{"HEAD with length", ok(long), MethodHEAD, BodyNone, 12, false},
		{"HEAD, chunked", ok("Transfer-Encoding: chunked"), MethodHEAD, BodyNone, -1, false},
		{"HEAD with neither", ok(), MethodHEAD, BodyNone, -1, false},
		{"304 with length", status("304 Not Modified", long), MethodGET, BodyNone, 12, false},
		{"304 with neither", status("304 Not Modified"), MethodGET, BodyNone, -1, false},
		{"204", status("204 No Content"), MethodGET, BodyNone, -1, false},
		{"204 with length 0", status("204 No Content", "Content-Length: 0"), MethodGET, BodyNone, 0, false},
		{"204 that may be followed by a body", status("204 No Content", long), MethodGET, BodyNone, 12, true},
		{"204 that may be followed by chunks", status("204 No Content", "Transfer-Encoding: chunked"), MethodGET, BodyNone, -1, true},
		{"100", status("100 Continue"), MethodPOST, BodyNone, -1, false},
		{"103 with length 0", status("103 Early Hints", "Content-Length: 0"), MethodGET, BodyNone, 0, false},
		{"close", ok(long, "Connection: close"), MethodGET, BodyLength, 12, true},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\n", MethodGET, BodyLength, 12, true},
		{"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\n", MethodGET, BodyLength, 12, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := parseResponse(t, tt.give, tt.method)
			if r.Body != tt.body || r.Length != tt.length || r.Close != tt.close {
				t.Errorf("body %d, length %d, close %v; want %d, %d, %v", r.Body, r.Length, r.Close, tt.body, tt.length, tt.close)
			}
		})
	}
}

func TestASwitchOfProtocolsNamesTheProtocol(t *testing.T) {
	r := parseResponse(t, status("101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"), MethodGET)
	if string(r.Upgrade) != "websocket" || r.Body != BodyNone {
		t.Errorf("upgrade %q, body %d", r.Upgrade, r.Body)
	}
	if r := parseResponse(t, status("426 Upgrade Required", "Connection: Upgrade", "Upgrade: x", "Content-Length: 0"), MethodGET); r.Upgrade != nil {
		t.Errorf("426: upgrade %q", r.Upgrade)
	}
}

func TestResponseFieldsAreFound(t *testing.T) {
	r := parseResponse(t, ok("date: now", "Retry-After: 5", "Connection: X-Mine", "x-mine: 1", "Content-Length: 0"), MethodGET)
	if !r.HasDate || string(r.Get(FieldRetryAfter)) != "5" || r.Get(FieldLocation) != nil {
		t.Errorf("date %v, retry after %q", r.HasDate, r.Get(FieldRetryAfter))
	}
	if f := r.Fields[3]; string(f.Name) != "x-mine" || !f.Hop {
		t.Errorf("%s: Hop is %v", f.Name, f.Hop)
	}
	if r := parseResponse(t, ok("X-Date: now"), MethodGET); r.HasDate {
		t.Error("X-Date is taken for Date")
	}
}

var responseRefusals = []struct {
	name, give string
	want       *Error
}{
	{"nothing", "", ErrStartLine},
	{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", ErrStartLine},
	{"ICY", "ICY 200 OK\r\n\r\n", ErrStartLine},
	{"a request", get(), ErrStartLine},
	{"an empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", ErrStartLine},
	{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", ErrVersion},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", ErrVersion},
	{"HTTP/0.9", "HTTP/0.9 200 OK\r\n\r\n", ErrVersion},
	{"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", ErrStartLine},
	{"no status", "HTTP/1.1\r\n\r\n", ErrStartLine},
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", ErrStartLine},
	{"two digits", "HTTP/1.1 20 OK\r\n\r\n", ErrStartLine},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", ErrStartLine},
	{"a sign", "HTTP/1.1 +20 OK\r\n\r\n", ErrStartLine},
	{"status 099", "HTTP/1.1 099 OK\r\n\r\n", ErrStartLine},
	{"status 000", "HTTP/1.1 000 OK\r\n\r\n", ErrStartLine},
	{"a tab after the status", "HTTP/1.1 200\tOK\r\n\r\n", ErrStartLine},
	{"a NUL in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n", ErrStartLine},
	{"a CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", ErrStartLine},
	{"a bare LF", "HTTP/1.1 200 OK\nA: b\r\n\r\n", ErrStartLine},
	{"no end", "HTTP/1.1 200 OK\r\nA: b\r\n", ErrFieldName},
	{"a folded line", ok("A: b", " c"), ErrObsFold},
	{"a space before the colon", ok("Content-Length : 3"), ErrSpaceAfterName},
	{"a NUL in a value", ok("A: b\x00"), ErrFieldValue},
	{"a bare LF in a value", ok("A: b\nC: d"), ErrBareLF},
	{"both length and coding", ok("Content-Length: 3", "Transfer-Encoding: chunked"), ErrLengthAndCoding},
	{"two lengths", ok("Content-Length: 3", "Content-Length: 3"), ErrManyLengths},
	{"a list of lengths", ok("Content-Length: 3, 3"), ErrContentLength},
	{"a negative length", ok("Content-Length: -1"), ErrContentLength},
	{"another coding", ok("Transfer-Encoding: gzip, chunked"), ErrTransferEncoding},
	{"chunked twice", ok("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), ErrManyCodings},
	{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCodingVersion},
	{"an interim response with a length", status("100 Continue", "Content-Length: 3"), ErrBodyInterim},
	{"an interim response with chunks", status("103 Early Hints", "Transfer-Encoding: chunked"), ErrBodyInterim},
	{"101 without Upgrade", status("101 Switching Protocols", "Connection: upgrade"), ErrSwitching},
	{"101 whose Connection does not name it", status("101 Switching Protocols", "Upgrade: websocket"), ErrSwitching},
	{"101 to two protocols", status("101 Switching Protocols", "Connection: upgrade", "Upgrade: a", "Upgrade: b"), ErrSwitching},
	{"a malformed Connection", ok("Connection: a b"), ErrConnection},
	{"a Trailer that announces a coding", ok("Transfer-Encoding: chunked", "Trailer: transfer-encoding"), ErrTrailer},
}

func TestResponsesThatCanBeReadInTwoWaysAreMalformed(t *testing.T) {
	for _, tt := range responseRefusals {
		t.Run(tt.name, func(t *testing.T) {
			var r Response
			if err := r.Parse([]byte(tt.give), MethodGET); err != tt.want {
				t.Errorf("%q: %v, want %v", tt.give, err, tt.want)
			}
		})
	}
}

func TestAResponseIsRelayedInOrderAndSpelling(t *testing.T) {
	r := parseResponse(t, "HTTP/1.0 404 Nicht da\r\nsErVeR:x\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\n"+
		"content-length: 012\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nProxy-Status: first\r\n\r\n", MethodGET)
	got := string(AppendResponseHead([]byte("before "), r, &ResponseOut{Body: BodyLength, Date: []byte("now"), ProxyStatus: []byte("fairlead")}))
	want := "before HTTP/1.1 404 Nicht da\r\nsErVeR: x\r\nContent-Length: 12\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nProxy-Status: first\r\n" +
		"Date: now\r\nProxy-Status: fairlead\r\n\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestResponseFramingFitsTheClient(t *testing.T) {
	tests := []struct {
		name   string
		give   string
		method Method
		out    ResponseOut
		want   string
	}{
		{"length", ok("A: b", "Content-Length: 3"), MethodGET, ResponseOut{Body: BodyLength}, ok("A: b", "Content-Length: 3")},
		{"length 0", ok("Content-Length: 0"), MethodGET, ResponseOut{Body: BodyNone}, ok("Content-Length: 0")},
		{"chunks", ok("Transfer-Encoding: chunked", "A: b"), MethodGET, ResponseOut{Body: BodyChunked}, ok("Transfer-Encoding: chunked", "A: b")},
		{"chunks for an HTTP/1.0 client", ok("Transfer-Encoding: chunked", "A: b"), MethodGET, ResponseOut{Body: BodyUntilClose}, ok("A: b", "Connection: close")},
		{"until close as chunks", ok("A: b"), MethodGET, ResponseOut{Body: BodyChunked}, ok("A: b", "Transfer-Encoding: chunked")},
		{"HEAD keeps the length", ok("Content-Length: 3"), MethodHEAD, ResponseOut{}, ok("Content-Length: 3")},
		{"HEAD without a length", ok("A: b"), MethodHEAD, ResponseOut{}, ok("A: b")},
		{"HEAD of chunks", ok("Transfer-Encoding: chunked", "A: b"), MethodHEAD, ResponseOut{}, ok("A: b")},
		{"304 keeps the length", status("304 x", "Content-Length: 3"), MethodGET, ResponseOut{}, status("304 x", "Content-Length: 3")},
		{"204 has none", status("204 x", "Content-Length: 0", "A: b"), MethodGET, ResponseOut{}, status("204 x", "A: b")},
		{"close", ok("Content-Length: 3"), MethodGET, ResponseOut{Body: BodyLength, Close: true}, ok("Content-Length: 3", "Connection: close")},
		{"keep-alive", ok("Content-Length: 3"), MethodGET, ResponseOut{Body: BodyLength, KeepAlive: true}, ok("Content-Length: 3", "Connection: keep-alive")},
		{"close wins", ok("Content-Length: 3"), MethodGET, ResponseOut{Body: BodyLength, KeepAlive: true, Close: true}, ok("Content-Length: 3", "Connection: close")},
		{"a Date is there", ok("date: then", "Content-Length: 0"), MethodGET, ResponseOut{Date: []byte("now")}, ok("date: then", "Content-Length: 0")},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", MethodGET, ResponseOut{}, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"},
		{"interim", status("103 x", "Link: y", "Content-Length: 0", "Connection: Link2", "Link2: z"), MethodGET,
			ResponseOut{Close: true, Date: []byte("now"), ProxyStatus: []byte("p")}, status("103 x", "Link: y")},
		{"100", status("100 Continue"), MethodGET, ResponseOut{}, status("100 Continue")},
		{"an upgrade", status("101 x", "Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Accept: k"), MethodGET, ResponseOut{Upgrade: true},
			status("101 x", "Sec-WebSocket-Accept: k", "Upgrade: websocket", "Connection: Upgrade")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendResponseHead(nil, parseResponse(t, tt.give, tt.method), &tt.out)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
