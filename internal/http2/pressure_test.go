package http2

import (
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestCheapAnswersDoNotBuyBackCancelledRequests cancels requests that are being
// served, and pays for each with responses that cost nothing to make.
func TestCheapAnswersDoNotBuyBackCancelledRequests(t *testing.T) {
	for name, end := range map[string]func(p *peer, id uint32){
		"reset by the client":          func(p *peer, id uint32) { p.frame(fReset, 0, id, u32(8)) },
		"the client makes us reset it": func(p *peer, id uint32) { p.frame(fWindow, 0, id, u32(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := connect(t, Config{Handler: holdOrEcho}).greet()
				id, cancelled := uint32(1), 0
				for ; cancelled < cancelBurst; cancelled++ {
					id = cancelOne(p, id, end)
					for range 8 {
						p.headers(id, true, getHead...)
						p.wantStatus(id, "200")
						id += 2
					}
				}
				p.alive()
				cancelOne(p, id, end)
				p.wantError(CodeEnhanceYourCalm)
			})
		})
	}
}

func cancelOne(p *peer, id uint32, end func(p *peer, id uint32)) uint32 {
	p.headers(id, true, postHead...)
	synctest.Wait() // the handler runs
	end(p, id)
	return id + 2
}

// TestCancelledPagesAreForgiven leaves a page of a hundred requests every second,
// and has requests reset that no handler was bothered with.
func TestCancelledPagesAreForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Patience: 1 << 20, Handler: holdOrEcho}).greet()
		id := uint32(1)
		for range 20 {
			first := id
			for range 100 {
				p.headers(id, true, postHead...)
				id += 2
			}
			synctest.Wait()
			for ; first < id; first += 2 {
				p.frame(fReset, 0, first, u32(8))
			}
			p.alive()
			synctestSleep(1)
		}
		for range 2 * cancelBurst {
			p.write(append(rawFrame(fHeaders, endHeaders|endStream, id, p.block(postHead...)), rawFrame(fReset, 0, id, u32(8))...))
			id += 2
		}
		p.alive()
	})
}

// TestLateFramesOnAStreamThatWeHaveReset come after a thousand other streams.
func TestLateFramesOnAStreamThatWeHaveReset(t *testing.T) {
	for _, others := range []string{"answered", "reset too"} {
		t.Run(others, func(t *testing.T) {
			p := connect(t, Config{ConnWindow: 65536, Handler: func(s *Stream) {
				if s.HasBody || get(s, "x-reset") != "" {
					s.Reset(CodeCancel)
					return
				}
				echo(s)
			}}).greet()
			p.headers(1, false, postHead...)
			p.wantReset(1, CodeCancel)
			for id := uint32(3); id < 2003; id += 2 {
				if others == "answered" {
					p.headers(id, true, getHead...)
					p.wantStatus(id, "200")
				} else {
					p.headers(id, true, with(getHead, "x-reset", "1")...)
					p.wantReset(id, CodeCancel)
				}
			}
			for range 8 { // twice the connection's window
				p.data(1, false, string(make([]byte, 16<<10)))
				p.alive()
			}
			p.frame(fWindow, 0, 1, u32(100))
			p.headers(1, true, "late", "too")
			p.frame(fReset, 0, 1, u32(8))
			p.data(1, true, "later still")
			p.headers(2003, true, getHead...)
			p.wantStatus(2003, "200")
			p.data(2005, false, "x")
			p.wantError(CodeProtocol)
		})
	}
}

func TestLateFramesAreCharged(t *testing.T) {
	for name, give := range map[string]func(p *peer){
		"DATA":     func(p *peer) { p.data(1, false, "x") },
		"trailers": func(p *peer) { p.headers(1, true, "a", "b") },
		"windows":  func(p *peer) { p.frame(fWindow, 0, 1, u32(1)) },
		"resets":   func(p *peer) { p.frame(fReset, 0, 1, u32(8)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := connect(t, Config{Patience: 1000, Handler: func(s *Stream) { s.Reset(CodeCancel) }}).greet()
				for id := uint32(1); id < 4*recently; id += 2 { // the first is forgotten
					p.headers(id, false, postHead...)
					p.wantReset(id, CodeCancel)
				}
				for range 1001 {
					give(p)
				}
				p.wantError(CodeEnhanceYourCalm)
			})
		})
	}
}

func TestRequestsAfterTheLastGoAwayAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Patience: 200, Handler: holdOrEcho}).greet()
		p.headers(1, true, postHead...)
		p.frame(fGoAway, 0, 0, make([]byte, 8))
		for i := range 101 {
			p.headers(uint32(2*i+3), true, getHead...)
		}
		p.wantError(CodeEnhanceYourCalm)
	})
}

// TestSmallWindowsAreServed updates both windows for each frame of a body, as a
// careful client with little memory does; only windows of a few bytes are too much.
func TestSmallWindowsAreServed(t *testing.T) {
	for _, window := range []int{64, 100, 200, 512, 1, 31} {
		t.Run(strconv.Itoa(window), func(t *testing.T) {
			const frames, budget = 1000, 100
			synctest.Test(t, func(t *testing.T) {
				p := connect(t, Config{Patience: budget, Handler: bodyOf(frames * window)}).greet(4, uint32(window))
				p.headers(1, true, getHead...)
				p.want(fHeaders, 1)
				for got := 0; got < frames*window; {
					f := p.next()
					if f.typ == fGoAway && window < creditSmall {
						return
					}
					if f.typ != fData {
						t.Fatalf("%d bytes came, then %+v", got, f)
					}
					got += len(f.payload)
					p.frame(fWindow, 0, 1, u32(uint32(len(f.payload))))
					p.frame(fWindow, 0, 0, u32(uint32(len(f.payload))))
				}
				if window < creditSmall {
					t.Error("tiny windows were paid for")
				}
				p.alive()
			})
		})
	}
}

// TestNothingTrickledKeepsAConnection sends parts of frames, and no request.
func TestNothingTrickledKeepsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{IdleTimeout: 20 * time.Second, Handler: func(s *Stream) { s.Reset(CodeCancel) }}).greet()
		p.headers(1, false, postHead...)
		p.wantReset(1, CodeCancel)
		go drainFrames(p)
		from := time.Now()
		late := rawFrame(fData, 0, 1, make([]byte, 16<<10))
		p.write(late[:9])
		for i := 9; i < 60; i++ {
			synctestSleep(1)
			p.write(late[i : i+1])
		}
		<-p.served
		if took := time.Since(from); p.err != nil || took < 20*time.Second || took > 52*time.Second {
			t.Errorf("Serve returned %v after %v", p.err, took)
		}
	})
}

// TestServeTellsTheCodeThoughThePeerIsGone breaks the protocol when nothing can
// be written any more.
func TestServeTellsTheCodeThoughThePeerIsGone(t *testing.T) {
	broken := &ConnError{CodeEnhanceYourCalm, "too many pings"}
	for _, tt := range []struct{ first, want error }{
		{io.ErrClosedPipe, broken},
		{ErrTimeout, broken},
		{net.ErrClosed, net.ErrClosed}, // we have closed it
	} {
		_, nc := net.Pipe()
		c := NewServer(Config{Handler: echo}).NewConn(nc, nil)
		c.mu.Lock()
		c.killLocked(tt.first)
		c.mu.Unlock()
		c.stop(broken)
		if !errors.Is(c.ended, tt.want) {
			t.Errorf("%v: Serve would return %v", tt.first, c.ended)
		}
		nc.Close()
	}
}
