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

// full says that tests which are long by nature run in their full size.
func full() bool { return os.Getenv("FAIRLEAD_TEST_FULL") != "" }

// ofFull is how many of something a test takes: some, or in its full size all.
func ofFull(some, all int) int {
	if full() {
		return all
	}
	return some
}

// setup says how "fairlead run" is to be started as a process of its own. The
// zero value of each field but toml is the usual way.
type setup struct {
	server string // more keys for the table [server], which has listen already
	toml   string // what follows the tables [server] and [log]

	env         []string   // added to the environment, "NAME=value"
	descriptors int        // its file-descriptor limit, soft and hard; 0: the test's own
	inherited   []*os.File // open in the process from descriptor 3 on
	program     string     // the file that is started; empty: this test's own
	before      string     // commands of a shell, which the program then replaces
	listen      []string   // listens there too
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
// The end of the test kills what is still running, also the processes that this
// one has handed over to.
type process struct {
	t       *testing.T
	file    string   // the configuration
	address string   // of the first plain listener
	listen  []string // further ones
	log     *kept    // every event but access records, of all processes

	main   *os.Process   // the one that is signalled: the first, or its successor
	cmd    *exec.Cmd     // the first
	exited chan struct{} // closed when the first is gone
	stderr *bytes.Buffer // complete after the end
	ended  chan struct{} // closed when all are gone and the log was read
}

// start starts a process and waits until it listens.
func (s setup) start(t *testing.T) *process {
	t.Helper()
	p := s.begin(t)
	p.address = p.await("listening", line{"tls": false})["address"].(string)
	return p
}

// begin starts a process.
func (s setup) begin(t *testing.T) *process {
	t.Helper()
	p := &process{
		t: t, file: filepath.Join(t.TempDir(), "fairlead.toml"), listen: s.listen, log: &kept{t: t},
		exited: make(chan struct{}), stderr: new(bytes.Buffer), ended: make(chan struct{}),
	}
	p.log.more = sync.NewCond(&p.log.mu)
	p.configure(s.server, s.toml)
	p.cmd = s.command(t, "run", "-c", p.file)
	inGroupOfItsOwn(p.cmd)
	// Files, since Wait must not wait for those who inherit them.
	stdout, out := pipe(t)
	stderr, errs := pipe(t)
	p.cmd.Stdout, p.cmd.Stderr = out, errs
	err := p.cmd.Start()
	_, _ = out.Close(), errs.Close()
	if err != nil {
		_, _ = stdout.Close(), stderr.Close()
		t.Fatal(err)
	}
	p.main = p.cmd.Process
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	go p.read(stdout, stderr)
	t.Cleanup(func() {
		select {
		case <-p.ended: // and nobody knows whose id it is now
		default:
			killGroup(p.cmd.Process)
			<-p.ended
		}
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("stderr of the process:\n%s", p.stderr)
		}
	})
	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// command is the program with this setup. Commands of a shell and a limit need
// one, which the program then replaces, so that its process id is the shell's.
func (s setup) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := fairlead(t.Context(), args...)
	if s.program != "" {
		cmd.Path, cmd.Args[0] = s.program, s.program
	}
	cmd.Env = append(cmd.Env, s.env...)
	cmd.ExtraFiles = s.inherited
	if s.descriptors > 0 {
		s.before += fmt.Sprintf("ulimit -n %d\n", s.descriptors)
	}
	if s.before == "" {
		return cmd
	}
	shell, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("this takes a shell to start the process from")
	}
	cmd.Args = append([]string{"sh", "-ec", s.before + `
exec "$0" "$@"`, cmd.Path}, args...)
	cmd.Path = shell
	return cmd
}

// configure writes the configuration file anew: where to listen and to log, and
// what is given. A running process keeps its addresses if it reads it again.
func (p *process) configure(server, toml string) {
	p.t.Helper()
	listen := fmt.Sprintf("%q", append([]string{"127.0.0.1:0"}, p.listen...))
	listen = strings.ReplaceAll(listen, `" "`, `", "`)
	p.write(fmt.Sprintf("[server]\nlisten = %s\n%s\n[log]\noutput = \"stdout\"\naccess = false\n%s", listen, server, toml))
}

// write replaces the configuration file in one step, as an operator should.
func (p *process) write(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.file+".new", []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.file+".new", p.file); err != nil {
		p.t.Fatal(err)
	}
}

// read keeps what all processes say until the last one ends.
func (p *process) read(stdout, stderr *os.File) {
	defer close(p.ended)
	defer p.log.end()
	var errs sync.WaitGroup
	errs.Go(func() {
		_, _ = io.Copy(p.stderr, stderr)
		_ = stderr.Close()
	})
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
	_ = stdout.Close()
	errs.Wait()
	<-p.exited
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

// first waits for the first event of that name with these fields, which await may
// have passed over.
func (p *process) first(msg string, fields line) (found line) {
	p.t.Helper()
	chaos.Await(p.t, patience, fmt.Sprintf("event %q %v", msg, fields), func() bool {
		p.log.mu.Lock()
		defer p.log.mu.Unlock()
		i := slices.IndexFunc(p.log.lines, func(l line) bool { return l["msg"] == msg && l.has(fields) })
		if i >= 0 {
			found = p.log.lines[i]
		}
		return i >= 0
	})
	return found
}

// awaitSaid waits until said is n, for events that have no order.
func (p *process) awaitSaid(n int, msg string, fields line) {
	p.t.Helper()
	chaos.Await(p.t, patience, fmt.Sprintf("%d times %q %v", n, msg, fields), func() bool { return p.said(msg, fields) >= n })
	if is := p.said(msg, fields); is > n {
		p.t.Fatalf("the log has %q %v %d times, want %d", msg, fields, is, n)
	}
}

// signal sends a signal. The test is skipped where there are none.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if runtime.GOOS == "windows" {
		p.t.Skip("Windows has no such signals")
	}
	if err := p.main.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// code waits for the process to end by itself and returns its exit code; -1 if
// a signal ended it.
func (p *process) code() int {
	p.t.Helper()
	p.awaitEnd(p.ended)
	if p.main == p.cmd.Process {
		return p.cmd.ProcessState.ExitCode()
	}
	return codeOf(p.t, p.main)
}

func (p *process) awaitEnd(ended <-chan struct{}) {
	p.t.Helper()
	select {
	case <-ended:
	case <-time.After(patience):
		p.t.Fatalf("the process did not end in %v", patience)
	}
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
	dir := fmt.Sprintf("/proc/%d/", p.main.Pid)
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
	if underRace() {
		t.Skip("the race detector takes memory of its own")
	}
}

func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
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
