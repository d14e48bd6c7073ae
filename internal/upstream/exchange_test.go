package upstream

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var networks = []string{"tcp", "unix"}

// result is what an Exchange gave.
type result struct {
	text string
	err  error
}

// exchange runs an Exchange in the background.
func exchange(c *Conn, req string) <-chan result {
	done := make(chan result, 1)
	go func() {
		buf := make([]byte, 1<<16)
		n, err := c.Exchange([]byte(req), buf)
		done <- result{string(buf[:n]), err}
	}()
	return done
}

// readFull reads what the origin is sent.
func readFull(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	buf := make([]byte, n)
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
	return string(buf)
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func reset(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func wantText(t *testing.T, got result, want string) {
	t.Helper()
	if got.err != nil || got.text != want {
		t.Fatalf("Exchange gave %.40q, %v, want %.40q", got.text, got.err, want)
	}
}

// wantSent checks for a WriteError and whether anything was sent.
func wantSent(t *testing.T, err error, want bool) {
	t.Helper()
	w, ok := errors.AsType[*WriteError](err)
	if !ok {
		t.Fatalf("got error %v, want a *WriteError", err)
	}
	if got := w.Sent > 0; got != want {
		t.Errorf("%d bytes were sent, want any: %v", w.Sent, want)
	}
}

// wantAllSent checks that an error came after the whole request was sent.
func wantAllSent(t *testing.T, err, want error) {
	t.Helper()
	if w, ok := errors.AsType[*WriteError](err); ok {
		t.Errorf("got %v with %d bytes sent, want an error after the whole request", err, w.Sent)
	}
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func TestExchangesInARowGetTheirOwnAnswers(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, _ *testServer, c *Conn) {
		buf := make([]byte, 1<<16)
		rapid.Check(t, func(t *rapid.T) {
			req := rapid.SliceOfN(rapid.Byte(), 1, 3000).Draw(t, "req")
			n, err := c.Exchange(req, buf)
			for err == nil && n < len(req) {
				var more int
				more, err = c.Read(buf[n:])
				n += more
			}
			if err != nil || !bytes.Equal(buf[:n], req) {
				t.Fatalf("%d bytes, %v; want the %d that were sent", n, err, len(req))
			}
		})
	})
}

func TestExchangeReadsOnlyWhatFitsTheBuffer(t *testing.T) {
	c, peer := connected(t, "tcp")
	buf := make([]byte, 4)
	go func() {
		peer.Read(make([]byte, 9))
		io.WriteString(peer, "123456")
	}()
	n, err := c.Exchange([]byte("request"), buf)
	for err == nil && n < len(buf) {
		var more int
		more, err = c.Read(buf[n:])
		n += more
	}
	if err != nil || string(buf[:n]) != "1234" {
		t.Fatalf("got %q, %v, want %q", buf[:n], err, "1234")
	}
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "56" {
		t.Errorf("Read gave %q, %v, want the rest", buf[:n], err)
	}
}

func TestExchangeRefusesAnEmptyBuffer(t *testing.T) {
	c, _ := connected(t, "tcp")
	_, err := c.Exchange([]byte("request"), nil)
	wantSent(t, err, false)
	if !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("got %v, want io.ErrShortBuffer", err)
	}
}

func TestARequestThatFillsTheSocketIsSentWhole(t *testing.T) {
	req := strings.Repeat("0123456789abcdef", 1<<20) // more than any socket takes at once
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			c, peer := connected(t, network)
			done := exchange(c, req)
			if got := readFull(t, peer, len(req)); got != req {
				t.Error("the origin got another request")
			}
			send(t, peer, "answer")
			wantText(t, <-done, "answer")
			if !c.reusable() {
				t.Error("the connection is spent")
			}
		})
	}
}

func TestAnOriginThatAnswersAndHangsUpWhileTheRequestIsSentIsHeard(t *testing.T) {
	req := strings.Repeat("0123456789abcdef", 1<<20)
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			if network == "tcp" && runtime.GOOS != "linux" {
				t.Skip("a reset may discard what came before it")
			}
			c, peer := connected(t, network)
			done := exchange(c, req)
			readFull(t, peer, 10)
			send(t, peer, "431")
			peer.Close()
			wantText(t, <-done, "431")
			if c.reusable() {
				t.Error("the connection would be pooled with half a request on it")
			}
		})
	}
}

func TestAnAnswerMayComeBeforeTheRequestIsRead(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			c, peer := connected(t, network)
			send(t, peer, "408")
			untilDead(t, c)
			// The edge is over when Exchange starts to listen. The write
			// makes no new one, so this needs a nudge.
			done := exchange(c, "request")
			readFull(t, peer, len("request"))
			c.Nudge()
			wantText(t, <-done, "408")
		})
	}
}

func TestAnOriginThatHalfClosedBeforeIsNoticedAfterANudge(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			c, peer := connected(t, network)
			peer.(interface{ CloseWrite() error }).CloseWrite()
			untilDead(t, c)
			done := exchange(c, "request")
			readFull(t, peer, len("request"))
			c.Nudge()
			wantAllSent(t, (<-done).err, io.EOF)
		})
	}
}

func TestAnOriginThatClosedBeforeIsNoticedAtOnce(t *testing.T) {
	tests := []struct {
		network  string
		end      func(*testing.T, net.Conn)
		wantSent bool // TCP learns of a close, but not of a reset, from the answer to its bytes
	}{
		{"tcp", func(_ *testing.T, c net.Conn) { c.Close() }, true},
		{"tcp", reset, false},
		{"unix", func(_ *testing.T, c net.Conn) { c.Close() }, false},
	}
	for _, tt := range tests {
		c, peer := connected(t, tt.network)
		tt.end(t, peer)
		untilDead(t, c)
		_, err := c.Exchange([]byte("request"), make([]byte, 10)) // nobody nudges
		if err == nil {
			t.Fatal("an exchange with nobody succeeded")
		}
		if w, ok := errors.AsType[*WriteError](err); ok && w.Sent > 0 || ok == tt.wantSent {
			t.Errorf("%s: got %v, want bytes sent: %v", tt.network, err, tt.wantSent)
		}
		if c.reusable() {
			t.Error("a failed connection would be pooled")
		}
	}
}

func TestAnOriginThatGoesWithoutAnAnswer(t *testing.T) {
	tests := []struct {
		name string
		end  func(*testing.T, net.Conn)
		want error
	}{
		{"closes", func(_ *testing.T, c net.Conn) { c.Close() }, io.EOF},
		{"half closes", func(_ *testing.T, c net.Conn) { c.(*net.TCPConn).CloseWrite() }, io.EOF},
		{"resets", reset, syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, peer := connected(t, "tcp")
			done := exchange(c, "request")
			readFull(t, peer, len("request"))
			tt.end(t, peer)
			wantAllSent(t, (<-done).err, tt.want)
		})
	}
}

func TestAnInterruptEndsWhateverIsBlocked(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<20)
	tests := []struct {
		name string
		do   func(*Conn) error
	}{
		{"an exchange that waits", func(c *Conn) error {
			_, err := c.Exchange([]byte("r"), make([]byte, 1))
			return err
		}},
		{"an exchange that writes", func(c *Conn) error {
			_, err := c.Exchange([]byte(large), make([]byte, 1))
			return err
		}},
		{"a read", func(c *Conn) error {
			c.Write([]byte("r"))
			_, err := c.Read(make([]byte, 1))
			return err
		}},
		{"a write", func(c *Conn) error {
			_, err := c.Write([]byte(large))
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, peer := connected(t, "tcp")
			done := make(chan error)
			go func() { done <- tt.do(c) }()
			readFull(t, peer, 1) // it has begun
			c.Interrupt()
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
			}
			c.pool.Put(c)
			if c.pool.Idles() != 0 {
				t.Error("an interrupted connection was pooled")
			}
		})
	}
}

func TestNothingIsSentAfterAnInterrupt(t *testing.T) {
	c, peer := connected(t, "tcp")
	c.Interrupt()
	c.SetDeadline(time.Time{}) // does not undo it
	_, err := c.Exchange([]byte("request"), make([]byte, 10))
	wantSent(t, err, false)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
	}
	c.Close()
	if b, _ := io.ReadAll(peer); len(b) > 0 {
		t.Errorf("the origin got %q, want nothing", b)
	}
}

func TestADeadlineEndsAnExchangeAfterTheRequestIsSent(t *testing.T) {
	c, peer := connected(t, "tcp")
	done := exchange(c, "request")
	readFull(t, peer, len("request"))
	c.SetDeadline(past)
	wantAllSent(t, (<-done).err, os.ErrDeadlineExceeded)
}

func TestANudgeLeavesNoTrace(t *testing.T) {
	c, peer := connected(t, "tcp")
	for range 100 {
		done := exchange(c, "request")
		readFull(t, peer, len("request"))
		c.Nudge()
		c.Nudge()
		send(t, peer, "answer")
		wantText(t, <-done, "answer")
		c.Nudge() // nothing runs: does nothing
		send(t, peer, "body")
		buf := make([]byte, 10)
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "body" {
			t.Fatalf("Read gave %q, %v", buf[:n], err)
		}
	}
}

func TestANudgeKeepsTheOwnersDeadline(t *testing.T) {
	c, peer := connected(t, "tcp")
	c.SetDeadline(time.Now().Add(20 * time.Millisecond))
	done := exchange(c, "request")
	readFull(t, peer, len("request"))
	c.Nudge()
	wantAllSent(t, (<-done).err, os.ErrDeadlineExceeded) // or it would never end
}

func TestNudgesAtAnyTimeDisturbNoExchange(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, _ *testServer, c *Conn) {
		begin := make(chan struct{})
		var nudger sync.WaitGroup
		nudger.Go(func() {
			for range begin {
				for range 100 {
					c.Nudge()
				}
			}
		})
		buf := make([]byte, 100)
		for range 1000 {
			begin <- struct{}{}
			n, err := c.Exchange([]byte("request"), buf)
			if err != nil || string(buf[:n]) != "request" {
				t.Errorf("got %q, %v", buf[:n], err)
				break
			}
		}
		close(begin)
		nudger.Wait()
	})
}

func TestAnInterruptIsNotUndoneByANudge(t *testing.T) {
	c, peer := connected(t, "tcp")
	for range 50 {
		done := exchange(c, "request")
		readFull(t, peer, len("request"))
		c.Nudge()
		send(t, peer, "answer")
		<-done
	}
	done := exchange(c, "request")
	readFull(t, peer, len("request"))
	go c.Nudge()
	c.Interrupt()
	wantAllSent(t, (<-done).err, os.ErrDeadlineExceeded)
}

func TestExchangeOverTLS(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, a, func(c *tls.Conn) { echo(c) })
	p := newPool(t, s.origin(t, trusting(a)), 1)
	c := dial(t, p)
	buf := make([]byte, 100)
	for range 3 {
		n, err := c.Exchange([]byte("request"), buf)
		if err != nil || string(buf[:n]) != "request" {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
		c.Nudge()
		p.Put(c)
		if c = p.Idle(true); c == nil {
			t.Fatal("a connection in good order was thrown away")
		}
	}
	if c.TCP() != nil {
		t.Error("a TLS connection offers its socket for splicing")
	}
	c.Interrupt()
	_, err := c.Exchange([]byte("request"), buf)
	wantSent(t, err, false)
	c.Close()
}

func TestAPartOfARecordCountsAsSent(t *testing.T) {
	large := []byte(strings.Repeat("0123456789abcdef", 1<<20))
	tests := []struct {
		name string
		send func(*Conn) error
	}{
		{"by Exchange", func(c *Conn) error {
			_, err := c.Exchange(large, make([]byte, 1))
			return err
		}},
		{"by Write", func(c *Conn) error {
			n, err := c.Write(large)
			if n > len(large) {
				t.Errorf("Write says %d of %d bytes", n, len(large))
			}
			return &WriteError{Sent: n, Err: err}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t)
			begun := make(chan struct{})
			s := serveTLS(t, a, func(c *tls.Conn) {
				c.NetConn().Read(make([]byte, 1))
				close(begun)
			})
			c := dial(t, newPool(t, s.origin(t, trusting(a)), 1))
			defer c.Close()
			done := make(chan error)
			go func() { done <- tt.send(c) }()
			<-begun
			c.Interrupt()
			wantSent(t, <-done, true)
		})
	}
}

func TestWriteTellsHowMuchWasWritten(t *testing.T) {
	a := newAuthority(t)
	plain := serve(t, "tcp", hold)
	secret := serveTLS(t, a, func(c *tls.Conn) { hold(c) })
	for _, o := range []*Origin{plain.origin(t, nil), secret.origin(t, trusting(a))} {
		c := dial(t, newPool(t, o, 1))
		defer c.Close()
		if n, err := c.Write([]byte("request")); n != len("request") || err != nil {
			t.Errorf("got %d, %v, want %d", n, err, len("request"))
		}
		c.Interrupt()
		if n, err := c.Write([]byte("request")); n != 0 || err == nil {
			t.Errorf("got %d, %v after an interrupt, want 0 and an error", n, err)
		}
	}
}

func TestExchangeDoesNotAllocate(t *testing.T) {
	for _, network := range networks {
		s := serve(t, network, echo)
		c := dial(t, newPool(t, s.origin(t, nil), 1))
		req, buf := []byte("request"), make([]byte, 100)
		n := testing.AllocsPerRun(1000, func() {
			if _, err := c.Exchange(req, buf); err != nil {
				t.Fatal(err)
			}
		})
		c.Close()
		if n >= 1 {
			t.Errorf("%s: %v allocations, want 0", network, n)
		}
	}
}
