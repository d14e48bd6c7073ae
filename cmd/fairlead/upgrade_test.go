//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/dnswire"
	"github.com/fairlead/fairlead/internal/testrun"
)

// askers ask a nameserver for the pointer all the time. Stop returns how often it
// was answered; no answer, or one that says something else, is an error of the
// test.
func askers(t *testing.T, server, want string) (stop func() int) {
	t.Helper()
	q := dnswire.Message{ID: 7, Questions: []dnswire.Question{{Name: "shop.failover.example.", Type: dnswire.TypeTXT, Class: dnswire.ClassIN}}}
	packed, err := q.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var stopped atomic.Bool
	var answers atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for !stopped.Load() {
				got, err := exchangeUDP(server, packed)
				if err != nil || got != want {
					t.Errorf("the nameserver says %q, %v, want %q", got, err, want)
					return
				}
				answers.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	stop = func() int {
		stopped.Store(true)
		all.Wait()
		return int(answers.Load())
	}
	t.Cleanup(func() { stop() })
	return stop
}

// exchangeUDP sends a query from a port of its own and returns the first text of
// the answer.
func exchangeUDP(server string, packed []byte) (string, error) {
	c, err := net.Dial("udp", server)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write(packed); err != nil {
		return "", err
	}
	buf := make([]byte, dnswire.MaxSize)
	n, err := c.Read(buf)
	if err != nil {
		return "", err
	}
	var m dnswire.Message
	if err := dnswire.Parse(buf[:n], &m); err != nil || len(m.Answer) != 1 || len(m.Answer[0].Text) != 1 {
		return "", fmt.Errorf("answer %+v, %w", m, err)
	}
	return m.Answer[0].Text[0], nil
}

// Upgrades in a row, ten in full size, in the middle of an outage. Each process
// takes the place of the one before it, and nobody notices.
func TestUpgradesInARowUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	roots := s.secure(t)
	door := filepath.Join(testrun.ShortDir(t), "door")
	set := s.setup()
	set.listen = []string{"unix:" + door}
	p := set.start(t)
	secure := p.await("listening", line{"tls": true})["address"].(string)
	dns := p.await("answering", nil)["address"].(string)
	s.outage(p)
	pointer := pointerText(t, dns)
	if !strings.HasPrefix(pointer, "target=us generation=2 ") {
		t.Fatalf("the pointer says %q", pointer)
	}
	before := s.eu.Arrived()

	stopAsking := askers(t, dns, pointer)
	load, local := shoppers(t, "tcp", p.address, 4), shoppers(t, "unix", door, 2)
	stop := secureShoppers(t, secure, roots)
	for i := range ofFull(3, 10) {
		served, at := load.Ledger().Len(), local.Ledger().Len()
		p.upgrade()
		p.awaitSaid(i+1, "stopped", line{"error": nil})
		chaos.Await(t, patience, "more requests", func() bool { return load.Ledger().Len() > served+20 && local.Ledger().Len() > at+5 })
		if now := pointerText(t, dns); now != pointer {
			t.Errorf("after upgrade %d the pointer says %q, before it said %q", i+1, now, pointer)
		}
	}
	if n := stop(); n == 0 {
		t.Error("nothing was served over HTTP/2")
	}
	t.Logf("%d answers over DNS, %d requests", stopAsking(), s.nobodyLost(t, load, local).Len())
	if n := s.eu.Arrived() - before; n > 0 {
		t.Errorf("%d requests came to the primary, which is down", n)
	}
	if n := p.said("pointer moved", nil); n != 1 {
		t.Errorf("the pointer moved %d times", n)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(door); !os.IsNotExist(err) {
		t.Errorf("the unix socket's path is still there: %v", err)
	}
}

// replaceable is a path to this program that a test can let lead elsewhere.
func replaceable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fairlead")
	if err := os.Symlink(os.Args[0], path); err != nil {
		t.Fatal(err)
	}
	return path
}

// replace puts a script in the place of the program; an empty one stands for the
// program itself.
func replace(t *testing.T, program, script string) {
	t.Helper()
	var err error
	if script == "" {
		err = os.Symlink(os.Args[0], program+".new")
	} else {
		err = os.WriteFile(program+".new", []byte("#!/bin/sh\nPATH=$PATH:/bin:/usr/bin\n"+script+"\n"), 0o700)
	}
	if err == nil {
		err = os.Rename(program+".new", program)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever is wrong with the new process, the old one goes on, says why, and is
// replaced once that is mended.
func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	door := filepath.Join(testrun.ShortDir(t), "door")
	set := s.setup()
	set.program, set.listen = replaceable(t), []string{"unix:" + door}
	p := set.start(t)
	dns := p.await("answering", nil)["address"].(string)
	s.outage(p)
	pointer := pointerText(t, dns)
	stopAsking := askers(t, dns, pointer)
	load, local := shoppers(t, "tcp", p.address, 4), shoppers(t, "unix", door, 2)

	fails := func(want string) {
		t.Helper()
		p.signal(syscall.SIGUSR2)
		if why := p.await(notTaken, nil)["error"].(string); !strings.Contains(why, want) {
			t.Errorf("the log says %q, want %q", why, want)
		}
		if got := overUnix(t, door); got != 200 {
			t.Errorf("the unix socket answers %d", got)
		}
	}
	broken := *s
	broken.group = "none"
	broken.change(p)
	fails("exit status 1")
	s.change(p)
	replace(t, set.program, "exit 7")
	fails("exit status 7")
	replace(t, set.program, "kill -9 $$")
	fails("signal: killed")
	replace(t, set.program, "exec 3<&- 4>&- sleep 600")
	fails("closed its end of the pipe")
	if err := os.Remove(set.program); err != nil {
		t.Fatal(err)
	}
	fails("no such file")

	replace(t, set.program, "")
	p.upgrade()
	stopAsking()
	s.nobodyLost(t, load, local)
	if now := pointerText(t, dns); now != pointer {
		t.Errorf("the pointer says %q, before it said %q", now, pointer)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if text := p.stderr.String(); !strings.Contains(text, p.file+":") {
		t.Errorf("stderr doesn't have the place of the mistake: %s", text)
	}
}

// SIGTERM in the middle of an upgrade ends both: the new process, which isn't
// ready, and the old one, which keeps the state of what happened meanwhile.
func TestSIGTERMDuringAnUpgradeKeepsTheState(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	dir := testrun.ShortDir(t)
	door, state, begun := filepath.Join(dir, "door"), filepath.Join(dir, "state"), filepath.Join(dir, "begun")
	s.server = fmt.Sprintf("state = %q", state)
	set := s.setup()
	set.program, set.listen = replaceable(t), []string{"unix:" + door}
	p := set.start(t)
	replace(t, set.program, fmt.Sprintf("echo >%q; exec sleep 600", begun))
	p.signal(syscall.SIGUSR2)
	chaos.Await(t, patience, "new process", func() bool { _, err := os.Lstat(begun); return err == nil })
	s.outage(p) // which the state that was handed over knows nothing of
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	p.await(givenUp, line{"level": "info"})
	if n := p.said(notTaken, nil); n > 0 {
		t.Error("a process that ends says that it goes on")
	}
	if text := logText(state); !strings.Contains(text, `"us"`) || !strings.Contains(text, `"generation": 2`) {
		t.Errorf("the outage is not in the state:\n%s", text)
	}
	if _, err := os.Lstat(door); !os.IsNotExist(err) {
		t.Errorf("the unix socket's path is still there: %v", err)
	}
}

// SIGTERM that crosses with the end of an upgrade ends the old process, and the
// new one only if that isn't in charge. Whoever is has the unix socket's path.
func TestSIGTERMThatCrossesWithAnUpgradeLeavesOneInCharge(t *testing.T) {
	t.Parallel()
	adoptOrphans(t)
	s := newShop(t)
	s.drain = time.Second
	var took time.Duration // by an upgrade that nobody disturbs
	for i := range 10 {
		door := filepath.Join(testrun.ShortDir(t), "door")
		set := s.setup()
		set.listen = []string{"unix:" + door}
		p := set.start(t)
		from := time.Now()
		if i == 0 {
			p.upgrade()
			took = time.Since(from)
			p.end()
			continue
		}
		p.signal(syscall.SIGUSR2)
		p.await(startingNew, nil)
		time.Sleep(took * time.Duration(i) / 9) // any time will do
		_ = p.main.Signal(syscall.SIGTERM)      // it may have ended
		p.gone(p.main)
		p.awaitSaid(1, "stopped", nil) // its last line
		if p.said(givenUp, nil) > 0 {
			p.awaitEnd(p.ended)
			if _, err := os.Lstat(door); !os.IsNotExist(err) {
				t.Errorf("the unix socket's path is still there: %v", err)
			}
			continue
		}
		chaos.Await(t, patience, "successor", func() bool { return p.said(tookOver, nil) == 1 })
		p.main = p.newest()
		if got := overUnix(t, door); got != 200 {
			t.Errorf("the new process answers %d", got)
		}
		if code := p.end(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	}
}

// Two signals at once are one wish, and a process that was replaced is not
// replaced again. SIGHUP to it does nothing, least of all kill it.
func TestAProcessThatDrainsAfterAnUpgradeObeysNoOtherWish(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.drain = patience
	answer := make(chan struct{})
	s.eu.SetPath("/slow", chaos.OK(10).When(answer))
	p := s.setup().start(t)
	slow := fetch(t.Context(), "GET", "http://"+p.address+"/slow")
	chaos.Await(t, patience, "request", func() bool { return arrivedAt(s.eu, "/slow") == 1 })
	first := p.main
	_ = first.Signal(syscall.SIGUSR2)
	old := p.successor()
	for _, sig := range []os.Signal{syscall.SIGUSR2, syscall.SIGHUP} {
		if err := old.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	s.concurrent = 21
	s.change(p)
	p.reload("") // of the new process
	close(answer)
	if a := <-slow; a.err != nil || a.status != 200 {
		t.Errorf("the request that the old process had got %+v", a)
	}
	p.gone(old)
	if n := p.said(startingNew, nil); n != 1 {
		t.Errorf("%d new processes were started", n)
	}
	if n := p.said("reloaded", nil); n != 1 {
		t.Errorf("%d reloads", n)
	}
	p.upgrade() // the new one can be
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// arrivedAt is how many requests for a path have come to an origin.
func arrivedAt(o *chaos.Origin, path string) (n int) {
	for _, a := range o.AllArrivals() {
		if a.Path() == path {
			n++
		}
	}
	return n
}
