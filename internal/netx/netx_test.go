package netx

import (
	"io"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair gives both ends of a real connection.
func pair(t testing.TB, network string) (ours, peer net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); peer.Close() })
	return ours, peer
}

func rawConn(t testing.TB, c net.Conn) syscall.RawConn {
	t.Helper()
	rc, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

// until waits for the kernel to have carried over what the peer did. A
// condition that never holds ends the test by its time-out, with a stack.
func until(condition func() bool) {
	for !condition() {
		runtime.Gosched()
	}
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func TestAnswersFollowWhatThePeerDid(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no way to ask")
	}
	tests := []struct {
		name       string
		network    string
		do         func(t *testing.T, ours, peer net.Conn)
		wantClosed bool
		wantDead   bool
	}{
		{"nothing", "tcp", func(*testing.T, net.Conn, net.Conn) {}, false, false},
		{"nothing on a unix socket", "unix", func(*testing.T, net.Conn, net.Conn) {}, false, false},
		{"sent bytes", "tcp", func(t *testing.T, _, peer net.Conn) { write(t, peer, "x") }, false, true},
		{"sent bytes on a unix socket", "unix", func(t *testing.T, _, peer net.Conn) { write(t, peer, "x") }, false, true},
		{"closed", "tcp", func(_ *testing.T, _, peer net.Conn) { peer.Close() }, true, true},
		{"closed a unix socket", "unix", func(_ *testing.T, _, peer net.Conn) { peer.Close() }, true, true},
		{"half closed", "tcp", func(_ *testing.T, _, peer net.Conn) { peer.(*net.TCPConn).CloseWrite() }, true, true},
		{"half closed a unix socket", "unix", func(_ *testing.T, _, peer net.Conn) { peer.(*net.UnixConn).CloseWrite() }, true, true},
		{"reset", "tcp", func(_ *testing.T, _, peer net.Conn) {
			peer.(*net.TCPConn).SetLinger(0)
			peer.Close()
		}, true, true},
		{"closed after we did", "tcp", func(_ *testing.T, ours, peer net.Conn) {
			ours.Close()
			peer.Close()
		}, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, peer := pair(t, tt.network)
			rc := rawConn(t, ours)
			tt.do(t, ours, peer)
			until(func() bool { return Dead(rc) == tt.wantDead })
			until(func() bool { return PeerClosed(rc) == tt.wantClosed })
		})
	}
}

// A connection is full when its peer has taken nothing for long enough, and no
// longer when it takes again or is gone.
func TestFull(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no way to ask")
	}
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ours, peer := pair(t, network)
			rc := rawConn(t, ours)
			if Full(rc) {
				t.Fatal("full from the beginning")
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = ours.Write(make([]byte, 32<<20)) // until the peer is gone
			}()
			until(func() bool { return Full(rc) })
			if _, err := io.CopyN(io.Discard, peer, 1<<20); err != nil {
				t.Fatal(err)
			}
			until(func() bool { return Full(rc) })
			peer.Close()
			<-ended
			until(func() bool { return !Full(rc) })
		})
	}
}

func TestAFinBehindUnreadBytesIsSeen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has POLLRDHUP")
	}
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ours, peer := pair(t, network)
			rc := rawConn(t, ours)
			write(t, peer, "GET / HTTP/1.1\r\n")
			peer.Close()
			until(func() bool { return PeerClosed(rc) })
		})
	}
}

func TestQuestionsConsumeNothingAndDisturbNoReader(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no way to ask")
	}
	ours, peer := pair(t, "tcp")
	rc := rawConn(t, ours)
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(ours) // holds the socket's read lock all the time
		got <- string(b)
	}()
	const text = "all of this"
	for _, c := range []byte(text) {
		for range 100 {
			Dead(rc)
			PeerClosed(rc)
		}
		write(t, peer, string(c))
	}
	peer.Close()
	until(func() bool { return PeerClosed(rc) })
	if s := <-got; s != text {
		t.Errorf("reader got %q, want %q", s, text)
	}
}

func BenchmarkPeerClosed(b *testing.B) {
	ours, _ := pair(b, "tcp")
	rc := rawConn(b, ours)
	b.ReportAllocs()
	for b.Loop() {
		PeerClosed(rc)
	}
}

func BenchmarkDead(b *testing.B) {
	ours, _ := pair(b, "tcp")
	rc := rawConn(b, ours)
	b.ReportAllocs()
	for b.Loop() {
		Dead(rc)
	}
}
