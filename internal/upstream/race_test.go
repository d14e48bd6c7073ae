package upstream

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scene is a network of addresses that behave as a test says, for bubbles. What
// it does not know is silent: it neither accepts nor refuses.
type scene struct {
	accepts map[string]time.Duration // after how long
	refuses map[string]time.Duration

	mu      sync.Mutex
	dialled []string // with the time since the beginning
	began   time.Time
	open    atomic.Int64
}

func (s *scene) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	s.mu.Lock()
	s.dialled = append(s.dialled, host+" "+time.Since(s.began).String())
	s.mu.Unlock()
	after, accepts := s.accepts[host]
	refusal, refuses := s.refuses[host]
	if refuses {
		after = refusal
	} else if !accepts {
		after = time.Hour
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(after):
	}
	if refuses {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	s.open.Add(1)
	return &watched{Conn: ours, peer: theirs, host: host, open: &s.open}, nil
}

// watched is a connection of a scene.
type watched struct {
	net.Conn
	peer net.Conn
	host string
	open *atomic.Int64
}

func (w *watched) Close() error {
	w.open.Add(-1)
	w.peer.Close()
	return w.Conn.Close()
}

// origin makes an origin with these addresses in the scene.
func (s *scene) origin(timeout time.Duration, answer string) *Origin {
	s.began = time.Now()
	o := New(Config{Name: "eu", Address: "origin.test:80", ConnectTimeout: timeout,
		Resolve: func(context.Context, string) ([]netip.Addr, error) { return addrs(answer), nil }})
	o.dialer = s.dial
	return o
}

func after(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

// RFC 8305, section 5, and what our own time-out makes of it.
func TestAttemptsToConnectAreStaggered(t *testing.T) {
	tests := []struct {
		name    string
		timeout time.Duration
		accepts map[string]time.Duration
		refuses map[string]time.Duration
		answer  string
		want    string // "" for none
		dialled string
		took    time.Duration
		blamed  string // tried last from now on
	}{
		{name: "the first is quick", timeout: time.Second, answer: "10.0.0.1 10.0.0.2",
			accepts: map[string]time.Duration{"10.0.0.1": after(20), "10.0.0.2": 0},
			want:    "10.0.0.1", dialled: "10.0.0.1 0s", took: after(20)},
		{name: "the first is silent", timeout: time.Second, answer: "10.0.0.1 10.0.0.2",
			accepts: map[string]time.Duration{"10.0.0.2": after(20)},
			want:    "10.0.0.2", dialled: "10.0.0.1 0s, 10.0.0.2 250ms", took: after(270), blamed: "10.0.0.1"},
		{name: "the first refuses", timeout: time.Second, answer: "10.0.0.1 10.0.0.2",
			accepts: map[string]time.Duration{"10.0.0.2": after(20)}, refuses: map[string]time.Duration{"10.0.0.1": after(10)},
			want: "10.0.0.2", dialled: "10.0.0.1 0s, 10.0.0.2 10ms", took: after(30), blamed: "10.0.0.1"},
		{name: "the first is slow and still wins", timeout: time.Second, answer: "10.0.0.1 10.0.0.2",
			accepts: map[string]time.Duration{"10.0.0.1": after(260), "10.0.0.2": after(20)},
			want:    "10.0.0.1", dialled: "10.0.0.1 0s, 10.0.0.2 250ms", took: after(260)},
		{name: "an earlier one fails while a later one connects", timeout: time.Second, answer: "10.0.0.1 10.0.0.2 10.0.0.3",
			accepts: map[string]time.Duration{"10.0.0.2": after(100), "10.0.0.3": after(200)}, refuses: map[string]time.Duration{"10.0.0.1": after(300)},
			want: "10.0.0.2", dialled: "10.0.0.1 0s, 10.0.0.2 250ms, 10.0.0.3 300ms", took: after(350), blamed: "10.0.0.1"},
		{name: "there is little time for all", timeout: after(300), answer: "10.0.0.1 10.0.0.2 10.0.0.3",
			accepts: map[string]time.Duration{"10.0.0.3": after(20)},
			want:    "10.0.0.3", dialled: "10.0.0.1 0s, 10.0.0.2 100ms, 10.0.0.3 200ms", took: after(220), blamed: "10.0.0.1 10.0.0.2"},
		{name: "all are silent", timeout: time.Second, answer: "10.0.0.1 10.0.0.2",
			dialled: "10.0.0.1 0s, 10.0.0.2 250ms", took: time.Second, blamed: "10.0.0.1 10.0.0.2"},
		{name: "the only one is silent", timeout: time.Second, answer: "10.0.0.1", dialled: "10.0.0.1 0s", took: time.Second, blamed: "10.0.0.1"},
		{name: "the only one accepts", timeout: time.Second, answer: "10.0.0.1", accepts: map[string]time.Duration{"10.0.0.1": after(700)},
			want: "10.0.0.1", dialled: "10.0.0.1 0s", took: after(700)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scene{accepts: tt.accepts, refuses: tt.refuses}
				o := s.origin(tt.timeout, tt.answer)
				raw, err := o.Connect(t.Context())
				took := time.Since(s.began)
				got := ""
				if err == nil {
					got = raw.(*watched).host
					raw.Close()
				} else {
					wantDialError(t, err, PhaseConnectTimeout, ErrTimeout)
				}
				if dialled := strings.Join(s.dialled, ", "); got != tt.want || dialled != tt.dialled || took != tt.took {
					t.Errorf("got %q after %v by %s, want %q after %v by %s", got, took, dialled, tt.want, tt.took, tt.dialled)
				}
				if blamed := text(slices.SortedFunc(maps.Keys(o.chooser.failed), netip.Addr.Compare)); blamed != tt.blamed {
					t.Errorf("blamed are %q, want %q", blamed, tt.blamed)
				}
				if n := s.open.Load(); n != 0 {
					t.Errorf("%d connections are left open", n)
				}
			})
		})
	}
}

func TestTwoThatConnectAtOnceLeaveOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{accepts: map[string]time.Duration{"10.0.0.1": after(300), "10.0.0.2": after(50), "10.0.0.3": time.Hour}}
		o := s.origin(time.Second, "10.0.0.1 10.0.0.2 10.0.0.3")
		for range 50 {
			o.chooser = chooser{}
			raw, err := o.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := s.open.Load(); n != 1 {
				t.Fatalf("%d connections are open, want the one that won", n)
			}
			raw.Close()
		}
	})
}

func TestASilentAddressIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{accepts: map[string]time.Duration{"10.0.0.2": after(1)}}
		o := s.origin(time.Second, "10.0.0.1 10.0.0.2")
		connect := func(want time.Duration) {
			t.Helper()
			from := time.Now()
			raw, err := o.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			raw.Close()
			if took := time.Since(from); took != want {
				t.Errorf("took %v, want %v", took, want)
			}
		}
		connect(after(251))
		connect(after(1))
		time.Sleep(refusedFor)
		connect(after(251))
	})
}

func TestACallerThatLeavesARaceIsNobodysFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := errors.New("the client left")
		s := &scene{}
		o := s.origin(time.Minute, "10.0.0.1 10.0.0.2")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(after(400), func() { cancel(left) })
		_, err := o.Connect(ctx)
		wantDialError(t, err, PhaseCanceled, nil)
		if !errors.Is(err, left) || time.Since(s.began) != after(400) {
			t.Errorf("got %v after %v, want the context's cause at once", err, time.Since(s.began))
		}
		if n := len(o.chooser.failed); n != 0 {
			t.Errorf("%d addresses are blamed, want none", n)
		}
	})
}

func TestAProbeSharesWhatItLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{refuses: map[string]time.Duration{"10.0.0.1": 0}, accepts: map[string]time.Duration{"10.0.0.2": 0}}
		o := s.origin(time.Second, "10.0.0.1 10.0.0.2")
		for _, want := range []string{"10.0.0.1 0s, 10.0.0.2 0s", "10.0.0.2 0s"} {
			s.dialled = nil
			raw, err := o.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			raw.Close()
			if got := strings.Join(s.dialled, ", "); got != want {
				t.Errorf("dialled %s, want %s", got, want)
			}
		}
		s.refuses = map[string]time.Duration{"10.0.0.2": 0}
		s.accepts = map[string]time.Duration{"10.0.0.1": 0}
		raw, err := o.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw.Close()
		if _, failed := o.chooser.failed[netip.MustParseAddr("10.0.0.1")]; failed || len(o.chooser.failed) != 1 {
			t.Errorf("blamed are %v, want only the one that refused last", o.chooser.failed)
		}
	})
}

func TestAProbeTakesNobodysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{accepts: map[string]time.Duration{"10.0.0.1": 0, "10.0.0.2": 0}}
		o := s.origin(time.Second, "10.0.0.1 10.0.0.2")
		for _, want := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.1"} {
			for range 3 {
				raw, err := o.Connect(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				raw.Close()
				if got := raw.(*watched).host; got != want {
					t.Errorf("a probe went to %s, want %s as the next request", got, want)
				}
			}
			if targets, _ := o.targets(t.Context(), false); targets[0].address != want+":80" {
				t.Errorf("a request would go to %s, want %s", targets[0].address, want)
			}
		}
	})
}

func TestOutOfDescriptorsBlamesNoAddress(t *testing.T) {
	o := New(Config{Name: "eu", Address: "origin.test:80", Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return addrs("10.0.0.1 10.0.0.2"), nil
	}})
	o.dialer = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EMFILE}
	}
	_, err := o.NewPool(1).Dial(t.Context())
	wantDialError(t, err, PhaseLimit, ErrLimit)
	if n := len(o.chooser.failed); n != 0 || o.Open() != 0 {
		t.Errorf("%d addresses are blamed and %d places taken, want none", n, o.Open())
	}
}
