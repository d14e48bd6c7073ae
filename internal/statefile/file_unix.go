//go:build unix

package statefile

import (
	"errors"
	"os"
	"syscall"
)

// openRegular opens a file to be read. If a FIFO has taken its place, it does not
// wait for somebody to write.
func openRegular(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// syncDir brings the names in a folder to the disk, so that a crash of the
// machine does not undo a rename. Some file systems can't, and need not.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
