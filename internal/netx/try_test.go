//go:build unix

package netx

import (
	"bytes"
	"errors"
	"net"
	"syscall"
	"testing"
)

// tcpPair is pair for TCP.
func tcpPair(tb testing.TB) (a, b *net.TCPConn) {
	tb.Helper()
	ours, peer := pair(tb, "tcp")
	return ours.(*net.TCPConn), peer.(*net.TCPConn)
}

// control runs f on a connection's descriptor.
func control(tb testing.TB, c *net.TCPConn, f func(fd uintptr)) {
	tb.Helper()
	if err := rawConn(tb, c).Control(f); err != nil {
		tb.Fatal(err)
	}
}

// wait returns when there is something to read on c.
func wait(tb testing.TB, c *net.TCPConn) {
	tb.Helper()
	looked := false
	if err := rawConn(tb, c).Read(func(fd uintptr) bool {
		if !looked {
			looked = true
			_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
			return err != syscall.EAGAIN
		}
		return true
	}); err != nil {
		tb.Fatal(err)
	}
}

func TestTryReadTellsNothingYetFromBytesAndFromTheEnd(t *testing.T) {
	a, b := tcpPair(t)
	buf := make([]byte, 16)
	control(t, a, func(fd uintptr) {
		if n, again, err := TryRead(fd, buf); n != 0 || !again || err != nil {
			t.Errorf("nothing there: %d, %v, %v", n, again, err)
		}
	})
	if _, err := b.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	wait(t, a)
	control(t, a, func(fd uintptr) {
		if n, again, err := TryRead(fd, buf); string(buf[:n]) != "hello" || again || err != nil {
			t.Errorf("bytes there: %q, %v, %v", buf[:n], again, err)
		}
		if n, again, err := TryRead(fd, nil); n != 0 || again || err != nil {
			t.Errorf("no room: %d, %v, %v", n, again, err)
		}
	})
	b.Close()
	wait(t, a)
	control(t, a, func(fd uintptr) {
		if n, again, err := TryRead(fd, buf); n != 0 || again || err != nil {
			t.Errorf("at the end: %d, %v, %v", n, again, err)
		}
	})
}

func TestTryWriteStopsWhenTheBufferIsFullAndGivesTheError(t *testing.T) {
	a, b := tcpPair(t)
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	control(t, a, func(fd uintptr) {
		full := false
		for range 1000 {
			n, again, err := TryWrite(fd, chunk)
			if err != nil || again != (n == 0) {
				t.Fatalf("%d, %v, %v", n, again, err)
			}
			if full = again; full {
				break
			}
		}
		if !full {
			t.Error("a gigabyte fitted into the socket's buffer")
		}
	})
	_ = b.SetLinger(0)
	b.Close()
	wait(t, a)
	control(t, a, func(fd uintptr) {
		if _, again, err := TryWrite(fd, chunk); again || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("after a reset: %v, %v", again, err)
		}
	})
}

// BenchmarkEmptyRead is a read of a socket that has nothing, which is mostly
// the cost of the call itself.
func BenchmarkEmptyRead(b *testing.B) {
	c, _ := tcpPair(b)
	buf := make([]byte, 1024)
	b.Run("TryRead", func(b *testing.B) {
		control(b, c, func(fd uintptr) {
			for b.Loop() {
				_, _, _ = TryRead(fd, buf)
			}
		})
	})
	b.Run("syscall.Read", func(b *testing.B) {
		control(b, c, func(fd uintptr) {
			for b.Loop() {
				_, _ = syscall.Read(int(fd), buf)
			}
		})
	})
}
