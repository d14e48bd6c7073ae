package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
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
