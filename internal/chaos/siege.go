package chaos

import (
	"context"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Attack is many hostile clients at once.
//
//	siege := chaos.Attack{Address: proxy, Conns: 500, Hostile: chaos.SlowHead("/", time.Second)}.Start(ctx)
//	chaos.Await(t, time.Second, "the siege", func() bool { return siege.Opened() == 500 })
//	...
//	siege.Stop()
type Attack struct {
	Network string // "": tcp
	Address string
	Hostile Hostile
	Conns   int     // at the same time; 0: 100
	Rate    float64 // of new connections, a second; 0: as fast as they are taken
	Again   bool    // a connection that has ended is followed by another one
}

// Siege is an attack under way. Its methods are safe for concurrent use.
type Siege struct {
	attack Attack
	stop   chan struct{}
	once   sync.Once
	done   chan struct{}
	open   atomic.Int64
	opened atomic.Int64
	failed atomic.Int64

	mu      sync.Mutex
	answers map[string]int  // guarded by mu
	lasted  []time.Duration // guarded by mu
}

// maxLasted bounds what a siege remembers of connections that have ended.
const maxLasted = 1 << 20

// Start begins the attack in the background. It ends by itself, unless Again is set, when the peer has ended every
// connection; else by Stop, or when ctx ends.
func (a Attack) Start(ctx context.Context) *Siege {
	if a.Conns <= 0 {
		a.Conns = 100
	}
	a.Network = orString(a.Network, "tcp")
	s := &Siege{attack: a, stop: make(chan struct{}), done: make(chan struct{}), answers: make(map[string]int)}
	release := context.AfterFunc(ctx, s.raise)
	go func() {
		defer close(s.done)
		defer release()
		s.lay()
	}()
	return s
}

// lay opens the connections.
func (s *Siege) lay() {
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, s.attack.Conns)
	begun := time.Now()
	for n := 0; s.attack.Again || n < s.attack.Conns; n++ {
		select {
		case places <- struct{}{}:
		case <-s.stop:
			return
		}
		if s.attack.Rate > 0 && !s.pause(time.Until(begun.Add(time.Duration(float64(n)/s.attack.Rate*float64(time.Second))))) {
			return
		}
		dialled := time.Now() // the peer's time begins later
		nc, err := net.DialTimeout(s.attack.Network, s.attack.Address, 5*time.Second)
		if err != nil {
			s.failed.Add(1)
			<-places
			if !s.pause(10 * time.Millisecond) {
				return
			}
			continue
		}
		all.Go(func() {
			s.hold(nc, dialled)
			<-places
		})
	}
}

// hold is the life of one connection. Who gives up leaves by a reset, so that a test that is repeated does not run out of
// ports; who leaves at once does so as browsers do.
func (s *Siege) hold(nc net.Conn, begun time.Time) {
	s.open.Add(1)
	s.opened.Add(1)
	defer s.open.Add(-1)
	h := s.attack.Hostile
	tcp, _ := nc.(*net.TCPConn)
	if tcp != nil && h.Deaf {
		_ = tcp.SetReadBuffer(1)
	}
	answer := h.run(nc, s.stop)
	lasted := time.Since(begun)
	if tcp != nil && !h.Leave {
		_ = tcp.SetLinger(0)
	}
	_ = nc.Close()
	if h.Leave || s.stopped() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[statusOf(answer)]++
	if len(s.lasted) < maxLasted {
		s.lasted = append(s.lasted, lasted)
	}
}

// statusOf is the status of an answer in HTTP/1.1, "" for anything else.
func statusOf(answer string) string {
	const before = "HTTP/1.1 "
	if len(answer) < len(before)+3 || answer[:len(before)] != before {
		return ""
	}
	return answer[len(before) : len(before)+3]
}

func (s *Siege) raise() { s.once.Do(func() { close(s.stop) }) }

func (s *Siege) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// pause waits for d and reports whether the siege goes on.
func (s *Siege) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// Open returns how many connections stand now, on this side.
func (s *Siege) Open() int { return int(s.open.Load()) }

// Opened returns how many connections were opened.
func (s *Siege) Opened() int { return int(s.opened.Load()) }

// Unopened returns how many connections could not be opened.
func (s *Siege) Unopened() int { return int(s.failed.Load()) }

// Ended returns how long each connection lasted that the peer has ended, in the order in which they ended.
func (s *Siege) Ended() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Duration(nil), s.lasted...)
}

// Answers counts, of the connections that the peer has ended, the first status that came; "" where none came, or none
// was listened for.
func (s *Siege) Answers() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.answers)
}

// Stop leaves with every connection, and returns when all are closed.
func (s *Siege) Stop() {
	s.raise()
	<-s.done
}

// Wait waits until the peer has ended every connection. With Again that is never, but for Stop.
func (s *Siege) Wait() { <-s.done }
