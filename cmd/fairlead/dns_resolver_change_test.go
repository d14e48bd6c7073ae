package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead/fairlead/internal/dnswire"
	"github.com/fairlead/fairlead/internal/resolver"
)

// named is a configuration of one origin with a name for each host, looked up at z.
func resolved(servers string, hosts ...string) string { return resolvedIn("100ms", servers, hosts...) }

// resolvedIn is resolved with a timeout.
func resolvedIn(timeout, servers string, hosts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[resolver]\nservers = [%s]\nmin_ttl = \"50ms\"\ntimeout = %q\n", servers, timeout)
	for i, host := range hosts {
		fmt.Fprintf(&b, "[origins.o%d]\nurl = \"http://%s\"\n[groups.g%d]\nprimary = \"o%d\"\n", i, host, i, i)
		b.WriteString(routeTable(fmt.Sprint("r", i), fmt.Sprint("/", i), fmt.Sprint("g", i), 1))
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
	r := runNames(t, resolvedIn("5s", servers[0], "a.test", "b.test"), nil)
	r.await(&r.moved, "a.test [192.0.2.0]")
	goroutines, files := runtime.NumGoroutine(), openFiles()
	var all sync.WaitGroup
	var stop atomic.Bool
	defer func() { // also where the test ends early: nobody else's is to have them beside it
		stop.Store(true)
		all.Wait()
	}()
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
		r.change(resolvedIn("5s", servers[(i+1)%2], "a.test", "b.test", fmt.Sprintf("c%d.test", i)))
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
