//go:build unix

package handover

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// withParent plays the parent's side of Ready.
func withParent(t *testing.T, play func(fromChild, toChild *os.File)) (p *Parent, charged *int) {
	t.Helper()
	in, toChild, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromChild, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan struct{})
	go func() {
		defer close(played)
		play(fromChild, toChild)
		_ = toChild.Close()
		_ = fromChild.Close()
	}()
	t.Cleanup(func() { <-played })
	charged = new(int)
	return &Parent{in: in, out: out, state: []byte("state"), charge: func() { *charged++ }}, charged
}

func hear(f *os.File) string {
	b := make([]byte, 1)
	n, _ := f.Read(b)
	return string(b[:n])
}

func TestAChildIsInChargeOnlyWhenTheParentHasConfirmed(t *testing.T) {
	gone := func(err error) bool { return errors.Is(err, ErrParentGone) }
	refused := func(err error) bool { return err != nil && strings.Contains(err.Error(), `said "x"`) && !gone(err) }
	tests := []struct {
		name    string
		play    func(fromChild, toChild *os.File)
		want    func(error) bool
		charged int
	}{
		{"confirms", func(from, to *os.File) { _, _ = to.WriteString(map[string]string{"r": "c"}[hear(from)]) }, func(err error) bool { return err == nil }, 1},
		{"hears and ends", func(from, _ *os.File) { hear(from) }, gone, 1},
		{"has ended", func(_, _ *os.File) {}, gone, 1},
		{"says something else", func(from, to *os.File) { hear(from); _, _ = to.WriteString("x") }, refused, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, charged := withParent(t, tt.play)
			if string(p.State()) != "state" {
				t.Errorf("the state is %q", p.State())
			}
			for range 2 {
				if err := p.Ready(); !tt.want(err) {
					t.Errorf("Ready returned %v", err)
				}
			}
			if *charged != tt.charged {
				t.Errorf("took charge %d times, want %d", *charged, tt.charged)
			}
		})
	}
}
