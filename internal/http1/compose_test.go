package http1

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// compose makes the request that a text head describes, by way of its parts.
func compose(head string) (*Request, error) {
	line, section, _ := bytes.Cut([]byte(head), []byte("\r\n"))
	words := bytes.Split(line, []byte(" "))
	fields, _, err := parseFields(nil, section)
	if err != nil {
		return nil, err
	}
	r := &Request{Method: words[0], Target: words[1]}
	hasBody, length := false, int64(-1)
	for _, f := range fields {
		switch f.ID {
		case FieldHost:
			r.Host = f.Value
			continue
		case FieldContentLength:
			n, _ := parseDecimal(f.Value)
			hasBody, length = true, n
		case FieldTransferEncoding:
			hasBody = true
			continue
		}
		r.Fields = append(r.Fields, Field{Name: f.Name, Value: f.Value})
	}
	err = r.Compose(hasBody, length)
	return r, err
}

// What is composed is what is parsed: the same form, path, host and body, the
// same refusals.
func TestAComposedRequestIsTheParsedOne(t *testing.T) {
	heads := []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a/b?c=d?e HTTP/1.1\r\nHost: a.example:8080\r\nAccept: */*\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
		"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
		"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 5\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client_Cert: 5\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX_Custom: 5\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTrailer: content-length\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: the worst\r\n\r\n",
	}
	for _, head := range heads {
		var want Request
		wantErr := want.Parse([]byte(head))
		got, err := compose(head)
		if !errors.Is(err, wantErr) {
			t.Errorf("%q: %v, want %v", head, err, wantErr)
		}
		if wantErr != nil || err != nil {
			continue
		}
		// Host and Transfer-Encoding are no fields of a request in parts.
		fields := want.Fields[:0]
		for _, f := range want.Fields {
			if f.ID != FieldHost && f.ID != FieldTransferEncoding {
				fields = append(fields, f)
			}
		}
		want.Fields = fields
		if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", head, *got, want)
		}
	}
}

func TestAComposedRequestHasALimitOfFields(t *testing.T) {
	r := Request{Method: []byte("GET"), Target: []byte("/"), Host: []byte("a")}
	for range MaxFields + 1 {
		r.Fields = append(r.Fields, Field{Name: []byte("a"), Value: []byte("b")})
	}
	if err := r.Compose(false, -1); !errors.Is(err, ErrTooManyFields) {
		t.Errorf("got %v", err)
	}
	if err := (&Request{Method: []byte("G T"), Target: []byte("/"), Host: []byte("a")}).Compose(false, -1); !errors.Is(err, ErrMethodToken) {
		t.Errorf("got %v", err)
	}
	if err := (&Request{Method: []byte("GET"), Target: []byte("http://b/"), Host: []byte("a")}).Compose(false, -1); !errors.Is(err, ErrTarget) {
		t.Errorf("got %v", err)
	}
}

func TestTrailersInPartsAreChosenAsThoseOfChunks(t *testing.T) {
	var fields []Field
	for _, name := range []string{"x-sum", "content-length", "connection", "content_length", "set-cookie", "x-other"} {
		fields = append(fields, Field{Name: []byte(name), Value: []byte("1")})
	}
	var got []string
	for _, f := range ComposeTrailers(fields) {
		got = append(got, string(f.Name))
	}
	var d ChunkDecoder
	_, _, err := d.Decode([]byte("0\r\nx-sum: 1\r\ncontent-length: 1\r\nconnection: 1\r\ncontent_length: 1\r\nset-cookie: 1\r\nx-other: 1\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range d.Trailers() {
		want = append(want, string(f.Name))
	}
	if !reflect.DeepEqual(got, want) || len(want) < 2 {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkCompose(b *testing.B) {
	fields := []Field{
		{Name: []byte("user-agent"), Value: []byte("bench")}, {Name: []byte("accept"), Value: []byte("*/*")},
		{Name: []byte("accept-encoding"), Value: []byte("gzip")}, {Name: []byte("cookie"), Value: []byte("a=b")},
	}
	r := Request{Method: []byte("GET"), Target: []byte("/a/b?c"), Host: []byte("a.example"), Fields: fields}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Compose(false, 0); err != nil {
			b.Fatal(err)
		}
	}
}
