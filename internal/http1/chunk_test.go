package http1

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decoded is all that a ChunkDecoder says of a body.
type decoded struct {
	data, trailers string
	used           int // bytes of the body; on an error it may be any number
	done           bool
	err            error
}

// decode feeds body in pieces that end at the given places and at its end.
func decode(body string, cuts ...int) decoded {
	var d ChunkDecoder
	var all decoded
	at := 0
	for _, cut := range append(cuts, len(body)) {
		if cut < at || all.used < at {
			continue
		}
		data, n, err := d.Decode([]byte(body[at:cut]))
		all.data += string(data)
		all.used += n
		all.err = err
		at = cut
	}
	for _, f := range d.Trailers() {
		all.trailers += fmt.Sprintf("%s=%s ", f.Name, f.Value)
	}
	all.done = d.Done()
	if all.err != nil {
		all.used = 0
	}
	return all
}

var chunkedBodies = []struct {
	name, give string
	want       decoded
}{
	{"nothing yet", "", decoded{}},
	{"empty", "0\r\n\r\n", decoded{used: 5, done: true}},
	{"several zeros", "0000\r\n\r\n", decoded{used: 8, done: true}},
	{"two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", decoded{data: "abcde", used: 20, done: true}},
	{"a size in capitals with zeros", "00A\r\n0123456789\r\n0\r\n\r\n", decoded{data: "0123456789", used: 22, done: true}},
	{"data that looks like framing", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", decoded{data: "0\r\n\r\n", used: 15, done: true}},
	{"the next message", "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", decoded{data: "a", used: 11, done: true}},
	{"an end that is still to come", "1\r\na\r\n0\r\n\r", decoded{data: "a", used: 10}},
	{"data that is still to come", "ff\r\nabc", decoded{data: "abc", used: 7}},
	{"extensions", "1;a=b;c=\"d;,\t\xff\"\r\na\r\n0;x\r\n\r\n", decoded{data: "a", used: 27, done: true}},
	{"an empty extension", "1;\r\na\r\n0\r\n\r\n", decoded{data: "a", used: 12, done: true}},
	{"trailers", "0\r\nA: b\r\nc:  d \r\n\r\nrest", decoded{trailers: "A=b c=d ", used: 19, done: true}},
	{"trailers that may not be", "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\nAuthorization: x\r\nSet-Cookie: x\r\nConnection: close\r\n" +
		"X-Forwarded-For: x\r\nx-forwarded-port: x\r\nX_Real_Ip: x\r\nVia: x\r\nTrailer: x\r\nCache-Control: x\r\nContent_Length: 3\r\nGood: x\r\n\r\n",
		decoded{trailers: "Good=x ", used: 234, done: true}},
}

func TestChunksAreTakenApart(t *testing.T) {
	for _, tt := range chunkedBodies {
		t.Run(tt.name, func(t *testing.T) {
			if got := decode(tt.give); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

var chunkRefusals = []struct {
	name, give, data string
	want             *Error
}{
	{"no size", "\r\n", "", ErrChunkSize},
	{"no digit", "x\r\n", "", ErrChunkSize},
	{"an extension without a size", ";a\r\n", "", ErrChunkSize},
	{"a sign", "+1\r\na\r\n", "", ErrChunkSize},
	{"a negative size", "-1\r\na\r\n", "", ErrChunkSize},
	{"0x", "0x1\r\na\r\n", "", ErrChunkSize},
	{"a space before the size", " 1\r\na\r\n", "", ErrChunkSize},
	{"a space after the size", "1 \r\na\r\n", "", ErrChunkSize},
	{"a space before an extension", "1 ;a\r\na\r\n", "", ErrChunkSize},
	{"a space and a bare LF after the size", "1 \na\r\n", "", ErrChunkSize},
	{"an underscore in the size", "1_0\r\n", "", ErrChunkSize},
	{"a bare LF after the size", "1\na\r\n", "", ErrChunkSize},
	{"a bare CR after the size", "1\ra\r\n", "", ErrChunkSize},
	{"seventeen digits", "00000000000000001\r\na\r\n", "", ErrChunkSize},
	{"a size that overflows", "8000000000000000\r\n", "", ErrChunkSize},
	{"a size that is -1", "ffffffffffffffff\r\n", "", ErrChunkSize},
	{"a bare LF after an extension", "1;a\nb\r\n", "", ErrChunkExtension},
	{"a bare CR in an extension", "1;a\rb\r\n", "", ErrChunkSize},
	{"a NUL in an extension", "1;\x00\r\na\r\n", "", ErrChunkExtension},
	{"a long extension", "1;" + strings.Repeat("a", maxExtension+1) + "\r\n", "", ErrChunkExtension},
	{"data that is longer than its size", "1\r\nab\r\n", "a", ErrChunkEnd},
	{"data without its line end", "1\r\na0\r\n\r\n", "a", ErrChunkEnd},
	{"a bare LF after data", "1\r\na\n0\r\n\r\n", "a", ErrChunkEnd},
	{"a bare CR after data", "1\r\na\r0\r\n\r\n", "a", ErrChunkEnd},
	{"a bare LF as the last line", "0\r\n\n", "", ErrBareLF},
	{"a bare LF in the trailers", "0\r\nA: b\n\r\n", "", ErrBareLF},
	{"a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "", ErrObsFold},
	{"a trailer without a colon", "0\r\nabc\r\n\r\n", "", ErrFieldName},
	{"a message instead of trailers", "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "", ErrSpaceAfterName},
	{"a NUL in a trailer", "0\r\nA: \x00\r\n\r\n", "", ErrFieldValue},
	{"long trailers", "0\r\nA: " + strings.Repeat("a", maxTrailerBytes), "", ErrTrailersTooLarge},
	{"many trailers", "0\r\n" + strings.Repeat("A: b\r\n", MaxFields+1) + "\r\n", "", ErrTooManyFields},
}

func TestMalformedChunksAreRefused(t *testing.T) {
	for _, tt := range chunkRefusals {
		t.Run(tt.name, func(t *testing.T) {
			if got := decode(tt.give); got.err != tt.want || got.data != tt.data || got.done || got.trailers != "" {
				t.Errorf("%+v, want %v after %q", got, tt.want, tt.data)
			}
		})
	}
}

func TestChunksAreTheSameInWhateverPiecesTheyArrive(t *testing.T) {
	for _, tt := range chunkedBodies {
		for a := range len(tt.give) + 1 {
			for b := a; b <= len(tt.give); b++ {
				if got := decode(tt.give, a, b); got != tt.want {
					t.Fatalf("%s, cut at %d and %d: %+v, want %+v", tt.name, a, b, got, tt.want)
				}
			}
		}
	}
	for _, tt := range chunkRefusals {
		for a := range min(len(tt.give), 400) {
			if got := decode(tt.give, a); got.err != tt.want || got.data != tt.data {
				t.Fatalf("%s, cut at %d: %+v, want %v after %q", tt.name, a, got, tt.want, tt.data)
			}
		}
	}
}

func TestWhatIsWrittenInChunksIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOfN(rapid.StringN(0, 40, -1), 0, 6).Draw(t, "chunks")
		trailers := []Field{{Name: []byte("A"), Value: []byte("b c")}}[:rapid.IntRange(0, 1).Draw(t, "trailers")]
		var body []byte
		for _, c := range chunks {
			body = AppendChunkHeader(body, len(c))
			if body = append(body, c...); len(c) > 0 {
				body = append(body, "\r\n"...)
			}
		}
		body = AppendLastChunk(body, trailers)
		got := decode(string(body), rapid.SliceOfN(rapid.IntRange(0, len(body)), 0, 3).Draw(t, "cuts")...)
		want := decoded{data: strings.Join(chunks, ""), used: len(body), done: true}
		if len(trailers) > 0 {
			want.trailers = "A=b c "
		}
		if got != want {
			t.Fatalf("%q: %+v, want %+v", body, got, want)
		}
	})
}

func TestChunkHeadersAreHexadecimalAndNeverTheLast(t *testing.T) {
	tests := []struct {
		give int
		want string
	}{{1, "1\r\n"}, {255, "ff\r\n"}, {1 << 20, "100000\r\n"}, {math.MaxInt32, "7fffffff\r\n"}, {0, ""}, {-1, ""}}
	for _, tt := range tests {
		if got := string(AppendChunkHeader(nil, tt.give)); got != tt.want {
			t.Errorf("%d: %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestADecoderIsFreshAfterReset(t *testing.T) {
	var d ChunkDecoder
	if _, _, err := d.Decode([]byte("0\r\nA: b\r\n\r\n")); err != nil || !d.Done() || len(d.Trailers()) != 1 {
		t.Fatalf("%v, done %v, %d trailers", err, d.Done(), len(d.Trailers()))
	}
	if _, n, err := d.Decode([]byte("next")); n != 0 || err != nil {
		t.Errorf("after the end: %d, %v", n, err)
	}
	for range 2 {
		d.Reset()
		if d.Done() || len(d.Trailers()) != 0 {
			t.Errorf("done %v, %d trailers", d.Done(), len(d.Trailers()))
		}
		if _, _, err := d.Decode([]byte("zz")); err != ErrChunkSize {
			t.Errorf("err %v", err)
		}
		if data, n, err := d.Decode([]byte("1\r\na\r\n")); err != ErrChunkSize || n != 0 || len(data) != 0 {
			t.Errorf("after an error: %q, %d, %v", data, n, err)
		}
	}
}

func TestDataStaysInItsBufferWhereTheFirstOfItStood(t *testing.T) {
	p := []byte("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nnext")
	var d ChunkDecoder
	data, n, err := d.Decode(p)
	if string(data) != "abcde" || err != nil || string(p[n:]) != "next" {
		t.Fatalf("%q, %d, %v", data, n, err)
	}
	if at := cap(p) - cap(data); at != 3 || string(p[at:at+len(data)]) != "abcde" {
		t.Errorf("data is at %d of %q", at, p)
	}
}
