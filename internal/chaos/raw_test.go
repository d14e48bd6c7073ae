package chaos

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"
)

func TestRawReportsHowAResponseEnded(t *testing.T) {
	o := NewOrigin(t, "eu")
	tests := []struct {
		give Behaviour
		want error
	}{
		{CloseBeforeHead(), io.EOF},
		{HalfStatusLine(), io.ErrUnexpectedEOF},
		{Truncate(), io.ErrUnexpectedEOF},
		{ResetMidBody(), syscall.ECONNRESET},
		{ContradictingLength(), malformed("Content-Length repeated")},
	}
	for _, tt := range tests {
		o.Set(tt.give)
		if _, err := Dial(t, "tcp", o.Addr()).Do(get("/")); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.give.Name(), err, tt.want)
		}
	}
	o.Set(Hang())
	r := Dial(t, "tcp", o.Addr())
	r.Timeout = 20 * time.Millisecond
	if r.Closed() {
		t.Error("an open connection is called closed")
	}
	if err := r.SendSlowly("GET", time.Microsecond); err != nil {
		t.Error(err)
	}
	fake := &fakeTB{}
	o.Close()
	func() {
		defer func() { _ = recover() }() // a real test would have ended in Fatalf
		Dial(fake, "tcp", o.Addr())
	}()
	if len(fake.errors) != 1 {
		t.Errorf("dialling nobody was reported as %q", fake.errors)
	}
}
