package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test's own binary play the roles that the benchmark's binary plays.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && isRole(os.Args[1]) {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// startOrigin runs an origin of its own for the test.
func startOrigin(t *testing.T) (*process, netip.AddrPort) {
	t.Helper()
	p, addrs, err := startRole(originRole, nil, ownCores(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	if len(addrs) != 2 || addrs[0] == addrs[1] {
		t.Fatalf("the origin listens at %q, want two addresses", addrs)
	}
	return p, netip.MustParseAddrPort(addrs[0])
}

func ownCores(t *testing.T) []int {
	t.Helper()
	all, err := usableCores()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// loadOn opens connections for the test.
func loadOn(t *testing.T, addr netip.AddrPort, conns int, size int64) *load {
	t.Helper()
	l, err := newLoad(addr, conns, hotPaths(0, size), size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func TestEveryRequestOfTheOpenLoopIsAnsweredAndCounted(t *testing.T) {
	t.Parallel() // it mostly waits
	_, addr := startOrigin(t)
	for _, size := range []int64{0, 1, 1024, 64 << 10, 1 << 20} {
		l := loadOn(t, addr, 4, size)
		w, err := l.openLoop(t.Context(), 0, 250*time.Millisecond, 200)
		if err != nil {
			t.Fatalf("%s: %v", sizeName(size), err)
		}
		if w.Requests != 50 || w.Latency.total != 50 {
			t.Errorf("%s: %d requests and %d latencies, want 50", sizeName(size), w.Requests, w.Latency.total)
		}
	}
}

func TestALowRateStillHasARequestThatCounts(t *testing.T) {
	_, addr := startOrigin(t)
	l := loadOn(t, addr, 1, 0)
	w, err := l.openLoop(t.Context(), 20*time.Millisecond, 20*time.Millisecond, 10)
	if err != nil {
		t.Fatal(err)
	}
	if w.Requests < 1 {
		t.Error("no request was counted")
	}
}

func TestTheClosedLoopCountsResponsesAndCPU(t *testing.T) {
	p, addr := startOrigin(t)
	l := loadOn(t, addr, 8, 1024)
	w, err := l.closedLoop(t.Context(), 0, 300*time.Millisecond, func() (time.Duration, error) { return cpuOf([]int{p.cmd.Process.Pid}) })
	if err != nil {
		t.Fatal(err)
	}
	if w.Requests < 1 || w.Latency.total != uint64(w.Requests) || w.CPU <= 0 || w.Wall < 300*time.Millisecond {
		t.Errorf("got %d requests, %d latencies, %v of CPU in %v", w.Requests, w.Latency.total, w.CPU, w.Wall)
	}
}

func TestAWaitForAFreeConnectionIsPartOfTheLatency(t *testing.T) {
	// Three requests are due within 20 ms, over one connection whose first answer takes 200 ms: the other two were due
	// long before they could be sent.
	addr := scriptedServer(t, func(c net.Conn) {
		const response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		c.Read(make([]byte, 4096))
		<-time.After(200 * time.Millisecond)
		io.WriteString(c, response)
		for answerWith(c, response) {
		}
	})
	l := loadOn(t, addr, 1, 0)
	w, err := l.openLoop(t.Context(), 0, 30*time.Millisecond, 100)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Latency.quantile(0); w.Requests != 3 || got < 150*time.Millisecond {
		t.Errorf("%d requests, the shortest latency %v", w.Requests, got)
	}
}

func TestAWrongResponseEndsTheRun(t *testing.T) {
	for _, tt := range []struct{ name, give, want string }{
		{"status", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nabc", "503"},
		{"stated length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", "4 bytes instead of 3"},
		{"too many bytes", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "after the end"},
		{"too few bytes", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", errClosed.Error()},
		{"no response", "", errClosed.Error()},
		{"endless head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000), "head over 4096"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := loadOn(t, scriptedServer(t, func(c net.Conn) { answerWith(c, tt.give) }), 1, 3)
			_, err := l.closedLoop(t.Context(), time.Minute, time.Minute, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something with %q", err, tt.want)
			}
		})
	}
}

func TestACancelledRunEnds(t *testing.T) {
	_, addr := startOrigin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := loadOn(t, addr, 1, 0).closedLoop(ctx, time.Minute, time.Minute, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("closed loop: got %v", err)
	}
	if _, err := loadOn(t, addr, 1, 0).openLoop(ctx, time.Minute, time.Minute, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("open loop: got %v", err)
	}
}

// scriptedServer serves each connection with serve and then closes it.
func scriptedServer(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// answerWith reads one request and writes the response as it stands.
func answerWith(c net.Conn, response string) bool {
	buf := make([]byte, 4096)
	if _, err := c.Read(buf); err != nil {
		return false
	}
	_, err := io.WriteString(c, response)
	return err == nil
}

// testSession has an origin, and ends with the test.
func testSession(t *testing.T) *session {
	t.Helper()
	s := &session{folder: t.TempDir(), progress: io.Discard}
	err := s.open()
	if errors.Is(err, errFewFiles) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.origin.stop)
	return s
}

// installed locates a contender, and skips the test without its program.
func (s *session) installed(t *testing.T, key string) contender {
	t.Helper()
	c, err := s.locate(t.Context(), key, "")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestInstalledContendersAcceptTheirConfiguration(t *testing.T) {
	s := testSession(t)
	for _, key := range []string{"nginx", "haproxy", "caddy", "reverseproxy"} {
		t.Run(key, func(t *testing.T) {
			c := s.installed(t, key)
			p, err := s.start(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer p.stop()
			l := loadOn(t, p.addr, 4, 64<<10)
			if w, err := l.openLoop(t.Context(), 0, 200*time.Millisecond, 200); err != nil || w.Requests != 40 {
				t.Errorf("got %+v, %v", w, err)
			}
			if used, err := p.cpu(); err != nil || used <= 0 {
				t.Errorf("CPU: %v, %v", used, err)
			}
			if memory, err := memoryOf(p.pids); err != nil || memory <= 0 {
				t.Errorf("memory: %d, %v", memory, err)
			}
		})
	}
}

func TestAComparisonHasEveryFigure(t *testing.T) {
	t.Parallel() // it mostly waits
	s := testSession(t)
	c, err := s.locate(t.Context(), "reverseproxy", "")
	if err != nil {
		t.Fatal(err)
	}
	o := options{Sizes: []int64{0, 1024}, Rounds: 2, Duration: 200 * time.Millisecond, Rate: 50}
	r, err := s.compare(t.Context(), []contender{c}, o)
	// On a busy machine net/http's proxy answers 502 now and then after a round has left its connections, and a round of
	// 200 ms may pass without an answer. Either ends a comparison, as it must; what is tested here is one that comes to
	// its end.
	busy := func(err error) bool {
		return err != nil && (strings.Contains(err.Error(), "502 Bad Gateway") || strings.Contains(err.Error(), "no response within the window"))
	}
	for again := 0; again < 4 && busy(err); again++ {
		t.Log(err)
		r, err = s.compare(t.Context(), []contender{c}, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range r.Sizes {
		p := size.Proxies[0]
		for _, values := range [][]float64{p.CPU, p.Throughput, p.Core, p.P50, p.P99} {
			if len(values) != o.Rounds || values[0] <= 0 || values[1] <= 0 {
				t.Errorf("%s: got %v, want a figure for each of %d rounds", sizeName(size.Size), values, o.Rounds)
			}
		}
	}
}

func TestAProgramThatEndsIsReportedWithItsComplaint(t *testing.T) {
	s := testSession(t)
	_, err := s.startOnce(t.Context(), contender{Key: "nginx", program: failing(t)})
	if err == nil || !strings.Contains(err.Error(), "start nginx: it ended\nno such luck") {
		t.Errorf("got %v", err)
	}
}

// failing is a program that complains and ends.
func failing(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "failing")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho no such luck >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestStoppingEndsTheWholeTree(t *testing.T) {
	t.Parallel() // it mostly waits
	// The shell ignores being asked to end, and so does its child: both have to be killed.
	script := `PATH=$PATH:/bin:/usr/bin; trap "" TERM; sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done' & wait`
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := startProcess("stubborn", command{Args: []string{"/bin/sh", "-c", script}}, ownCores(t), t.TempDir(), w)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	pids, err := p.tree()
	if err != nil || len(pids) < 2 {
		t.Errorf("the tree is %v, %v, want the shell and its child", pids, err)
	}
	p.stop()
	if err := syscall.Kill(-pids[0], 0); !errors.Is(err, syscall.ESRCH) {
		// A killed orphan may wait to be reaped; its pipe is closed at once.
		t.Logf("the group still has members: %v", err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("somebody still holds the pipe: %d, %v", n, err)
	}
}

func TestDocumentsAreRewrittenBetweenTheirMarkers(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "performance.md")
	if err := os.WriteFile(file, []byte("before\n<!-- bench:compare -->\n<!-- /bench:compare -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := compareReport(someSizes())
	r.Machine = "A fine machine."
	if err := writeDocs(folder, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); !strings.HasPrefix(s, "before\n") || !strings.HasSuffix(s, "after\n") || !strings.Contains(s, "- A fine machine.\n") {
		t.Errorf("got\n%s", s)
	}
	if drawing, err := os.ReadFile(filepath.Join(folder, "performance.svg")); err != nil || string(drawing) != chart(r.Sizes) {
		t.Errorf("the chart: %v", err)
	}
}
