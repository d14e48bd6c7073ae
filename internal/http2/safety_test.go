package http2

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestFloodsEndTheirConnection sends what is legal once, again and again,
// without letting time pass. The connection must end with ENHANCE_YOUR_CALM,
// after no more rounds than the budget allows.
func TestFloodsEndTheirConnection(t *testing.T) {
	const budget = 200
	next := func(i int) uint32 { return uint32(2*i + 101) }
	tests := []struct {
		name   string
		rounds int // that are certainly too many
		give   func(p *peer, i int)
	}{
		{"pings", budget, func(p *peer, _ int) { p.frame(fPing, 0, 0, make([]byte, 8)) }},
		{"answers to pings", budget, func(p *peer, _ int) { p.frame(fPing, ack, 0, make([]byte, 8)) }},
		{"settings", budget / 10, func(p *peer, _ int) { p.frame(fSettings, 0, 0, nil) }},
		{"settings that move every window", budget / 10, func(p *peer, i int) { p.frame(fSettings, 0, 0, settings(4, uint32(i))) }},
		{"a setting many times in a frame", 2, func(p *peer, _ int) {
			p.frame(fSettings, 0, 0, []byte(strings.Repeat(string(settings(4, 1, 4, 2)), 1000)))
		}},
		{"acknowledgements", budget, func(p *peer, _ int) { p.frame(fSettings, ack, 0, nil) }},
		{"priorities", budget, func(p *peer, i int) { p.frame(fPriority, 0, next(i), make([]byte, 5)) }},
		{"priorities of another length", budget / 10, func(p *peer, i int) { p.frame(fPriority, 0, next(i), make([]byte, 4)) }},
		{"unknown frames", budget, func(p *peer, _ int) { p.frame(0xfe, 0, 0, make([]byte, 100)) }},
		{"goaways", budget, func(p *peer, _ int) { p.frame(fGoAway, 0, 0, make([]byte, 8)) }},
		{"empty DATA", budget, func(p *peer, _ int) { p.data(1, false, "") }},
		{"DATA of padding", budget, func(p *peer, _ int) { p.frame(fData, padded, 1, make([]byte, 1)) }},
		{"windows of the connection", budget, func(p *peer, _ int) { p.frame(fWindow, 0, 0, u32(1)) }},
		{"windows of a stream", budget, func(p *peer, _ int) { p.frame(fWindow, 0, 1, u32(1)) }},
		{"windows of a closed stream", budget, func(p *peer, _ int) { p.frame(fWindow, 0, 3, u32(1)) }},
		{"resets of a closed stream", budget / 2, func(p *peer, _ int) { p.frame(fReset, 0, 3, u32(8)) }},
		{"DATA on a stream that we have reset", budget, func(p *peer, _ int) { p.data(5, false, "x") }},
		{"trailers on a stream that we have reset", budget, func(p *peer, _ int) { p.headers(5, true, "a", "b") }},
		{"requests that are reset", budget / 2, func(p *peer, i int) {
			p.headers(next(i), true, with(getHead, "x-hold", "1")...)
			p.frame(fReset, 0, next(i), u32(8))
		}},
		{"heads over the limit", budget / 8, func(p *peer, i int) {
			p.frame(fHeaders, endHeaders|endStream, next(i), append(p.block(getHead...), []byte(strings.Repeat("\x54\x00", 700))...))
		}},
		{"malformed requests", budget / 10, func(p *peer, i int) { p.headers(next(i), true, ":path", "/") }},
		{"streams that we are made to reset", budget / 10, func(p *peer, i int) {
			p.headers(next(i), false, getHead...)
			p.frame(fWindow, 0, next(i), u32(0))
		}},
		{"streams over the limit", budget/2 + 10, func(p *peer, i int) { p.headers(next(i), false, with(getHead, "x-hold", "1")...) }},
		{"CONTINUATION without a byte", maxFragments, func(p *peer, i int) {
			if i == 0 {
				p.frame(fHeaders, 0, 101, nil)
			}
			p.frame(fCont, 0, 101, nil)
		}},
		{"CONTINUATION without an end", 10, func(p *peer, i int) {
			if i == 0 {
				p.frame(fHeaders, 0, 101, p.block(getHead...))
			}
			p.frame(fCont, 0, 101, p.block("x-"+strconv.Itoa(i), strings.Repeat("~", 12000)))
		}},
		{"a field without an end", 10, func(p *peer, i int) {
			if i == 0 {
				p.frame(fHeaders, 0, 101, []byte{0x00, 0x01, 'a', 0x7f, 0xff, 0xff, 0xff, 0x07})
			}
			p.frame(fCont, 0, 101, make([]byte, 16384))
		}},
		{"a field of the table, named again and again", 1, func(p *peer, _ int) {
			bomb := p.block("x-bomb", strings.Repeat("b", 4000))
			p.frame(fHeaders, endHeaders|endStream, 101, append(bomb, []byte(strings.Repeat("\xbe", 10000))...))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := connect(t, Config{Patience: budget, MaxStreams: 10, Handler: func(s *Stream) {
					switch string(s.Path) {
					case "/hold":
						wait(s)
					case "/reset":
						s.Reset(CodeCancel)
					default:
						if get(s, "x-hold") != "" {
							wait(s)
						}
						echo(s)
					}
				}}).greet()
				hold := with(getHead[:6], ":path", "/hold")
				p.headers(1, false, hold...)
				p.headers(3, true, getHead...)
				p.wantResponse(3)
				p.headers(5, false, with(getHead[:6], ":path", "/reset")...)
				p.wantReset(5, CodeCancel)
				for i := range tt.rounds + 5 {
					tt.give(p, i)
				}
				p.wantError(CodeEnhanceYourCalm)
			})
		})
	}
}

// TestPatienceComesBack shows that a client which works is not taken for a
// flood, however long it stays.
func TestPatienceComesBack(t *testing.T) {
	const budget = 50
	tests := []struct {
		name string
		give func(p *peer, i int)
	}{
		{"a ping and a window for each response", func(p *peer, i int) {
			p.frame(fWindow, 0, 0, u32(3))
			p.headers(uint32(2*i+1), true, getHead...)
			p.frame(fWindow, 0, uint32(2*i+1), u32(3))
			p.frame(fPing, 0, 0, make([]byte, 8))
			p.wantResponse(uint32(2*i + 1))
		}},
		{"two windows for each small piece of a body", func(p *peer, i int) {
			if i == 0 {
				p.headers(1, false, getHead...)
				p.want(fHeaders, 1)
			}
			p.data(1, false, "hi")
			wantData(p, 1, "hi", false)
			p.frame(fWindow, 0, 0, u32(2))
			p.frame(fWindow, 0, 1, u32(2))
		}},
		{"settings now and then", func(p *peer, i int) {
			if i == 0 {
				p.headers(1, false, getHead...)
				p.want(fHeaders, 1)
			}
			p.frame(fSettings, 0, 0, settings(4, uint32(100+i)))
			p.want(fSettings, 0)
			synctestSleep(1)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := connect(t, Config{Patience: budget, Handler: func(s *Stream) {
					_ = s.WriteHead(200, nil, false)
					_ = s.Flush()
					if !s.HasBody {
						_ = s.WriteBody([]byte("abc"), true)
						return
					}
					buf := make([]byte, 100)
					for {
						n, err := s.ReadBody(buf)
						if err != nil || s.WriteBody(buf[:n], false) != nil {
							return
						}
					}
				}}).greet()
				for i := range 20 * budget {
					tt.give(p, i)
				}
				p.alive()
			})
		})
	}
}

func TestRapidResetStartsFewHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, running, most atomic.Int64
		p := connect(t, Config{MaxStreams: 10, Handler: func(s *Stream) {
			begun.Add(1)
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer running.Add(-1)
			wait(s)
		}}).greet()
		go func() {
			for i := range 5000 {
				id := uint32(2*i + 1)
				p.headers(id, true, getHead...)
				if i%2 == 0 {
					synctest.Wait() // the handler runs before the reset comes
				}
				p.frame(fReset, 0, id, u32(8))
			}
		}()
		p.wantError(CodeEnhanceYourCalm)
		if begun.Load() > 510 || most.Load() > 20 {
			t.Errorf("%d handlers, %d at once", begun.Load(), most.Load())
		}
	})
}

func TestHandlersThatOutliveTheirStreamsHoldBackNewOnes(t *testing.T) {
	release := make(chan struct{})
	var running, most atomic.Int64
	p := connect(t, Config{MaxStreams: 3, Handler: func(s *Stream) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		<-release
		_ = s.WriteHead(204, nil, true)
	}}).greet()
	id := uint32(1)
	for range 6 {
		p.headers(id, true, getHead...)
		p.frame(fReset, 0, id, u32(8))
		p.alive() // so that the handler has begun, or was spared
		id += 2
	}
	for range 10 {
		p.headers(id, true, getHead...)
		id += 2
	}
	p.wantReset(id-2, CodeRefusedStream)
	close(release)
	if most.Load() > 6 {
		t.Errorf("%d handlers at once", most.Load())
	}
	p.alive()
}

func TestAClientThatTakesNoAnswersHoldsLittle(t *testing.T) {
	long := fields("x", strings.Repeat("v", 3000))
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Patience: 1 << 30, Handler: func(s *Stream) { _ = s.WriteHead(200, long, true) }}).greet()
		for i := range 5000 {
			p.headers(uint32(2*i+1), true, getHead...)
			p.frame(fPing, 0, 0, make([]byte, 8))
		}
		synctest.Wait()
		p.conn.mu.Lock()
		n, running := len(p.conn.out.b), p.conn.running
		p.conn.mu.Unlock()
		if n > outMost || running > 200 {
			t.Errorf("%d bytes gathered, %d handlers run", n, running)
		}
		for range 40000 {
			p.frame(fPing, 0, 0, make([]byte, 8))
		}
		synctest.Wait()
		p.wantError(CodeEnhanceYourCalm)
	})
}

func TestHeadsOverTheLimitAreAnswered431(t *testing.T) {
	many := func(n int) (f []string) {
		for i := range n {
			f = append(f, "a"+strconv.Itoa(i), "")
		}
		return f
	}
	for _, tt := range []struct {
		name string
		give []string
		want string
	}{
		{"just under", with(getHead, "a", strings.Repeat("x", 3800)), "200"},
		{"just over", with(getHead, "a", strings.Repeat("x", 4000)), "431"},
		{"far over", with(getHead, "a", strings.Repeat("x", 3000), "b", strings.Repeat("y", 3000)), "431"},
		{"many fields, whose 32 bytes count", with(getHead, many(130)...), "431"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := connect(t, Config{MaxHeaderBytes: 4096, Handler: echo}).greet()
			p.headers(1, true, tt.give...)
			p.wantStatus(1, tt.want)
			p.headers(3, true, getHead...)
			p.wantStatus(3, "200")
		})
	}
	t.Run("too many fields", func(t *testing.T) {
		p := connect(t, Config{Handler: echo}).greet()
		p.headers(1, true, with(getHead, many(MaxFields)...)...)
		p.wantStatus(1, "200")
		p.headers(3, true, with(getHead, many(MaxFields+1)...)...)
		p.wantStatus(3, "431")
	})
	t.Run("trailers", func(t *testing.T) {
		p := connect(t, Config{MaxHeaderBytes: 4096, Handler: func(s *Stream) {
			if _, err := s.ReadBody(make([]byte, 1)); !errors.Is(err, ErrBody) {
				t.Errorf("read: %v", err)
			}
		}}).greet()
		p.headers(1, false, postHead...)
		p.headers(1, true, "a", strings.Repeat("x", 5000))
		p.wantReset(1, CodeProtocol)
	})
}

func TestABombIsNotUnpacked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		times int // 4 KB each
		want  string
	}{{"within the limit", 7, "200"}, {"over the limit", 60, "431"}} {
		t.Run(tt.name, func(t *testing.T) {
			p := connect(t, Config{Handler: func(s *Stream) {
				status := 200
				if s.Refusal > 0 {
					status = s.Refusal
				}
				_ = s.WriteHead(status, nil, false)
				_ = s.Flush()
				wait(s)
			}}).greet()
			p.headers(1, false, with(getHead, "x-bomb", strings.Repeat("b", 3900))...)
			p.want(fHeaders, 1)
			ask := func(id uint32) {
				p.frame(fHeaders, endHeaders, id, append(p.block(getHead...), []byte(strings.Repeat("\xbe", tt.times))...))
				f := p.want(fHeaders, id)
				p.list = nil
				if _, _ = p.dec.Write(f.payload); p.list[0][1] != tt.want {
					t.Errorf("status %s", p.list[0][1])
				}
			}
			ask(3)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for id := uint32(5); id < 199; id += 2 {
				ask(id)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if held := int(after.HeapAlloc) - int(before.HeapAlloc); held > 97*5000 {
				t.Errorf("97 heads that unpack to %d KB hold %d bytes", 4*tt.times, held)
			}
		})
	}
}

func TestManySmallBodiesHoldLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: wait}).greet()
		for i := range 100 {
			p.headers(uint32(2*i+1), false, postHead...)
			for range 50 {
				p.data(uint32(2*i+1), false, "x")
			}
		}
		synctest.Wait()
		held := 0
		p.conn.mu.Lock()
		for s := range p.conn.table.all() {
			for k := s.received.chunks.first; k != nil; k = k.next {
				held += len(k.buf)
			}
		}
		p.conn.mu.Unlock()
		if held > 100<<10 {
			t.Errorf("5000 bytes of bodies hold %d", held)
		}
	})
}
