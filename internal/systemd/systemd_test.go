package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// manager listens where a service manager would, and returns what arrives next.
func manager(t *testing.T, address string) (next func() string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no datagram sockets with paths")
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv(variable, address)
	return func() string {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// inDirectory is a path that is short enough for a socket.
func inDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestEveryStateArrivesInOneMessage(t *testing.T) {
	next := manager(t, inDirectory(t))
	tests := []struct {
		give []State
		want string
	}{
		{[]State{Ready}, "READY=1\n"},
		{[]State{Stopping, Status("draining 3 connections")}, "STOPPING=1\nSTATUS=draining 3 connections\n"},
		{[]State{Ready, MainPID(4711), Status("")}, "READY=1\nMAINPID=4711\nSTATUS=\n"},
		{[]State{Status("two\nlines\r\x00 and\tmore, grün")}, "STATUS=two lines   and more, grün\n"},
	}
	for _, tt := range tests {
		if err := Notify(tt.give...); err != nil {
			t.Error(err)
			continue
		}
		if got := next(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestAnAbstractSocketIsReached(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has abstract sockets")
	}
	next := manager(t, fmt.Sprintf("@fairlead-test-%d", os.Getpid()))
	if err := Notify(Ready); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "READY=1\n" {
		t.Errorf("got %q", got)
	}
}

func TestAReloadSaysWhenItBegan(t *testing.T) {
	next := manager(t, inDirectory(t))
	var last string
	for range 2 {
		if err := Notify(Reloading(), Status("reading")); err != nil {
			t.Fatal(err)
		}
		got := next()
		want := `^RELOADING=1\nSTATUS=reading\n$`
		if runtime.GOOS == "linux" {
			want = `^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reading\n$`
		}
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("got %q, want %s", got, want)
		}
		if got < last && len(got) == len(last) {
			t.Errorf("%q after %q: time runs backwards", got, last)
		}
		last = got
	}
}

func TestTheTimeOfAReloadIsTheSystemsMonotonicClock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /proc/uptime")
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Skip(err)
	}
	var uptime float64
	if _, err := fmt.Sscan(string(text), &uptime); err != nil {
		t.Fatal(err)
	}
	// The two differ by the time in suspension. Of any other clock the
	// difference is years, or the reading is near zero.
	if now := monotonic().Seconds(); now <= 0 || now > uptime+60 || now < uptime/1000 {
		t.Errorf("the clock says %.1f s, the system has been up for %.1f s", now, uptime)
	}
}

func TestWithoutAManagerNothingHappens(t *testing.T) {
	t.Setenv(variable, "")
	if err := Notify(Ready); err != nil {
		t.Error(err)
	}
	t.Setenv(variable, "/nowhere")
	if err := Notify(); err != nil {
		t.Errorf("nothing to say: %v", err)
	}
}

func TestAManagerThatCannotBeReachedIsAnError(t *testing.T) {
	for _, address := range []string{"relative", "vsock:2:1", "/nowhere/at/all", "@"} {
		t.Setenv(variable, address)
		if err := Notify(Ready); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAManagerThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a full queue is an error at once")
	}
	manager(t, inDirectory(t))
	text := Status(strings.Repeat("x", 2000))
	ended := make(chan error, 1)
	go func() {
		for range 100_000 {
			if err := Notify(text); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the queue is never full")
		}
	case <-time.After(time.Minute):
		t.Error("still waiting for a manager that doesn't read")
	}
}
