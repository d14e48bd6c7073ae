//go:build unix

package handover

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// mode, set in the environment, makes the test binary a process of another kind.
const mode = "FAIRLEAD_TEST_MODE"

// patient is for what must happen. Only a broken test waits that long.
const patient = 30 * time.Second

func TestMain(m *testing.M) {
	if play := modes[os.Getenv(mode)]; play != nil {
		// No process of a test outlives it for long, whatever goes wrong.
		time.AfterFunc(2*patient, func() { os.Exit(99) })
		os.Exit(play())
	}
	// With the race detector every process would sleep for a second at its end.
	_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	goleak.VerifyTestMain(m)
}

// modes are the processes that tests start. What they return is the exit code.
var modes map[string]func() int

func init() { //nolint:gochecknoinits // a literal would refer to itself by way of the functions
	modes = map[string]func() int{
		"exits early":      func() int { return 3 },
		"exits":            inherited(func(*Sockets) int { return 4 }),
		"hangs early":      func() int { time.Sleep(time.Hour); return 0 },
		"hangs":            inherited(func(*Sockets) int { time.Sleep(time.Hour); return 0 }),
		"is killed":        inherited(func(*Sockets) int { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }),
		"closes its pipes": inherited(closePipes),
		"says nonsense":    inherited(func(s *Sockets) int { _, _ = s.parent.out.WriteString("x"); time.Sleep(time.Hour); return 0 }),
		"leaves its pipes": leavePipes,
		"holds":            func() int { _, _ = io.Copy(io.Discard, os.NewFile(inDescriptor, "in")); return 0 },
		"takes and fails":  inherited(takeAndFail),
		"takes over":       inherited(takeOver),
		"takes and stays":  inherited(takeAndStay),
		"starts":           inherited(startsBeforeReady),
		"serves":           serves,
		"dies":             parentThatDies,
		"orphan":           inherited(orphan),
		"tells":            tells,
	}
}

// inherited is what begins with Inherit.
func inherited(play func(*Sockets) int) func() int {
	return func() int {
		s, err := Inherit()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 10
		}
		return play(s)
	}
}

func closePipes(s *Sockets) int {
	_ = s.parent.in.Close()
	_ = s.parent.out.Close()
	time.Sleep(time.Hour)
	return 0
}

// leavePipes ends while a child of its own still holds the pipes.
func leavePipes() int {
	os.Setenv(mode, "holds")
	attr := &os.ProcAttr{
		Files: []*os.File{nil, nil, os.Stderr, os.NewFile(inDescriptor, "in"), os.NewFile(outDescriptor, "out")},
	}
	if _, err := os.StartProcess(os.Args[0], os.Args, attr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 10
	}
	return 5
}

// takeAll takes whatever the parent handed over, by the addresses in the test's
// environment, and returns the listeners.
func takeAll(s *Sockets) (listeners []net.Listener) {
	for address := range strings.FieldsSeq(os.Getenv("FAIRLEAD_TEST_TAKE")) {
		l, err := s.Listener(address)
		if err != nil || l == nil {
			fmt.Fprintln(os.Stderr, "no listener", address, err)
			os.Exit(11)
		}
		listeners = append(listeners, l)
	}
	return listeners
}

// takeAndFail does what a program does whose start fails late.
func takeAndFail(s *Sockets) int {
	for _, l := range takeAll(s) {
		_ = l.Close()
	}
	s.CloseRest()
	return 4
}

func takeOver(s *Sockets) int {
	if want := os.Getenv("FAIRLEAD_TEST_STATE"); want != "" && want != fmt.Sprintf("%x", sha256.Sum256(s.Parent().State())) {
		return 12
	}
	listeners := takeAll(s)
	s.CloseRest()
	if err := s.Parent().Ready(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 13
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	return 0
}

// takeAndStay ends when somebody connects to the first listener.
func takeAndStay(s *Sockets) int {
	listeners := takeAll(s)
	s.CloseRest()
	if err := s.Parent().Ready(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 13
	}
	c, err := listeners[0].Accept()
	if err != nil {
		return 14
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	_ = c.Close() // the other side may look at what is left now
	return 0
}

func startsBeforeReady(s *Sockets) int {
	_, err := s.Start(context.Background(), Config{})
	if err == nil || !strings.Contains(err.Error(), "not ready itself") {
		fmt.Fprintln(os.Stderr, err)
		return 15
	}
	return takeOver(s)
}

// parentThatDies starts a child and ends at once.
func parentThatDies() int {
	s, err := Inherit()
	if err != nil {
		return 10
	}
	os.Setenv(mode, "orphan")
	if _, err = s.Start(context.Background(), Config{State: []byte("will")}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 11
	}
	// The state is written when the child has read it, which it says on stdout.
	time.Sleep(time.Hour)
	return 0
}

// orphan kills its parent and tells what Ready says then.
func orphan(s *Sockets) int {
	parent := os.Getppid()
	_ = syscall.Kill(parent, syscall.SIGKILL)
	for deadline := time.Now().Add(patient); os.Getppid() == parent && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("%s %v\n", s.Parent().State(), errors.Is(s.Parent().Ready(), ErrParentGone) && s.inCharge)
	return 0
}

// serves is a server that upgrades at SIGUSR2 and ends at SIGTERM. It listens on
// three sockets and answers on each with its pid, how many upgrades there were
// before it, and the file that it runs.
func serves() int {
	s, err := Inherit()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 10
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR2, syscall.SIGTERM)
	v := &server{sockets: s, path: os.Getenv("FAIRLEAD_TEST_SOCKET")}
	if err := v.open(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 11
	}
	exe, _ := os.Executable()
	v.answer = fmt.Sprintf("%d %d %s\n", os.Getpid(), v.generation, exe)
	v.start()
	if p := s.Parent(); p == nil {
		fmt.Println(v.tcp.Addr(), v.udp.LocalAddr())
	} else if err := p.Ready(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 12
	}
	for sig := range signals {
		if sig == syscall.SIGTERM {
			break
		}
		err := v.upgrade()
		if err == nil {
			break
		}
		fmt.Fprintln(os.Stderr, err)
	}
	v.stop()
	return 0
}

type server struct {
	sockets    *Sockets
	path       string
	generation int
	answer     string

	tcp, unix net.Listener
	udp       net.PacketConn
	work      sync.WaitGroup
}

const (
	tcpAddress = "127.0.0.1:0"
	udpAddress = "127.0.0.1:0"
)

func (v *server) open() (err error) {
	if p := v.sockets.Parent(); p != nil {
		n, err := strconv.Atoi(string(p.State()))
		if err != nil {
			return err
		}
		v.generation = n + 1
	}
	if v.tcp, err = v.sockets.Listener(tcpAddress); v.tcp == nil && err == nil {
		v.tcp, err = net.Listen("tcp", tcpAddress)
	}
	if err != nil {
		return err
	}
	if v.udp, err = v.sockets.Packet(udpAddress); v.udp == nil && err == nil {
		v.udp, err = net.ListenPacket("udp", udpAddress)
	}
	if err != nil {
		return err
	}
	if v.unix, err = v.sockets.Listener("unix:" + v.path); v.unix == nil && err == nil {
		v.unix, err = net.Listen("unix", v.path)
	}
	return err
}

func (v *server) start() {
	for _, l := range []net.Listener{v.tcp, v.unix} {
		v.work.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte(v.answer))
				_ = c.Close()
			}
		})
	}
	v.work.Go(func() {
		for {
			b := make([]byte, 10)
			_, from, err := v.udp.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = v.udp.WriteTo([]byte(v.answer), from)
		}
	})
}

func (v *server) stop() {
	_ = v.tcp.Close()
	_ = v.unix.Close()
	_ = v.udp.Close()
	v.work.Wait()
}

func (v *server) upgrade() error {
	child, err := v.sockets.Start(context.Background(), Config{
		Sockets: []Socket{
			{Address: tcpAddress, Conn: v.tcp.(syscall.Conn)},
			{Address: udpAddress, Conn: v.udp.(syscall.Conn)},
			{Address: "unix:" + v.path, Conn: v.unix.(syscall.Conn)},
		},
		State: []byte(strconv.Itoa(v.generation)),
	})
	if err != nil {
		return err
	}
	return child.Wait()
}

// tells does what the words in the test's environment say, and prints what came
// of it, so that the test sees how a process inherits.
func tells() int {
	if os.Getenv("FAIRLEAD_TEST_MINE") != "" {
		os.Setenv(listenPID, strconv.Itoa(os.Getpid()))
	}
	s, err := Inherit()
	for _, name := range variables {
		if value, ok := os.LookupEnv(name); ok {
			fmt.Printf("%s is still %q\n", name, value)
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		return 0
	}
	fmt.Println("parent:", s.Parent() != nil)
	for word := range strings.FieldsSeq(os.Getenv("FAIRLEAD_TEST_TAKE")) {
		ask, address, _ := strings.Cut(word, "=")
		switch ask {
		case "stream":
			l, err := s.Listener(address)
			tell(l, err, func() string { return l.Addr().String() })
		case "datagram":
			c, err := s.Packet(address)
			tell(c, err, func() string { return c.LocalAddr().String() })
		}
	}
	rest := s.CloseRest()
	slices.Sort(rest)
	fmt.Println("rest:", strings.Join(rest, ", "))
	return 0
}

func tell(socket any, err error, address func() string) {
	conn, ok := socket.(syscall.Conn)
	switch {
	case err != nil:
		fmt.Println("error:", err)
		return
	case !ok:
		fmt.Println("none")
		return
	}
	raw, _ := conn.SyscallConn()
	_ = raw.Control(func(fd uintptr) {
		flags, _ := unix.FcntlInt(fd, unix.F_GETFD, 0)
		status, _ := unix.FcntlInt(fd, unix.F_GETFL, 0)
		fmt.Println("took", address(), "close-on-exec:", flags&unix.FD_CLOEXEC != 0, "blocking:", status&unix.O_NONBLOCK == 0)
	})
}

// run starts the test binary in a mode, with files from descriptor 3 on, and
// returns what it prints.
func run(t *testing.T, as string, env []string, files ...*os.File) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), mode+"="+as), env...)
	cmd.ExtraFiles = files
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s ended with %v:\n%s", as, err, out)
	}
	return string(out)
}
