package certs

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever way files are replaced in, Watch finds it, once it has settled.
func TestWatchFollowsTheFiles(t *testing.T) {
	ca := newAuthority(t, "ca")
	first, firstKey := ca.issue(t, year, "first.example")
	second, secondKey := ca.issue(t, year, "second.example")
	ways := map[string]func(f *files, write func(dir string)){
		"written over": func(f *files, write func(string)) { write("live") },
		"renamed": func(f *files, write func(string)) {
			write("new")
			for _, name := range []string{"a.pem", "a.key"} {
				if err := os.Rename(f.path("new/"+name), f.path("live/"+name)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"a link moved": func(f *files, write func(string)) {
			write("new")
			if err := os.Symlink("new", f.path("link.tmp")); err != nil {
				t.Skip(err)
			}
			if err := os.Rename(f.path("link.tmp"), f.path("link")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, replace := range ways {
		t.Run(name, func(t *testing.T) {
			f, told := newFiles(t), &events{}
			for _, dir := range []string{"live", "new"} {
				if err := os.Mkdir(f.path(dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			f.pair("live/a", first, firstKey)
			pair := Pair{f.path("live/a.pem"), f.path("live/a.key")}
			if err := os.Symlink("live", f.path("link")); err == nil && name == "a link moved" {
				pair = Pair{f.path("link/a.pem"), f.path("link/a.key")}
			}
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t, Config{Pairs: []Pair{pair}, OnEvent: told.tell})
				done := make(chan struct{})
				go func() { defer close(done); s.Watch(t.Context(), 0) }()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := told.take(); !slices.Equal(got, []Kind{Loaded}) {
					t.Errorf("told %v while nothing happened", got)
				}
				replace(f, func(dir string) {
					f.write(dir+"/a.pem", second)
					if dir == "live" {
						time.Sleep(defaultEvery + time.Second) // a look falls between the halves
					}
					f.write(dir+"/a.key", secondKey)
				})
				time.Sleep(3 * defaultEvery)
				synctest.Wait()
				if got := told.take(); !slices.Equal(got, []Kind{Loaded}) {
					t.Errorf("told %v", got)
				}
				if got := s.view.Load().config; got == nil || s.pairs[0].cert.Leaf.DNSNames[0] != "second.example" {
					t.Error("the old certificate is still in use")
				}
			})
		})
	}
}

// What was broken is tried at each look, whatever the file's time says.
func TestWatchRecovers(t *testing.T) {
	ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
	cert, key := ca.issue(t, year, "a.example")
	pair := f.pair("a", cert, key)
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Pairs: []Pair{pair}, ClientCA: f.write("ca.pem", ca.pem()), OnEvent: told.tell})
		go s.Watch(t.Context(), time.Second)
		f.remove("ca.pem")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := told.take(); !slices.Equal(got, []Kind{Loaded, Loaded, Failed}) || s.view.Load().refuse == nil {
			t.Errorf("told %v", got)
		}
		f.write("ca.pem", ca.pem())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := told.take(); !slices.Equal(got, []Kind{Recovered}) || s.view.Load().refuse != nil {
			t.Errorf("told %v", got)
		}
	})
}

// In the last two weeks a certificate is told of once a day, and after its end
// as well.
func TestAnEndThatComesIsToldOfOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
		cert, key := ca.issue(t, 16*24*time.Hour, "a.example")
		s := newStore(t, Config{Pairs: []Pair{f.pair("a", cert, key)}, OnEvent: told.tell})
		go s.Watch(t.Context(), time.Hour)
		count := func() (n int) {
			synctest.Wait()
			for _, kind := range told.take() {
				if kind == Expiring {
					n++
				}
			}
			return n
		}
		time.Sleep(47 * time.Hour)
		if n := count(); n != 0 {
			t.Errorf("told %d times too early", n)
		}
		time.Sleep(20*24*time.Hour + 2*time.Hour)
		if n := count(); n != 21 {
			t.Errorf("told %d times in twenty days and a bit", n)
		}
		cert, key = ca.issue(t, year, "a.example")
		f.pair("a", cert, key)
		time.Sleep(72 * time.Hour)
		if n := count(); n > 1 { // perhaps once before it was found
			t.Errorf("told %d times of a new certificate", n)
		}
	})
}

func TestAKeyThatAllMayReadIsToldOf(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing there")
	}
	ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
	cert, key := ca.issue(t, year, "a.example")
	pair := f.pair("a", cert, key)
	if err := os.Chmod(pair.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, Config{Pairs: []Pair{pair}, OnEvent: told.tell})
	if got := told.take(); !slices.Equal(got, []Kind{Loaded, Exposed}) {
		t.Errorf("told %v", got)
	}
	_ = s.Reload()
	if got := told.take(); got != nil {
		t.Errorf("told again: %v", got)
	}
}
