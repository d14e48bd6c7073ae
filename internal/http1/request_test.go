package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// parse reads a head that must be a good one.
func parse(t testing.TB, head string) *Request {
	t.Helper()
	r := new(Request)
	if err := r.Parse([]byte(head)); err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	return r
}

// get is a good HTTP/1.1 request with some more field lines.
func get(lines ...string) string { return message("GET / HTTP/1.1", "Host: a", lines) }

// post is the same for a method that has a body.
func post(lines ...string) string { return message("POST / HTTP/1.1", "Host: a", lines) }

func message(start, host string, lines []string) string {
	return start + "\r\n" + host + "\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}

func TestRequestTargetsAreSplit(t *testing.T) {
	tests := []struct {
		line, path, query string
		hasQuery          bool
		form              TargetForm
		host              string
	}{
		{"GET / HTTP/1.1", "/", "", false, FormOrigin, "field"},
		{"GET //a//b HTTP/1.1", "//a//b", "", false, FormOrigin, "field"},
		{"GET /a%2fb?c=/d?e HTTP/1.1", "/a%2fb", "c=/d?e", true, FormOrigin, "field"},
		{"GET /? HTTP/1.1", "/", "", true, FormOrigin, "field"},
		{`GET /{|}?\ HTTP/1.1`, "/{|}", `\`, true, FormOrigin, "field"},
		{"GET /http://x HTTP/1.1", "/http://x", "", false, FormOrigin, "field"},
		{"GET http://target HTTP/1.1", "/", "", false, FormAbsolute, "target"},
		{"GET HTTPS://target:8443/a?b HTTP/1.1", "/a", "b", true, FormAbsolute, "target:8443"},
		{"GET http://target?/x HTTP/1.1", "/", "/x", true, FormAbsolute, "target"},
		{"GET http://[::1]:80/ HTTP/1.1", "/", "", false, FormAbsolute, "[::1]:80"},
		{"OPTIONS * HTTP/1.1", "*", "", false, FormAsterisk, "field"},
		{"OPTIONS http://target HTTP/1.1", "*", "", false, FormAsterisk, "target"},
		{"OPTIONS http://target/ HTTP/1.1", "/", "", false, FormAbsolute, "target"},
		{"OPTIONS http://target? HTTP/1.1", "/", "", true, FormAbsolute, "target"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			r := parse(t, tt.line+"\r\nHost: field\r\n\r\n")
			if string(r.Path) != tt.path || string(r.Query) != tt.query || r.HasQuery != tt.hasQuery || r.Form != tt.form || string(r.Host) != tt.host {
				t.Errorf("path %q, query %q %v, form %d, host %q", r.Path, r.Query, r.HasQuery, r.Form, r.Host)
			}
			if want := strings.Fields(tt.line)[1]; string(r.Target) != want {
				t.Errorf("target %q", r.Target)
			}
		})
	}
}

func TestMethodsAreKnownAsSpelled(t *testing.T) {
	tests := map[string]Method{
		"GET": MethodGET, "HEAD": MethodHEAD, "POST": MethodPOST, "PUT": MethodPUT, "PATCH": MethodPATCH,
		"DELETE": MethodDELETE, "OPTIONS": MethodOPTIONS, "get": MethodOther, "PROPFIND": MethodOther, "M-SEARCH": MethodOther,
	}
	for give, want := range tests {
		r := parse(t, give+" / HTTP/1.1\r\nHost: a\r\n\r\n")
		if r.MethodID != want || string(r.Method) != give {
			t.Errorf("%s: %d, %s", give, r.MethodID, r.Method)
		}
	}
}

func TestFieldsKeepOrderAndSpelling(t *testing.T) {
	r := parse(t, get("X-ONE:1", "x-two: \t2 3\t ", "Empty:", "X-One: caf\xc3\xa9", "Odd!#$%&'*+.^_`|~: x"))
	var got []string
	for _, f := range r.Fields {
		got = append(got, fmt.Sprintf("%s=%s", f.Name, f.Value))
	}
	want := "Host=a X-ONE=1 x-two=2 3 Empty= X-One=caf\xc3\xa9 Odd!#$%&'*+.^_`|~=x"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	if v := r.Get(FieldHost); string(v) != "a" {
		t.Errorf("Get(FieldHost) = %q", v)
	}
	if v := r.Get(FieldVia); v != nil {
		t.Errorf("Get(FieldVia) = %q", v)
	}
}

func TestRequestBodiesAreFramed(t *testing.T) {
	tests := []struct {
		name, give string
		body       BodyKind
		length     int64
	}{
		{"none stated", post(), BodyNone, 0},
		{"length 0 is no body", post("Content-Length: 0"), BodyNone, 0},
		{"length", post("Content-Length: 12"), BodyLength, 12},
		{"the longest length", post("content-length: 9223372036854775807"), BodyLength, 1<<63 - 1},
		{"chunked", post("Transfer-Encoding: chunked"), BodyChunked, -1},
		{"chunked in capitals", post("TRANSFER-ENCODING:Chunked "), BodyChunked, -1},
		{"a GET may have one", get("Content-Length: 3"), BodyLength, 3},
		{"HTTP/1.0 with length", "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n", BodyLength, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := parse(t, tt.give)
			if r.Body != tt.body || r.Length != tt.length {
				t.Errorf("body %d, length %d; want %d, %d", r.Body, r.Length, tt.body, tt.length)
			}
		})
	}
}

func TestKeepAliveFollowsTheVersionAndTheConnectionField(t *testing.T) {
	tests := []struct {
		give string
		want bool
	}{
		{get(), false},
		{get("Connection: keep-alive"), false},
		{get("Connection: close"), true},
		{get("Connection: x, CLOSE"), true},
		{get("Connection: keep-alive", "Connection: close"), true},
		{get("Proxy-Connection: close"), false},
		{"GET / HTTP/1.0\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nKeep-Alive: timeout=5\r\n\r\n", true},
	}
	for _, tt := range tests {
		if r := parse(t, tt.give); r.Close != tt.want {
			t.Errorf("%q: Close is %v", tt.give, r.Close)
		}
	}
}

func TestExpectMeansSomethingOnlyIn11WithABody(t *testing.T) {
	tests := []struct {
		give string
		want bool
	}{
		{post("Expect: 100-Continue", "Content-Length: 1"), true},
		{post("Expect: 100-continue", "Transfer-Encoding: chunked"), true},
		{post("Expect: 100-continue"), false},
		{post("Expect: 100-continue", "Content-Length: 0"), false},
		{post("Content-Length: 1"), false},
		{"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false},
	}
	for _, tt := range tests {
		if r := parse(t, tt.give); r.Expect100 != tt.want {
			t.Errorf("%q: Expect100 is %v", tt.give, r.Expect100)
		}
	}
}

func TestAnUpgradeIsOfferedOnlyWhereItCanBeTunnelled(t *testing.T) {
	tests := []struct {
		name, give, want string
	}{
		{"websocket", get("Connection: keep-alive, Upgrade", "Upgrade: websocket"), "websocket"},
		{"not named by Connection", get("Upgrade: websocket"), ""},
		{"nothing named", get("Connection: upgrade"), ""},
		{"empty", get("Connection: upgrade", "Upgrade: ,"), ""},
		{"with a body", post("Connection: upgrade", "Upgrade: websocket", "Content-Length: 1"), ""},
		{"two fields", get("Connection: upgrade", "Upgrade: websocket", "Upgrade: x"), ""},
		{"h2c", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"), ""},
		{"h2c in a list", get("Connection: upgrade", "Upgrade: websocket, H2C"), ""},
		{"HTTP/2.0", get("Connection: upgrade", "Upgrade: HTTP/2.0"), ""},
		{"TLS", get("Connection: upgrade", "Upgrade: TLS/1.2"), ""},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r := parse(t, tt.give); string(r.Upgrade) != tt.want {
				t.Errorf("Upgrade is %q, want %q", r.Upgrade, tt.want)
			}
		})
	}
}

func TestTrailersAreTakenWhenTESaysSo(t *testing.T) {
	tests := []struct {
		give string
		want bool
	}{
		{get("TE: trailers"), true},
		{get("TE: gzip;q=0.5, Trailers"), true},
		{get("TE: gzip", "TE: trailers"), true},
		{get("TE: gzip"), false},
		{get("TE: xtrailers"), false},
		{"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n", false},
	}
	for _, tt := range tests {
		if r := parse(t, tt.give); r.TETrailers != tt.want {
			t.Errorf("%q: TETrailers is %v", tt.give, r.TETrailers)
		}
	}
}

func TestHopByHopFieldsAreMarkedButForwardingFieldsCannotBe(t *testing.T) {
	r := parse(t, get(
		"Connection: X-Mine, x-twice, Cookie",
		"Connection: Host, Content-Length, Via, CDN-Loop, X-Request-Id, Failover-Attempt, X-Forwarded-For, X-Forwarded-Port, Forwarded, X-Real-IP, Expect",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Upgrade: x", "Proxy-Authorization: Basic AA",
		"X-Mine: 1", "X-Twice: 1", "X-Twice: 2", "Cookie: a=b", "X-Minet: 1",
		"Via: 1.1 a", "CDN-Loop: a", "X-Request-Id: 1", "Failover-Attempt: 2", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Port: 80",
		"Forwarded: for=a", "X-Real-IP: 1.2.3.4", "Content-Length: 0", "Expect: 100-continue"))
	want := map[string]bool{"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "TE": true, "Upgrade": true,
		"Proxy-Authorization": true, "X-Mine": true, "X-Twice": true, "Cookie": true}
	for _, f := range r.Fields {
		if f.Hop != want[string(f.Name)] {
			t.Errorf("%s: Hop is %v", f.Name, f.Hop)
		}
	}
}

func TestALoopIsSeenWhereverCDNLoopNamesTheInstance(t *testing.T) {
	tests := []struct {
		give string
		want bool
	}{
		{get(), false},
		{get("CDN-Loop: fl-1"), true},
		{get("CDN-Loop: FL-1"), true},
		{get("CDN-Loop: other, fl-1; v=1.0, more"), true},
		{get("CDN-Loop: other", "CDN-Loop: fl-1"), true},
		{get("CDN-Loop: fl-12"), false},
		{get("CDN-Loop: xfl-1"), false},
		{get("CDN-Loop: other; a=fl-1"), false},
		{get("CDN-Loop: ;"), false},
	}
	for _, tt := range tests {
		if got := parse(t, tt.give).Looped([]byte("fl-1")); got != tt.want {
			t.Errorf("%q: looped is %v", tt.give, got)
		}
	}
	if parse(t, get("CDN-Loop: ;")).Looped(nil) {
		t.Error("an instance without a name is found in a loop")
	}
}

// Every refusal with its reason, so that none is made for another's.
var requestRefusals = []struct {
	name, give string
	want       *Error
}{
	{"nothing", "", ErrMethodToken},
	{"an empty line", "\r\n", ErrMethodToken},
	{"no target", "GET\r\n\r\n", ErrMethodToken},
	{"a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethodToken},
	{"a method with a colon", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethodToken},
	{"a tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethodToken},
	{"two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"HTTP/0.9", "GET /\r\n\r\n", ErrTarget},
	{"two spaces after the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", ErrStartLine},
	{"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", ErrStartLine},
	{"a tab in the target", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"a NUL in the target", "GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"a raw non-ASCII byte in the target", "GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"a relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"a query alone", "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"an asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"an asterisk and a query", "OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"the authority form", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"a scheme with one slash", "GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
	{"no authority", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", ErrHost},
	{"user information", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrHost},
	{"a backslash in the authority", `GET http://a\b/ HTTP/1.1` + "\r\nHost: a\r\n\r\n", ErrHost},
	{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},

	{"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\n", ErrVersion},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", ErrVersion},
	{"HTTP/0.9 by name", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", ErrVersion},
	{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", ErrVersion},
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", ErrStartLine},
	{"HTTP/01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", ErrStartLine},
	{"HTTP/1", "GET / HTTP/1\r\nHost: a\r\n\r\n", ErrStartLine},
	{"a version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", ErrStartLine},
	{"another protocol", "GET / HTTQ/1.1\r\nHost: a\r\n\r\n", ErrStartLine},
	{"a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", ErrStartLine},
	{"a CR after the version", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", ErrStartLine},
	{"a bare LF after the version", "GET / HTTP/1.1\nHost: a\r\n\r\n", ErrStartLine},

	{"no end", "GET / HTTP/1.1\r\nHost: a\r\n", ErrFieldName},
	{"bytes after the end", "GET / HTTP/1.1\r\nHost: a\r\n\r\nx", ErrFieldName},
	{"a head after the end", get() + get(), ErrFieldName},
	{"a line without a colon", get("Hello"), ErrFieldName},
	{"an empty name", get(": x"), ErrFieldName},
	{"a name that is no token", get("A(B: x"), ErrFieldName},
	{"a name with a NUL", get("A\x00: x"), ErrFieldName},
	{"a non-ASCII name", get("Caf\xc3\xa9: x"), ErrFieldName},
	{"a CR in a name", get("A\rB: x"), ErrFieldName},
	{"a CR before a name", get("\rA: x"), ErrFieldName},
	{"a space before the colon", get("Content-Length : 3"), ErrSpaceAfterName},
	{"a tab before the colon", get("Content-Length\t: 3"), ErrSpaceAfterName},
	{"a space in a name", get("A B: x"), ErrSpaceAfterName},
	{"a folded line", get("A: x", " y"), ErrObsFold},
	{"a line folded with a tab", get("A: x", "\ty: z"), ErrObsFold},
	{"a folded empty line", get("A: x", " "), ErrObsFold},
	{"a space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", ErrSpaceBeforeName},
	{"a CR in a value", get("A: x\ry"), ErrFieldValue},
	{"a CR at a value's end", get("A: x\r"), ErrFieldValue},
	{"a bare LF in a value", get("A: x\ny: z"), ErrBareLF},
	{"a NUL in a value", get("A: x\x00y"), ErrFieldValue},
	{"a control character in a value", get("A: x\x0by"), ErrFieldValue},
	{"a DEL in a value", get("A: x\x7fy"), ErrFieldValue},
	{"too many fields", get(strings.Split(strings.Repeat("A: x,", MaxFields-1)+"A: x", ",")...), ErrTooManyFields},

	{"no Host", "GET / HTTP/1.1\r\nA: x\r\n\r\n", ErrNoHost},
	{"no Host for an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", ErrNoHost},
	{"two Hosts", get("Host: a"), ErrManyHosts},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", ErrManyHosts},
	{"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ErrHost},

	{"both length and coding", post("Content-Length: 3", "Transfer-Encoding: chunked"), ErrLengthAndCoding},
	{"both, the other way round", post("Transfer-Encoding: chunked", "Content-Length: 3"), ErrLengthAndCoding},
	{"both, length 0", post("Content-Length: 0", "Transfer-Encoding: chunked"), ErrLengthAndCoding},
	{"two lengths", post("Content-Length: 3", "Content-Length: 4"), ErrManyLengths},
	{"the same length twice", post("Content-Length: 3", "content-length: 3"), ErrManyLengths},
	{"the same length twice in one field", post("Content-Length: 3, 3"), ErrContentLength},
	{"an empty length", post("Content-Length:"), ErrContentLength},
	{"a signed length", post("Content-Length: +3"), ErrContentLength},
	{"a negative length", post("Content-Length: -3"), ErrContentLength},
	{"a hexadecimal length", post("Content-Length: 0x3"), ErrContentLength},
	{"a length with a fraction", post("Content-Length: 3.0"), ErrContentLength},
	{"a length that overflows", post("Content-Length: 9223372036854775808"), ErrContentLength},
	{"a length of twenty digits", post("Content-Length: 00000000000000000003"), ErrContentLength},
	{"another coding", post("Transfer-Encoding: gzip"), ErrTransferEncoding},
	{"identity", post("Transfer-Encoding: identity"), ErrTransferEncoding},
	{"gzip and chunked", post("Transfer-Encoding: gzip, chunked"), ErrTransferEncoding},
	{"chunked first", post("Transfer-Encoding: chunked, gzip"), ErrTransferEncoding},
	{"chunked twice in one field", post("Transfer-Encoding: chunked, chunked"), ErrTransferEncoding},
	{"chunked and nothing", post("Transfer-Encoding: chunked,"), ErrTransferEncoding},
	{"chunked with a parameter", post("Transfer-Encoding: chunked;a"), ErrTransferEncoding},
	{"chunked quoted", post(`Transfer-Encoding: "chunked"`), ErrTransferEncoding},
	{"chunked misspelled", post("Transfer-Encoding: xchunked"), ErrTransferEncoding},
	{"an empty coding", post("Transfer-Encoding:"), ErrTransferEncoding},
	{"chunked after a control character", post("Transfer-Encoding: \x0bchunked"), ErrFieldValue},
	{"chunked twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), ErrManyCodings},
	{"chunked and identity", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), ErrManyCodings},
	{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCodingVersion},
	{"a Trailer that announces a length", post("Transfer-Encoding: chunked", "Trailer: A, Content-Length"), ErrTrailer},

	{"Content_Length", post("Content_Length: 3"), ErrFieldTwin},
	{"Transfer_Encoding", post("transfer_encoding: chunked"), ErrFieldTwin},
	{"X_Forwarded_For", get("X_Forwarded_For: 1.2.3.4"), ErrFieldTwin},
	{"X-Forwarded_Proto", get("X-Forwarded_Proto: https"), ErrFieldTwin},
	{"X_Forwarded_Port", get("X_Forwarded_Port: 443"), ErrFieldTwin},
	{"X_Real_IP", get("X_Real_IP: 1.2.3.4"), ErrFieldTwin},
	{"Transfer.Encoding", post("Transfer.Encoding: chunked"), ErrFieldTwin},

	{"a Connection option that is no token", get("Connection: clo se"), ErrConnection},
	{"too many Connection options", get("Connection: " + strings.Repeat("a,", maxOptions+1)), ErrConnection},
	{"an unknown expectation", post("Expect: 200-ok"), ErrExpect},
	{"two expectations", post("Expect: 100-continue, 100-continue"), ErrExpect},
}

func TestRequestsThatCanBeReadInTwoWaysAreRefused(t *testing.T) {
	for _, tt := range requestRefusals {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			if err := r.Parse([]byte(tt.give)); err != tt.want {
				t.Errorf("%q: %v, want %v", tt.give, err, tt.want)
			}
		})
	}
}

func TestHostsAreOnlyWhatHostsAreMadeOf(t *testing.T) {
	for _, give := range []string{"a", "a.example:80", "A_b-c.~", "a:", "127.0.0.1:65535", "[::1]", "[::ffff:1.2.3.4]:80", "a:00080", "."} {
		if !isAuthority([]byte(give)) {
			t.Errorf("%q is refused", give)
		}
	}
	for _, give := range []string{"", ":80", "a:65536", "a:-1", "a:8 0", "a:80:80", "a b", "a,b", "a/b", "a?b", "a#b", "a@b", `a\b`, "a%41", "a\"b",
		"caf\xc3\xa9", "[", "[]", "[::1", "::1", "[::1]a", "[::1%25eth0]", "[1.2.3.4]", "[:::]", "[::1]]", "a[::1]", "a;b", "a=b"} {
		if isAuthority([]byte(give)) {
			t.Errorf("%q passes", give)
		}
	}
}

func TestEveryRefusalCarriesItsStatusAndNoInput(t *testing.T) {
	for _, tt := range requestRefusals {
		if tt.want.Status < 400 || tt.want.Status > 505 || tt.want.Error() != tt.want.Msg || tt.want.Msg == "" {
			t.Errorf("%s: %d %q", tt.name, tt.want.Status, tt.want.Msg)
		}
	}
	want := map[*Error]int{ErrMethod: 405, ErrBodyTooLarge: 413, ErrTargetTooLong: 414, ErrExpect: 417, ErrHeadTooLarge: 431,
		ErrTooManyFields: 431, ErrTransferEncoding: 501, ErrVersion: 505, ErrBareLF: 400, ErrLengthAndCoding: 400}
	for err, status := range want {
		if err.Status != status {
			t.Errorf("%s: %d, want %d", err.Msg, err.Status, status)
		}
	}
}

func TestARequestIsParsedAfreshEachTime(t *testing.T) {
	r := parse(t, post("Transfer-Encoding: chunked", "Expect: 100-continue", "TE: trailers", "Connection: close"))
	if err := r.Parse([]byte("GET /a HTTP/1.1\r\nHost: b\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if r.Body != BodyNone || r.Length != 0 || r.Expect100 || r.TETrailers || r.Close || r.HasQuery || len(r.Fields) != 1 {
		t.Errorf("something is left of the last request: %+v", r)
	}
}

func TestParsedSlicesAliasTheHead(t *testing.T) {
	head := []byte("GET /a?b HTTP/1.1\r\nHost: c\r\n\r\n")
	var r Request
	if err := r.Parse(head); err != nil {
		t.Fatal(err)
	}
	for i := range head {
		head[i] = 'x'
	}
	for _, b := range [][]byte{r.Method, r.Target, r.Path, r.Query, r.Host, r.Fields[0].Name} {
		if len(bytes.Trim(b, "x")) > 0 {
			t.Errorf("%q is a copy", b)
		}
	}
}
