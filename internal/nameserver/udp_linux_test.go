package nameserver

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/ipv4"
)

// fakeBatch fails for some messages, as sendmmsg does: with -1 if the first one
// fails, and else with how many were sent before.
type fakeBatch struct {
	fails map[int]bool // by the length of the message
	sent  []int
	end   error
}

func (f *fakeBatch) ReadBatch([]ipv4.Message, int) (int, error) { return 0, net.ErrClosed }

func (f *fakeBatch) WriteBatch(ms []ipv4.Message, _ int) (int, error) {
	if f.end != nil {
		return 0, f.end
	}
	for i := range ms {
		n := len(ms[i].Buffers[0])
		if f.fails[n] && i == 0 {
			return -1, syscall.ENETUNREACH
		}
		if f.fails[n] {
			return i, nil
		}
		f.sent = append(f.sent, n)
	}
	return len(ms), nil
}

// An answer that can't be sent costs the others nothing, and no loop.
func TestAnAnswerThatCannotBeSent(t *testing.T) {
	var ms []ipv4.Message
	for n := range 6 {
		ms = append(ms, ipv4.Message{Buffers: [][]byte{make([]byte, n)}})
	}
	tests := []struct {
		fails map[int]bool
		sent  int
	}{
		{nil, 6},
		{map[int]bool{0: true}, 5},
		{map[int]bool{2: true, 3: true}, 4},
		{map[int]bool{5: true}, 5},
		{map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: true}, 0},
	}
	for _, tt := range tests {
		s, f := newWorld().server(t), &fakeBatch{fails: tt.fails}
		s.writeBatch(f, ms)
		if len(f.sent) != tt.sent || s.Stats().Errors != uint64(len(tt.fails)) {
			t.Errorf("%v: sent %v, %d errors", tt.fails, f.sent, s.Stats().Errors)
		}
	}
	s := newWorld().server(t)
	s.writeBatch(&fakeBatch{end: net.ErrClosed}, ms)
	if s.Stats().Errors != 0 {
		t.Error("the end counts as an error")
	}
}

// What came with a query goes with its answer, but for the interface.
func TestTheSourceOfAnAnswer(t *testing.T) {
	head := syscall.CmsgLen(0)
	control := make([]byte, syscall.CmsgSpace(12))
	for i := range control {
		control[i] = byte(i + 1)
	}
	b := batch{ifIndex: head}
	got := b.source(control)
	for i, c := range got {
		want := byte(i + 1)
		if head <= i && i < head+4 {
			want = 0
		}
		if c != want {
			t.Errorf("byte %d is %d, want %d", i, c, want)
		}
	}
	if b.source(control[:head]) != nil || (&batch{}).source(control) != nil {
		t.Error("a source out of nothing")
	}
}
