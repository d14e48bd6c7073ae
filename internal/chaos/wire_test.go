package chaos

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestHeadFaultsAreFound(t *testing.T) {
	tests := []struct{ give, want string }{
		{"A: b\r\n", ""},
		{"A: b\r\nA: c\r\nContent-Length: 1\r\n", ""},
		{"Content-Length: 1\r\nContent-Length: 1\r\n", "repeated"},
		{"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "beside"},
		{"A: b\x00\r\n", "NUL"},
		{"A: b\rc\r\n", "CR"},
		{"A : b\r\n", "bad field"},
		{"A: b\r\n c\r\n", "bad field"},
		{"no colon\r\n", "bad field"},
		{": x\r\n", "bad field"},
	}
	for _, tt := range tests {
		h := parseHead("GET / HTTP/1.1\r\n" + tt.give + "\r\n")
		if got := h.fault(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestReadHeadKeepsWhatCameBeforeAnError(t *testing.T) {
	tests := []struct {
		give string
		want error
	}{
		{"", io.EOF},
		{"GET / HTTP/1.1\r\nChaos-Id: 7\r\nHo", io.ErrUnexpectedEOF},
		{"GET / HTTP/1.1\nChaos-Id: 7\n\n", malformed("bare LF")},
	}
	for _, tt := range tests {
		h, err := readHead(bufio.NewReader(strings.NewReader(tt.give)))
		if !errors.Is(err, tt.want) {
			t.Errorf("%q: error %v, want %v", tt.give, err, tt.want)
		}
		if !strings.HasPrefix(tt.give, h.Raw) || tt.give != "" && h.Raw == "" {
			t.Errorf("%q: kept %q", tt.give, h.Raw)
		}
	}
	h, _ := readHead(bufio.NewReader(strings.NewReader(tests[1].give)))
	if h.Get("chaos-id") != "7" {
		t.Error("the id of half a head is not known")
	}
}

func TestBodiesEndWhereTheirFramingSays(t *testing.T) {
	tests := []struct {
		name    string
		give    string
		framing framing
		length  int64
		want    string
		err     string // "" for a whole body
		rest    string
	}{
		{"none", "abc", framingNone, 0, "", "", "abc"},
		{"length", "abcde", framingLength, 3, "abc", "", "de"},
		{"length 0", "abc", framingLength, 0, "", "", "abc"},
		{"length cut off", "ab", framingLength, 3, "ab", "unexpected EOF", ""},
		{"until close", "abc", framingUntilClose, 0, "abc", "", ""},
		{"chunks", "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\nrest", framingChunked, 0, "abcde", "", "rest"},
		{"chunks without the last", "3\r\nabc\r\n", framingChunked, 0, "abc", "unexpected EOF", ""},
		{"chunks without the last empty line", "3\r\nabc\r\n0\r\n", framingChunked, 0, "abc", "unexpected EOF", ""},
		{"chunk cut off", "3\r\nab", framingChunked, 0, "ab", "unexpected EOF", ""},
		{"chunk size no number", "zz\r\nab", framingChunked, 0, "", "bad chunk size", "ab"},
		{"chunk size signed", "+3\r\nabc\r\n", framingChunked, 0, "", "bad chunk size", "abc\r\n"},
		{"chunk size too big", "10000000000000000\r\n", framingChunked, 0, "", "bad chunk size", ""},
		{"chunk too long", "2\r\nabc\r\n", framingChunked, 0, "ab", "longer than its size", "\n"},
		{"chunk with bare LF", "2\nab\r\n", framingChunked, 0, "", "bare LF", "ab\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			br := bufio.NewReader(iotest.HalfReader(strings.NewReader(tt.give)))
			b := &body{br: br, framing: tt.framing, left: tt.length}
			got, err := io.ReadAll(b)
			rest, _ := io.ReadAll(br)
			if string(got) != tt.want || string(rest) != tt.rest {
				t.Errorf("got %q and the rest %q, want %q and %q", got, rest, tt.want, tt.rest)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}
