//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/statefile"
)

// stateOf is what a state file says of the one group.
func stateOf(t *testing.T, path string) statefile.Group {
	t.Helper()
	s, err := statefile.Load(path)
	if err != nil || len(s.Groups) != 1 {
		t.Fatalf("state %+v, %v", s, err)
	}
	return s.Groups[0]
}

// A process that is started anew in the middle of an outage goes on where the
// last one was, whether that was asked to end or killed: its first requests go
// to the secondary, without a detour. It comes back to the primary when that has
// been well for failback_after, and min_hold is over.
func TestARestartInTheMiddleOfAnOutageGoesOnWithIt(t *testing.T) {
	t.Parallel()
	const after, hold = 1500 * time.Millisecond, 3 * time.Second
	for name, kill := range map[string]bool{"SIGTERM": false, "SIGKILL": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			state := filepath.Join(t.TempDir(), "state")
			s.server = fmt.Sprintf("state = %q", state)
			set := s.setup()
			set.toml = strings.Replace(set.toml, `failback_after = "1h"`, fmt.Sprintf("failback_after = %q\nmin_hold = %q", after, hold), 1)
			p := set.start(t)
			p.first("no state yet", nil)
			s.outage(p)
			load := shoppers(t, "tcp", p.address, 4)
			chaos.Await(t, patience, "load", func() bool { return load.Ledger().Len() > 50 })
			chaos.Await(t, patience, "state", func() bool { return stateOf(t, state).Target == "us" })
			load.Stop()
			if kill {
				p.signal(syscall.SIGKILL)
				p.awaitEnd(p.ended)
			} else if code := p.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			was := stateOf(t, state)

			// The primary accepts again when the new process starts, so that a
			// request which went there would be served by it.
			if err := s.eu.Up(); err != nil {
				t.Fatal(err)
			}
			s.eu.Forget()
			up := time.Now()
			p = set.start(t)
			restored := p.first("pointer restored", nil)
			if restored["to"] != "us" || restored["generation"] != float64(was.Generation) || restored["hold"] != was.Hold.String() {
				t.Errorf("restored %v, saved was %+v", restored, was)
			}
			again := shoppers(t, "tcp", p.address, 4)
			moved := p.await("pointer moved", line{"to": "eu"})
			back, err := time.Parse(timeLayout, moved["time"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if healthy := back.Sub(up); healthy < after-time.Millisecond {
				t.Errorf("the pointer came back when the primary had been well for %v, want %v", healthy, after)
			}
			if held := back.Sub(was.Since); held < hold-time.Millisecond {
				t.Errorf("the pointer came back after %v, want %v", held, hold)
			}
			chaos.Await(t, patience, "requests at the primary", func() bool { return again.Ledger().From("eu") > 10 })
			s.nobodyLost(t, load, again)
			// The pointer moves, then the log tells of it: a busy machine may serve a request between the two.
			clearly := back.Add(-250 * time.Millisecond)
			before := again.Ledger().Select(func(r *chaos.Result) bool { return r.Start.Add(r.Latency).Before(clearly) })
			for _, r := range before {
				if r.Origin != "us" {
					t.Fatalf("before the failback: %v", r)
				}
			}
			if len(before) < 10 {
				t.Errorf("only %d requests were served before the failback", len(before))
			}
			if code := p.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			for _, route := range []string{"read", "order"} {
				if l := p.totals(route); l["failed_over"] != 0.0 {
					t.Errorf("route %s: requests made a detour: %v", route, l)
				}
			}
		})
	}
}

// A file that was cut off, wherever, is told of and replaced; whatever it holds,
// it keeps nobody from starting.
func TestAStateFileThatWasCutOffAnywhereIsNoObstacle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	now := time.Now()
	whole, err := statefile.Encode(statefile.Snapshot{Saved: now, Groups: []statefile.Group{{
		Name: "shop", Primary: "eu", Secondary: "us", Target: "us", Generation: 2, Since: now, Reason: "primary_down",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := twoOrigins(t, euThenUS)
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zap.DebugLevel)
		k := newKeeper(path, zap.New(core))
		k.load()
		got := k.initial(cfg, &cfg.Groups[0])
		want, generation := "state can't be restored", uint64(0)
		if n == len(whole) {
			want, generation = "state loaded", 2
		}
		if logs.FilterMessage(want).Len() != 1 || got.Generation != generation {
			t.Fatalf("cut off after %d of %d bytes: %+v, and the log says %v", n, len(whole), got, logs.All())
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, whole[:n]) {
			t.Fatalf("cut off after %d bytes: reading it has changed it", n)
		}
	}
}

// Whatever is at the path of the state, the process serves, tells of it once, and
// changes nothing that isn't its own.
func TestABadStateFileIsToldOfAndServingGoesOn(t *testing.T) {
	t.Parallel()
	const foreign = "# somebody's notes\nbuy milk\n"
	whole := func() string {
		data, err := statefile.Encode(statefile.Snapshot{Saved: time.Now(), Groups: []statefile.Group{{Name: "shop", Primary: "eu", Secondary: "us",
			Target: "us", Generation: 2, Since: time.Now(), Reason: "primary_down"}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}()
	file := func(text string, mode os.FileMode) func(path string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), mode) }
	}
	tests := []struct {
		name   string
		make   func(path string) error
		before string // commands of a shell
		want   string // events
		kept   string // what the file must still hold; empty: our own state takes its place
	}{
		{name: "cut off in its first line", make: file(whole[:20], 0o600), want: "state can't be restored"},
		{name: "cut off in the middle", make: file(whole[:len(whole)/2], 0o600), want: "state can't be restored"},
		{name: "cut off at its last byte", make: file(whole[:len(whole)-1], 0o600), want: "state can't be restored"},
		{name: "empty", make: file("", 0o600), want: "state can't be restored"},
		{name: "foreign", make: file(foreign, 0o600), want: "state can't be kept", kept: foreign},
		{name: "unreadable", make: file(foreign, 0), want: "state can't be restored", kept: foreign},
		{name: "folder", make: func(path string) error { return os.Mkdir(path, 0o700) }, want: "state can't be kept"},
		{name: "full disk", make: file(whole, 0o600), before: "ulimit -f 0\n", want: "state can't be kept", kept: whole},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "unreadable" && os.Getuid() == 0 {
				t.Skip("root may read everything")
			}
			s := newShop(t)
			state := filepath.Join(t.TempDir(), "state")
			if err := tt.make(state); err != nil {
				t.Fatal(err)
			}
			s.server = fmt.Sprintf("state = %q", state)
			set := s.setup()
			set.before = tt.before
			p := set.start(t)
			if told := p.first(tt.want, line{"file": state, "level": "warn"}); told["error"] == nil || told["what_now"] == nil {
				t.Errorf("the log says %v", told)
			}
			load := shoppers(t, "tcp", p.address, 2)
			chaos.Await(t, patience, "load", func() bool { return load.Ledger().Len() > 50 })
			if tt.name == "empty" || strings.HasPrefix(tt.name, "cut") {
				chaos.Await(t, patience, "our own state", func() bool { _, err := statefile.Load(state); return err == nil })
			}
			s.nobodyLost(t, load)
			if code := p.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			if n := p.said(tt.want, nil); n != 1 {
				t.Errorf("it was told of %d times", n)
			}
			_ = os.Chmod(state, 0o700)
			if tt.kept != "" && logText(state) != tt.kept {
				t.Errorf("the file holds %q, want %q", logText(state), tt.kept)
			}
			if left, _ := filepath.Glob(state + "?*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
