package chaos

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server answers every connection with handle, and counts them.
func server(t *testing.T, handle func(net.Conn)) (address string, accepted *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int64)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			all.Go(func() {
				defer nc.Close()
				handle(nc)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String(), accepted
}

func drain(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }

func TestASiegeStandsUntilItIsStopped(t *testing.T) {
	address, accepted := server(t, drain)
	s := Attack{Address: address, Conns: 20, Hostile: SlowHead("/", time.Millisecond)}.Start(t.Context())
	Await(t, 5*time.Second, "the siege to stand", func() bool { return s.Open() == 20 && accepted.Load() == 20 })
	s.Stop()
	if s.Open() != 0 || s.Opened() != 20 || len(s.Ended()) != 0 {
		t.Errorf("after the end %d are open, %d were, the peer ended %d", s.Open(), s.Opened(), len(s.Ended()))
	}
}

func TestASiegeTellsWhatThePeerEndedAndHow(t *testing.T) {
	const lasts = 50 * time.Millisecond
	address, _ := server(t, func(nc net.Conn) {
		_ = nc.SetReadDeadline(time.Now().Add(lasts))
		drain(nc)
		_, _ = io.WriteString(nc, "HTTP/1.1 408 Request Timeout\r\n\r\n")
	})
	for _, h := range []Hostile{Idle(), SlowHead("/", time.Millisecond), StuckBody("/"), ShortHello(), OnlyHello(), ShutWindows("/", 1, 3)} {
		s := Attack{Address: address, Conns: 5, Hostile: h}.Start(t.Context())
		s.Wait()
		ended := s.Ended()
		if len(ended) != 5 || ended[0] < lasts || s.Answers()["408"] != 5 {
			t.Errorf("%s: ended %v, answers %v", h.Name, ended, s.Answers())
		}
	}
	deaf := Attack{Address: address, Conns: 5, Hostile: DeafReader("/", 1)}.Start(t.Context())
	deaf.Wait()
	if len(deaf.Ended()) != 5 || deaf.Answers()[""] != 5 {
		t.Errorf("deaf: ended %v, answers %v", deaf.Ended(), deaf.Answers())
	}
}

func TestWhoLeavesComesAgainAtTheRate(t *testing.T) {
	address, accepted := server(t, drain)
	s := Attack{Address: address, Conns: 2, Rate: 200, Again: true, Hostile: OpenAndClose()}.Start(t.Context())
	began := time.Now()
	Await(t, 5*time.Second, "twenty", func() bool { return accepted.Load() >= 20 })
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("twenty came in %v, at 200 a second", took)
	}
	s.Stop()
}

func TestASiegeOfNobodyIsCounted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s := Attack{Address: l.Addr().String(), Conns: 3}.Start(t.Context())
	s.Wait()
	if s.Unopened() != 3 || s.Opened() != 0 {
		t.Errorf("%d were opened and %d were not", s.Opened(), s.Unopened())
	}
}

// The frames are what the RFCs say, byte for byte.
func TestShutWindowsSpeaksHTTP2(t *testing.T) {
	first := ShutWindows("/x", 7, 2).First
	rest, ok := strings.CutPrefix(first, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00")
	block := "\x82\x86\x04\x02/x\x01\x0achaos.test\x00\x0achaos-size\x017"
	want := "\x00\x00\x20\x01\x05\x00\x00\x00\x01" + block + "\x00\x00\x20\x01\x05\x00\x00\x00\x03" + block
	if !ok || rest != want {
		t.Errorf("got %q", first)
	}
}
