package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

const get = "GET / HTTP/1.1\r\nHost: a\r\nChaos-Id: raw\r\n\r\n"

const silent = 300 * time.Millisecond

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func answered(t *testing.T, r *chaos.Raw) {
	t.Helper()
	if p, err := r.Do(get); err != nil || p.Status != 200 {
		t.Fatalf("got %d, %v", p.Status, err)
	}
}

func TestAPartitionLeavesConnectsUnanswered(t *testing.T) {
	t.Parallel()
	n := New(t)
	eu := n.Origin(t, "eu")
	answered(t, chaos.Dial(t, "tcp", eu.Addr()))
	for name, lose := range map[string]func(){"both": n.Partition, "requests": n.DropRequests, "replies": n.DropReplies} {
		lose()
		if nc, err := net.DialTimeout("tcp", eu.Addr(), silent); !isTimeout(err) {
			t.Errorf("%s: got %v, %v, want a time-out", name, nc, err)
		}
		n.Heal()
		n.Heal() // again changes nothing
		answered(t, chaos.Dial(t, "tcp", eu.Addr()))
	}
}

func TestLossInOneDirectionOfAnOpenConnection(t *testing.T) {
	t.Parallel()
	n := New(t)
	eu := n.Origin(t, "eu")
	tests := []struct {
		name    string
		lose    func()
		arrives bool
	}{
		{"replies", n.DropReplies, true},
		{"requests", n.DropRequests, false},
		{"both", n.Partition, false},
	}
	for _, tt := range tests {
		r := chaos.Dial(t, "tcp", eu.Addr())
		answered(t, r)
		eu.Forget()
		tt.lose()
		if err := r.Send(get); err != nil {
			t.Errorf("%s: the sender was told: %v", tt.name, err)
		}
		if tt.arrives {
			chaos.Await(t, 5*time.Second, "arrival", func() bool { return eu.Arrived() == 1 })
		}
		r.Timeout = silent
		if got, err := r.Read(1); got != "" || !isTimeout(err) {
			t.Errorf("%s: got %q, %v, want silence", tt.name, got, err)
		}
		if !tt.arrives && eu.Arrived() != 0 {
			t.Errorf("%s: the request arrived", tt.name)
		}
		n.Heal()
		r.Timeout = 20 * time.Second // whoever retransmits does it ever less often
		if p, err := r.ReadResponse("GET"); err != nil || p.Status != 200 || eu.Arrived() != 1 {
			t.Errorf("%s: healed: got %d, %v and %d arrivals", tt.name, p.Status, err, eu.Arrived())
		}
	}
}

func TestDoComesBackAndExecRunsInside(t *testing.T) {
	t.Parallel()
	n := New(t)
	var names []string
	n.Do(func() {
		all, err := net.Interfaces()
		if err != nil {
			t.Error(err)
		}
		for _, one := range all {
			names = append(names, one.Name)
		}
	})
	if got := fmt.Sprint(names); !strings.Contains(got, n.far.device) || strings.Contains(got, n.near.device) {
		t.Errorf("inside there are %s", got)
	}
	if _, err := net.InterfaceByName(n.near.device); err != nil {
		t.Errorf("outside afterwards: %v", err)
	}
	if out, err := n.Exec("ip", "-o", "address"); err != nil || !strings.Contains(out, n.Address()) || strings.Contains(out, n.NearAddress()+"/") {
		t.Errorf("exec: %v: %s", err, out)
	}
}

// fakeTB is a test that may fail or be skipped without ours.
type fakeTB struct {
	told     []string
	cleanups []func()
}

func (f *fakeTB) Helper()           {}
func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Errorf(format string, args ...any) {
	f.told = append(f.told, fmt.Sprintf(format, args...))
}
func (f *fakeTB) Fatalf(format string, args ...any) { f.Errorf(format, args...) }
func (f *fakeTB) Skipf(format string, args ...any)  { f.Errorf(format, args...) }

func TestTheEndOfATestRemovesEverything(t *testing.T) {
	t.Parallel()
	_ = New(t) // skips where there is none
	fake := &fakeTB{}
	n := New(fake)
	if n == nil {
		t.Fatalf("%q", fake.told)
	}
	n.Partition()
	for range 2 {
		for _, cleanup := range fake.cleanups {
			cleanup()
		}
	}
	if _, err := os.Stat("/run/netns/" + n.name); !os.IsNotExist(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
	if _, err := net.InterfaceByName(n.near.device); err == nil {
		t.Error("the cable is still there")
	}
	n.Do(func() { t.Error("was in a namespace that is gone") })
	if len(fake.told) != 1 || !strings.Contains(fake.told[0], "enter namespace") {
		t.Errorf("told %q", fake.told)
	}
}

func TestWhoMayNotIsToldWhy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	fake := &fakeTB{}
	if n := New(fake); n != nil || len(fake.told) != 1 || !strings.Contains(fake.told[0], "no network namespace: ") {
		t.Errorf("got %v and %q", n, fake.told)
	}
}
