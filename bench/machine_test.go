package main

import (
	"reflect"
	"testing"
	"time"
)

func TestStatLinesAreReadWhateverTheProgramIsCalled(t *testing.T) {
	const rest = " S 12 40 40 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 900 1000 200 184467 1 1"
	want := stat{ID: 34, Parent: 12, CPU: 2 * time.Second}
	for _, name := range []string{"nginx", "a b", "x) R 1 (y", "()"} {
		got, err := parseStat("34 (" + name + ")" + rest + "\n")
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "34", "34 (x", "34 (x) S 12", "x (y)" + rest} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestWriteCallsAreCounted(t *testing.T) {
	if n, err := parseWrites("rchar: 2012\nwchar: 7\nsyscr: 7\nsyscw: 12\nread_bytes: 1\n"); n != 12 || err != nil {
		t.Errorf("got %d, %v, want 12", n, err)
	}
	for _, bad := range []string{"", "wchar: 7\n", "syscw: \n", "syscw: x\n"} {
		if n, err := parseWrites(bad); err == nil {
			t.Errorf("%q was read as %d", bad, n)
		}
	}
}

func TestTheProcessorIsNamed(t *testing.T) {
	for _, tt := range []struct{ give, want string }{
		{"processor\t: 0\nmodel name\t: Fast One\nprocessor\t: 1\nmodel name\t: Fast One\n", "Fast One"},
		{"processor\t: 0\n\nModel\t\t: Raspberry Pi 4\n", "Raspberry Pi 4"},
		{"", "unknown processor"},
	} {
		if got := modelOf(tt.give); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestTheProxyHasACoreOfItsOwnIfThereAreTwo(t *testing.T) {
	for _, tt := range []struct {
		give []int
		want cores
		text string
	}{
		{[]int{3}, cores{[]int{3}, []int{3}, []int{3}}, "one core for the proxy, the origin and the load"},
		{[]int{0, 1}, cores{[]int{1}, []int{0}, []int{0}}, "the proxy on core 1, origin and load on core 0"},
		{[]int{0, 2, 4, 6}, cores{[]int{6}, []int{0}, []int{2, 4}}, "the proxy on core 6, the origin on core 0, the load on 2 more"},
	} {
		got := shareCores(tt.give)
		if !reflect.DeepEqual(got, tt.want) || got.String() != tt.text {
			t.Errorf("%v: got %+v, %q", tt.give, got, got)
		}
	}
}

func TestVersionsAreFoundInWhatProgramsSay(t *testing.T) {
	for _, tt := range []struct{ give, want string }{
		{"nginx version: nginx/1.22.1\n", "1.22.1"},
		{"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "2.6.12"},
		{"v2.10.0 h1:fonubSaQKF1YANl8TXqGcn4IbIRUDdfAkpcsfI/vX5U=\n", "2.10.0"},
		{"no idea\n", ""},
	} {
		if got := firstVersion(tt.give); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestABusyMachineIsRemarkedOn(t *testing.T) {
	for _, tt := range []struct {
		give string
		want bool
	}{
		{"0.10 0.50 0.90 1/100 1234\n", false},
		{"4.14 3.73 2.13 9/100 1234\n", true},
		{"", false},
	} {
		if got := busyNote(tt.give) != ""; got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.give, got, tt.want)
		}
	}
}
