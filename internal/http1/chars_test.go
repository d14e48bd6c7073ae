package http1

import (
	"bytes"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestScanTextStopsAtTheFirstForbiddenByteLikeAByteLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := []byte("aZ \t\x00\x1f\x20\x7e\x7f\x80\x9f\xa0\xff\r\n")
		give := rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, 40).Draw(t, "text")
		from := rapid.IntRange(0, len(give)).Draw(t, "from")
		want := from
		for want < len(give) && (give[want] == '\t' || give[want] >= ' ' && give[want] != 0x7f) {
			want++
		}
		if got := scanText(give, from); got != want {
			t.Fatalf("scanText(%q, %d) = %d, want %d", give, from, got, want)
		}
	})
}

func TestScanTextKnowsEveryByteAtEveryPosition(t *testing.T) {
	for c := range 256 {
		allowed := c == '\t' || c >= ' ' && c != 0x7f
		for at := range 17 {
			text := bytes.Repeat([]byte("a"), 17)
			text[at] = byte(c)
			want := len(text)
			if !allowed {
				want = at
			}
			if got := scanText(text, 0); got != want {
				t.Errorf("byte %#x at %d: stopped at %d, want %d", c, at, got, want)
			}
		}
	}
}

func TestParseDecimalTakesDigitsAloneAndNoOverflow(t *testing.T) {
	for _, give := range []string{"", "+1", "-1", " 1", "1 ", "0x1", "1_0", "9223372036854775808", "18446744073709551616", "00000000000000000001", "١"} {
		if n, ok := parseDecimal([]byte(give)); ok {
			t.Errorf("%q was read as %d", give, n)
		}
	}
	for _, want := range []int64{0, 7, 1024, math.MaxInt64} {
		if n, ok := parseDecimal(strconv.AppendInt(nil, want, 10)); !ok || n != want {
			t.Errorf("%d was read as %d, %v", want, n, ok)
		}
	}
	if n, ok := parseDecimal([]byte("007")); !ok || n != 7 {
		t.Errorf("007 was read as %d, %v", n, ok)
	}
}

func TestListElementsComeWithoutSpaceAndEmptyOnesNotAtAll(t *testing.T) {
	rest := []byte(" ,, a ,\tb;c=d,, ")
	var got []string
	for {
		var elem []byte
		if elem, rest = element(rest); len(elem) == 0 {
			break
		}
		got = append(got, string(elem))
	}
	if len(got) != 2 || got[0] != "a" || got[1] != "b;c=d" {
		t.Errorf("got %q", got)
	}
}
