package chaos

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestBodyTellsOriginRequestSizeAndPlaceApart(t *testing.T) {
	base := Body("eu", "a-1", 4096)
	if len(base) != 4096 || !bytes.Equal(base, Body("eu", "a-1", 4096)) {
		t.Fatal("a body is not its size, or not the same twice")
	}
	others := map[string][]byte{
		"origin": Body("us", "a-1", 4096),
		"id":     Body("eu", "a-2", 4096),
		"size":   Body("eu", "a-1", 4097)[:4096],
		"place":  Body("eu", "a-1", 8192)[4096:],
	}
	for name, other := range others {
		for at := 0; at+64 <= len(base); at += 64 {
			if bytes.Equal(base[at:at+64], other[at:at+64]) {
				t.Errorf("another %s: bytes from %d are the same", name, at)
			}
		}
	}
}

func TestContentReadsTheSameInAnyPieces(t *testing.T) {
	want := Body("eu", "x", 5000)
	got, err := io.ReadAll(iotest.OneByteReader(newContent("eu", "x", 5000)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("one byte at a time differs (err %v)", err)
	}
	if Body("eu", "x", 0) == nil || len(Body("eu", "x", -1)) != 0 {
		t.Error("an empty body is not empty")
	}
}

func TestMismatchFindsTheFirstWrongByte(t *testing.T) {
	whole := Body("eu", "x", 1000)
	scratch := make([]byte, 64)
	changed := bytes.Clone(whole)
	changed[777]++
	tests := []struct {
		name string
		give []byte
		want int64
	}{
		{"the right bytes", whole, -1},
		{"a part of them", whole[:300], -1},
		{"one changed byte", changed, 777},
		{"too many bytes", append(bytes.Clone(whole), 'x'), 1000},
		{"a byte left out", whole[1:], 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newContent("eu", "x", 1000).mismatch(tt.give, scratch); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
