package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/statefile"
)

// twoOrigins is a configuration whose group has these two origins, eu and us
// with a check each, and raw without one.
func twoOrigins(t *testing.T, group string) *config.Config {
	t.Helper()
	cfg, err := load(write(t, `
[origins.eu]
url = "http://127.0.0.1:9101"
[origins.eu.health]
[origins.us]
url = "http://127.0.0.1:9102"
[origins.us.health]
[origins.raw]
url = "http://127.0.0.1:9103"
[groups.shop]
`+group+`
[[routes]]
name = "shop"
match = "/"
group = "shop"
bulkhead = { max_concurrent = 10 }
`))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const euThenUS = `primary = "eu"
secondary = "us"`

// follows is a further key for a group.
const follows = `
follow = "dns://127.0.0.1:53/shop.failover.example."`

// life is a keeper with the pointer that it keeps.
type life struct {
	*keeper
	shop *failover.Group
	logs *observer.ObservedLogs
	end  func() // ends run and waits for it
}

// live begins a life with a keeper, as a start of the program does, and lets it
// run until end or the end of the test.
func live(t *testing.T, cfg *config.Config, k *keeper, logs *observer.ObservedLogs) *life {
	t.Helper()
	k.load()
	shop := failover.NewGroup(failover.GroupConfig{
		Name: "shop",
		PointerConfig: failover.PointerConfig{
			HasSecondary: cfg.Groups[0].Secondary != "", FailbackAfter: 30 * time.Second, MinHold: time.Minute,
		},
		Initial:  k.initial(cfg, &cfg.Groups[0]),
		OnChange: k.changed,
	})
	k.setGroups(cfg, []*failover.Group{shop})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	running.Go(func() { _ = shop.Run(ctx) })
	end := func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(end)
	return &life{k, shop, logs, end}
}

// observed returns a keeper and what it logs.
func observed(path string) (*keeper, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return newKeeper(path, zap.New(core)), logs
}

// startLife begins a life with the file at path.
func startLife(t *testing.T, cfg *config.Config, path string) *life {
	t.Helper()
	k, logs := observed(path)
	return live(t, cfg, k, logs)
}

// messages returns what was logged so far, and forgets it.
func (l *life) messages() []string {
	var all []string
	for _, e := range l.logs.TakeAll() {
		all = append(all, e.Message)
	}
	return all
}

// settle lets d pass in a bubble, and what has begun come to its end.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantSame holds a restored state against the one before, without the clock that
// only one process has.
func wantSame(t *testing.T, got, want failover.State) {
	t.Helper()
	strip := func(s failover.State) failover.State {
		for _, at := range []*time.Time{&s.Since, &s.Primary.Since, &s.Secondary.Since, &s.PinUntil} {
			*at = at.Round(0).UTC()
		}
		return s
	}
	if strip(got) != strip(want) {
		t.Errorf("restored\n%+v, want\n%+v", got, want)
	}
}

func TestAnOutageGoesOnAfterARestart(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(map[bool]string{false: "drain", true: "crash"}[crash], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := twoOrigins(t, euThenUS)
				path := filepath.Join(t.TempDir(), "state")
				first := startLife(t, cfg, path)
				settle(time.Minute)
				// The primary flaps, so that the hold is a doubled one.
				first.shop.Verdict(failover.RolePrimary, false)
				settle(2 * time.Minute)
				first.shop.Verdict(failover.RolePrimary, true)
				settle(time.Minute)
				first.shop.Verdict(failover.RolePrimary, false)
				if err := first.shop.Pin(failover.RoleSecondary, time.Hour); err != nil {
					t.Fatal(err)
				}
				settle(time.Second)
				was := *first.shop.Pointer()
				if was.Target != failover.RoleSecondary || was.Hold != 2*time.Minute || was.Generation != 4 {
					t.Fatalf("the outage is none: %+v", was)
				}
				if crash {
					moved := path + ".crashed" // what the disk has at this moment
					if err := os.Link(path, moved); err != nil {
						t.Skipf("no hard link can be made here: %v", err)
					}
					path = moved
				} else {
					first.end()
				}

				settle(10 * time.Minute)
				second := startLife(t, cfg, path)
				is := *second.shop.Pointer()
				if is.Secondary.Since.Equal(was.Secondary.Since) {
					t.Error("the secondary counts as watched while nobody ran")
				}
				is.Secondary.Since = was.Secondary.Since
				wantSame(t, is, was)
				if got := second.messages(); !reflect.DeepEqual(got, []string{"state loaded", "pointer restored"}) {
					t.Errorf("logged %q", got)
				}

				second.shop.Unpin()
				settle(time.Hour)
				if s := second.shop.Pointer(); s.Target != failover.RoleSecondary {
					t.Errorf("an hour later, without a verdict: %+v", s)
				}
				second.shop.Verdict(failover.RolePrimary, true)
				settle(30 * time.Second)
				if s := second.shop.Pointer(); s.Target != failover.RolePrimary || s.Generation != 5 {
					t.Errorf("after the recovery: %+v", s)
				}
			})
		})
	}
}

// The checker of this life has not spoken yet when the wait would be over.
func TestHealthThatNobodyWatchedIsNoReasonForAFailback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := twoOrigins(t, euThenUS)
		path := filepath.Join(t.TempDir(), "state")
		first := startLife(t, cfg, path)
		first.shop.Verdict(failover.RolePrimary, false)
		settle(time.Minute)
		first.shop.Verdict(failover.RolePrimary, true)
		settle(10 * time.Second) // of the 30 s
		first.end()

		settle(time.Hour)
		second := startLife(t, cfg, path)
		settle(20*time.Second - 1)
		if s := second.shop.Pointer(); s.Target != failover.RoleSecondary {
			t.Errorf("too early: %+v", s)
		}
		settle(1)
		if s := second.shop.Pointer(); s.Target != failover.RolePrimary {
			t.Errorf("too late: %+v", s)
		}
	})
}

// saved is a group as the file has it: on us, since eu fell.
func saved(now time.Time) statefile.Group {
	return statefile.Group{
		Name: "shop", Primary: "eu", Secondary: "us", Target: "us", Generation: 8, Since: now.Add(-time.Minute),
		Reason: "primary_down", Hold: 2 * time.Minute,
		PrimaryVerdict:   statefile.Verdict{Down: true, Since: now.Add(-2 * time.Minute)},
		SecondaryVerdict: statefile.Verdict{Since: now.Add(-time.Hour)},
		Pin:              "us", PinUntil: now.Add(time.Hour),
	}
}

func TestWhatIsRestoredFitsThePresentConfiguration(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where the clock of a bubble begins
	const unwatched = 10 * time.Minute
	down := failover.Verdict{Down: true, Since: now.Add(-2 * time.Minute)}
	healthy := failover.Verdict{Since: now.Add(-time.Hour + unwatched)}
	as := failover.State{
		Target: failover.RoleSecondary, Generation: 8, Since: now.Add(-time.Minute), Reason: failover.ReasonPrimaryDown,
		Primary: down, Secondary: healthy, Hold: 2 * time.Minute, Pin: failover.RoleSecondary, PinUntil: now.Add(time.Hour),
	}
	tests := []struct {
		name    string
		group   string                 // of the configuration now
		give    func(*statefile.Group) // what else was saved
		want    func(*failover.State)
		wantLog string
	}{
		{name: "nothing has changed", group: euThenUS},
		{
			name: "the roles were swapped", group: "primary = \"us\"\nsecondary = \"eu\"",
			want: func(s *failover.State) {
				s.Target, s.Pin, s.Primary, s.Secondary = failover.RolePrimary, failover.RolePrimary, healthy, down
				s.Reason = failover.ReasonStart
			},
		},
		{
			name: "the target is gone", group: `primary = "eu"`,
			want:    func(s *failover.State) { *s = failover.State{} },
			wantLog: "state of a group ignored: its origin is no longer one of the group's",
		},
		{
			name: "the pinned origin is gone", group: "primary = \"raw\"\nsecondary = \"us\"",
			give: func(g *statefile.Group) { g.Pin = "eu" },
			want: func(s *failover.State) {
				s.Pin, s.PinUntil, s.Primary = failover.RoleNone, time.Time{}, failover.Verdict{}
			},
			wantLog: "pin dropped: its origin is no longer one of the group's",
		},
		{
			name: "an origin that was down has no check now", group: "primary = \"raw\"\nsecondary = \"us\"",
			give: func(g *statefile.Group) { g.Primary = "raw" },
			want: func(s *failover.State) { s.Primary = failover.Verdict{} },
		},
		{
			name: "an origin is new in the group", group: "primary = \"us\"\nsecondary = \"eu\"",
			give: func(g *statefile.Group) { g.Primary = "raw" },
			want: func(s *failover.State) {
				s.Target, s.Pin, s.Primary, s.Secondary = failover.RolePrimary, failover.RolePrimary, healthy, failover.Verdict{}
				s.Reason = failover.ReasonStart
			},
		},
		{
			name: "no origin was active", group: euThenUS,
			give: func(g *statefile.Group) { g.Target, g.Pin, g.Reason = "", "", "both_down" },
			want: func(s *failover.State) {
				s.Target, s.Pin, s.PinUntil, s.Reason = failover.RoleNone, failover.RoleNone, time.Time{}, failover.ReasonBothDown
			},
		},
		{
			name: "a reason of another version", group: euThenUS,
			give: func(g *statefile.Group) { g.Reason = "full_moon" },
			want: func(s *failover.State) { s.Reason = failover.ReasonStart },
		},
		{
			name: "it was led, and follows", group: euThenUS + follows,
			give: func(g *statefile.Group) { g.Reason, g.Lead = "follow", "us" },
			want: func(s *failover.State) { s.Reason, s.Lead = failover.ReasonFollow, failover.RoleSecondary },
		},
		{
			name: "it was led elsewhere than it was pinned", group: euThenUS + follows,
			give: func(g *statefile.Group) { g.Lead = "eu" },
			want: func(s *failover.State) { s.Lead = failover.RolePrimary },
		},
		{
			name: "it was led, and follows nobody now", group: euThenUS,
			give: func(g *statefile.Group) { g.Reason, g.Lead = "follow", "us" },
			want: func(s *failover.State) { s.Reason = failover.ReasonFollow },
		},
		{
			name: "it was led, and the roles were swapped", group: "primary = \"us\"\nsecondary = \"eu\"" + follows,
			give: func(g *statefile.Group) { g.Pin, g.Lead = "", "us" },
			want: func(s *failover.State) {
				s.Target, s.Lead, s.Primary, s.Secondary = failover.RolePrimary, failover.RolePrimary, healthy, down
				s.Pin, s.PinUntil, s.Reason = failover.RoleNone, time.Time{}, failover.ReasonStart
			},
		},
		{
			name: "it was led to an origin that is gone", group: "primary = \"raw\"\nsecondary = \"us\"" + follows,
			give: func(g *statefile.Group) { g.Lead = "eu" },
			want: func(s *failover.State) { s.Primary = failover.Verdict{} },
		},
		{
			name: "another group", group: euThenUS,
			give: func(g *statefile.Group) { g.Name = "blog" },
			want: func(s *failover.State) { *s = failover.State{} },
		},
		{
			name: "no generation", group: euThenUS,
			give: func(g *statefile.Group) { g.Generation = 0 },
			want: func(s *failover.State) { *s = failover.State{} },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := twoOrigins(t, tt.group)
				g, want := saved(now), as
				if tt.give != nil {
					tt.give(&g)
				}
				if tt.want != nil {
					tt.want(&want)
				}
				k, logs := observed("")
				k.before = statefile.Snapshot{Saved: now.Add(-unwatched), Groups: []statefile.Group{g}}
				wantSame(t, k.initial(cfg, &cfg.Groups[0]), want)
				if logs.Len() > 0 {
					t.Error("it was told before the pointer is put to use")
				}
				(&plan{notes: k.lost(&cfg.Groups[0])}).tell(k.log)
				var said []string
				for _, e := range logs.All() {
					said = append(said, e.Message)
				}
				if strings.Join(said, "") != tt.wantLog {
					t.Errorf("logged %q, want %q", said, tt.wantLog)
				}
			})
		})
	}
}

func TestAGroupThatLivesIsAskedItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startLife(t, twoOrigins(t, euThenUS), "")
		l.shop.Verdict(failover.RolePrimary, false)
		settle(time.Second)
		swapped := twoOrigins(t, "primary = \"us\"\nsecondary = \"eu\"")
		s := l.initial(swapped, &swapped.Groups[0])
		if s.Target != failover.RolePrimary || s.Generation != 2 || !s.Secondary.Down || s.Primary.Down {
			t.Errorf("a reload that swaps the roles begins with %+v", s)
		}
	})
}

func TestAStateThatTheTableMovesOnIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := twoOrigins(t, "primary = \"raw\"\nsecondary = \"us\"")
		k, logs := observed("")
		g := saved(time.Now())
		g.Primary, g.Pin, g.SecondaryVerdict.Down = "raw", "", true
		k.before = statefile.Snapshot{Saved: time.Now(), Groups: []statefile.Group{g}}
		l := live(t, cfg, k, logs)
		if s := l.shop.Pointer(); s.Target != failover.RolePrimary || s.Generation != 9 {
			t.Errorf("the pointer is at %+v", s)
		}
		entries := logs.FilterMessage("pointer restored").All()
		if len(entries) != 1 {
			t.Fatalf("told %d times", len(entries))
		}
		if m := entries[0].ContextMap(); m["from"] != "us" || m["to"] != "raw" || m["reason"] != "secondary_down" {
			t.Errorf("told %v", m)
		}
	})
}

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

func TestAGroupThatWasRemovedComesBackAsANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := twoOrigins(t, euThenUS)
		path := filepath.Join(t.TempDir(), "state")
		if err := statefile.Save(path, statefile.Snapshot{Saved: time.Now(), Groups: []statefile.Group{saved(time.Now())}}); err != nil {
			t.Fatal(err)
		}
		l := startLife(t, cfg, path)
		if s := l.shop.Pointer(); s.Generation != 8 {
			t.Fatalf("not restored: %+v", s)
		}
		l.setGroups(cfg, nil)
		if s := l.initial(cfg, &cfg.Groups[0]); s != (failover.State{}) {
			t.Errorf("it begins with %+v", s)
		}
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

func TestStateIsHandedOverWithoutAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := twoOrigins(t, euThenUS)
		first := startLife(t, cfg, "")
		first.shop.Verdict(failover.RolePrimary, false)
		settle(time.Second)
		first.pause()

		// What stands in a file is older.
		path := filepath.Join(t.TempDir(), "state")
		if err := statefile.Save(path, statefile.Snapshot{Saved: time.Now()}); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zapcore.DebugLevel)
		handed := first.encode(first.present())
		second := live(t, cfg, newKeeperFrom(handed, path, zap.New(core)), logs)
		wantSame(t, *second.shop.Pointer(), *first.shop.Pointer())
		if got := second.messages(); !reflect.DeepEqual(got, []string{"pointer restored"}) {
			t.Errorf("logged %q", got)
		}

		// Handed on before there are groups, it is still the same.
		early := newKeeperFrom(handed, "", zap.NewNop())
		if !bytes.Equal(early.encode(early.present()), handed) {
			t.Error("what was handed over is not what is handed on")
		}
	})
}

// Whoever reads the state goes on being led, from a file or from another process.
func TestALeadIsKeptAsLongAsTheGroupFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led, alone := twoOrigins(t, euThenUS+follows), twoOrigins(t, euThenUS)
		path := filepath.Join(t.TempDir(), "state")
		first := startLife(t, led, path)
		first.shop.Follow(failover.RoleSecondary)
		settle(time.Hour) // every wait is over
		was, handed := *first.shop.Pointer(), first.encode(first.present())
		first.end()
		settle(time.Hour)
		for name, begin := range map[string]func(*config.Config) *life{
			"restart": func(cfg *config.Config) *life { return startLife(t, cfg, path) },
			"upgrade": func(cfg *config.Config) *life {
				core, logs := observer.New(zapcore.DebugLevel)
				return live(t, cfg, newKeeperFrom(handed, "", zap.New(core)), logs)
			},
		} {
			l := begin(led)
			settle(time.Hour)
			if is := *l.shop.Pointer(); is.Target != failover.RoleSecondary || is.Lead != failover.RoleSecondary || is.Generation != was.Generation {
				t.Errorf("%s: from %+v to %+v", name, was, is)
			}
			l.end()
		}
		l := startLife(t, alone, path)
		settle(time.Hour)
		if is := *l.shop.Pointer(); is.Target != failover.RolePrimary || is.Reason != failover.ReasonFailback {
			t.Errorf("nobody leads, and the pointer is at %+v", is)
		}
	})
}

func TestAHandoverThatMakesNoSenseFallsBackToTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := twoOrigins(t, euThenUS)
		path := filepath.Join(t.TempDir(), "state")
		if err := statefile.Save(path, statefile.Snapshot{Saved: time.Now(), Groups: []statefile.Group{saved(time.Now())}}); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zapcore.DebugLevel)
		l := live(t, cfg, newKeeperFrom([]byte("?"), path, zap.New(core)), logs)
		if s := l.shop.Pointer(); s.Target != failover.RoleSecondary || s.Generation != 8 {
			t.Errorf("the pointer is at %+v", s)
		}
		want := []string{"state that was handed over can't be used", "state loaded", "pointer restored"}
		if got := l.messages(); !reflect.DeepEqual(got, want) {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}
