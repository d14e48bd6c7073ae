package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreAWholeRunIntoTheDocuments(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int64{0, 1 << 10, 64 << 10, 1 << 20}; !slices.Equal(o.Sizes, want) {
		t.Errorf("sizes: got %v, want %v", o.Sizes, want)
	}
	if o.Docs != "docs" || len(o.Only) != 0 {
		t.Errorf("got docs %q, only %v", o.Docs, o.Only)
	}
}

func TestOnlyAWholeRunWritesDocumentsUnlessToldTo(t *testing.T) {
	for _, tt := range []struct{ give, want string }{
		{"-quick", ""},
		{"-only nginx", ""},
		{"-sizes 0", ""},
		{"-rate 100", ""},
		{"-docs none", ""},
		{"-rounds 9", "docs"},
		{"-idle 100", "docs"},
		{"-tls", "docs"},
		{"-tls -only nginx", ""},
		{"-quick -docs elsewhere", "elsewhere"},
	} {
		o, err := parseOptions(strings.Fields(tt.give), io.Discard)
		if err != nil || o.Docs != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.give, o.Docs, err, tt.want)
		}
	}
}

func TestAllContendersFitIntoTheTimePromised(t *testing.T) {
	for _, tt := range []struct {
		give string
		want time.Duration
	}{
		{"", 8 * time.Minute},
		{"-quick", time.Minute},
	} {
		o, err := parseOptions(strings.Fields(tt.give), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		// A tenth for starting, connecting and building.
		if got := o.estimate(len(contenderNames)) + o.secureEstimate(len(contenderNames)); got > tt.want*9/10 {
			t.Errorf("%q: %v, want less than %v", tt.give, got, tt.want*9/10)
		}
	}
}

func TestTLSIsPartOfAWholeRun(t *testing.T) {
	for _, tt := range []struct {
		give string
		want bool
	}{
		{"", true},
		{"-quick", true},
		{"-only nginx", true},
		{"-sizes 0", false},
		{"-rate 100", false},
	} {
		o, err := parseOptions(strings.Fields(tt.give), io.Discard)
		if err != nil || o.WithTLS != tt.want {
			t.Errorf("%q: got %v, %v, want %v", tt.give, o.WithTLS, err, tt.want)
		}
	}
}

func TestWrongUsageIsExplained(t *testing.T) {
	for _, tt := range []struct{ give, want string }{
		{"-only apache", `no contender "apache" (there are fairlead, nginx, haproxy, caddy, reverseproxy)`},
		{"-sizes 1KB", `bad size "1KB": want bytes, KiB or MiB, at most 16 MiB`},
		{"-sizes 17MiB", "at most 16 MiB"},
		{"-sizes -1", "bad size"},
		{"-rounds 0", "-rounds at least 1"},
		{"-duration 1ms", "-duration at least 50ms"},
		{"-idle 10 -routes", "exclude each other"},
		{"-accesslog -tls", "exclude each other"},
		{"now", `unexpected argument "now"`},
		{"-nonsense", "not defined"},
	} {
		var said strings.Builder
		_, err := parseOptions(strings.Fields(tt.give), &said)
		if err == nil || !strings.Contains(said.String(), tt.want) {
			t.Errorf("%s: got %v, said %q, want %q", tt.give, err, said.String(), tt.want)
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	var said strings.Builder
	if _, err := parseOptions([]string{"-h"}, &said); !errors.Is(err, errHelp) {
		t.Errorf("got %v", err)
	}
	for _, flag := range []string{"-only", "-rounds", "-duration", "-sizes", "-quick", "-idle", "-routes", "-accesslog", "-tls", "-docs"} {
		if !strings.Contains(said.String(), "  "+flag) {
			t.Errorf("help says nothing about %s", flag)
		}
	}
}

func TestSizesAreReadAsTheyAreWritten(t *testing.T) {
	for _, n := range []int64{0, 1, 1000, 1 << 10, 1536, 64 << 10, 1 << 20, 16 << 20} {
		if got, err := parseSize(sizeName(n)); got != n || err != nil {
			t.Errorf("%s: got %d, %v, want %d", sizeName(n), got, err, n)
		}
	}
}

func TestLargeBodiesHaveFewConnections(t *testing.T) {
	if small, large := connections(64<<10), connections(1<<20); small != 64 || large != 8 {
		t.Errorf("got %d and %d, want 64 and 8", small, large)
	}
}
