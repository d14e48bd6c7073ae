package filestamp

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEachWayOfReplacingAFileShows(t *testing.T) {
	put := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(t *testing.T, dir, path string){
		"written longer": func(t *testing.T, _, path string) { put(t, path, "longer") },
		"written at another time": func(t *testing.T, _, path string) {
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		},
		"replaced": func(t *testing.T, dir, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			other := filepath.Join(dir, "other")
			put(t, other, "text")
			if err := os.Chtimes(other, time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(other, path); err != nil {
				t.Fatal(err)
			}
		},
		"removed": func(t *testing.T, _, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			put(t, path, "text")
			missing := filepath.Join(dir, "missing")
			before := Of(path, missing)
			if !before.Same(Of(path, missing)) {
				t.Error("it changed by itself")
			}
			change(t, dir, path)
			if after := Of(path, missing); after.Same(before) || before.Same(after) {
				t.Error("it does not show")
			}
		})
	}
	if (Stamps{}).Same(Of("missing")) {
		t.Error("no files are the same as one")
	}
}

func TestALinkStandsForItsTarget(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	for _, target := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, target), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	before := Of(link)
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("two", link); err != nil {
		t.Fatal(err)
	}
	if before.Same(Of(link)) {
		t.Error("the link leads elsewhere, and it does not show")
	}
}
