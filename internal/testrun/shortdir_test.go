package testrun

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAShortDirIsGoneWithItsTest(t *testing.T) {
	var dir string
	t.Run("a test", func(t *testing.T) {
		dir = ShortDir(t)
		if err := os.WriteFile(filepath.Join(dir, "s"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if other := ShortDir(t); other == dir {
			t.Errorf("two folders are one, %s", dir)
		}
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
}
