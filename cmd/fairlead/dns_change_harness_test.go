package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/dnswire"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/resolver"
)

// namesRig is names at work, with pointers of its own.
type namesRig struct {
	t        *testing.T
	n        *names
	pointers []*failover.Group

	mu     sync.Mutex
	moved  []string // what changed was told, "host [addresses]"
	follow []string // what followers told, "group at origin" or "group alone"
	more   *sync.Cond
	ended  atomic.Bool
}

// readConfig is a configuration that is right. Without listeners of its own it
// has the least one.
func readConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.toml", []byte("[server]\nlisten = [\"127.0.0.1:0\"]\n"+text), config.Options{Patterns: checkPatterns})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// pointersFor makes new pointers.
func pointersFor(t *testing.T, cfg *config.Config) (all []*failover.Group) {
	t.Helper()
	for i := range cfg.Groups {
		pc, err := pointerConfig(&cfg.Groups[i])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, failover.NewGroup(failover.GroupConfig{Name: cfg.Groups[i].Name, PointerConfig: pc}))
	}
	return all
}

// runNames starts names, and ends them with the test.
func runNames(t *testing.T, text string, inherit inheritFunc) *namesRig {
	t.Helper()
	r := &namesRig{t: t}
	r.more = sync.NewCond(&r.mu)
	cfg := readConfig(t, text)
	r.pointers = pointersFor(t, cfg)
	w := watcher{
		dns:        func(resolver.Event) {},
		nameserver: func(err error) { t.Errorf("nameserver: %v", err) },
		follow: func(group string, e follower.Event) {
			what := group + " alone"
			if e.Err == nil {
				what = group + " at " + e.Origin
			}
			r.note(&r.follow, what)
		},
	}
	var err error
	if r.n, err = newNames(cfg, r.pointers, w, inherit); err != nil {
		t.Fatal(err)
	}
	if _, err := r.n.listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.n.run(ctx, func(host string, addrs []netip.Addr) { r.note(&r.moved, fmt.Sprint(host, " ", addrs)) })
	}()
	late := time.AfterFunc(30*time.Second, func() { r.ended.Store(true); r.more.Broadcast() })
	t.Cleanup(func() {
		late.Stop()
		cancel()
		<-done
		r.n.close()
	})
	return r
}

func (r *namesRig) note(where *[]string, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*where = append(*where, what)
	r.more.Broadcast()
}

// await waits until something has been noted.
func (r *namesRig) await(where *[]string, what string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !slices.Contains(*where, what) {
		if r.ended.Load() {
			r.t.Fatalf("it was never told that %s, but %v", what, *where)
		}
		r.more.Wait()
	}
	*where = nil
}

// prepare begins a change to a configuration with new pointers.
func (r *namesRig) prepare(text string) (*namesChange, error) {
	r.t.Helper()
	cfg := readConfig(r.t, text)
	return r.n.prepare(r.t.Context(), cfg, pointersFor(r.t, cfg))
}

// change puts a configuration with new pointers to use.
func (r *namesRig) change(text string) *namesChange {
	r.t.Helper()
	c, err := r.prepare(text)
	if err != nil {
		r.t.Fatal(err)
	}
	c.commit()
	return c
}

// address is where the nameserver is.
func (r *namesRig) address() string {
	r.t.Helper()
	all := r.n.sockets()
	if len(all) != 1 {
		r.t.Fatalf("%d nameservers", len(all))
	}
	return all[0].udp.LocalAddr().String()
}

// asker sends questions over one socket, each once.
type asker struct {
	conn net.Conn
	id   uint16
	buf  []byte
}

func newAsker(t *testing.T, server string) *asker {
	t.Helper()
	c, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &asker{conn: c, buf: make([]byte, dnswire.MaxSize)}
}

func (a *asker) ask(name string, typ dnswire.Type) (m dnswire.Message, err error) {
	a.id++
	q := dnswire.Message{ID: a.id, Questions: []dnswire.Question{{Name: name, Type: typ, Class: dnswire.ClassIN}}}
	packed, err := q.Append(nil)
	if err != nil {
		return m, err
	}
	_ = a.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := a.conn.Write(packed); err != nil {
		return m, err
	}
	n, err := a.conn.Read(a.buf)
	if err != nil {
		return m, err
	}
	if err = dnswire.Parse(a.buf[:n], &m); err == nil && m.ID != a.id {
		err = fmt.Errorf("the answer to %d came for %d", m.ID, a.id)
	}
	return m, err
}

func (a *asker) serial(t *testing.T) uint32 {
	t.Helper()
	m, err := a.ask("failover.example.", dnswire.TypeSOA)
	if err != nil || len(m.Answer) != 1 {
		t.Fatalf("SOA: %+v, %v", m, err)
	}
	return m.Answer[0].SOA.Serial
}

// eventually waits until something holds, and reports whether it did.
func eventually(holds func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
	return true
}

// openFiles counts this process's descriptors, where the system lists them.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// atRest waits until there are no more goroutines and descriptors than before.
func atRest(t *testing.T, goroutines, files int) {
	t.Helper()
	if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines && openFiles() <= files }) {
		t.Errorf("%d goroutines and %d files before, %d and %d after", goroutines, files, runtime.NumGoroutine(), openFiles())
	}
}

// literal is a zone with a group whose origins have addresses, and a TTL by
// which its configuration is known.
func literal(ttl int, listen string) string {
	return shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", fmt.Sprintf("dns_name = \"shop\"\nttl = \"%ds\"", ttl)) +
		fmt.Sprintf("[nameserver]\nlisten = %q\nzone = \"failover.example.\"\nns = [\"ns1.failover.example.\"]\n", listen)
}
