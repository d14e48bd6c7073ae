package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/dnswire"
)

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

// A nameserver that moves back at once gets its address, though the one before
// it still answers what has come there.
func TestTheNameserverMovesBackAtOnce(t *testing.T) {
	first, second := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	r := runNames(t, literal(1, first), nil)
	for i, address := range []string{second, first, second, first} {
		if c, err := r.prepare(literal(1, address)); err != nil {
			t.Fatalf("move %d: %v", i+1, err)
		} else if c.commit(); r.address() != address {
			t.Fatalf("move %d led to %s, want %s", i+1, r.address(), address)
		}
		newAsker(t, address).serial(t)
	}
	r.change(shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", ""))
	r.change(literal(1, first))
	newAsker(t, first).serial(t)
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
