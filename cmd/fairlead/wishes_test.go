//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/chaos"
)

// What happens while a reload or an upgrade is under way.

// holdUp lets reloads take the two seconds that they wait for a nameserver,
// which doesn't answer. Asked has something whenever it is asked.
func (s *shop) holdUp(t *testing.T) (asked <-chan struct{}) {
	t.Helper()
	dns, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dns.Close() })
	hears := make(chan struct{}, 1)
	go func() {
		for b := make([]byte, 512); ; {
			if _, _, err := dns.ReadFrom(b); err != nil {
				return
			}
			poke(hears)
		}
	}()
	s.routes = fmt.Sprintf(`
[origins.slow]
url = "http://slow.example:80"
[resolver]
servers = [%q]
timeout = "10s"
`, dns.LocalAddr())
	return hears
}

// hesitant is a program in the place of fairlead that waits, each time it is
// started, until the test lets it begin.
type hesitant struct {
	t   *testing.T
	dir string
}

func newHesitant(t *testing.T, program string) hesitant {
	t.Helper()
	h := hesitant{t, t.TempDir()}
	replace(t, program, fmt.Sprintf(`cd %q
n=0
while [ -e begun$n ]; do n=$((n+1)); done
echo >begun$n
while ! [ -e go$n ]; do sleep 0.05; done
cd "$OLDPWD"
exec %q "$@"`, h.dir, os.Args[0]))
	return h
}

// begun waits for its start number n, from 0 on.
func (h hesitant) begun(n int) {
	h.t.Helper()
	path := filepath.Join(h.dir, fmt.Sprint("begun", n))
	chaos.Await(h.t, patience, "new process", func() bool { _, err := os.Lstat(path); return err == nil })
}

func (h hesitant) begin(n int) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, fmt.Sprint("go", n)), nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// A pointer that moves while the new process starts is not lost: that process
// gives way to another one, which knows of it. If the pointers never rest, the
// old process stays.
func TestAFlipDuringAnUpgradeIsNotLost(t *testing.T) {
	t.Parallel()
	adoptOrphans(t)
	s := newShop(t)
	set := s.setup()
	set.program = replaceable(t)
	p := set.start(t)
	dns := p.await("answering", nil)["address"].(string)
	p.first("verdict", line{"origin": "us", "to": "healthy"})
	h := newHesitant(t, set.program)

	p.signal(syscall.SIGUSR2)
	h.begun(0)
	s.outage(p)
	h.begin(0)
	h.begun(1)
	if err := s.eu.Up(); err != nil {
		t.Fatal(err)
	}
	p.await("verdict", line{"origin": "eu", "to": "healthy"})
	h.begin(1)
	h.begun(2)
	s.eu.Down()
	p.await("verdict", line{"origin": "eu", "to": "down"})
	h.begin(2)
	if why := p.await(notTaken, nil)["error"].(string); !strings.Contains(why, "has changed since its start") {
		t.Errorf("the log says %q", why)
	}
	if n := p.said(startAgain, nil); n != 2 {
		t.Errorf("it was started again %d times", n)
	}
	before := pointerText(t, dns)

	p.signal(syscall.SIGUSR2)
	h.begun(3)
	if err := s.eu.Up(); err != nil {
		t.Fatal(err)
	}
	p.await("verdict", line{"origin": "eu", "to": "healthy"})
	h.begin(3)
	h.begun(4)
	h.begin(4)
	old := p.succeeded(1)
	p.gone(old)
	if now := pointerText(t, dns); now != before || !strings.HasPrefix(now, "target=us generation=2 ") {
		t.Errorf("the pointer says %q, before it said %q", now, before)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// SIGHUP in the middle of an upgrade is obeyed by whoever is in charge then.
func TestSIGHUPDuringAnUpgradeIsObeyedByTheNewProcess(t *testing.T) {
	t.Parallel()
	adoptOrphans(t)
	s := newShop(t)
	set := s.setup()
	set.program = replaceable(t)
	p := set.start(t)
	h := newHesitant(t, set.program)
	p.signal(syscall.SIGUSR2)
	h.begun(0)
	p.signal(syscall.SIGHUP)
	h.begin(0)
	old := p.succeeded(1)
	p.awaitSaid(1, "reloaded", line{"why": "SIGHUP"})
	p.gone(old)
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// SIGTERM in the middle of a reload ends the process, without a word about the
// reload that somebody might take for a failure, or for readiness.
func TestSIGTERMDuringAReloadIsTheLastWord(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	m := newManager(t)
	set := s.setup()
	set.env = []string{"NOTIFY_SOCKET=" + m.path}
	p := set.start(t)
	m.hears(readyLike(p.main.Pid))
	asked := s.holdUp(t)
	s.change(p)
	p.signal(syscall.SIGHUP)
	<-asked
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	m.hears(reloadingLike)
	m.hears(`STOPPING=1\n`)
	m.hearsNothing()
	p.awaitSaid(1, "the reload is given up, since this process ends", line{"level": "info"})
	if n := p.said("not reloaded, the configuration at work stays", nil); n > 0 {
		t.Error("the configuration of a process that ends is said to stay at work")
	}
}

// While a reload has failed because of a file that is missing, that file is
// watched, and the failure is told of once.
func TestAMissingFileOfAFailedReloadIsWatched(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.server = "watch = true"
	s.secure(t)
	p := s.setup().start(t)
	why := line{"why": "the file has changed"}
	const refused = "not reloaded, the configuration at work stays"
	dir := t.TempDir()
	ca := filepath.Join(dir, "site.pem")
	for i, give := range []func(){
		func() {
			s.routes = fmt.Sprintf("[origins.other]\nurl = \"https://127.0.0.1:9\"\nca = %q\n", ca)
		},
		func() { s.routes, s.server = "", fmt.Sprintf("watch = true\nclient_ca = %q", ca) },
	} {
		_ = os.Remove(ca)
		reloads := p.said("reloaded", nil)
		give()
		s.change(p)
		p.awaitSaid(i+1, refused, why)
		time.Sleep(3 * lookEvery) // nothing is to happen
		if n := p.said(refused, nil); n != i+1 {
			t.Errorf("it was told of %d times", n-i)
		}
		writeCertificate(t, dir)
		p.awaitSaid(reloads+1, "reloaded", why)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// The demonstration has nothing to reload: it ends with its terminal.
func TestADemonstrationEndsWithItsTerminal(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("this test was started so that no hang-up ends what it starts")
	}
	cmd := fairlead(t.Context(), "demo")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "open "); {
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGHUP {
		t.Errorf("it ended with %v", err)
	}
}

// within is a service in the test, of two origins that nobody probes.
type within struct {
	*service
	said *safeBuffer
	cfg  *config.Config
}

// newWithin makes it, with a keeper that logs to log.
func newWithin(t *testing.T, flip func(), log *zap.Logger) within {
	t.Helper()
	cfg := unprobed(t, "", "")
	said := &safeBuffer{}
	l, err := openLogs(cfg.Log, said, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	s, err := newService(cfg, l, newKeeper("", log), watcher{
		flip:   func(*config.Group, failover.State, failover.State) { flip() },
		health: func(health.Event) {},
		dns:    newJournal(zap.NewNop()).dns,
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if _, _, err := s.listen(); err != nil {
		t.Fatal(err)
	}
	return within{s, said, cfg}
}

// begin runs it. The channel has what run returns, and stop ends it.
func (w within) begin(t *testing.T) (stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	var all sync.WaitGroup
	all.Go(func() {
		defer close(result)
		result <- w.run(ctx, nil)
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	<-w.begun
	return cancel, result
}

// unprobed is a configuration with more keys for [server] and more of everything.
func unprobed(t *testing.T, server, more string, group ...string) *config.Config {
	t.Helper()
	origins := "primary = \"eu\"\nsecondary = \"us\""
	if len(group) > 0 {
		origins = group[0]
	}
	cfg, err := load(write(t, `[server]
listen = ["127.0.0.1:0"]
`+server+`
[log]
output = "stdout"
[origins.eu]
url = "http://127.0.0.1:9"
[origins.us]
url = "http://127.0.0.1:9"
[groups.shop]
`+origins+`
failback_after = "0s"
min_hold = "0s"
`+routeTable("shop", "/", "shop", 1)+more))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The end of a service waits for a reload that is under way: what that employs
// ends with the rest.
func TestTheEndWaitsForAReload(t *testing.T) {
	var reloading atomic.Bool
	var stop context.CancelFunc
	var ended <-chan error
	w := newWithin(t, func() {
		if !reloading.Load() {
			return
		}
		stop()
		select {
		case err := <-ended:
			t.Errorf("it ended in the middle of a reload: %v", err)
		case <-time.After(300 * time.Millisecond): // nothing is to happen
		}
	}, zap.NewNop())
	stop, ended = w.begin(t)
	w.plan.pointers[0].Verdict(failover.RolePrimary, false)
	reloading.Store(true)
	// It finds an origin healthy that nobody probes, so the pointer comes back.
	if err := w.reload(t.Context(), w.cfg); err != nil {
		t.Error(err)
	}
	reloading.Store(false)
	if g := w.plan.pointers[0].Pointer(); g.Generation != 3 {
		t.Fatalf("nothing moved in the reload: %+v", g)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.crew.employ("late", func(context.Context) { t.Error("somebody was employed after the end") })
	w.crew.wait()
}

// What becomes of a pointer while the reload that replaces it waits for a
// nameserver holds for the new one.
func TestAPinDuringAReloadHoldsForThePointerThatReplacesIt(t *testing.T) {
	t.Parallel()
	w := newWithin(t, func() {}, zap.NewNop())
	w.begin(t)
	var slow shop
	asked := slow.holdUp(t)
	swapped := unprobed(t, "", slow.routes, "primary = \"us\"\nsecondary = \"eu\"")
	old := w.plan.pointers[0]
	var all sync.WaitGroup
	all.Go(func() {
		if err := w.reload(t.Context(), swapped); err != nil {
			t.Error(err)
		}
	})
	<-asked
	if err := old.Pin(failover.RoleSecondary, 0); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	now := w.plan.pointers[0]
	if s := now.Pointer(); now == old || s.Pin != failover.RolePrimary || s.Target != failover.RolePrimary || s.Generation != old.Pointer().Generation {
		t.Errorf("the new pointer is at %+v, the old one is at %+v", s, old.Pointer())
	}
}

// A reload that is refused warns of nothing that it would have done.
func TestAReloadThatIsRefusedWarnsOfNothing(t *testing.T) {
	w := newWithin(t, func() {}, zap.NewNop())
	w.begin(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const ignored = "state of a group ignored"
	others := "[origins.a]\nurl = \"http://127.0.0.1:9\"\n"
	if err := w.reload(t.Context(), unprobed(t, "", others, `primary = "a"`)); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, patience, "warning", func() bool { return strings.Contains(w.said.String(), ignored) })
	before := strings.Count(w.said.String(), ignored)
	refused := unprobed(t, "", others, `primary = "us"`)
	refused.Server.Listen = append(refused.Server.Listen, taken.Addr().String())
	if err := w.reload(t.Context(), refused); err == nil {
		t.Fatal("not refused")
	}
	_ = w.logs.events.Sync()
	if n := strings.Count(w.said.String(), ignored); n != before {
		t.Errorf("it warned %d times", n-before)
	}
}

// A reload that changes both groups and the state's file never lets the old file
// have the new groups.
func TestTheOldStateFileNeverHasTheNewGroups(t *testing.T) {
	var w within
	told := 0
	core := zap.Hooks(func(e zapcore.Entry) error {
		if e.Message == "state is kept elsewhere" { // the keeper is locked
			told++
			if w.keeper.groups[0].Secondary == "" {
				t.Error("the new groups came before the new file")
			}
		}
		return nil
	})
	w = newWithin(t, func() {}, zap.New(zapcore.NewCore(newEncoder("json"), zapcore.AddSync(io.Discard), zapcore.InfoLevel), core))
	w.begin(t)
	path := filepath.Join(t.TempDir(), "state")
	if err := w.reload(t.Context(), unprobed(t, fmt.Sprintf("state = %q\n", path), "", `primary = "eu"`)); err != nil {
		t.Fatal(err)
	}
	if told != 1 {
		t.Errorf("the change of the file was told %d times", told)
	}
}
