package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// writer is overwritten where a test needs a process that saves.
func writer(path string) {
	err := limitedSave(path)
	_, _ = os.Stderr.WriteString(err.Error())
	os.Exit(0)
}

// big is a snapshot of more than 512 bytes.
func big(generation uint64) Snapshot {
	return Snapshot{Saved: noon, Groups: slices.Repeat([]Group{{Name: "shop", Generation: generation}}, 5)}
}

func mustSave(t *testing.T, path string, s Snapshot) {
	t.Helper()
	if err := Save(path, s); err != nil {
		t.Fatal(err)
	}
}

// wantFile holds what is in the file at path against s.
func wantFile(t *testing.T, path string, s Snapshot) {
	t.Helper()
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("%s holds %+v, want %+v", path, got, s)
	}
}

// wantNames holds what is in a folder against names, in order.
func wantNames(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, names) {
		t.Errorf("in the folder there is %q, want %q", got, names)
	}
}

func TestWhatIsLoadedIsWhatWasSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first save: %v, want fs.ErrNotExist", err)
	}
	mustSave(t, path, outage())
	wantFile(t, path, outage())
	mustSave(t, path, big(2))
	wantFile(t, path, big(2))
	wantNames(t, filepath.Dir(path), "state")
}

func TestOnlyTheOwnerMayReadTheFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mustSave(t, path, outage())
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestWhatACrashLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path+suffix, []byte("fairlead-st"), 0o400); err != nil {
		t.Fatal(err)
	}
	mustSave(t, path, outage())
	wantFile(t, path, outage())
	wantNames(t, filepath.Dir(path), "state")
}

func TestOurOwnDamagedFileIsReplaced(t *testing.T) {
	whole := encoded(t, outage())
	for _, n := range []int{0, 3, 20, len(whole) - 1} {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrEmpty) {
			t.Errorf("cut at %d: %v", n, err)
		}
		mustSave(t, path, outage())
		wantFile(t, path, outage())
	}
}

func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	tests := []struct {
		name string
		give string
		want error
	}{
		{"an operator's notes", "do not lose this\n", ErrForeign},
		{"a newer version's file", string(seal(version+1, []byte("{}"))), ErrVersion},
		{"more than 16 MiB", magic + strings.Repeat("x", MaxSize), ErrForeign},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			if err := os.WriteFile(path, []byte(tt.give), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Load: %v, want %v", err, tt.want)
			}
			if err := Save(path, outage()); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Save: %v, want %v", err, tt.want)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != tt.give {
				t.Errorf("the file has changed: %d bytes, %v", len(got), err)
			}
			wantNames(t, filepath.Dir(path), "state")
		})
	}
}

func TestAFolderAtThePathIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrForeign) {
		t.Errorf("Load: %v, want ErrForeign", err)
	}
	if err := Save(path, outage()); !errors.Is(err, ErrForeign) {
		t.Errorf("Save: %v, want ErrForeign", err)
	}
	wantNames(t, filepath.Dir(path), "state")
}

func TestAMissingFolderIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "state")
	if err := Save(path, outage()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Save: %v, want fs.ErrNotExist", err)
	}
}

// What can't be removed stands for whatever goes wrong before the rename.
func TestASaveThatFailsLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	mustSave(t, path, outage())
	if err := os.MkdirAll(filepath.Join(path+suffix, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, big(1)); err == nil {
		t.Error("no error")
	}
	wantFile(t, path, outage())
}

func TestASymbolicLinkStaysAndWhatItLeadsToIsReplaced(t *testing.T) {
	dir := t.TempDir()
	at := func(elem ...string) string { return filepath.Join(append([]string{dir}, elem...)...) }
	for _, sub := range []string{"etc", "var", "var/deep"} {
		if err := os.Mkdir(at(sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"etc/state": "../var/other",           // relative
		"var/other": at("var", "state"),       // and on, absolute, to what is not there yet
		"etc/deep":  "../var/deep",            // to a folder
		"etc/odd":   "deep/../third",          // through it: var/third, not etc/third
		"etc/ring":  "ring",                   // nowhere
		"etc/lost":  "../missing/folder/file", // no such folder
	} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Skipf("this system or user makes no symbolic links: %v", err)
		}
	}
	for i := range uint64(2) { // made, and replaced
		mustSave(t, at("etc/state"), big(i))
		wantFile(t, at("var/state"), big(i))
		mustSave(t, at("etc/odd"), big(i+2))
		wantFile(t, at("var/third"), big(i+2))
	}
	for _, name := range []string{"etc/ring", "etc/lost"} {
		if err := Save(at(name), outage()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	wantNames(t, at("etc"), "deep", "lost", "odd", "ring", "state")
	wantNames(t, at("var"), "deep", "other", "state", "third")
	for _, name := range []string{"etc/state", "etc/odd", "var/other"} {
		if info, err := os.Lstat(at(name)); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v", name, err)
		}
	}
}

func TestWhoReadsWhileItIsSavedFindsAWholeFile(t *testing.T) {
	const saves = 60 // each waits for the disk
	path := filepath.Join(t.TempDir(), "state")
	mustSave(t, path, big(0))
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		last := uint64(0)
		for {
			s, err := Load(path)
			if err != nil || len(s.Groups) != 5 || s.Groups[0].Generation < last || s.Groups[4].Generation != s.Groups[0].Generation {
				t.Errorf("after generation %d: %d groups, %v", last, len(s.Groups), err)
				return
			}
			last = s.Groups[0].Generation
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for n := range uint64(saves) {
		if err := Save(path, big(n+1)); err != nil {
			t.Errorf("save %d: %v", n, err)
			break
		}
	}
	close(done)
	reader.Wait()
	wantNames(t, filepath.Dir(path), "state")
}

// It is a mistake, and must not end in a file that is nobody's.
func TestTwoWritersDoNoLastingHarm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for n := range uint64(100) {
				_ = Save(path, big(n)) // one of them may fail
			}
		})
	}
	writers.Wait()
	mustSave(t, path, outage())
	wantFile(t, path, outage())
	wantNames(t, filepath.Dir(path), "state")
}

func TestAnotherWritersTemporaryFileIsNotTakenForOurs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "temp")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := fill(f, []byte("mine"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stillThere(path, mine); err != nil {
		t.Errorf("nobody came: %v", err)
	}
	if err := os.Rename(path, path+".away"); err != nil { // so that its number isn't taken again
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := stillThere(path, mine); !errors.Is(err, errOtherWriter) {
		t.Errorf("somebody came: %v, want %v", err, errOtherWriter)
	}
}

func BenchmarkSave(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state")
	b.ReportAllocs()
	for b.Loop() {
		if err := Save(path, Snapshot{Saved: time.Now(), Groups: outage().Groups}); err != nil {
			b.Fatal(err)
		}
	}
}
