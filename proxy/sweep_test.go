package proxy

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/netx"
)

// When the process has stood still, what came meanwhile is not read yet: no
// deadline that passed in the pause has been missed by the other side. What is
// left of it counts from then on.
func TestAPauseOfThisProcessIsNobodysTimeout(t *testing.T) {
	t.Parallel()
	const (
		limit = int64(500 * time.Millisecond)
		pause = 2 * time.Second
	)
	s, err := New(Config{Groups: []Group{{Pointer: failover.NewGroup(failover.GroupConfig{})}}})
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{}
	l.speaks.Store(&speech{})
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	c := newConn(s, l, ours)
	s.conns.add(c)
	c.x.enter(phaseWait, limit)

	awake := int64(pause)
	s.visit(awake, pause)
	if got := c.x.interrupted(); got != causeNone {
		t.Fatalf("interrupted by the pause: %v", got)
	}
	left := limit - int64(sweepEvery) // as of the visit before the pause
	s.visit(awake+left-int64(sweepEvery), sweepEvery)
	if got := c.x.interrupted(); got != causeNone {
		t.Errorf("interrupted too soon: %v", got)
	}
	s.visit(awake+left, sweepEvery)
	if got := c.x.interrupted(); got != causeHeaderTimeout {
		t.Errorf("not interrupted in time: %v", got)
	}
}

// A machine that is short of time for good has pauses all the time. Time-outs come
// somewhat later there, and not so many times as late as the visits.
func TestPausesWithoutEndDoNotPutTimeoutsOff(t *testing.T) {
	const limit = time.Minute
	for _, since := range []time.Duration{pauseFrom, time.Second, 5 * time.Second} {
		var p pauses
		deadline, now := limit, time.Duration(0)
		for now < deadline {
			now += since
			deadline += p.forgive(since)
		}
		if most := (limit+maxDebt)*payBack/(payBack-1) + 2*since; now > most {
			t.Errorf("with a visit each %v it took %v, want %v at most", since, now, most)
		}
	}
}

func TestASinglePauseIsForgivenHoweverLong(t *testing.T) {
	const pause = time.Hour
	var p pauses
	if got := p.forgive(pause); got != pause-sweepEvery {
		t.Errorf("of %v it forgave %v", pause, got)
	}
	for now := time.Duration(0); now < payBack*2*maxDebt; now += sweepEvery {
		if got := p.forgive(sweepEvery); got != 0 {
			t.Fatalf("a visit in time moved deadlines by %v", got)
		}
	}
	if got := p.forgive(pause); got != pause-sweepEvery {
		t.Errorf("the second time it forgave %v", got)
	}
}

// BenchmarkSweep is one visit to all of so many idle connections, which takes
// place twenty times a second.
func BenchmarkSweep(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s, err := New(Config{Groups: []Group{{Pointer: failover.NewGroup(failover.GroupConfig{})}}})
			if err != nil {
				b.Fatal(err)
			}
			ours, _ := net.Pipe()
			l := &listener{}
			l.speaks.Store(&speech{})
			for range n {
				s.conns.add(newConn(s, l, ours))
			}
			b.ReportAllocs()
			for b.Loop() {
				mono := s.clock.now()
				for _, c := range s.conns.snapshot() {
					c.sweep(mono)
				}
			}
		})
	}
}

// Who makes room is the connection that has waited the longest for its client, not
// one whose request is there and was not read yet.
func TestAConnectionWhoseRequestHasComeMakesNoRoom(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells of bytes that wait in a socket beside their reader")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var r roster
	var clients []net.Conn
	for i := range 3 {
		client, err1 := net.Dial("tcp", l.Addr().String())
		server, err2 := l.Accept()
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = client.Close(), server.Close() }()
		c := &conn{}
		if c.raw, err = server.(*net.TCPConn).SyscallConn(); err != nil {
			t.Fatal(err)
		}
		c.x.wake = func() {}
		c.x.mark.Store(at(phaseIdle, int64(i+1)*int64(time.Second))) // the first has waited the longest
		r.add(c)
		clients = append(clients, client)
	}
	if _, err := clients[0].Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, patience, "the bytes", func() bool { return netx.Dead(r.all()[0].raw) })
	r.evict()
	for i, c := range r.all() {
		if is, want := c.x.interrupted() != causeNone, i == 1; is != want {
			t.Errorf("connection %d: interrupted %v, want %v", i, is, want)
		}
	}
}
