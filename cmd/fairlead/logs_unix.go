//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// withoutWaiting keeps open(2) from waiting for the reader of a named pipe.
const withoutWaiting = syscall.O_NONBLOCK

// explainOpen says what to do about a named pipe without a reader.
func explainOpen(path string, err error) error {
	if !errors.Is(err, syscall.ENXIO) {
		return err
	}
	if info, serr := os.Stat(path); serr != nil || info.Mode().Type() != fs.ModeNamedPipe {
		return err
	}
	return fmt.Errorf("%w: nobody reads this named pipe; start what reads it first", err)
}

// writeAsUsual lets writes to a file wait that was opened with withoutWaiting. Where
// the runtime waits for the file (a named pipe on Linux), they do already.
func writeAsUsual(file *os.File) error {
	if file.SetWriteDeadline(time.Time{}) == nil {
		return nil
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.SetNonblock(int(fd), false) })
	return errors.Join(err, failed)
}
