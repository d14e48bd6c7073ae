//go:build unix

package handover

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// line is a chain of servers, of which each was started by the one before.
type line struct {
	tcp, udp, path string
	errors         string // the file that they all write to
	ended          <-chan struct{}
}

// answer is what a server says of itself.
type answer struct {
	pid, generation int
	program         string
}

// startLine starts the first server from a file.
func startLine(t *testing.T, program string) *line {
	t.Helper()
	l := &line{path: socketPath(t), errors: filepath.Join(t.TempDir(), "errors")}
	stderr, err := os.Create(l.errors)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), mode+"=serves", "FAIRLEAD_TEST_SOCKET="+l.path)
	cmd.Stdout, cmd.Stderr = w, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	ended := make(chan struct{})
	l.ended = ended
	first := make(chan string, 1)
	var work sync.WaitGroup
	work.Go(func() { _ = cmd.Wait() })
	work.Go(func() { // every server has the pipe, so it ends with the last
		defer close(ended)
		s := bufio.NewScanner(r)
		for s.Scan() {
			select {
			case first <- s.Text():
			default:
			}
		}
		close(first)
		_ = r.Close()
	})
	t.Cleanup(func() {
		l.end(t)
		work.Wait()
	})
	if _, err := fmt.Sscan(<-first, &l.tcp, &l.udp); err != nil {
		t.Fatalf("the server said nothing of use: %v\n%s", err, l.log())
	}
	return l
}

func (l *line) log() string {
	text, _ := os.ReadFile(l.errors)
	return string(text)
}

// ask makes one connection. Errors are for the caller to judge.
func (l *line) ask(network, address string) (a answer, err error) {
	c, err := net.DialTimeout(network, address, patient)
	if err != nil {
		return a, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patient))
	if network == "udp" {
		if _, err = c.Write([]byte("who?")); err != nil {
			return a, err
		}
		b := make([]byte, 1<<10)
		n, err := c.Read(b)
		if err != nil {
			return a, err
		}
		_, err = fmt.Sscan(string(b[:n]), &a.pid, &a.generation, &a.program)
		return a, err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return a, err
	}
	_, err = fmt.Sscan(string(b), &a.pid, &a.generation, &a.program)
	return a, err
}

// upgrade asks the server for its successor and waits until only that answers.
func (l *line) upgrade(t *testing.T) answer {
	t.Helper()
	before, err := l.ask("tcp", l.tcp)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(before.pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	var after answer
	calm := 0
	chaos.Await(t, patient, "answer of a successor: "+l.log(), func() bool {
		after, err = l.ask("tcp", l.tcp)
		if err != nil {
			t.Fatalf("connection refused: %v\n%s", err, l.log())
		}
		if calm++; after.generation == before.generation {
			calm = 0
		}
		return calm > 20
	})
	if after.generation != before.generation+1 {
		t.Fatalf("generation %d after %d", after.generation, before.generation)
	}
	return after
}

// end ends the last server and waits until there is none.
func (l *line) end(t *testing.T) {
	t.Helper()
	if a, err := l.ask("tcp", l.tcp); err == nil {
		_ = syscall.Kill(a.pid, syscall.SIGTERM)
	}
	select {
	case <-l.ended:
	case <-time.After(3 * patient):
		t.Error("a server still runs")
	}
}

func TestTenHandOversRefuseNoConnection(t *testing.T) {
	l := startLine(t, os.Args[0])
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	var asked atomic.Int64
	for _, at := range [][2]string{{"tcp", l.tcp}, {"tcp", l.tcp}, {"unix", l.path}} {
		clients.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.ask(at[0], at[1]); err != nil {
					t.Errorf("%s after %d connections: %v", at[0], asked.Load(), err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := range 10 {
		l.upgrade(t)
		chaos.Await(t, patient, "datagram from the successor", func() bool {
			a, err := l.ask("udp", l.udp)
			return err == nil && a.generation == i+1
		})
	}
	stop()
	clients.Wait()
	if errors := l.log(); errors != "" {
		t.Errorf("the servers complain:\n%s", errors)
	}
	t.Logf("%d connections", asked.Load())
	if !exists(l.path) {
		t.Error("a hand-over removed the unix socket's path")
	}
	l.end(t)
	if exists(l.path) {
		t.Error("the last server left the path")
	}
}

func TestTheSuccessorIsWhatLiesThereNow(t *testing.T) {
	tests := []struct {
		name string
		do   func(dir string) error
	}{
		{"a link moved to a new version", func(dir string) error {
			return join(os.Symlink("new", filepath.Join(dir, "next")), os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")))
		}},
		{"the old file renamed", func(dir string) error {
			return join(os.Rename(filepath.Join(dir, "current"), filepath.Join(dir, "kept")), os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current")))
		}},
		{"the old file deleted", func(dir string) error {
			return join(os.Remove(filepath.Join(dir, "current")), os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current")))
		}},
		{"the old file replaced", func(dir string) error {
			return os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			old, current := filepath.Join(dir, "old"), filepath.Join(dir, "current")
			copyProgram(t, old)
			copyProgram(t, filepath.Join(dir, "new"))
			if strings.Contains(tt.name, "link") {
				if err := os.Symlink("old", current); err != nil {
					t.Fatal(err)
				}
			} else if err := os.Rename(old, current); err != nil {
				t.Fatal(err)
			}
			fresh, err := os.Stat(filepath.Join(dir, "new"))
			if err != nil {
				t.Fatal(err)
			}
			l := startLine(t, current)
			if err := tt.do(dir); err != nil {
				t.Fatal(err)
			}
			a := l.upgrade(t)
			if runs, err := os.Stat(a.program); err != nil || !os.SameFile(runs, fresh) {
				t.Errorf("the successor runs %s (%v), which is not the new file", a.program, err)
			}
		})
	}
}

func join(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// copyProgram makes a second file of the test binary.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(f, from); err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAServerWhoseSuccessorFailsGoesOn(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	copyProgram(t, program)
	l := startLine(t, program)
	before, err := l.ask("tcp", l.tcp)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program, program+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(before.pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, patient, "complaint about the successor", func() bool { return l.log() != "" })
	if !strings.Contains(l.log(), "exit status 7") {
		t.Errorf("the server says %q", l.log())
	}
	if after, err := l.ask("tcp", l.tcp); err != nil || after != before {
		t.Errorf("%+v answers (%v), where %+v did", after, err, before)
	}
	// And the rollback: what was there before is put back, and works.
	if err := os.Rename(program+".kept", program); err != nil {
		t.Fatal(err)
	}
	l.upgrade(t)
}
