//go:build unix

package handover

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// home is a parent inside the test: a TCP and a unix listener to hand over.
type home struct {
	sockets *Sockets
	tcp     net.Listener
	unix    net.Listener
	path    string
}

// newHome also checks that, in the end, no descriptor or goroutine is left.
func newHome(t *testing.T) *home {
	t.Helper()
	chaos.CheckLeaks(t)
	h := &home{path: socketPath(t)}
	h.again(t)
	var err error
	if h.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.tcp.Close() })
	if h.unix, err = net.Listen("unix", h.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.unix.Close() })
	return h
}

// again forgets earlier hand-overs.
func (h *home) again(t *testing.T) {
	t.Helper()
	var err error
	if h.sockets, err = Inherit(); err != nil {
		t.Fatal(err)
	}
}

// socketPath is short enough for a socket, which t.TempDir is not everywhere.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "handover")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// config hands both listeners over. The child takes both if it takes any.
func (h *home) config(t *testing.T) Config {
	t.Helper()
	t.Setenv("FAIRLEAD_TEST_TAKE", "tcp unix:"+h.path)
	return Config{Sockets: []Socket{
		{Address: "tcp", Conn: h.tcp.(syscall.Conn)},
		{Address: "unix:" + h.path, Conn: h.unix.(syscall.Conn)},
	}}
}

func (h *home) start(t *testing.T, ctx context.Context, as string, cfg Config) *Child { //nolint:revive // t comes first in tests
	t.Helper()
	t.Setenv(mode, as)
	c, err := h.sockets.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stillServes connects to both listeners, and then closes them under an Accept
// each, which ends it only if they don't block.
func (h *home) stillServes(t *testing.T) {
	t.Helper()
	for _, l := range []net.Listener{h.tcp, h.unix} {
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Errorf("the parent's listener is of no use any more: %v", err)
			continue
		}
		accepted, err := l.Accept()
		if err != nil {
			t.Errorf("accept at the parent: %v", err)
			continue
		}
		_ = accepted.Close()
		_ = c.Close()
	}
	h.close(t)
}

func (h *home) close(t *testing.T) {
	t.Helper()
	for _, l := range []net.Listener{h.tcp, h.unix} {
		ended := make(chan error, 1)
		accepting := make(chan struct{})
		go func() {
			close(accepting)
			_, err := l.Accept()
			ended <- err
		}()
		<-accepting
		_ = l.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept ended with %v", err)
			}
		case <-time.After(patient):
			t.Fatal("closing the parent's listener doesn't end Accept: the socket has become blocking")
		}
	}
}

// mustBeGone checks that a child was reaped: its id is no process, not even a
// zombie.
func mustBeGone(t *testing.T, c *Child) {
	t.Helper()
	select {
	case <-c.Exited():
	case <-time.After(patient):
		t.Fatalf("process %d has not ended", c.Pid())
	}
	if err := syscall.Kill(c.Pid(), 0); err == nil {
		t.Errorf("process %d is still there: %s", c.Pid(), c.Status())
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestAChildThatFailsIsEndedAndSaysWhy(t *testing.T) {
	large := make([]byte, 4<<20)
	cancelled := errors.New("told to stop")
	tests := []struct {
		as      string
		state   []byte
		timeout time.Duration
		cancel  bool
		want    string
		is      error
	}{
		{as: "exits early", want: "without being ready: exit status 3"},
		{as: "exits early", state: large, want: "without being ready: exit status 3"},
		{as: "exits", want: "without being ready: exit status 4"},
		{as: "takes and fails", want: "without being ready: exit status 4"},
		{as: "leaves its pipes", want: "without being ready: exit status 5"},
		{as: "is killed", want: "without being ready: signal: killed"},
		{as: "closes its pipes", want: "closed its end of the pipe without being ready"},
		{as: "says nonsense", want: `said "x", not that it is ready`},
		{as: "hangs", timeout: 300 * time.Millisecond, want: "wasn't ready within 300ms", is: context.DeadlineExceeded},
		{as: "hangs early", timeout: 300 * time.Millisecond, want: "wasn't ready within 300ms", is: context.DeadlineExceeded},
		{as: "hangs early", state: large, timeout: 300 * time.Millisecond, want: "wasn't ready within 300ms", is: context.DeadlineExceeded},
		{as: "hangs", cancel: true, want: "told to stop", is: cancelled},
		{as: "hangs early", state: large, cancel: true, want: "told to stop", is: cancelled},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, %d bytes, cancel %v", tt.as, len(tt.state), tt.cancel), func(t *testing.T) {
			h := newHome(t)
			cfg := h.config(t)
			cfg.State, cfg.Timeout = tt.state, tt.timeout
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			c := h.start(t, ctx, tt.as, cfg)
			if tt.cancel {
				cancel(cancelled)
			}
			err := c.Wait()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), fmt.Sprint(c.Pid())) {
				t.Errorf("Wait returned %v, want %q with the process id", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
			mustBeGone(t, c)
			if !exists(h.path) {
				t.Error("the unix socket's path is gone, though its owner still listens")
			}
			h.stillServes(t)
			if exists(h.path) {
				t.Error("the parent stays the owner, but its closing left the path")
			}
		})
	}
}

// What changes while the child starts is seen when it is ready, and a child that
// knows less is not put in charge.
func TestAChildThatIsReadyIsEndedIfItIsNotConfirmed(t *testing.T) {
	h := newHome(t)
	cfg := h.config(t)
	stale := errors.New("the state is another one by now")
	asked := 0
	cfg.Confirm = func() error {
		if asked++; asked == 1 {
			return stale
		}
		return nil
	}
	c := h.start(t, t.Context(), "takes and stays", cfg)
	if err := c.Wait(); !errors.Is(err, stale) || !strings.Contains(err.Error(), fmt.Sprint(c.Pid())) {
		t.Errorf("Wait returned %v, want %q with the process id", err, stale)
	}
	mustBeGone(t, c)
	if !exists(h.path) {
		t.Error("the unix socket's path is gone, though its owner still listens")
	}
	c = h.start(t, t.Context(), "takes over", cfg)
	if err := c.Wait(); err != nil || asked != 2 {
		t.Errorf("a child that is confirmed: %v, asked %d times", err, asked)
	}
	mustBeGone(t, c)
}

func TestTheParentsListenersCanBeClosedAfterAHandOver(t *testing.T) {
	h := newHome(t)
	cfg := h.config(t)
	c := h.start(t, t.Context(), "takes and stays", cfg)
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	h.close(t)
	if !exists(h.path) {
		t.Error("the parent removed the path of a socket that it has handed over")
	}
	if c.Status() != "" {
		t.Errorf("the child has ended: %s", c.Status())
	}
	conn, err := net.Dial("tcp", h.tcp.Addr().String())
	if err != nil {
		t.Fatalf("the child doesn't listen: %v", err)
	}
	_, _ = conn.Read(make([]byte, 1)) // until the child has closed its listeners
	_ = conn.Close()
	mustBeGone(t, c)
	if c.Status() != "exit status 0" {
		t.Errorf("the child ended with %s", c.Status())
	}
	if exists(h.path) {
		t.Error("the child left the path of its socket")
	}
}

func TestAStateOfSeveralMiBArrives(t *testing.T) {
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 5 << 20, MaxState} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			h := newHome(t)
			cfg := h.config(t)
			cfg.State = make([]byte, size)
			random := rand.NewChaCha8([32]byte{1})
			_, _ = random.Read(cfg.State)
			t.Setenv("FAIRLEAD_TEST_STATE", fmt.Sprintf("%x", sha256.Sum256(cfg.State)))
			c := h.start(t, t.Context(), "takes over", cfg)
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
			mustBeGone(t, c)
			if c.Status() != "exit status 0" {
				t.Errorf("the child ended with %s", c.Status())
			}
		})
	}
}

func TestFortyHandOversLeaveNoDescriptor(t *testing.T) {
	// The collector would close what was forgotten.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	h := newHome(t)
	cfg := h.config(t)
	atRest := chaos.Rest()
	for i := range 40 {
		as := []string{"takes over", "takes and fails"}[i%2]
		c := h.start(t, t.Context(), as, cfg)
		if err := c.Wait(); (err == nil) != (as == "takes over") {
			t.Fatalf("hand-over %d, to a process that %s: %v", i, as, err)
		}
		mustBeGone(t, c)
		h.again(t)
		if err := atRest.Wait(5 * time.Second); err != nil {
			t.Fatalf("after hand-over %d: %v", i, err)
		}
		if as == "takes over" { // and closed its listeners: the path is for the next one
			_ = h.unix.Close()
			l, err := net.Listen("unix", h.path)
			if err != nil {
				t.Fatal(err)
			}
			h.unix = l
			cfg = h.config(t)
		}
		atRest = chaos.Rest()
	}
}

func TestOneHandOverAtATime(t *testing.T) {
	h := newHome(t)
	cfg := h.config(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := h.start(t, ctx, "hangs", cfg)
	if _, err := h.sockets.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "is about to take over") {
		t.Errorf("a second child beside the first: %v", err)
	}
	cancel()
	if err := c.Wait(); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was not waited for") {
		t.Errorf("Wait returned %v, want what became of it and why", err)
	}
	c = h.start(t, t.Context(), "starts", cfg)
	if err := c.Wait(); err != nil {
		t.Fatalf("after a failure: %v", err)
	}
	if _, err := h.sockets.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "has taken over already") {
		t.Errorf("a child after one that took over: %v", err)
	}
	mustBeGone(t, c)
}

func TestWhatCannotBeHandedOverIsRefused(t *testing.T) {
	h := newHome(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	tests := []struct {
		name string
		from *Sockets
		give Config
		want string
	}{
		{name: "no Inherit", from: &Sockets{}, want: "call Inherit first"},
		{name: "nil", from: nil, want: "call Inherit first"},
		{name: "a long state", from: h.sockets, give: Config{State: make([]byte, MaxState+1)}, want: "too long"},
		{name: "many sockets", from: h.sockets, give: Config{Sockets: make([]Socket, MaxSockets+1)}, want: "too many"},
		{name: "not UTF-8", from: h.sockets, give: Config{Sockets: []Socket{{Address: "\xff"}}}, want: "not UTF-8"},
		{name: "a file", from: h.sockets, give: Config{Sockets: []Socket{{Address: "x", Conn: file}}}, want: "socket of x: not a socket"},
		{name: "closed", from: h.sockets, give: Config{Sockets: []Socket{{Address: "x", Conn: closed.(syscall.Conn)}}}, want: "closed"},
		{
			name: "no program", want: "no such file",
			from: &Sockets{program: filepath.Join(t.TempDir(), "none"), inCharge: true},
			give: Config{Sockets: []Socket{{Address: "x", Conn: h.tcp.(syscall.Conn)}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chaos.CheckLeaks(t)
			if _, err := tt.from.Start(t.Context(), tt.give); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start returned %v, want %q", err, tt.want)
			}
		})
	}
	h.stillServes(t)
}
