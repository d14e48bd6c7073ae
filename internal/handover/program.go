package handover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// locate returns the path from which this process was started, to start the
// next one from. It must be asked when the process starts, while the path still
// leads to the running file.
//
// The path as it was given comes first, since a symbolic link in it may be
// moved to a new version later. The system's own idea of the path follows the
// file instead: once the old version is renamed to make room, it names the old
// version. So that is for programs whose arguments don't say where they are.
func locate(arg0 string) (string, error) {
	system, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's file: %w", err)
	}
	if path, ok := absolute(arg0); ok && sameFile(path, system) {
		return path, nil
	}
	return system, nil
}

// absolute finds a program as a shell does.
func absolute(arg0 string) (path string, ok bool) {
	if !strings.ContainsRune(arg0, filepath.Separator) {
		found, err := exec.LookPath(arg0)
		if err != nil {
			return "", false
		}
		arg0 = found
	}
	path, err := filepath.Abs(arg0)
	return path, err == nil
}

func sameFile(a, b string) bool {
	infoA, err := os.Stat(a)
	if err != nil {
		return false
	}
	infoB, err := os.Stat(b)
	return err == nil && os.SameFile(infoA, infoB)
}
