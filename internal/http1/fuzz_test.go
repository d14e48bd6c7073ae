package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The written corpora are in testdata/fuzz. Besides them the tables of
// refusals are seeds, since the shortest way to a request that slips through
// starts at one that doesn't.

// FuzzRequestHead holds the parser against net/http's: whatever is accepted
// here must be read there in the same way. What is sent to an origin for it
// must be read the same way once more, by both.
func FuzzRequestHead(f *testing.F) {
	for _, tt := range requestRefusals {
		f.Add([]byte(tt.give))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkRequest(t, data) })
}

// A failer is a test or one round of a property test.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// checkRequest reports whether data begins with an acceptable request.
func checkRequest(t failer, data []byte) bool {
	t.Helper()
	data = data[EmptyLines(data):]
	end, err := HeadEnd(data, 0)
	var r Request
	if err != nil || end == 0 {
		if r.Parse(data) == nil {
			t.Fatal("a head is accepted whose end is not found")
		}
		return false
	}
	if r.Parse(data[:end]) != nil || CheckPath(r.Path, true) != nil {
		return false
	}
	sameRequest(t, data[:end], &r)
	forwardedRequest(t, &r)
	return true
}

// sameRequest compares r with what net/http reads of its head.
func sameRequest(t failer, head []byte, r *Request) {
	t.Helper()
	want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		t.Fatalf("net/http refuses it: %v", err)
	}
	if string(r.Method) != want.Method || string(r.Target) != want.RequestURI || r.Minor != want.ProtoMinor || want.ProtoMajor != 1 {
		t.Fatalf("request line: %s %s 1.%d, net/http: %s %s %s", r.Method, r.Target, r.Minor, want.Method, want.RequestURI, want.Proto)
	}
	if string(r.Host) != want.Host {
		t.Fatalf("host %q, net/http: %q", r.Host, want.Host)
	}
	if string(r.Query) != want.URL.RawQuery {
		t.Fatalf("query %q, net/http: %q", r.Query, want.URL.RawQuery)
	}
	path, err := url.PathUnescape(string(r.Path))
	if err != nil || path != want.URL.Path && want.URL.Path != "" {
		t.Fatalf("path %q (%v), net/http: %q", path, err, want.URL.Path)
	}
	if length := statedLength(r.Body, r.Length); length != want.ContentLength || slices.Equal(want.TransferEncoding, []string{"chunked"}) != (r.Body == BodyChunked) {
		t.Fatalf("body %d of length %d, net/http: %d, %q", r.Body, length, want.ContentLength, want.TransferEncoding)
	}
	if r.Close != want.Close {
		t.Fatalf("close %v, net/http: %v", r.Close, want.Close)
	}
	sameFields(t, r.Fields, want.Header)
}

// statedLength is what net/http calls the length of such a body.
func statedLength(kind BodyKind, length int64) int64 {
	switch kind {
	case BodyNone:
		return 0
	case BodyLength:
		return length
	}
	return -1
}

// sameFields compares fields with net/http's, which takes some away as it
// reads a message and adds a Cache-Control where there is a Pragma.
func sameFields(t failer, fields []Field, want http.Header) {
	t.Helper()
	got := http.Header{}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		got[name] = append(got[name], string(f.Value))
	}
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer", "Connection"} {
		got.Del(name)
		want.Del(name)
	}
	if got.Get("Pragma") != "" && got["Cache-Control"] == nil {
		want.Del("Cache-Control")
	}
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		t.Fatalf("fields %s, net/http: %s", g, w)
	}
}

// forwardedRequest checks what an origin is sent for r by a stranger.
func forwardedRequest(t failer, r *Request) {
	t.Helper()
	o := RequestOut{Host: []byte("origin"), ClientIP: []byte("192.0.2.1"), RequestID: []byte("id"), Instance: []byte("fl"), Proto: "http"}
	head := AppendRequestHead(nil, r, &o)
	if end, err := HeadEnd(head, 0); end != len(head) || err != nil {
		t.Fatalf("forwarded head %q ends at %d, %v", head, end, err)
	}
	var out Request
	if err := out.Parse(head); err != nil {
		if err == ErrTooManyFields && len(r.Fields) > MaxFields-10 {
			return
		}
		t.Fatalf("forwarded head %q: %v", head, err)
	}
	sameRequest(t, head, &out)
	if !bytes.Equal(out.Method, r.Method) || !bytes.Equal(out.Path, r.Path) || !bytes.Equal(out.Query, r.Query) || out.HasQuery != r.HasQuery {
		t.Fatalf("forwarded as %q", head)
	}
	if out.Body != r.Body || out.Length != r.Length || out.Expect100 != r.Expect100 || !bytes.Equal(out.Upgrade, r.Upgrade) || out.TETrailers != r.TETrailers {
		t.Fatalf("forwarded as %q", head)
	}
	if !out.Looped(o.Instance) {
		t.Fatalf("forwarded without a mark: %q", head)
	}
	counts := map[FieldID]int{}
	for _, f := range out.Fields {
		counts[f.ID]++
	}
	for _, id := range []FieldID{FieldHost, FieldXForwardedFor, FieldXForwardedProto, FieldXRequestID} {
		if counts[id] != 1 {
			t.Fatalf("%s stands %d times in %q", fieldNames[id], counts[id], head)
		}
	}
	for _, id := range []FieldID{FieldXForwardedOther, FieldFailoverAttempt, FieldKeepAlive, FieldProxyConnection, FieldHTTP2Settings} {
		if counts[id] != 0 {
			t.Fatalf("%s stands in %q", fieldNames[id], head)
		}
	}
	if string(out.Get(FieldXForwardedFor)) != "192.0.2.1" || string(out.Host) != "origin" {
		t.Fatalf("forged: %q", head)
	}
}

// FuzzResponseHead does the same for responses.
func FuzzResponseHead(f *testing.F) {
	for _, tt := range responseRefusals {
		f.Add([]byte(tt.give), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, toHEAD bool) {
		m := MethodGET
		if toHEAD {
			m = MethodHEAD
		}
		checkResponse(t, data, m)
	})
}

// checkResponse reports whether data begins with an acceptable response.
func checkResponse(t failer, data []byte, m Method) bool {
	t.Helper()
	end, err := HeadEnd(data, 0)
	var r Response
	if err != nil || end == 0 {
		if r.Parse(data, m) == nil {
			t.Fatal("a head is accepted whose end is not found")
		}
		return false
	}
	if r.Parse(data[:end], m) != nil {
		return false
	}
	sameResponse(t, data[:end], &r, m)
	relayedResponse(t, &r, m)
	return true
}

func sameResponse(t failer, head []byte, r *Response, m Method) {
	t.Helper()
	request := &http.Request{Method: "GET"}
	if m == MethodHEAD {
		request.Method = "HEAD"
	}
	want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), request)
	if err != nil {
		t.Fatalf("net/http refuses it: %v", err)
	}
	if r.Status != want.StatusCode || r.Minor != want.ProtoMinor || want.ProtoMajor != 1 {
		t.Fatalf("status line: 1.%d %d, net/http: %s %d", r.Minor, r.Status, want.Proto, want.StatusCode)
	}
	if chunked := slices.Equal(want.TransferEncoding, []string{"chunked"}); r.Body == BodyChunked && !chunked {
		t.Fatalf("chunked, net/http: %q", want.TransferEncoding)
	}
	bodyless := r.Status < 200 || r.Status == 204 || r.Status == 304 || m == MethodHEAD
	if length := statedLength(r.Body, r.Length); !bodyless && length != want.ContentLength {
		t.Fatalf("body %d of length %d, net/http: %d", r.Body, length, want.ContentLength)
	}
	if bodyless && r.Body != BodyNone {
		t.Fatalf("body %d of a message without one", r.Body)
	}
	if want.Close && !r.Close {
		t.Fatal("the connection is kept, net/http closes it")
	}
	sameFields(t, r.Fields, want.Header)
}

// relayedResponse checks what clients are sent for r.
func relayedResponse(t failer, r *Response, m Method) {
	t.Helper()
	o := ResponseOut{Body: r.Body, Upgrade: r.Upgrade != nil, Date: []byte("now"), ProxyStatus: []byte("fairlead")}
	head := AppendResponseHead(nil, r, &o)
	if end, err := HeadEnd(head, 0); end != len(head) || err != nil {
		t.Fatalf("relayed head %q ends at %d, %v", head, end, err)
	}
	var out Response
	if err := out.Parse(head, m); err != nil {
		if err == ErrTooManyFields && len(r.Fields) > MaxFields-10 {
			return
		}
		t.Fatalf("relayed head %q: %v", head, err)
	}
	sameResponse(t, head, &out, m)
	if out.Status != r.Status || !bytes.Equal(out.Reason, r.Reason) || out.Body != r.Body || !bytes.Equal(out.Upgrade, r.Upgrade) {
		t.Fatalf("relayed as %q", head)
	}
	if out.Body == BodyLength && out.Length != r.Length || out.HasDate != (r.HasDate || r.Status >= 200) {
		t.Fatalf("relayed as %q", head)
	}
	if out.Close != (out.Body == BodyUntilClose) {
		t.Fatalf("close is %v in %q", out.Close, head)
	}
}

// FuzzChunks holds the decoder against net/http's and against itself with the
// body cut anywhere.
func FuzzChunks(f *testing.F) {
	for _, tt := range chunkedBodies {
		f.Add([]byte(tt.give))
	}
	for _, tt := range chunkRefusals {
		f.Add([]byte(tt.give))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkChunks(t, string(data)) })
}

// checkChunks reports whether body begins with a whole acceptable body.
func checkChunks(t failer, body string) bool {
	t.Helper()
	got := decode(body)
	for cut := range min(len(body), 300) {
		if again := decode(body, cut); again != got {
			t.Fatalf("cut at %d: %+v, at once: %+v", cut, again, got)
		}
	}
	if got.done {
		sameChunks(t, body, got)
	}
	return got.done
}

func sameChunks(t failer, body string, got decoded) {
	t.Helper()
	source := bufio.NewReaderSize(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+body), 1<<20)
	request, err := http.ReadRequest(source)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(request.Body)
	if err != nil {
		t.Fatalf("%+v, net/http refuses it: %v", got, err)
	}
	if string(data) != got.data {
		t.Fatalf("data %q, net/http: %q", got.data, data)
	}
	if used := len(body) - source.Buffered(); used != got.used {
		t.Fatalf("%d bytes used, net/http: %d", got.used, used)
	}
}
