package proxy

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
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
