package proxy

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fairlead/fairlead/internal/testrun"
)

// A unix socket whose queue is full refuses connections, though somebody listens:
// its path stays theirs.
func TestAUnixSocketWithAFullQueueIsNotReplaced(t *testing.T) {
	path := filepath.Join(testrun.ShortDir(t), "door")
	at := &syscall.SockaddrUnix{Name: path}
	open := func() int {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(fd) })
		return fd
	}
	owner := open()
	if err := errors.Join(syscall.Bind(owner, at), syscall.Listen(owner, 0)); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 10 {
		if err = syscall.Connect(open(), at); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("the queue isn't full: %v", err)
	}
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := listen("unix:" + path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listen returned %v, %v", l, err)
		if l != nil {
			_ = l.Close()
		}
	}
	if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the path is not what it was: %v", err)
	}
}
