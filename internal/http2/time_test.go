package http2

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// synctestSleep lets seconds pass in a bubble.
func synctestSleep(n int) { time.Sleep(time.Duration(n) * time.Second) }

// TestSlowPeersEnd lets a peer stop where it must go on. Serve must return within
// the limit and two ticks, and not before it.
func TestSlowPeersEnd(t *testing.T) {
	const head, idle, body = 10 * time.Second, 75 * time.Second, 60 * time.Second
	tests := []struct {
		name  string
		give  func(p *peer)
		limit time.Duration
		want  error
	}{
		{"nothing comes", func(*peer) {}, head, ErrTimeout},
		{"half a preface", func(p *peer) { p.write([]byte("PRI * H")) }, head, ErrTimeout},
		{"no settings", func(p *peer) { p.write([]byte(preface)) }, head, ErrTimeout},
		{"half a frame's header", func(p *peer) { p.greet().write([]byte{0, 0}) }, head, ErrTimeout},
		{"half a frame", func(p *peer) { p.greet().write(rawFrame(fHeaders, 5, 1, make([]byte, 100))[:50]) }, head, ErrTimeout},
		{"half a field block", func(p *peer) { p.greet().frame(fHeaders, 0, 1, p.block(getHead...)) }, head, ErrTimeout},
		{"a field block in drops", func(p *peer) {
			p.greet().frame(fHeaders, 0, 1, p.block(getHead...))
			for range 9 {
				synctestSleep(1)
				p.frame(fCont, 0, 1, []byte{0x82})
			}
		}, head, ErrTimeout},
		{"a frame in drops", func(p *peer) {
			p.greet()
			for _, b := range rawFrame(fHeaders, 5, 1, make([]byte, 100))[:10] {
				p.write([]byte{b})
				synctestSleep(1)
			}
		}, head, ErrTimeout},
		{"half a DATA frame", func(p *peer) {
			p.greet().headers(1, false, postHead...)
			p.write(rawFrame(fData, 0, 1, make([]byte, 100))[:50])
		}, body, ErrTimeout},
		{"nothing is read", func(p *peer) {
			p.greet().headers(1, true, with(getHead, "x-large", "1")...)
		}, body, ErrTimeout},
		{"no stream", func(p *peer) {
			p.greet()
			go drainFrames(p)
		}, idle, nil},
		{"no stream after one", func(p *peer) {
			p.greet().headers(1, true, getHead...)
			p.wantResponse(1)
			go drainFrames(p)
		}, idle, nil},
		{"no stream, but pings", func(p *peer) {
			p.greet()
			go drainFrames(p)
			for range 7 {
				synctestSleep(10)
				p.frame(fPing, 0, 0, make([]byte, 8))
			}
		}, idle, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := time.Now()
				p := connect(t, Config{Handler: func(s *Stream) {
					if get(s, "x-large") != "" {
						_ = s.WriteHead(200, nil, false)
						_ = s.WriteBody(make([]byte, 1000), false)
						wait(s)
						return
					}
					if s.HasBody {
						wait(s)
						return
					}
					_ = s.WriteHead(200, nil, true)
				}})
				tt.give(p)
				<-p.served
				if !errors.Is(p.err, tt.want) {
					t.Errorf("Serve returned %v, want %v", p.err, tt.want)
				}
				if took := time.Since(from); took < tt.limit || took > tt.limit+2*tickEvery+flushWithin {
					t.Errorf("took %v, want %v", took, tt.limit)
				}
			})
		})
	}
}

// drainFrames reads whatever comes.
func drainFrames(p *peer) {
	buf := make([]byte, 1000)
	_ = p.nc.SetReadDeadline(time.Time{})
	for {
		if _, err := p.nc.Read(buf); err != nil {
			return
		}
	}
}

func TestASlowBodyThatMovesLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: echo}).greet()
		p.headers(1, false, postHead...)
		slow := rawFrame(fData, endStream, 1, []byte("slow body"))
		p.write(slow[:9])
		for i, b := range slow[9:] {
			synctestSleep(50)
			p.write([]byte{b})
			if i == 0 {
				p.want(fHeaders, 1)
			}
			wantData(p, 1, string(b), i == 8)
		}
	})
}

func TestAConnectionAtRestWakesAndRestsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: echo}).greet()
		for id := uint32(1); id < 9; id += 2 {
			synctestSleep(70)
			synctest.Wait()
			p.conn.mu.Lock()
			idle, free := p.conn.idle, len(p.conn.free)
			p.conn.mu.Unlock()
			if !p.conn.resting.Load() || idle != 0 || free != 0 || p.conn.in.big != nil || p.conn.out != nil {
				t.Errorf("not at rest: %d workers, %d streams", idle, free)
			}
			p.headers(id, false, postHead...)
			p.data(id, true, "abc")
			p.wantStatus(id, "200")
		}
	})
}
