//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// controlled is a service within the test, bound but not run, and what controls it.
type controlled struct {
	*control
	hup  chan struct{}
	said *safeBuffer
}

func newControlled(t *testing.T, s *shop) *controlled {
	t.Helper()
	file := write(t, "[server]\nlisten = [\"127.0.0.1:0\"]\n"+s.keys()+"[log]\noutput = \"stdout\"\n"+s.text())
	r, looked, err := read(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.cfg
	said := &safeBuffer{}
	l, err := openLogs(cfg.Log, said, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	j := newJournal(l.events)
	sv, err := newService(cfg, l, newKeeper("", l.events), watcher{flip: newOperator("", "").watching(j).flip, health: j.health, dns: j.dns}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sv.close)
	if _, _, err := sv.listen(); err != nil {
		t.Fatal(err)
	}
	hup := make(chan struct{}, 1)
	return &controlled{&control{program: &program{reload: hup}, operator: newOperator(file, ""), gone: make(chan struct{}), file: file, service: sv, journal: j, cfg: cfg, loaded: looked}, hup, said}
}

// SIGHUP may come at any time, also before there is anything to reload. It waits
// for that.
func TestAReloadThatIsAskedForDuringTheStartWaitsForIt(t *testing.T) {
	c := newControlled(t, newShop(t))
	c.hup <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { c.run(ctx) })
	time.Sleep(100 * time.Millisecond) // nothing is to happen
	if len(c.hup) != 1 {
		t.Error("it didn't wait")
	}
	all.Go(func() { _ = c.service.run(ctx, nil) })
	chaos.Await(t, patience, "reload", func() bool { return strings.Contains(c.said.String(), `"reloaded"`) })
}

// What changes while a reload is under way is still to be taken up after it. And
// if the process is told to end meanwhile, it isn't ready any more.
func TestAChangeDuringAReloadIsNotMissed(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	c := newControlled(t, newShop(t))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { _ = c.service.run(ctx, nil) })
	<-c.service.begun

	held := func(meanwhile func()) {
		c.service.reloading.Lock()
		var reload sync.WaitGroup
		reload.Go(func() { c.reloadNow(ctx, "SIGHUP") })
		m.hears(reloadingLike)
		// Nothing tells that the file was read. If it wasn't yet, this proves less.
		time.Sleep(100 * time.Millisecond)
		meanwhile()
		c.service.reloading.Unlock()
		reload.Wait()
	}
	held(func() {
		text, err := os.ReadFile(c.file)
		if err == nil {
			err = os.WriteFile(c.file, append(text, "# more\n"...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	m.hears(reloadedLike)
	c.changed()
	if !c.changed() {
		t.Error("the change was missed")
	}
	held(cancel)
	m.hearsNothing()
}

// safeBuffer keeps what is written to it.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
