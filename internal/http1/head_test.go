package http1

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestHeadEndFindsTheEmptyLine(t *testing.T) {
	tests := []struct {
		name, give string
		want       int
		wantErr    error
	}{
		{"nothing yet", "", 0, nil},
		{"half a line", "GET / HT", 0, nil},
		{"a line", "GET / HTTP/1.1\r\n", 0, nil},
		{"all but the last byte", "GET / HTTP/1.1\r\nHost: a\r\n\r", 0, nil},
		{"a head", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, nil},
		{"a head and a body", "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n", 27, nil},
		{"a head without fields", "GET / HTTP/1.1\r\n\r\n", 18, nil},
		{"an empty line alone", "\r\n", 2, nil},
		{"a bare LF that ends a line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 0, ErrBareLF},
		{"a bare LF before the end has come", "GET / HTTP/1.1\r\nHost: a\n", 0, ErrBareLF},
		{"a bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 0, ErrBareLF},
		{"a bare LF first of all", "\nGET", 0, ErrStartLine},
		{"a TLS record", "\x16\x03\x01", 0, ErrStartLine},
		{"a leading space", " GET", 0, ErrStartLine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := HeadEnd([]byte(tt.give), 0)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("HeadEnd(%q) = %d, %v; want %d, %v", tt.give, got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestHeadEndIsTheSameInWhateverPiecesTheHeadArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		give := []byte(rapid.StringMatching(`[A:]{0,3}([A:]{0,2}(\r\n|\r|\n)){0,5}`).Draw(t, "head"))
		want, wantErr := HeadEnd(give, 0)
		for at := 0; at <= len(give); {
			step := rapid.IntRange(1, 3).Draw(t, "step")
			got, err := HeadEnd(give[:min(at+step, len(give))], at)
			if err != nil || got != 0 {
				if got != want || err != wantErr {
					t.Fatalf("from %d: %d, %v; at once: %d, %v", at, got, err, want, wantErr)
				}
				return
			}
			at += step
		}
		if want != 0 || wantErr != nil {
			t.Fatalf("in pieces: incomplete; at once: %d, %v", want, wantErr)
		}
	})
}

func TestEmptyLinesBeforeARequestAreCounted(t *testing.T) {
	tests := []struct {
		give string
		want int
	}{
		{"", 0},
		{"\r", 0},
		{"\r\n", 2},
		{"\r\n\r\nGET", 4},
		{"\r\n\rG", 2},
		{"\nGET", 0},
		{"GET\r\n", 0},
	}
	for _, tt := range tests {
		if got := EmptyLines([]byte(tt.give)); got != tt.want {
			t.Errorf("EmptyLines(%q) = %d, want %d", tt.give, got, tt.want)
		}
	}
}

func TestAFullBufferIsToldApartByWhetherTheRequestLineFitted(t *testing.T) {
	if got := TooLarge([]byte("GET /aaaaaaaaaaaaaaaa")); got != ErrTargetTooLong {
		t.Errorf("without a line's end: %v", got)
	}
	if got := TooLarge([]byte("GET / HTTP/1.1\r\nCookie: aaaa")); got != ErrHeadTooLarge {
		t.Errorf("with a request line: %v", got)
	}
}
