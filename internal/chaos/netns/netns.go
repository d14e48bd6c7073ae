// Package netns gives a test a network that can really break: a namespace of its own, joined to the test's by one cable
// on which packets can be lost in either direction, without an error for anybody.
//
//	far := netns.New(t)
//	eu := far.Origin(t, "eu") // listens in there
//	proxy := startProxy(t, eu.URL())
//	far.DropReplies() // requests arrive, answers do not
//	...
//	far.Heal()
//
// It needs Linux, root and the ip command, and skips the test where one of them is missing. Packets are lost because
// their receiver's link address is set to one that nobody has, which takes neither a packet filter nor a traffic shaper,
// and looks to both ends like a cable that was pulled: a sender hears nothing at all.
package netns

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/fairlead/fairlead/internal/chaos"
)

// TB is the part of testing.TB that is used here.
type TB interface {
	chaos.TB
	Skipf(format string, args ...any)
}

// Net is a namespace with one cable to the test's own. It is made by [New]. Not safe for concurrent use, but tests that
// run in parallel, in other processes too, may have one each.
type Net struct {
	tb      TB
	name    string // of the namespace
	near    cableEnd
	far     cableEnd
	removed bool
}

// cableEnd is one end of the cable: an interface and its address.
type cableEnd struct{ device, address string }

// networks is how many pairs of addresses there are to choose from, in 10.213.0.0/16.
const networks = 1 << 14

// nobody is a link address that nobody has (locally administered).
const nobody = "02:00:00:00:00:01"

// New makes a namespace, which the test's end removes. Where that can't be done the test is skipped.
func New(tb TB) *Net {
	tb.Helper()
	if why := missing(); why != "" {
		tb.Skipf("no network namespace: %s", why)
		return nil
	}
	n, err := claim()
	if err != nil {
		tb.Skipf("no network namespace: %v", err)
		return nil
	}
	n.tb = tb
	tb.Cleanup(n.remove)
	if err := n.connect(); err != nil {
		tb.Skipf("no network namespace: %v", err)
		return nil
	}
	return n
}

func missing() string {
	if runtime.GOOS != "linux" {
		return "only Linux has them"
	}
	if os.Geteuid() != 0 {
		return "only root may make one"
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "there is no ip command"
	}
	return ""
}

// claim makes an unconnected namespace. Its name stands for a pair of addresses, so that whoever made it first has both.
func claim() (*Net, error) {
	var last error
	for range 10 {
		i := rand.IntN(networks)
		n := &Net{
			name: fmt.Sprintf("chaos%d", i),
			near: cableEnd{fmt.Sprintf("chaos%dn", i), fmt.Sprintf("10.213.%d.%d", i/64, i%64*4+1)},
			far:  cableEnd{fmt.Sprintf("chaos%df", i), fmt.Sprintf("10.213.%d.%d", i/64, i%64*4+2)},
		}
		if last = ip("netns", "add", n.name); last == nil {
			return n, nil
		}
	}
	return nil, last
}

func (n *Net) connect() error {
	return first(
		[]string{"link", "add", n.near.device, "type", "veth", "peer", "name", n.far.device, "netns", n.name},
		[]string{"address", "add", n.near.address + "/30", "dev", n.near.device},
		[]string{"link", "set", n.near.device, "up"},
		[]string{"-n", n.name, "address", "add", n.far.address + "/30", "dev", n.far.device},
		[]string{"-n", n.name, "link", "set", n.far.device, "up"},
		[]string{"-n", n.name, "link", "set", "lo", "up"},
	)
}

// first runs the commands of ip until one fails.
func first(commands ...[]string) error {
	for _, args := range commands {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// remove takes the cable and the namespace away. Sockets in it lose their connections without a word.
func (n *Net) remove() {
	if n.removed {
		return
	}
	n.removed = true
	_ = ip("link", "delete", n.near.device) // not there if connect failed
	if err := ip("netns", "delete", n.name); err != nil {
		n.tb.Errorf("%v", err)
	}
}

// Address returns the namespace's own address, which is reached from outside.
func (n *Net) Address() string { return n.far.address }

// NearAddress returns the address at which the namespace sees the test.
func (n *Net) NearAddress() string { return n.near.address }

// Name returns the namespace's name, for "ip netns exec".
func (n *Net) Name() string { return n.name }

// Exec runs a command in the namespace and returns what it wrote, its errors included.
func (n *Net) Exec(name string, args ...string) (string, error) {
	out, err := exec.Command("ip", append([]string{"netns", "exec", n.name, name}, args...)...).CombinedOutput()
	return string(out), err
}

// Do calls f in the namespace: sockets that f itself opens belong to it for good, whoever uses them later. Goroutines
// that f starts are outside. f runs on the caller's goroutine.
func (n *Net) Do(f func()) {
	n.tb.Helper()
	runtime.LockOSThread()
	leave, err := enter(n.name)
	if err != nil {
		runtime.UnlockOSThread()
		n.tb.Fatalf("enter namespace %s: %v", n.name, err)
		return
	}
	defer func() {
		if err := leave(); err != nil {
			n.tb.Errorf("leave namespace %s: %v", n.name, err)
			return // the thread stays locked, so that nobody else gets to run in there
		}
		runtime.UnlockOSThread()
	}()
	f()
}

// Origin opens an origin in the namespace and closes it when the test ends. It listens anew only within Do: Up, and the
// end of a fault for which the origin goes down, have to be called there.
func (n *Net) Origin(tb chaos.TB, name string) *chaos.Origin {
	tb.Helper()
	var o *chaos.Origin
	var err error
	n.Do(func() { o, err = chaos.Listen(name, "tcp", net.JoinHostPort(n.far.address, "0")) })
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	tb.Cleanup(o.Close)
	return o
}

// Partition loses every packet in both directions.
func (n *Net) Partition() {
	n.tb.Helper()
	n.DropRequests()
	n.DropReplies()
}

// DropRequests loses every packet on its way into the namespace. Those on the way out are as before.
func (n *Net) DropRequests() {
	n.tb.Helper()
	n.must("neighbour", "replace", n.far.address, "lladdr", nobody, "dev", n.near.device, "nud", "permanent")
}

// DropReplies loses every packet on its way out of the namespace. Those on the way in arrive.
func (n *Net) DropReplies() {
	n.tb.Helper()
	n.must("-n", n.name, "neighbour", "replace", n.near.address, "lladdr", nobody, "dev", n.far.device, "nud", "permanent")
}

// Heal lets every packet pass. Connections go on when one side sends again, which TCP does ever less often.
func (n *Net) Heal() {
	n.tb.Helper()
	// Unlike a deleted entry, one of another state is there whatever was before.
	n.must("neighbour", "replace", n.far.address, "lladdr", nobody, "dev", n.near.device, "nud", "stale")
	n.must("neighbour", "delete", n.far.address, "dev", n.near.device)
	n.must("-n", n.name, "neighbour", "replace", n.near.address, "lladdr", nobody, "dev", n.far.device, "nud", "stale")
	n.must("-n", n.name, "neighbour", "delete", n.near.address, "dev", n.far.device)
}

func (n *Net) must(args ...string) {
	n.tb.Helper()
	if err := ip(args...); err != nil {
		n.tb.Fatalf("%v", err)
	}
}
