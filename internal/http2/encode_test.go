package http2

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// decodeAll decodes a block with the library.
func decodeAll(t interface{ Fatalf(string, ...any) }, block []byte) []hpack.HeaderField {
	got, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
	if err != nil {
		t.Fatalf("%x: %v", block, err)
	}
	return got
}

// TestWhatIsEncodedDecodes holds the encoder against the library's decoder, for
// names that the static table has and others, in any case.
func TestWhatIsEncodedDecodes(t *testing.T) {
	known := make([]string, 0, len(staticNames))
	for _, s := range staticNames {
		if s.name != "" && !s.hop {
			known = append(known, s.name)
		}
	}
	if len(known) != 46 {
		t.Errorf("%d names", len(known))
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.SampledFrom(known), rapid.StringMatching(`[A-Za-z0-9_-]{1,200}`))
		status := rapid.IntRange(100, 999).Draw(t, "status")
		var fields []Field
		want := []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(status)}}
		for range rapid.IntRange(0, 20).Draw(t, "fields") {
			n := name.Draw(t, "name")
			if rapid.Bool().Draw(t, "upper") {
				n = strings.ToUpper(n)
			}
			v := rapid.StringMatching(`[ -~]{0,300}`).Draw(t, "value")
			fields = append(fields, Field{[]byte(n), []byte(v)})
			n = strings.ToLower(n)
			if slices.Contains([]string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}, n) {
				continue
			}
			secret := slices.Contains([]string{"authorization", "cookie", "proxy-authorization", "set-cookie"}, n)
			want = append(want, hpack.HeaderField{Name: n, Value: v, Sensitive: secret})
		}
		got := decodeAll(t, appendFields(appendStatus(nil, status), fields))
		if !slices.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

func TestFieldsOfHTTP1ConnectionsAreLeftOut(t *testing.T) {
	got := appendFields(nil, fields("Connection", "x", "keep-alive", "x", "Proxy-Connection", "x", "TRANSFER-ENCODING", "x", "upgrade", "x"))
	if len(got) != 0 {
		t.Errorf("got %x", got)
	}
}

// TestNamesAreTheStaticTables holds the names against the library's table: an
// index and an empty value decode to that name.
func TestNamesAreTheStaticTables(t *testing.T) {
	for _, s := range staticNames {
		if s.name == "" || s.index == 0 {
			continue
		}
		got := decodeAll(t, appendString(appendInt(nil, 0, 4, int(s.index)), nil))
		if got[0].Name != s.name || len(s.name) > longestName {
			t.Errorf("index %d is %q, not %q", s.index, got[0].Name, s.name)
		}
	}
}

// TestTextIsToldByEights compares isText with a loop over the bytes.
func TestTextIsToldByEights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.OneOf(rapid.ByteRange('a', 'z'), rapid.Byte()), 0, 40).Draw(t, "bytes")
		want := len(b) == 0 || bytes.Equal(b, bytes.Trim(b, " \t"))
		for _, c := range b {
			want = want && (c >= ' ' && c != 0x7f || c == '\t')
		}
		if isText(b) != want {
			t.Fatalf("%q: %t", b, !want)
		}
	})
}

func BenchmarkAppendField(b *testing.B) {
	head := fields("Content-Type", "text/plain", "Content-Length", "1024", "Date", "Mon, 23 Nov 2026 03:00:00 GMT", "ETag", `"1"`, "X-Custom", "value", "Vary", "Accept")
	b.Run("table", func(b *testing.B) {
		dst := make([]byte, 0, 1000)
		b.ReportAllocs()
		for b.Loop() {
			dst = appendFields(dst[:0], head)
		}
	})
	b.Run("library", func(b *testing.B) {
		var buf bytes.Buffer
		enc := hpack.NewEncoder(&buf)
		b.ReportAllocs()
		for b.Loop() {
			buf.Reset()
			for i := range head {
				_ = enc.WriteField(hpack.HeaderField{Name: strings.ToLower(string(head[i].Name)), Value: string(head[i].Value)})
			}
		}
	})
}
