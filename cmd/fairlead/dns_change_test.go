package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
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

// Of the queries that come while a hundred configurations follow each other
// none is lost, and each answer is of one of them, whose pointers are its own.
func TestAHundredChangesOfTheZoneLoseNoQuery(t *testing.T) {
	const listen = "127.0.0.1:0"
	r := runNames(t, literal(1, listen), nil)
	server := r.address()
	probe := newAsker(t, server)
	last := probe.serial(t)
	var all sync.WaitGroup
	var stop atomic.Bool
	var answered atomic.Int64
	for range 3 {
		a := newAsker(t, server)
		all.Go(func() {
			for !stop.Load() {
				m, err := a.ask("shop.failover.example.", dnswire.TypeA)
				if err != nil || len(m.Answer) != 1 || m.Answer[0].TTL < 1 || m.Answer[0].TTL > 2 {
					t.Errorf("%+v, %v", m, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	for i := range 100 {
		cfg := readConfig(t, literal(2-i%2, listen))
		pointers := pointersFor(t, cfg)
		c, err := r.n.prepare(t.Context(), cfg, pointers)
		if err != nil {
			t.Fatal(err)
		}
		if c.commit(); c.listening != nil || r.address() != server {
			t.Fatalf("it moved from %s to %s", server, r.address())
		}
		want := "127.0.0.1"
		if i%3 == 0 {
			pointers[0].Verdict(failover.RolePrimary, false) // a pointer of before would be deaf to it
			r.n.update()
			want = "127.0.0.2"
		}
		m, err := probe.ask("shop.failover.example.", dnswire.TypeA)
		if err != nil || len(m.Answer) != 1 || m.Answer[0].TTL != uint32(2-i%2) || m.Answer[0].Addr.String() != want {
			t.Fatalf("change %d: %+v, %v", i, m, err)
		}
		serial := probe.serial(t)
		if int32(serial-last) < 0 {
			t.Fatalf("change %d: the serial went back from %d to %d", i, last, serial)
		}
		last = serial
	}
	atRest(t, goroutines, files)
	stop.Store(true)
	all.Wait()
	t.Logf("%d queries beside 100 changes", answered.Load())
}

// The nameserver comes, moves and goes with its table; its serial goes on, and
// an address that can't be had refuses the change.
func TestTheNameserverComesMovesAndGoes(t *testing.T) {
	none := shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", "")
	r := runNames(t, none, nil)
	goroutines, files := runtime.NumGoroutine(), openFiles()
	first := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	if r.n.sockets() != nil {
		t.Error("sockets without a nameserver")
	}
	if c := r.change(literal(1, first)); c.listening == nil || c.listening.String() != first || r.address() != first {
		t.Errorf("it listens at %v, want %s", c.listening, first)
	}
	at := newAsker(t, first)
	serial := at.serial(t)
	for range 5 { // ahead of the clock
		r.change(literal(1, first))
		serial = at.serial(t)
	}

	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.prepare(literal(2, taken.LocalAddr().String())); err == nil || !strings.Contains(err.Error(), taken.LocalAddr().String()) {
		t.Errorf("to an address that is taken: %v", err)
	}
	_ = taken.Close()
	if _, port, _ := net.SplitHostPort(first); runtime.GOOS == "linux" {
		if _, err := r.prepare(literal(2, "0.0.0.0:"+port)); err == nil || !strings.Contains(err.Error(), first) {
			t.Errorf("to one that overlaps: %v", err)
		}
	}
	if got := at.serial(t); got != serial {
		t.Errorf("refused changes moved the serial from %d to %d", serial, got)
	}

	second := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	c, err := r.prepare(literal(2, second))
	if err != nil {
		t.Fatal(err)
	}
	if c.abort(); r.address() != first {
		t.Errorf("what was given up moved it to %s", r.address())
	}
	r.change(literal(2, second))
	at = newAsker(t, second)
	if got := at.serial(t); int32(got-serial) <= 0 {
		t.Errorf("at the new address the serial went from %d to %d", serial, got)
	} else {
		serial = got
	}
	r.change(none)
	atRest(t, goroutines, files+2) // the askers
	for _, address := range []string{first, second} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("it is still there: %v", err)
			continue
		}
		_ = l.Close()
	}
	r.change(literal(1, second))
	if got := newAsker(t, second).serial(t); int32(got-serial) <= 0 {
		t.Errorf("after it had gone, the serial went from %d to %d", serial, got)
	}
}

// named is a configuration of one origin with a name for each host, looked up at z.
func resolved(servers string, hosts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[resolver]\nservers = [%s]\nmin_ttl = \"50ms\"\ntimeout = \"100ms\"\n", servers)
	for i, host := range hosts {
		fmt.Fprintf(&b, "[origins.o%d]\nurl = \"http://%s\"\n[groups.g%d]\nprimary = \"o%d\"\n", i, host, i, i)
		fmt.Fprintf(&b, "[[routes]]\nname = \"r%d\"\nmatch = \"/%d\"\ngroup = \"g%d\"\nbulkhead = { max_concurrent = 1 }\n", i, i, i)
	}
	if len(hosts) == 0 {
		b.WriteString(oneOrigin("http://127.0.0.1:1"))
	}
	return b.String()
}

// wantWatched waits until these hosts are watched and no others.
func wantWatched(t *testing.T, n *names, want ...string) {
	t.Helper()
	var got []string
	if !eventually(func() bool {
		got = nil
		for _, s := range n.resolver.Load().Stats() {
			if s.Watched {
				got = append(got, s.Host)
			}
		}
		return slices.Equal(got, want)
	}) {
		t.Errorf("watched: %v, want %v", got, want)
	}
}

// While resolvers are swapped, no lookup fails, waits for a cold cache, or gets
// what was never said.
func TestASwapOfTheResolverKeepsAnswers(t *testing.T) {
	zones := []*zoneFile{serveZone(t), serveZone(t)}
	servers := make([]string, len(zones))
	for i, z := range zones {
		z.say(dnswire.RcodeSuccess, fmt.Sprintf("192.0.2.%d", i))
		servers[i] = fmt.Sprintf("%q", z.conn.LocalAddr())
	}
	r := runNames(t, resolved(servers[0], "a.test", "b.test"), nil)
	r.await(&r.moved, "a.test [192.0.2.0]")
	goroutines, files := runtime.NumGoroutine(), openFiles()
	var all sync.WaitGroup
	var stop atomic.Bool
	for _, host := range []string{"a.test", "b.test"} {
		all.Go(func() {
			for !stop.Load() {
				addrs, err := r.n.lookup(t.Context(), host)
				if err != nil || len(addrs) != 1 {
					t.Errorf("%s: %v, %v", host, addrs, err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	for i := range 50 {
		old := r.n.resolver.Load()
		r.change(resolved(servers[(i+1)%2], "a.test", "b.test", fmt.Sprintf("c%d.test", i)))
		if r.n.resolver.Load() == old {
			t.Fatal("other servers, the same resolver")
		}
		if !eventually(func() bool { return isClosed(old) }) {
			t.Fatal("the old resolver is still at work")
		}
		for _, host := range []string{"a.test", fmt.Sprintf("c%d.test", i)} {
			if addrs, _, ok := r.n.peek(host); !ok || addrs[0].String() != fmt.Sprintf("192.0.2.%d", (i+1)%2) {
				t.Fatalf("swap %d: %s is known as %v, %v", i, host, addrs, ok)
			}
		}
		r.await(&r.moved, fmt.Sprintf("a.test [192.0.2.%d]", (i+1)%2))
	}
	stop.Store(true)
	all.Wait()
	atRest(t, goroutines+2, files+4) // lookups come and go
	wantWatched(t, r.n, "a.test", "b.test", "c49.test")
}

func isClosed(r *resolver.Resolver) bool {
	_, err := r.Lookup(context.Background(), "nobody.test")
	e, ok := errors.AsType[*resolver.Error](err)
	return ok && e.Kind == resolver.Closed
}

// Who waits for an answer of the old servers gets that of the new ones.
func TestALookupUnderWayIsNotCutOffByASwap(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	z := serveZone(t)
	z.say(dnswire.RcodeSuccess, "192.0.2.1")
	r := runNames(t, strings.Replace(resolved(fmt.Sprintf("%q", silent.LocalAddr()), "a.test"), "100ms", "30s", 1), nil)
	type result struct {
		addrs []netip.Addr
		err   error
	}
	got := make(chan result, 1)
	go func() {
		addrs, err := r.n.lookup(t.Context(), "b.test")
		got <- result{addrs, err}
	}()
	asked := func() bool {
		return slices.ContainsFunc(r.n.resolver.Load().Stats(), func(s resolver.NameStats) bool { return s.Host == "b.test" && s.Lookups > 0 })
	}
	if !eventually(asked) {
		t.Fatal("nothing was looked up")
	}
	r.change(resolved(fmt.Sprintf("%q", z.conn.LocalAddr()), "a.test"))
	if g := <-got; g.err != nil || fmt.Sprint(g.addrs) != "[192.0.2.1]" {
		t.Errorf("got %v, %v", g.addrs, g.err)
	}
}

// A resolver that isn't in use tells nobody of addresses.
func TestAChangeThatIsGivenUpTellsNothing(t *testing.T) {
	zones := []*zoneFile{serveZone(t), serveZone(t)}
	for i, z := range zones {
		z.say(dnswire.RcodeSuccess, fmt.Sprintf("192.0.2.%d", i))
	}
	r := runNames(t, resolved(fmt.Sprintf("%q", zones[0].conn.LocalAddr()), "a.test"), nil)
	r.await(&r.moved, "a.test [192.0.2.0]")
	c, err := r.prepare(resolved(fmt.Sprintf("%q", zones[1].conn.LocalAddr()), "a.test"))
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := c.resolver.Peek("a.test"); !ok || a.Addrs[0].String() != "192.0.2.1" {
		t.Errorf("the new resolver knows %v", a)
	}
	c.abort() // waits for what it would tell
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.moved) != 0 || !isClosed(c.resolver) {
		t.Errorf("told %v", r.moved)
	}
	if addrs, _, ok := r.n.peek("a.test"); !ok || addrs[0].String() != "192.0.2.0" {
		t.Errorf("it is at %v", addrs)
	}
}

// Servers that don't answer take away nothing that the ones before them knew.
func TestASwapToDeadServersLosesNoAddress(t *testing.T) {
	z := serveZone(t)
	z.say(dnswire.RcodeSuccess, "192.0.2.1")
	good := fmt.Sprintf("%q", z.conn.LocalAddr())
	r := runNames(t, resolved(good, "a.test"), nil)
	r.await(&r.moved, "a.test [192.0.2.1]")
	r.change(resolved(fmt.Sprintf("\"127.0.0.1:%d\"", freePort(t)), "a.test", "b.test"))
	if addrs, err := r.n.lookup(t.Context(), "a.test"); err != nil || fmt.Sprint(addrs) != "[192.0.2.1]" {
		t.Errorf("%v, %v", addrs, err)
	}
	if addrs, err := r.n.lookup(t.Context(), "b.test"); err == nil {
		t.Errorf("a host that nobody ever knew is at %v", addrs)
	}
	z.say(dnswire.RcodeSuccess, "192.0.2.2")
	r.change(resolved(good, "a.test", "b.test"))
	for _, host := range []string{"a.test", "b.test"} {
		if addrs, err := r.n.lookup(t.Context(), host); err != nil || fmt.Sprint(addrs) != "[192.0.2.2]" {
			t.Errorf("with servers again: %s at %v, %v", host, addrs, err)
		}
	}
}

// With the same table, the resolver and what it knows stay, and only hosts come
// and go.
func TestHostsComeAndGo(t *testing.T) {
	z := serveZone(t)
	z.say(dnswire.RcodeSuccess, "192.0.2.1")
	server := fmt.Sprintf("%q", z.conn.LocalAddr())
	r := runNames(t, resolved(server), nil)
	if addrs, err := r.n.lookup(t.Context(), "a.test"); err == nil || r.n.resolver.Load() != nil {
		t.Errorf("without a resolver: %v", addrs)
	}
	r.change(resolved(server, "a.test", "b.test"))
	first := r.n.resolver.Load()
	if _, _, ok := r.n.peek("a.test"); !ok {
		t.Error("a host that came isn't known")
	}
	r.change(resolved(server, "c.test", "B.test"))
	if _, _, ok := r.n.peek("c.test"); !ok {
		t.Error("a host that came isn't known")
	}
	wantWatched(t, r.n, "b.test", "c.test")
	c, err := r.prepare(resolved(server, "d.test"))
	if err != nil {
		t.Fatal(err)
	}
	c.abort()
	wantWatched(t, r.n, "b.test", "c.test")
	r.change(resolved(server))
	wantWatched(t, r.n)
	if r.n.resolver.Load() != first {
		t.Error("it is another resolver, though its table is the same")
	}
}

// A follower runs on as long as nothing that it is made of changes. After one
// that went, the next one for the same pointer has the say, and nobody else.
func TestFollowersComeAndGo(t *testing.T) {
	// The leaders' pointers are at us and at eu.
	leaders := make([]*namesRig, 2)
	server := make([]string, 2)
	for i := range leaders {
		leaders[i] = runNames(t, literal(1, "127.0.0.1:0"), nil)
		server[i] = leaders[i].address()
	}
	leaders[0].pointers[0].Verdict(failover.RolePrimary, false)
	leaders[0].n.update()
	text := func(more string) string { return shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", more) }
	to := func(i int) string {
		return text(fmt.Sprintf("follow = \"dns://%s/shop.failover.example.\"", server[i]))
	}

	r := runNames(t, text(""), nil)
	pointer := r.pointers[0]
	change := func(text string, pointer *failover.Group) *following {
		t.Helper()
		c, err := r.n.prepare(t.Context(), readConfig(t, text), []*failover.Group{pointer})
		if err != nil {
			t.Fatal(err)
		}
		c.commit()
		return r.n.followers["shop"]
	}
	wantLead := func(when string, p *failover.Group, want failover.Role) {
		t.Helper()
		if !eventually(func() bool { return p.Pointer().Lead == want }) {
			t.Fatalf("%s: the pointer follows to %v, want %v", when, p.Pointer().Lead, want)
		}
	}
	f := change(to(0), pointer)
	r.await(&r.follow, "shop at us")
	wantLead("begun", pointer, failover.RoleSecondary)
	if change(to(0), pointer) != f {
		t.Error("nothing changed, and it is another one")
	}
	other := change(to(1), pointer)
	if other == f {
		t.Error("another server, the same follower")
	}
	r.await(&r.follow, "shop at eu")
	wantLead("another server", pointer, failover.RolePrimary)
	if f.id != other.id {
		t.Error("a ring through this group would not be found out for a while")
	}
	for i := range 21 { // in quick succession
		change(to((i+1)%2), pointer)
	}
	wantLead("the last of many", pointer, failover.RolePrimary)
	change(text(""), pointer)
	if lead := pointer.Pointer().Lead; lead != failover.RoleNone {
		t.Errorf("nobody follows, and the pointer is led to %v", lead)
	}
	change(to(1), pointer) // at once, while the one before it may still be ending
	wantLead("back again", pointer, failover.RolePrimary)
	change(text(""), pointer)
	if lead := pointer.Pointer().Lead; lead != failover.RoleNone || len(r.n.followers) != 0 {
		t.Errorf("gone: led to %v by %v", lead, r.n.followers)
	}
}

// startLeader is a nameserver whose pointer is at us.
func startLeader(t *testing.T) (address string) {
	t.Helper()
	l := runNames(t, literal(1, "127.0.0.1:0"), nil)
	l.pointers[0].Verdict(failover.RolePrimary, false)
	l.n.update()
	return l.address()
}

// followShop is a group that follows the one at a server. Its pointer may return
// to the primary at once.
func followShop(server string) string {
	return shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", fmt.Sprintf("ttl = \"2s\"\nfollow = \"dns://%s/shop.failover.example.\"", server))
}

// Between two leaders that are at the same origin there is no moment in which
// nobody leads: that would be a flip home and one back.
func TestAChangeOfTheLeaderMovesNoPointer(t *testing.T) {
	t.Parallel()
	servers := []string{startLeader(t), startLeader(t)}
	r := runNames(t, shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", ""), nil)
	put := func(text string) {
		t.Helper()
		c, err := r.n.prepare(t.Context(), readConfig(t, text), r.pointers)
		if err != nil {
			t.Fatal(err)
		}
		c.commit()
	}
	put(followShop(servers[0]))
	r.await(&r.follow, "shop at us")
	if !eventually(func() bool { return r.pointers[0].Pointer().Lead == failover.RoleSecondary }) {
		t.Fatal("the pointer is not led")
	}
	was := *r.pointers[0].Pointer()
	for i := range 10 {
		put(followShop(servers[(i+1)%2]))
		r.await(&r.follow, "shop at us")
	}
	for i := range 10 {
		put(followShop(servers[(i+1)%2])) // before the one before it has heard anything
	}
	r.await(&r.follow, "shop at us")
	if is := *r.pointers[0].Pointer(); is != was {
		t.Errorf("the pointer went from %+v to %+v", was, is)
	}

	// A new leader that says nothing is given three TTLs of this group.
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begun := time.Now()
	put(followShop(silent.LocalAddr().String()))
	r.await(&r.follow, "shop alone")
	if held := time.Since(begun); held < 6*time.Second {
		t.Errorf("it was let go after %v", held)
	}
	if !eventually(func() bool { return r.pointers[0].Pointer().Target == failover.RolePrimary }) {
		t.Errorf("nobody leads, and the pointer is at %+v", r.pointers[0].Pointer())
	}
}

// A reload may give a group another pointer, and leaves the one that it had
// where it was.
func TestAPointerOutOfServiceIsNotMovedByItsFollower(t *testing.T) {
	server := startLeader(t)
	alone := shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", "")
	r := runNames(t, followShop(server), nil)
	old := r.pointers[0]
	for _, text := range []string{followShop(server), followShop(server), alone} {
		if !eventually(func() bool { return old.Pointer().Lead == failover.RoleSecondary }) {
			t.Fatal("the pointer is not led")
		}
		was, f := *old.Pointer(), r.n.followers["shop"]
		cfg := readConfig(t, text)
		fresh := pointersFor(t, cfg)
		c, err := r.n.prepare(t.Context(), cfg, fresh)
		if err != nil {
			t.Fatal(err)
		}
		c.commit()
		f.lead("eu") // an answer that was on its way
		f.lead("")
		f.event(follower.Event{Origin: "nowhere"})
		if is := *old.Pointer(); is != was {
			t.Errorf("out of service, it went from %+v to %+v", was, is)
		}
		old = fresh[0]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.follow, "shop at nowhere") {
		t.Errorf("told %q", r.follow)
	}
}

// Sockets that were open before are used, and what is none of use is refused and
// closed.
func TestTheNameserverTakesInheritedSockets(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	give := func(address string) (net.Listener, net.PacketConn, error) {
		if asked = append(asked, address); len(asked) > 1 {
			return nil, nil, nil
		}
		return tcp, udp, nil
	}
	r := runNames(t, literal(1, "127.0.0.1:0"), give)
	got := r.n.sockets()
	if len(got) != 1 || got[0].address != "127.0.0.1:0" || net.Listener(got[0].tcp) != tcp || net.PacketConn(got[0].udp) != udp {
		t.Fatalf("it has %+v", got)
	}
	newAsker(t, udp.LocalAddr().String()).serial(t)
	moved := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	r.change(literal(1, moved))
	if !slices.Equal(asked, []string{"127.0.0.1:0", moved}) || r.address() != moved {
		t.Errorf("asked for %v, and at %s", asked, r.address())
	}

	r.n.inherit = func(string) (net.Listener, net.PacketConn, error) { return nil, nil, errBroken }
	if _, err := r.prepare(literal(1, "127.0.0.1:0")); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	odd, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Skip(err)
	}
	r.n.inherit = func(string) (net.Listener, net.PacketConn, error) { return odd, nil, nil }
	if _, err := r.prepare(literal(1, "127.0.0.1:0")); err == nil || !errors.Is(odd.Close(), net.ErrClosed) {
		t.Errorf("a socket of another kind: %v", err)
	}
}

// A process that has handed its sockets over answers no more, and a change that
// comes after the end opens nothing.
func TestNothingBeginsAfterTheEnd(t *testing.T) {
	r := runNames(t, literal(1, "127.0.0.1:0"), nil)
	address := r.address()
	newAsker(t, address).serial(t)
	r.n.stopAnswering()
	if !eventually(func() bool {
		l, err := net.Listen("tcp", address)
		return err == nil && l.Close() == nil
	}) {
		t.Fatal("it goes on answering")
	}
	z := serveZone(t)
	z.say(dnswire.RcodeSuccess, "192.0.2.1")
	c, err := r.prepare(strings.ReplaceAll(literal(1, fmt.Sprintf("127.0.0.1:%d", freePort(t))), "127.0.0.2:1", "a.test") +
		fmt.Sprintf("[resolver]\nservers = [%q]\n", z.conn.LocalAddr()))
	if err != nil {
		t.Fatal(err)
	}
	r.n.close()
	c.commit()
	if r.n.resolver.Load() != nil || r.n.server.Load() == c.server {
		t.Error("it was put to use")
	}
	if _, err := c.resolver.Lookup(t.Context(), "other.test"); err == nil {
		t.Error("its resolver still looks up")
	}
	if err := c.server.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its sockets are still open: %v", err)
	}
}
