package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// write puts a configuration into a file of its own.
func write(t *testing.T, toml string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fairlead.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// oneOrigin is the rest of a configuration: one origin, one group, one route.
func oneOrigin(url string) string {
	return fmt.Sprintf(`
[origins.app]
url = %q
[groups.app]
primary = "app"
`, url) + routeTable("app", "/", "app", 10)
}

// routeTable is a [[routes]] table that gives room to so many requests at once.
func routeTable(name, match, group string, room int) string {
	return fmt.Sprintf("[[routes]]\nname = %q\nmatch = %q\ngroup = %q\nbulkhead = { max_concurrent = %d }\n", name, match, group, room)
}

// line is one event or record of the log.
type line map[string]any

// awaitLine reads a log until an event of that name, and fails the test if the
// log ends before.
func awaitLine(t *testing.T, log *bufio.Scanner, msg string) line {
	t.Helper()
	for log.Scan() {
		var l line
		if err := json.Unmarshal(log.Bytes(), &l); err != nil {
			t.Fatalf("log line is no JSON: %v: %s", err, log.Text())
		}
		if l["msg"] == msg {
			return l
		}
	}
	t.Fatalf("the log ended without %q", msg)
	return nil
}

// running is "fairlead run" within the test.
type running struct {
	t       *testing.T
	address string
	log     *bufio.Scanner // past the event "listening"
	stderr  *bytes.Buffer
	drain   context.CancelFunc
	force   func()
	ended   chan error // the result of run
}

// start runs a configuration, to which it adds where to listen and to log, and
// waits until it listens. What is still running when the test ends is forced.
func start(t *testing.T, toml string) *running {
	t.Helper()
	return startServer(t, "", toml)
}

// startServer is start with more keys for the table [server].
func startServer(t *testing.T, server, toml string) *running {
	t.Helper()
	file := write(t, "[server]\nlisten = [\"127.0.0.1:0\"]\n"+server+"[log]\noutput = \"stdout\"\nlevel = \"debug\"\n"+toml)
	return startProgram(t, file, program{})
}

// startProgram runs a configuration file that logs to stdout with p, whose outputs
// and force it sets.
func startProgram(t *testing.T, file string, p program) *running {
	t.Helper()
	ctx, drain := context.WithCancel(context.Background())
	reader, stdout := io.Pipe()
	force := make(chan struct{})
	r := &running{
		t: t, log: bufio.NewScanner(reader), stderr: new(bytes.Buffer),
		drain: drain, force: sync.OnceFunc(func() { close(force) }), ended: make(chan error, 1),
	}
	p.stdout, p.stderr, p.force = stdout, r.stderr, force
	var all sync.WaitGroup
	all.Go(func() {
		err := p.run(ctx, []string{"run", "-c", file})
		_ = stdout.CloseWithError(io.EOF)
		r.ended <- err
	})
	t.Cleanup(func() {
		drain()
		r.force()
		_, _ = io.Copy(io.Discard, reader)
		all.Wait()
	})
	for {
		l := r.next()
		if l == nil {
			t.Fatalf("did not listen: %v; stderr:\n%s", <-r.ended, r.stderr)
		}
		if l["msg"] == "listening" {
			r.address = l["address"].(string)
			return r
		}
	}
}

// next is the log's next line, nil at its end.
func (r *running) next() line {
	r.t.Helper()
	if !r.log.Scan() {
		return nil
	}
	var l line
	if err := json.Unmarshal(r.log.Bytes(), &l); err != nil {
		r.t.Fatalf("log line is no JSON: %v: %s", err, r.log.Text())
	}
	return l
}

// await reads the log until a line of that name which has these fields.
func (r *running) await(msg string, fields line) line {
	r.t.Helper()
	for l := r.next(); l != nil; l = r.next() {
		if l["msg"] == msg && l.has(fields) {
			return l
		}
	}
	r.t.Fatalf("the log ended without %q %v", msg, fields)
	return nil
}

func (l line) has(fields line) bool {
	for k, v := range fields {
		if l[k] != v {
			return false
		}
	}
	return true
}

// kept is a log that is read all the time, so that nothing in it is lost while
// the test looks elsewhere: the log drops what nobody takes.
type kept struct {
	t     *testing.T
	mu    sync.Mutex
	more  *sync.Cond
	lines []line
	seen  int  // lines before it were looked at
	ended bool // no more will come, or it takes too long
}

// keep reads the log from now on. Nobody else may.
func (r *running) keep() *kept {
	k := &kept{t: r.t}
	k.more = sync.NewCond(&k.mu)
	late := time.AfterFunc(30*time.Second, k.end)
	r.t.Cleanup(func() { late.Stop() })
	go func() {
		defer k.end()
		for r.log.Scan() {
			var l line
			if json.Unmarshal(r.log.Bytes(), &l) == nil {
				k.add(l)
			}
		}
	}()
	return k
}

func (k *kept) add(l line) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, l)
	k.more.Broadcast()
}

func (k *kept) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	k.more.Broadcast()
}

// await waits for the next line of that name which has these fields.
func (k *kept) await(msg string, fields line) line {
	k.t.Helper()
	l := k.find(msg, func(l line) bool { return l.has(fields) })
	if l == nil {
		k.t.Fatalf("the log went without %q %v", msg, fields)
	}
	return l
}

// find waits for the next line of that name, or of any with none, which fits; nil
// if there is none.
func (k *kept) find(msg string, fits func(line) bool) line {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		for ; k.seen < len(k.lines); k.seen++ {
			if l := k.lines[k.seen]; (msg == "" || l["msg"] == msg) && fits(l) {
				k.seen++
				return l
			}
		}
		if k.ended {
			return nil
		}
		k.more.Wait()
	}
}

// rest reads the log to its end.
func (r *running) rest() (lines []line) {
	for l := r.next(); l != nil; l = r.next() {
		lines = append(lines, l)
	}
	return lines
}

// answered is what a client got.
type answered struct {
	status int
	body   string
	err    error
}

// fetch sends a request on a connection of its own.
func fetch(ctx context.Context, method, url string) <-chan answered {
	c := make(chan answered, 1)
	go func() { c <- fetchNow(ctx, method, url) }()
	return c
}

func fetchNow(ctx context.Context, method, url string) answered {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return answered{err: err}
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return answered{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answered{status: resp.StatusCode, body: string(body), err: err}
}

// slowOrigin answers nothing until it is released.
type slowOrigin struct {
	*httptest.Server
	arrived chan struct{} // one for each request
	release chan struct{} // closed by the test
}

func newSlowOrigin(t *testing.T) *slowOrigin {
	o := &slowOrigin{arrived: make(chan struct{}, 16), release: make(chan struct{})}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.arrived <- struct{}{}
		select {
		case <-o.release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "slow")
	}))
	t.Cleanup(o.Close)
	return o
}

// origin answers every request with its name.
func origin(t *testing.T, name string) *httptest.Server {
	s := httptest.NewServer(named(name))
	t.Cleanup(s.Close)
	return s
}

func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
}

// command runs a command line that ends by itself.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	p := program{stdout: &out, stderr: &errs}
	code = exitCode(p.run(t.Context(), args), &errs)
	return code, out.String(), errs.String()
}

// errBroken is what brokenWriter says.
var errBroken = errors.New("broken")

// brokenWriter takes nothing.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// background starts "run" with a log in a file. The first channel gets what
// stderr says about where it listens.
func background(file string) (stderr <-chan string, stop context.CancelFunc, ended <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	said, result := make(chan string, 1), make(chan error, 1)
	p := program{stdout: io.Discard, stderr: chanWriter(said)}
	go func() {
		err := p.run(ctx, []string{"run", "-c", file})
		close(said)
		result <- err
	}()
	return said, cancel, result
}

// chanWriter sends what is written to it, as far as there is room.
type chanWriter chan<- string

func (c chanWriter) Write(p []byte) (int, error) {
	select {
	case c <- string(p):
	default:
	}
	return len(p), nil
}

// listensOn finds the address in what stderr said.
func listensOn(t *testing.T, stderr string) string {
	t.Helper()
	_, after, ok := strings.Cut(stderr, "listening on ")
	address, _, ok2 := strings.Cut(after, ",")
	if !ok || !ok2 {
		t.Fatalf("stderr says %q, want where it listens", stderr)
	}
	return address
}
