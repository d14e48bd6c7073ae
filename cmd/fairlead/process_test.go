package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// patience is how long a test waits for what has to happen, on a busy machine.
const patience = 30 * time.Second

// setup says how "fairlead run" is to be started as a process of its own. The
// zero value of each field but toml is the usual way.
type setup struct {
	server string // more keys for the table [server], which has listen already
	toml   string // what follows the tables [server] and [log]

	env         []string   // added to the environment, "NAME=value"
	descriptors int        // its file-descriptor limit, soft and hard; 0: the test's own
	inherited   []*os.File // open in the process from descriptor 3 on
}

// process is "fairlead run", a real one: it has a configuration that can be
// rewritten, takes signals, and has an exit code and a memory of its own. Its
// log is read all the time.
//
//	p := setup{toml: oneOrigin(origin.URL())}.start(t)
//	p.await("verdict", line{"to": "healthy"})
//	p.configure("idle_timeout = \"1s\"", oneOrigin(other.URL()))
//	p.signal(syscall.SIGHUP)
//	code := p.end()
//	totals := p.totals("app")
//
// The end of the test kills what is still running.
type process struct {
	t       *testing.T
	file    string // the configuration
	address string // of the plain listener
	log     *kept  // every event but access records

	cmd    *exec.Cmd
	stderr *bytes.Buffer // complete after the end
	ended  chan struct{} // closed when the process is gone and its log was read
}

// start starts a process and waits until it listens.
func (s setup) start(t *testing.T) *process {
	t.Helper()
	p := &process{
		t: t, file: filepath.Join(t.TempDir(), "fairlead.toml"),
		log: &kept{t: t}, stderr: new(bytes.Buffer), ended: make(chan struct{}),
	}
	p.log.more = sync.NewCond(&p.log.mu)
	p.configure(s.server, s.toml)
	p.cmd = s.command(t, "run", "-c", p.file)
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stdout)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("stderr of the process:\n%s", p.stderr)
		}
	})
	p.address = p.await("listening", line{"tls": false})["address"].(string)
	return p
}

// command is the program with this setup. A limit needs a shell, which the
// program then replaces, so that its process id is the shell's.
func (s setup) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := fairlead(t.Context(), args...)
	cmd.Env = append(cmd.Env, s.env...)
	cmd.ExtraFiles = s.inherited
	if s.descriptors == 0 {
		return cmd
	}
	shell, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("a limit of file descriptors needs a shell to set it")
	}
	cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, s.descriptors), cmd.Path}, args...)
	cmd.Path = shell
	return cmd
}

// configure writes the configuration file anew: where to listen and to log, and
// what is given. The file is replaced in one step, as an operator should. A
// running process keeps its addresses if it reads it again.
func (p *process) configure(server, toml string) {
	p.t.Helper()
	listen := "127.0.0.1:0"
	if p.address != "" {
		listen = p.address
	}
	text := fmt.Sprintf("[server]\nlisten = [%q]\n%s\n[log]\noutput = \"stdout\"\naccess = false\n%s", listen, server, toml)
	if err := os.WriteFile(p.file+".new", []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.file+".new", p.file); err != nil {
		p.t.Fatal(err)
	}
}

// read keeps the log until the process ends, and then waits for it.
func (p *process) read(stdout io.Reader) {
	defer close(p.ended)
	defer p.log.end()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			p.t.Errorf("log line is no JSON: %s", lines.Bytes())
			continue
		}
		p.log.add(l)
	}
	_, _ = io.Copy(io.Discard, stdout) // a line that was too long must not block the process
	_ = p.cmd.Wait()
}

// await waits for the next event of that name which has these fields. Events
// before it are passed over, so it is asked for in the order of the log.
func (p *process) await(msg string, fields line) line {
	p.t.Helper()
	late := time.AfterFunc(patience, p.log.end)
	defer late.Stop()
	return p.log.await(msg, fields)
}

// said is how many events of that name with these fields the log has so far,
// whatever await has passed over.
func (p *process) said(msg string, fields line) (n int) {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	for _, l := range p.log.lines {
		if l["msg"] == msg && l.has(fields) {
			n++
		}
	}
	return n
}

// signal sends a signal. The test is skipped where there are none.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if runtime.GOOS == "windows" {
		p.t.Skip("Windows has no such signals")
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// code waits for the process to end by itself and returns its exit code; -1 if
// a signal ended it.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("the process did not end in %v", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// end drains the process and returns its exit code.
func (p *process) end() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.code()
}

// totals are a route's counters, which the log has once the process has ended.
// It fails the test if a request is lost among them or a permit was kept.
func (p *process) totals(route string) line {
	p.t.Helper()
	l := p.log.find("route totals", func(l line) bool { return l["route"] == route })
	if l == nil {
		p.t.Fatalf("no totals of route %s; has the process ended?", route)
	}
	sum := 0.0
	for _, k := range []string{"served", "failed_over", "shed", "failed", "left"} {
		sum += l[k].(float64)
	}
	if l["accepted"] != sum || l["in_use"] != 0.0 || l["queued"] != 0.0 {
		p.t.Errorf("route %s: accepted is not the sum of what became of it, or permits are out: %v", route, l)
	}
	return l
}

// usage is what a process uses of the machine.
type usage struct {
	rss, peak   int64         // resident memory now and at most, in bytes
	descriptors int           // that are open
	sockets     int           // of these
	cpu         time.Duration // since its start, of all its threads
}

// usage looks into /proc. The test is skipped where there is none.
func (p *process) usage() (u usage) {
	p.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err1 := os.ReadFile(dir + "status")
	stat, err2 := os.ReadFile(dir + "stat")
	open, err3 := os.ReadDir(dir + "fd")
	if runtime.GOOS != "linux" {
		p.t.Skip("what a process uses is read from Linux's /proc")
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		p.t.Fatal(err)
	}
	for l := range strings.Lines(string(status)) {
		switch f := strings.Fields(l); {
		case len(f) == 3 && f[0] == "VmRSS:":
			u.rss = 1024 * number(f[1])
		case len(f) == 3 && f[0] == "VmHWM:":
			u.peak = 1024 * number(f[1])
		}
	}
	_, after, _ := bytes.Cut(stat, []byte(") ")) // behind the name, which may hold anything
	f := strings.Fields(string(after))
	const tick = 10 * time.Millisecond // USER_HZ, which Linux fixes for /proc
	u.cpu = time.Duration(number(f[11])+number(f[12])) * tick
	u.descriptors = len(open)
	for _, fd := range open {
		if to, _ := os.Readlink(dir + "fd/" + fd.Name()); strings.HasPrefix(to, "socket:") {
			u.sockets++
		}
	}
	return u
}

// awaitSockets waits until no more sockets are open than that. (Descriptors of
// other kinds may stay until a collection, such as the pipes of splices.)
func (p *process) awaitSockets(most int) {
	p.t.Helper()
	chaos.Await(p.t, patience, fmt.Sprintf("more than %d open sockets", most), func() bool { return p.usage().sockets <= most })
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// skipUnderRace skips a test of memory: the race detector, which the process
// has if the test has it, keeps a multiple of it.
func skipUnderRace(t *testing.T) {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector takes memory of its own")
	}
}

// descriptorsOfTest is how many files this process may have open.
func descriptorsOfTest() int {
	limits, err := os.ReadFile("/proc/self/limits")
	if err == nil {
		if _, after, ok := strings.Cut(string(limits), "Max open files"); ok {
			return int(number(strings.Fields(after)[0]))
		}
	}
	return 256 // what macOS gives by default
}
