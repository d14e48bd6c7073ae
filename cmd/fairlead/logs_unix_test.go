//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/testrun"
)

// namedPipe makes one.
func namedPipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testrun.ShortDir(t), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestANamedPipeThatNobodyReadsIsAnErrorThatSaysSo(t *testing.T) {
	path := namedPipe(t)
	opened := make(chan error, 1)
	go func() {
		_, err := openLogs(config.Log{Level: "info", Format: "json", Output: path}, io.Discard, io.Discard)
		opened <- err
	}()
	select {
	case err := <-opened:
		if !errors.Is(err, syscall.ENXIO) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "nobody reads this named pipe") {
			t.Errorf("the error is %v", err)
		}
	case <-time.After(patience):
		t.Error("it waits for a reader")
		if f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			defer f.Close()
		}
		<-opened
	}
}

// A reader of a named pipe that is slow makes the log wait, and tears no line.
func TestANamedPipeThatIsFullTearsNoLine(t *testing.T) {
	t.Parallel()
	path := namedPipe(t)
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := openLogs(config.Log{Level: "info", Format: "json", Output: path}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	const lines = 3000
	for i := range lines { // several times what a pipe holds
		l.events.Info("line", zap.Int("n", i), zap.String("filling", strings.Repeat("x", 200)))
	}
	_ = l.events.Sync() // waits a second, as the pipe is full
	closed := make(chan struct{})
	go func() {
		l.close()
		close(closed)
	}()
	n := 0
	for s := bufio.NewScanner(r); s.Scan(); n++ {
		var got line
		if err := json.Unmarshal(s.Bytes(), &got); err != nil || got["n"] != float64(n) {
			t.Fatalf("line %d is %q", n, s.Text())
		}
	}
	<-closed
	if n != lines {
		t.Errorf("%d lines came, want %d", n, lines)
	}
}

// Only opening doesn't wait: a disk that is slow must not look like one that fails.
func TestAFileIsWrittenToAsUsual(t *testing.T) {
	f, _, err := openLog(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("its flags are %o, %v: writes don't wait", flags, err)
	}
}

func TestALogThatIsGivenUpLeavesNoFile(t *testing.T) {
	l, err := openLogs(config.Log{Level: "info", Format: "json", Output: "stdout"}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	path := filepath.Join(t.TempDir(), "log")
	prepared := func() (commit, abort func()) {
		t.Helper()
		commit, abort, err := l.prepare(config.Log{Level: "info", Format: "json", Output: path})
		if err != nil {
			t.Fatal(err)
		}
		return commit, abort
	}
	_, abort := prepared()
	abort()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is left: %v", err)
	}
	commit, _ := prepared()
	commit()
	_, abort = prepared()
	abort()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file that was there before: %v", err)
	}
}
