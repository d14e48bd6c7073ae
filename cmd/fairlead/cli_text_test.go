package main

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPlainIsPlainAndLeavesPlainTextAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyText().Draw(t, "s")
		p := plain(s)
		if !isPlain(p) || strings.Contains(p, "\n") || plain(p) != p {
			t.Fatalf("%q became %q", s, p)
		}
	})
	for give, want := range map[string]string{
		"shop-1": "shop-1", "Büro, 名前": "Büro, 名前", "\x1b[31m": `\x1b[31m`, "a\nb": `a\nb`, "\xff": `\xff`, "\u202e": `\u202e`, "\u009b": `\u009b`, "\u007f": `\x7f`,
	} {
		if got := plain(give); got != want {
			t.Errorf("%q became %q, want %q", give, got, want)
		}
	}
}

func TestMakePlainReachesEveryString(t *testing.T) {
	evil := "\x1b"
	v := struct {
		A string
		B []string
		C *struct{ D string }
		E []struct{ F *string }
		G *string
	}{evil, []string{evil}, &struct{ D string }{evil}, []struct{ F *string }{{&evil}}, nil}
	makePlain(&v)
	if v.A+v.B[0]+v.C.D+*v.E[0].F != strings.Repeat(`\x1b`, 4) {
		t.Errorf("got %+v", v)
	}
}

func TestCutsKeepToTheirWidthAndTheirEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := plain(anyText().Draw(t, "s"))
		width := rapid.IntRange(0, 100).Draw(t, "width")
		middle, end := cutMiddle(s, width), cutEnd(s, width)
		if columns(middle) > width || columns(end) > width {
			t.Fatalf("%q in %d columns became %q and %q", s, width, middle, end)
		}
		if columns(s) <= width && (middle != s || end != s) {
			t.Fatalf("%q fits, and became %q and %q", s, middle, end)
		}
		head, tail, cut := strings.Cut(middle, ellipsis)
		if cut && !strings.Contains(s, ellipsis) && (!strings.HasPrefix(s, head) || !strings.HasSuffix(s, tail)) {
			t.Fatalf("%q became %q", s, middle)
		}
	})
	if got := cutMiddle("checkout-eu-west-1", 9); got != "chec…st-1" {
		t.Errorf("got %q", got)
	}
}

func TestWrappedTextFitsAndLosesNoWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.TrimLeft(plain(strings.Join(rapid.SliceOf(anyText()).Draw(t, "words"), " ")), " ")
		width, indent := rapid.IntRange(8, 100).Draw(t, "width"), rapid.IntRange(0, 40).Draw(t, "indent")
		var joined strings.Builder
		for _, line := range wrap(s, width, indent) {
			if columns(line) > width {
				t.Fatalf("%q is longer than %d columns", line, width)
			}
			joined.WriteString(line)
		}
		squeeze := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if squeeze(joined.String()) != squeeze(s) {
			t.Fatalf("%q in %d columns, indented by %d, became %q", s, width, indent, joined.String())
		}
	})
}

func TestAgesAndTimesAreShort(t *testing.T) {
	for give, want := range map[time.Duration]string{
		-time.Hour: "0 s", 0: "0 s", 59 * time.Second: "59 s", 4*time.Minute + 50*time.Second: "4 min", 47 * time.Hour: "47 h", 49 * time.Hour: "2 d",
	} {
		if got := age(give); got != want {
			t.Errorf("%v is %q, want %q", give, got, want)
		}
	}
	if got := clock(noon, noon.Add(time.Hour), time.UTC) + ", " + clock(noon, noon.Add(24*time.Hour), time.UTC); got != "12:00, 2026-11-23 12:00" {
		t.Errorf("got %q", got)
	}
	for give, want := range map[float64]string{0: "0 ms", 0.54: "0.5 ms", 3: "3 ms", 12.4: "12 ms", 9999: "9999 ms", 30_000: "30 s"} {
		if got := millis(give); got != want {
			t.Errorf("%v is %q, want %q", give, got, want)
		}
	}
}
