//go:build linux || darwin

package statefile

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limitedSave saves in a process that may write no file of more than 512 bytes,
// which stands for a full disk.
func limitedSave(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 512, Max: 512}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return Save(path, big(2))
}

func TestAFullDiskLeavesTheOldFileWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	mustSave(t, path, big(1))
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asWriter+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "file too large") {
		t.Fatalf("the writer ended with %v and said %q", err, out)
	}
	wantFile(t, path, big(1))
	wantNames(t, filepath.Dir(path), "state")
}

func TestAFIFOHoldsUpNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no FIFO can be made here: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	results := make(chan error, 3)
	go func() {
		_, err := Load(path)
		results <- err
		results <- Save(path, outage())
		// It may also come after the first look.
		f, err := openRegular(path)
		if err == nil {
			_ = f.Close()
			err = ErrForeign
		}
		results <- err
	}()
	for _, what := range []string{"Load", "Save", "open"} {
		select {
		case err := <-results:
			if !errors.Is(err, ErrForeign) {
				t.Errorf("%s: %v, want ErrForeign", what, err)
			}
		case <-ctx.Done():
			t.Fatalf("%s hangs", what)
		}
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the FIFO is gone: %v", err)
	}
}
