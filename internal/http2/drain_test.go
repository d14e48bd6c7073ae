package http2

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2/hpack"
)

func TestShutdownFinishesWhatIsOpen(t *testing.T) {
	release := make(chan struct{})
	p := connect(t, Config{Handler: func(s *Stream) {
		<-release
		echo(s)
	}}).greet()
	p.headers(1, true, getHead...)
	p.alive()
	p.conn.Shutdown()
	p.conn.Shutdown()
	if f := p.wantGoAway(CodeNo); f.u32(0) != 1<<31-1 {
		t.Errorf("the first GOAWAY names stream %d", f.u32(0))
	}
	ping := p.want(fPing, 0)
	p.headers(3, true, getHead...) // it was on its way
	p.frame(fPing, ack, 0, ping.payload)
	if f := p.wantGoAway(CodeNo); f.u32(0) != 3 {
		t.Errorf("the last GOAWAY names stream %d", f.u32(0))
	}
	p.headers(5, false, postHead...) // it came too late, and is not answered
	p.data(5, false, "x")
	p.headers(5, true, "a", "b")
	p.frame(fPing, 0, 0, []byte("12345678"))
	p.want(fPing, 0)
	close(release)
	seen := map[string]bool{}
	for {
		f, err := p.read()
		if err != nil {
			break
		}
		if f.typ == fHeaders {
			seen[string(rune('0'+f.id))] = true
		}
	}
	<-p.served
	if !seen["1"] || !seen["3"] || len(seen) != 2 || p.err != nil {
		t.Errorf("answered %v, Serve returned %v", seen, p.err)
	}
}

func TestShutdownDoesNotWaitForAnAnswer(t *testing.T) {
	for _, rest := range []int{0, 30} {
		synctest.Test(t, func(t *testing.T) {
			p := connect(t, Config{Handler: echo}).greet()
			synctestSleep(rest)
			from := time.Now()
			p.conn.Shutdown()
			p.wantEnd()
			if p.err != nil || time.Since(from) > 4*time.Second {
				t.Errorf("Serve returned %v after %v", p.err, time.Since(from))
			}
		})
	}
}

func TestShutdownBeforeServe(t *testing.T) {
	client, server := net.Pipe()
	c := NewServer(Config{Handler: echo}).NewConn(server, nil)
	c.Shutdown()
	done := make(chan error)
	go func() { done <- c.Serve() }()
	var kinds []byte
	for len(kinds) < 4 {
		var h [9]byte
		if _, err := io.ReadFull(client, h[:]); err != nil {
			t.Fatal(err)
		}
		_, _ = io.CopyN(io.Discard, client, int64(h[2]))
		kinds = append(kinds, h[3])
	}
	if string(kinds) != string([]byte{fSettings, fWindow, fGoAway, fPing}) {
		t.Errorf("frames %v", kinds)
	}
	client.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCloseBreaksOffAndReturnsWhenHandlersHave(t *testing.T) {
	var ended atomic.Bool
	p := connect(t, Config{Handler: func(s *Stream) {
		if _, err := s.ReadBody(make([]byte, 1)); !errors.Is(err, ErrLeft) {
			t.Errorf("read: %v", err)
		}
		ended.Store(true)
	}}).greet()
	p.headers(1, false, postHead...)
	p.alive()
	p.conn.Close()
	<-p.served
	if !ended.Load() || !errors.Is(p.err, net.ErrClosed) {
		t.Errorf("handler ended: %t, Serve returned %v", ended.Load(), p.err)
	}
}

func TestAClientsGoAwayEndsTheConnectionWhenItsStreamsHave(t *testing.T) {
	release := make(chan struct{})
	p := connect(t, Config{Handler: func(s *Stream) {
		<-release
		echo(s)
	}}).greet()
	p.headers(1, true, getHead...)
	p.frame(fGoAway, 0, 0, make([]byte, 8))
	p.wantGoAway(CodeNo)
	close(release)
	p.wantResponse(1)
	p.wantEnd()
	if p.err != nil {
		t.Errorf("Serve returned %v", p.err)
	}
}

func TestAClientThatLeavesIsNoticed(t *testing.T) {
	for name, leave := range map[string]func(p *peer){
		"it resets the stream":     func(p *peer) { p.frame(fReset, 0, 1, u32(8)) },
		"it closes the connection": func(p *peer) { p.close() },
		"it breaks the protocol":   func(p *peer) { p.frame(fPing, 0, 1, nil) },
		"it breaks the stream":     func(p *peer) { p.frame(fWindow, 0, 1, u32(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			told, ended := make(chan *Stream, 10), make(chan *Stream, 1)
			p := connect(t, Config{
				Left: func(s *Stream) { told <- s },
				Handler: func(s *Stream) {
					_ = s.WriteHead(200, nil, false)
					_ = s.Flush()
					select { // as one that waits for an origin
					case <-told:
					case <-t.Context().Done():
						t.Error("nobody was told")
					}
					if !s.Left() || s.WriteBody([]byte("x"), true) == nil {
						t.Error("the stream seems to be there")
					}
					ended <- s
				},
			}).greet()
			p.headers(1, false, postHead...)
			p.want(fHeaders, 1)
			leave(p)
			<-ended
			if len(told) > 0 {
				t.Error("told more than once")
			}
		})
	}
}

func TestInterruptEndsWhatAHandlerIsBlockedIn(t *testing.T) {
	blocked := map[string]func(s *Stream) error{
		"reading": func(s *Stream) error { _, err := s.ReadBody(make([]byte, 1)); return err },
		"the stream's window": func(s *Stream) error {
			_ = s.WriteHead(200, nil, false)
			return s.WriteBody(make([]byte, 70000), true)
		},
	}
	for name, block := range blocked {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stream atomic.Pointer[Stream]
				var turn atomic.Uint64
				p := connect(t, Config{Handler: func(s *Stream) {
					turn.Store(s.Turn())
					stream.Store(s)
					if err := block(s); !errors.Is(err, ErrInterrupted) {
						t.Errorf("got %v", err)
					}
					if _, err := s.ReadBody(make([]byte, 1)); !errors.Is(err, ErrInterrupted) {
						t.Errorf("a read after it: %v", err)
					}
					s.Reset(CodeCancel)
				}}).greet(4, 100)
				p.headers(1, false, postHead...)
				go func() {
					synctest.Wait()
					stream.Load().Interrupt(turn.Load())
				}()
				for {
					f := p.next()
					if f.typ == fReset {
						break
					}
				}
				p.alive()
			})
		})
	}
}

func TestInterruptReachesEveryWaitForTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var streams [20]atomic.Pointer[Stream]
		var ends atomic.Int64
		p := connect(t, Config{Handler: func(s *Stream) {
			streams[s.ID()/2].Store(s)
			_ = s.WriteHead(200, nil, false)
			if err := s.WriteBody(make([]byte, 40000), true); errors.Is(err, ErrInterrupted) {
				ends.Add(1)
			}
		}}).greet(4, 1<<20) // streams' windows are wide, the connection's is 65535
		for i := range uint32(20) {
			p.headers(2*i+1, true, getHead...)
		}
		go drainFrames(p)
		synctest.Wait()
		for i := range streams {
			s := streams[i].Load()
			s.Interrupt(s.Turn())
		}
		synctest.Wait()
		if ends.Load() < 18 {
			t.Errorf("%d were interrupted", ends.Load())
		}
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		if p.conn.open != 0 || p.conn.running != 0 || !p.conn.forWindow.empty() {
			t.Errorf("%d open, %d running", p.conn.open, p.conn.running)
		}
	})
}

func TestAnInterruptThatComesTooLateMeansNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var old *Stream
		var turn uint64
		p := connect(t, Config{Handler: func(s *Stream) {
			if old == nil {
				old, turn = s, s.Turn()
			} else {
				if s != old {
					t.Error("the stream was not used again")
				}
				old.Interrupt(turn)
			}
			echo(s)
		}}).greet()
		for id := uint32(1); id < 7; id += 2 {
			p.headers(id, false, postHead...)
			p.data(id, true, "abc")
			if r := p.wantStatus(id, "200"); r.body != "abc" {
				t.Errorf("body %q", r.body)
			}
			synctest.Wait()
		}
	})
}

func TestInterruptReadLeavesTheAnswer(t *testing.T) {
	p := connect(t, Config{Handler: func(s *Stream) {
		s.InterruptRead(s.Turn())
		if _, err := s.ReadBody(make([]byte, 10)); !errors.Is(err, ErrInterrupted) {
			t.Errorf("read: %v", err)
		}
		if err := s.WriteHead(413, nil, true); err != nil {
			t.Error(err)
		}
	}}).greet()
	p.headers(1, false, postHead...)
	p.data(1, true, "abc")
	p.wantStatus(1, "413")
}

func TestReviveLetsAnInterruptedHandlerAnswer(t *testing.T) {
	p := connect(t, Config{Handler: func(s *Stream) {
		s.Interrupt(s.Turn())
		if err := s.WriteHead(504, nil, true); !errors.Is(err, ErrInterrupted) {
			t.Errorf("write: %v", err)
		}
		s.Revive()
		if err := s.WriteBody(nil, true); err != nil {
			t.Error(err)
		}
	}}).greet()
	p.headers(1, true, getHead...)
	p.wantStatus(1, "504")
}

func TestASmallBodyIsThereWhenTheHandlerBegins(t *testing.T) {
	p := connect(t, Config{Handler: func(s *Stream) {
		if n, whole := s.Buffered(); n != 3 || !whole {
			t.Errorf("buffered %d, whole %t", n, whole)
		}
		buf := make([]byte, 10)
		if n, err := s.ReadBody(buf); n != 3 || err != io.EOF {
			t.Errorf("read %d, %v", n, err)
		}
		_ = s.WriteHead(204, nil, true)
	}}).greet()
	both := rawFrame(fHeaders, endHeaders, 1, p.block(postHead...))
	p.write(append(both, rawFrame(fData, endStream, 1, []byte("abc"))...))
	p.wantStatus(1, "204")
}

func TestATunnelCarriesBytesBothWays(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "x", ":path", "/")
	p.data(1, false, "ping")
	p.want(fHeaders, 1)
	wantData(p, 1, "ping", false)
	p.data(1, false, strings.Repeat("pong", 10))
	wantData(p, 1, strings.Repeat("pong", 10), false)
	p.data(1, true, "")
	wantData(p, 1, "", true)
}

// silent is a connection over TCP whose client reads nothing and answers nothing
// after one request.
func silent(t *testing.T) (c *Conn, served chan error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	c = NewServer(Config{Handler: func(s *Stream) {
		echo(s)
		ended.Store(true)
	}}).NewConn(nc, nil)
	served = make(chan error, 1)
	go func() { served <- c.Serve() }()
	p := &peer{t: t}
	p.enc = hpack.NewEncoder(&p.encBuf)
	start := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
	if _, err := client.Write(append(start, rawFrame(fHeaders, endHeaders|endStream, 1, p.block(getHead...))...)); err != nil {
		t.Fatal(err)
	}
	for !ended.Load() || !idle(c) {
		runtime.Gosched()
	}
	return c, served
}

// idle reports whether EndIfIdle would end a connection.
func idle(c *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.busyLocked() && c.writerIdle
}

// TestEndIfIdleDoesNotWaitForASilentClient goes through a real socket, whose
// client doesn't close it.
func TestEndIfIdleDoesNotWaitForASilentClient(t *testing.T) {
	c, served := silent(t)
	if !c.EndIfIdle() {
		t.Error("not idle")
	}
	if !c.EndIfIdle() {
		t.Error("it is idle no more")
	}
	if err := <-served; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if !c.brief {
		t.Error("it waited for the client")
	}
}

func TestEndIfIdleLeavesWhatIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: holdOrEcho})
		if p.conn.EndIfIdle() {
			t.Error("ended before it was served or greeted")
		}
		p.greet()
		p.headers(1, true, postHead...)
		synctest.Wait()
		if p.conn.EndIfIdle() {
			t.Error("ended beside a stream")
		}
		p.frame(fReset, 0, 1, u32(8))
		p.frame(fHeaders, endStream, 3, p.block(getHead...))
		synctest.Wait()
		if p.conn.EndIfIdle() {
			t.Error("ended within a head")
		}
		p.frame(fCont, endHeaders, 3, nil)
		synctest.Wait()
		if p.conn.EndIfIdle() {
			t.Error("ended before the response was taken")
		}
		p.wantStatus(3, "200")
		synctest.Wait()
		from := time.Now()
		if !p.conn.EndIfIdle() {
			t.Error("not ended when it was idle")
		}
		if f := p.wantGoAway(CodeNo); f.u32(0) != 3 {
			t.Errorf("GOAWAY names stream %d", f.u32(0))
		}
		p.wantEnd()
		if p.err != nil || time.Since(from) > brieflyFor {
			t.Errorf("Serve returned %v after %v", p.err, time.Since(from))
		}
	})
}

// TestEndIfIdleDoesNotWaitForABlockedClient lets a client take nothing.
func TestEndIfIdleDoesNotWaitForABlockedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: echo}).greet()
		synctest.Wait()
		from := time.Now()
		if !p.conn.EndIfIdle() {
			t.Error("not idle")
		}
		<-p.served
		if took := time.Since(from); took > 2*brieflyFor {
			t.Errorf("took %v", took)
		}
	})
}

// TestShutdownOfAConnectionAtRestIsShort gives the client a quarter of a second
// to answer, wherever the clock of the connection stands.
func TestShutdownOfAConnectionAtRestIsShort(t *testing.T) {
	for _, rest := range []time.Duration{0, 100 * time.Millisecond, 990 * time.Millisecond, 2 * time.Second, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := connect(t, Config{Handler: echo}).greet()
			p.headers(1, true, getHead...)
			p.wantStatus(1, "200")
			time.Sleep(rest)
			synctest.Wait() // the handler may be on its way out still
			from := time.Now()
			p.conn.Shutdown()
			p.wantEnd()
			if took := time.Since(from); p.err != nil || took < shortDrain || took > 300*time.Millisecond {
				t.Errorf("Serve returned %v after %v", p.err, took)
			}
		})
	}
}

// TestShutdownWaitsForAStreamHoweverLong keeps one for longer than any tick.
func TestShutdownWaitsForAStreamHoweverLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: func(s *Stream) {
			synctestSleep(20)
			echo(s)
		}}).greet()
		p.headers(1, true, getHead...)
		synctest.Wait()
		p.conn.Shutdown()
		go p.wantStatus(1, "200")
		<-p.served
		if p.err != nil {
			t.Errorf("Serve returned %v", p.err)
		}
	})
}
