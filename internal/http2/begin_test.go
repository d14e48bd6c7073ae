package http2

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// owned is what an owner keeps of a stream: set by Begin, used by the handler
// and by Left, without a lock of its own.
type owned struct {
	id   uint32
	turn uint64
}

// TestLeftFindsWhatBeginSet resets streams before, while and after their
// handlers begin. Left must find what Begin has set, and be called for no
// stream whose handler is not.
func TestLeftFindsWhatBeginSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var handled, left atomic.Int64
		p := connect(t, Config{
			Begin: func(s *Stream) {
				runtime.Gosched()
				s.Value = &owned{s.ID(), s.Turn()}
			},
			Left: func(s *Stream) {
				if o := s.Value.(*owned); o.id != s.ID() {
					t.Errorf("told of stream %d, begun was %d", s.ID(), o.id)
				}
				left.Add(1)
			},
			Handler: func(s *Stream) {
				handled.Add(1)
				if s.Value.(*owned).turn != s.Turn() {
					t.Error("the handler has another turn")
				}
				wait(s)
			},
		}).greet()
		go drainFrames(p)
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 20), 1, 60).Draw(rt, "pauses") {
			id := uint32(2*i + 1)
			open, reset := rawFrame(fHeaders, endHeaders|endStream, id, p.block(getHead...)), rawFrame(fReset, 0, id, u32(8))
			if n == 0 {
				p.write(append(open, reset...))
				continue
			}
			p.write(open)
			for range n {
				runtime.Gosched()
			}
			p.write(reset)
		}
		p.close()
		<-p.served
		if left.Load() > handled.Load() {
			rt.Errorf("%d handlers, %d told", handled.Load(), left.Load())
		}
	})
}

// TestNoHandlerForAClientThatLeavesInBegin lets the reset come while Begin runs.
func TestNoHandlerForAClientThatLeavesInBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		p := connect(t, Config{
			Begin: func(s *Stream) {
				if s.ID() == 1 {
					<-hold
				}
			},
			Left: func(*Stream) { t.Error("Left was called") },
			Handler: func(s *Stream) {
				if s.ID() == 1 {
					t.Error("the handler was called")
				}
				echo(s)
			},
		}).greet()
		p.headers(1, true, getHead...)
		synctest.Wait()
		p.frame(fReset, 0, 1, u32(8))
		p.alive()
		close(hold)
		synctest.Wait()
		p.headers(3, true, getHead...)
		p.wantStatus(3, "200")
		if n := p.conn.Streams(); n != 0 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestAPanicInBeginResetsTheStream(t *testing.T) {
	var told atomic.Int64
	p := connect(t, Config{
		Begin:    func(*Stream) { panic("oh") },
		Handler:  func(*Stream) { t.Error("the handler was called") },
		Panicked: func(any) { told.Add(1) },
	}).greet()
	p.headers(1, true, getHead...)
	p.wantReset(1, CodeInternal)
	p.alive()
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
}
