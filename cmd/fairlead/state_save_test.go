package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/statefile"
)

// recorder stands for the file: it counts the saves.
type recorder struct {
	mu    sync.Mutex
	count int
	last  statefile.Snapshot
	err   error // of every save
}

func (r *recorder) write(_ string, s statefile.Snapshot) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.last = s
	return r.err
}

// taken returns how many saves there were since it was last asked, and the last one.
func (r *recorder) taken() (int, statefile.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.count
	r.count = 0
	return n, r.last
}

func TestAChangeByHandIsSavedBeforeItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, logs := observed("state")
		var file recorder
		block := make(chan struct{})
		close(block)
		k.write = func(path string, s statefile.Snapshot) error {
			<-block
			return file.write(path, s)
		}
		l := live(t, twoOrigins(t, euThenUS), k, logs)
		settle(time.Second)
		change := func(err error) (took time.Duration, last statefile.Snapshot) {
			file.mu.Lock()
			file.err = err
			file.mu.Unlock()
			l.shop.Verdict(failover.RolePrimary, l.shop.Pointer().Primary.Down)
			begun := time.Now()
			k.awaitSaved()
			_, last = file.taken()
			return time.Since(begun), last
		}
		for _, err := range []error{nil, errors.New("the disk is full"), nil} {
			if took, last := change(err); took != 0 || last.Groups[0].PrimaryVerdict.Down != l.shop.Pointer().Primary.Down {
				t.Errorf("%v: after %v the file has %+v", err, took, last.Groups[0])
			}
		}
		block = make(chan struct{}) // a disk that hangs
		if took, _ := change(nil); took != savePatience {
			t.Errorf("a disk that hangs holds up an answer for %v, want %v", took, savePatience)
		}
		close(block)
		k.pause()
		if took, _ := change(nil); took != 0 {
			t.Errorf("with nothing to be saved an answer took %v", took)
		}
		k.resume()
		l.end()
	})
}

func TestManyChangesMakeFewSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, logs := observed("state")
		var file recorder
		k.write = file.write
		l := live(t, twoOrigins(t, euThenUS), k, logs)
		settle(time.Second)
		if n, _ := file.taken(); n != 1 {
			t.Errorf("%d saves after the start, want 1", n)
		}
		for n := range 1000 {
			l.shop.Verdict(failover.RolePrimary, n%2 == 1)
			settle(time.Millisecond)
		}
		settle(time.Second)
		n, last := file.taken()
		if n < 9 || n > 12 {
			t.Errorf("%d saves of a second's changes, want about 10", n)
		}
		if g := last.Groups[0]; g.Generation != l.shop.Pointer().Generation || g.PrimaryVerdict.Down {
			t.Errorf("the last change was not saved: %+v", g)
		}
		settle(time.Hour) // there is a failback in it
		if n, _ := file.taken(); n != 1 {
			t.Errorf("%d saves of one change", n)
		}
		settle(time.Hour)
		if n, _ := file.taken(); n != 0 {
			t.Errorf("%d saves without a change", n)
		}
		l.end()
		if n, _ := file.taken(); n != 1 {
			t.Errorf("%d saves at the end, want 1", n)
		}
	})
}

func TestChangesBeforeRunBlockNobodyAndAreSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	k, _ := observed(path)
	for range 1000 {
		k.changed()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.run(ctx)
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was written before there were groups")
	}
}

func TestAnEpisodeOfErrorsIsToldOnceAndItsEndToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "later", "state")
		l := startLife(t, twoOrigins(t, euThenUS), path)
		for range 10 {
			l.shop.Verdict(failover.RoleSecondary, false)
			l.shop.Verdict(failover.RoleSecondary, true)
			settle(6 * time.Second)
		}
		if got := l.messages(); !reflect.DeepEqual(got, []string{"no state yet", "state can't be kept"}) {
			t.Errorf("logged %q", got)
		}
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		settle(retryEvery)
		if got := l.messages(); !reflect.DeepEqual(got, []string{"state is saved again"}) {
			t.Errorf("logged %q", got)
		}
		if s, err := statefile.Load(path); err != nil || len(s.Groups) != 1 {
			t.Errorf("saved %+v, %v", s, err)
		}
	})
}

func TestASaveThatFailsIsNotTriedMoreOftenForManyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, logs := observed("state")
		file := recorder{err: errors.New("the disk is full")}
		k.write = file.write
		l := live(t, twoOrigins(t, euThenUS), k, logs)
		for range 100 {
			l.shop.Verdict(failover.RolePrimary, false)
			l.shop.Verdict(failover.RolePrimary, true)
			settle(time.Second)
		}
		if n, _ := file.taken(); n < 20 || n > 21 {
			t.Errorf("%d tries in 100 s, want one every 5 s", n)
		}
	})
}

func TestAFileThatIsNotOursIsSaidOnceAndNeverTouched(t *testing.T) {
	tests := []struct{ name, give string }{
		{"foreign", "the operator's own notes\n"},
		{"newer", "fairlead-state 2 2 0cd4e23b34c76243830bae30d27b0c5db1e0c08f98097dfb08d0c08516959fd0\n{}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				if err := os.WriteFile(path, []byte(tt.give), 0o600); err != nil {
					t.Fatal(err)
				}
				l := startLife(t, twoOrigins(t, euThenUS), path)
				for range 10 {
					l.shop.Verdict(failover.RolePrimary, false)
					l.shop.Verdict(failover.RolePrimary, true)
					settle(6 * time.Second)
				}
				if got := l.messages(); !reflect.DeepEqual(got, []string{"state can't be kept"}) {
					t.Errorf("logged %q", got)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != tt.give {
					t.Errorf("the file holds %q, %v", got, err)
				}
				if err := os.Rename(path, path+".mine"); err != nil {
					t.Fatal(err)
				}
				settle(retryEvery)
				if got := l.messages(); !reflect.DeepEqual(got, []string{"state is saved again"}) {
					t.Errorf("after it was moved away, logged %q", got)
				}
			})
		})
	}
}

func TestADamagedFileIsToldAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, []byte("fairlead-state 1 2 "), 0o600); err != nil {
			t.Fatal(err)
		}
		l := startLife(t, twoOrigins(t, euThenUS), path)
		settle(time.Second)
		if got := l.messages(); !reflect.DeepEqual(got, []string{"state can't be restored"}) {
			t.Errorf("logged %q", got)
		}
		if _, err := statefile.Load(path); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsWrittenDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		l := startLife(t, twoOrigins(t, euThenUS), path)
		settle(time.Second)
		l.pause()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		l.shop.Verdict(failover.RolePrimary, false)
		settle(time.Hour)
		if _, err := os.Stat(path); err == nil {
			t.Fatal("written during the pause")
		}
		l.resume()
		settle(0)
		if s, err := statefile.Load(path); err != nil || s.Groups[0].Target != "us" {
			t.Errorf("after the pause: %+v, %v", s, err)
		}

		l.pause()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		l.end()
		if _, err := os.Stat(path); err == nil {
			t.Error("written at the end, in a pause")
		}
	})
}

func TestAPauseWaitsForASaveInProgress(t *testing.T) {
	k, logs := observed("state")
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	finished := false // the race detector would tell
	k.write = func(string, statefile.Snapshot) error {
		once.Do(func() {
			close(began)
			<-release
			finished = true
		})
		return nil
	}
	live(t, twoOrigins(t, euThenUS), k, logs)
	<-began
	paused := make(chan struct{})
	go func() {
		k.pause()
		if !finished {
			t.Error("pause returned during a save")
		}
		close(paused)
	}()
	select {
	case <-paused:
	case <-time.After(50 * time.Millisecond): // nothing can be awaited: it has to block
	}
	close(release)
	<-paused
}

func TestASaveThatFailsForAPathOfThePastIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, logs := observed("slow")
		results := make(chan error)
		paths := make(chan string, 10)
		k.write = func(path string, _ statefile.Snapshot) error {
			paths <- path
			return <-results
		}
		l := live(t, twoOrigins(t, euThenUS), k, logs)
		<-paths
		synctest.Wait()
		l.messages()
		l.setPath("fast")
		results <- errors.New("the disk is gone")
		if path := <-paths; path != "fast" {
			t.Errorf("then %s was written", path)
		}
		results <- nil
		synctest.Wait()
		if got := l.messages(); !reflect.DeepEqual(got, []string{"state is kept elsewhere"}) {
			t.Errorf("logged %q", got)
		}
		close(results) // for the last save
	})
}

func TestThePathCanChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		old, bad, good := filepath.Join(dir, "old"), filepath.Join(dir, "missing", "state"), filepath.Join(dir, "new")
		l := startLife(t, twoOrigins(t, euThenUS), old)
		settle(time.Second)
		l.setPath(bad)
		settle(time.Second)
		l.setPath(good) // at once, without waiting for the next try
		settle(0)
		if _, err := statefile.Load(good); err != nil {
			t.Error(err)
		}
		before, err := os.ReadFile(old)
		if err != nil {
			t.Error(err)
		}
		l.setPath("")
		l.shop.Verdict(failover.RolePrimary, false)
		settle(time.Hour)
		for _, path := range []string{old, good} {
			if s, err := statefile.Load(path); err != nil || s.Groups[0].Target != "eu" {
				t.Errorf("%s holds %+v, %v", path, s, err)
			}
		}
		if after, err := os.ReadFile(old); err != nil || !bytes.Equal(after, before) {
			t.Error("the old file was touched")
		}
		want := []string{"no state yet", "state is kept elsewhere", "state can't be kept", "state is kept elsewhere", "state is kept elsewhere"}
		if got := l.messages(); !reflect.DeepEqual(got, want) {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}
