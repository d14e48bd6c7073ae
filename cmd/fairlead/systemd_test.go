//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

// manager stands for the service manager. It hears what processes tell it.
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(testrun.ShortDir(t), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &manager{t, path, c}
}

// hear is the next message.
func (m *manager) hear() string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b[:n])
}

// hears is what the next message must be like.
func (m *manager) hears(like string) {
	m.t.Helper()
	if got := m.hear(); !regexp.MustCompile("^(?:" + like + ")$").MatchString(got) {
		m.t.Errorf("the service manager is told %q, want %q", got, like)
	}
}

// hearsNothing: no message is there that was not heard.
func (m *manager) hearsNothing() {
	m.t.Helper()
	const mark = "that is all"
	c, err := net.Dial("unixgram", m.path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(mark)); err != nil {
		m.t.Fatal(err)
	}
	if got := m.hear(); got != mark {
		m.t.Errorf("the service manager is told %q, want nothing", got)
	}
}

const reloadingLike = `RELOADING=1\n(MONOTONIC_USEC=\d+\n)?`

func readyLike(pid int) string {
	return fmt.Sprintf(`READY=1\nMAINPID=%d\nSTATUS=serving on 127\.0\.0\.1:\d+\n`, pid)
}

// After a reload, whatever became of it, the addresses of then are told.
const reloadedLike = `READY=1\nSTATUS=serving on 127\.0\.0\.1:\d+\n`

// The service manager is told of each step, in order, and that a new process is
// the main one. The old one never says that the service stops, whatever becomes
// of it.
func TestTheServiceManagerIsToldOfEachStep(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.drain = 10 * time.Minute
	s.eu.SetPath("/hung", chaos.Hang())
	m := newManager(t)
	set := s.setup()
	set.env = []string{"NOTIFY_SOCKET=" + m.path}
	p := set.start(t)
	m.hears(readyLike(p.main.Pid))

	p.listen = []string{"unix:" + filepath.Join(testrun.ShortDir(t), "door")}
	s.change(p)
	p.reload("")
	m.hears(reloadingLike)
	if got := m.hear(); !strings.Contains(got, "STATUS=serving on "+p.address+", "+strings.TrimPrefix(p.listen[0], "unix:")+"\n") {
		t.Errorf("after a listener was added the service manager is told %q", got)
	}
	p.listen = nil
	s.change(p)
	p.reload("")
	m.hears(reloadingLike)
	m.hears(reloadedLike)
	broken := *s
	broken.group = "none"
	broken.change(p)
	p.reload("none")
	m.hears(reloadingLike)
	m.hears(reloadedLike)
	p.signal(syscall.SIGUSR2) // of that broken file
	p.await(notTaken, nil)
	m.hearsNothing()
	s.change(p)

	fetch(t.Context(), "GET", "http://"+p.address+"/hung")
	chaos.Await(t, patience, "request", func() bool { return arrivedAt(s.eu, "/hung") == 1 })
	idle := chaos.Dial(t, "tcp", p.address)
	defer idle.Close()
	if r, err := idle.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil || r.Status != 200 {
		t.Fatal(r.Status, err)
	}
	old := p.successor()
	m.hears(readyLike(p.main.Pid))
	for range 2 { // the first hurries it, the second forces it
		if err := old.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if !idle.Closed() { // or the two might be taken for one
			t.Error("an idle connection is kept")
		}
	}
	p.gone(old)
	m.hearsNothing()

	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	m.hears(`STOPPING=1\n`)
	m.hearsNothing()
}

// Sockets that systemd opened are taken by their addresses, go from process to
// process, and are still systemd's when the last one has ended: clients
// wait in their queues for the next start.
func TestSocketsOfSystemdOutliveTheProcess(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	path := filepath.Join(testrun.ShortDir(t), "door")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	var files []*os.File
	for _, l := range []net.Listener{tcp, local} {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	set := s.setup()
	set.listen = []string{tcp.Addr().String(), "unix:" + path}
	set.inherited, set.before = files, "export LISTEN_PID=$$"
	set.env = []string{"LISTEN_FDS=2"}
	p := set.start(t)
	for _, upgrade := range []bool{false, true} {
		if upgrade {
			p.upgrade()
		}
		if a := <-fetch(t.Context(), "GET", "http://"+tcp.Addr().String()+"/"); a.status != 200 {
			t.Errorf("the TCP socket answers %+v", a)
		}
		if got := overUnix(t, path); got != 200 {
			t.Errorf("the unix socket answers %d", got)
		}
	}
	if n := p.said("a socket that was handed over is not in the configuration, and is closed", nil); n > 0 {
		t.Error("a socket was not taken")
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}

	waiting := fetch(t.Context(), "GET", "http://"+tcp.Addr().String()+"/")
	c := chaos.Dial(t, "unix", path) // its path is still there
	defer c.Close()
	if err := c.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	p = set.start(t)
	if a := <-waiting; a.status != 200 {
		t.Errorf("a client that waited got %+v", a)
	}
	if r, err := c.ReadResponse("GET"); err != nil || r.Status != 200 {
		t.Errorf("a client that waited got %d, %v", r.Status, err)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("systemd's path: %v", err)
	}
}
