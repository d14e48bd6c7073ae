package statefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// suffix makes the temporary file's name of the state file's. It is always the
// same, so that what a crash left behind is replaced and not accumulated.
const suffix = ".fairlead-new"

// maxLinks bounds a chain of symbolic links, as systems do.
const maxLinks = 40

var errOtherWriter = errors.New("another process writes it too; each needs a path of its own")

// Load reads the state file at path. The error wraps fs.ErrNotExist, what the
// system said, or one of the errors of Decode; ErrForeign is also what is no
// regular file, which is not waited for, and what is larger than MaxSize.
func Load(path string) (Snapshot, error) {
	data, err := read(path)
	if err != nil {
		return Snapshot{}, fmt.Errorf("state file %s: %w", path, err)
	}
	s, err := Decode(data)
	if err != nil {
		return Snapshot{}, fmt.Errorf("state file %s: %w", path, err)
	}
	return s, nil
}

// Save puts s into the file at path, which only its owner may read. Whoever reads
// the file meanwhile, or after a crash, finds the old one or the new one whole:
// a temporary file in the same folder is written, brought to the disk and renamed.
// A symbolic link at path stays, what it leads to is replaced. The folder must
// exist.
//
// What Load would call ErrForeign or ErrVersion is left alone, with that error.
// After any error the old file is what it was and no temporary file is left; only
// if the folder could not be brought to the disk, the new file is in place.
//
// There must be one writer of a file at a time. Two do no lasting harm: one of
// them gets an error.
func Save(path string, s Snapshot) error {
	if err := save(path, s); err != nil {
		return fmt.Errorf("state file %s: %w", path, err)
	}
	return nil
}

func save(path string, s Snapshot) error {
	data, err := Encode(s)
	if err != nil {
		return err
	}
	target, err := follow(path)
	if err != nil {
		return err
	}
	if err := mayReplace(target); err != nil {
		return err
	}
	if err := replace(target, data); err != nil {
		return err
	}
	return syncDir(filepath.Dir(target))
}

// read returns the bytes of a regular file of bounded size.
func read(path string) ([]byte, error) {
	// To open a device may do something, so it is looked at before.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is no regular file", ErrForeign)
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is no regular file", ErrForeign)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrForeign, MaxSize)
	}
	return data, nil
}

// follow returns the path that symbolic links at path lead to, whether or not
// there is a file. Paths are joined without being cleaned: "link/.." is not the
// folder that the link is in.
func follow(path string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			dir, _ := filepath.Split(path)
			to = dir + to
		}
		path = to
	}
	return "", errors.New("too many symbolic links")
}

// mayReplace returns an error if there is a file at path that is not ours. What
// can't be read could be anybody's.
func mayReplace(path string) error {
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = open(data); errors.Is(err, ErrForeign) || errors.Is(err, ErrVersion) {
		return err
	}
	return nil
}

// replace puts data into the file at path by way of a temporary one.
func replace(path string, data []byte) error {
	temp := path + suffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// O_EXCL: whatever somebody puts there meanwhile is not written through.
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	mine, err := fill(f, data)
	if err == nil {
		err = stillThere(temp, mine)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil && !errors.Is(err, errOtherWriter) {
		_ = os.Remove(temp) // the first error is the one to tell
	}
	return err
}

// fill writes data to f, brings it to the disk and closes f.
func fill(f *os.File, data []byte) (fs.FileInfo, error) {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	info, errStat := f.Stat()
	return info, errors.Join(err, errStat, f.Close())
}

// stillThere returns an error if the file at path is no longer mine: another
// writer has put its own there, which may be half written.
func stillThere(path string, mine fs.FileInfo) error {
	now, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(now, mine) {
		return errOtherWriter
	}
	return nil
}
