//go:build unix

package handover

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/internal/chaos"
)

// fileOf is a descriptor for a child. What it belongs to is closed with the test.
func fileOf(t *testing.T, socket interface {
	File() (*os.File, error)
	Close() error
}) *os.File {
	t.Helper()
	f, err := socket.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(); _ = socket.Close() })
	return f
}

func tcpSocket(t *testing.T, address string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, l.(*net.TCPListener)), l.Addr().String()
}

func udpSocket(t *testing.T, address string) (*os.File, string) {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, c.(*net.UDPConn)), c.LocalAddr().String()
}

func unixSocket(t *testing.T) (*os.File, string) {
	t.Helper()
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, l.(*net.UnixListener)), path
}

func TestSystemdsSocketsAreTaken(t *testing.T) {
	tcp, tcpAt := tcpSocket(t, "127.0.0.1:0")
	every, everyAt := tcpSocket(t, ":0")
	named, _ := tcpSocket(t, "127.0.0.1:0")
	udp, udpAt := udpSocket(t, "127.0.0.1:0")
	path, pathAt := unixSocket(t)
	spare, spareAt := tcpSocket(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(everyAt)

	out := run(t, "tells", []string{
		"FAIRLEAD_TEST_MINE=1", "LISTEN_FDS=6", "LISTEN_FDNAMES=a:b:localhost-80:c::", "LISTEN_PIDFDID=7",
		"FAIRLEAD_TEST_TAKE=stream=" + tcpAt + " stream=" + tcpAt + " stream=:" + port + " stream=localhost:80 datagram=" + udpAt +
			" stream=unix:" + pathAt + " stream=127.0.0.1:1 datagram=" + spareAt,
	}, tcp, every, named, udp, path, spare)

	const rest = " close-on-exec: true blocking: false\n"
	want := regexp.QuoteMeta("parent: false\ntook "+tcpAt+rest+"none\ntook [::]:"+port+rest+"took 127.0.0.1:") + `\d+` +
		regexp.QuoteMeta(rest+"took "+udpAt+rest+"took "+pathAt+rest+"none\n"+
			"error: systemd passed a stream socket for "+spareAt+", where a datagram socket is needed: write ListenDatagram= in the socket unit\n"+
			"rest: "+spareAt+"\n")
	want = strings.Replace(want, `\[::\]`, `(\[::\]|0\.0\.0\.0)`, 1) // a machine without IPv6
	if !regexp.MustCompile("^" + want + "$").MatchString(out) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if _, err := os.Lstat(pathAt); err != nil {
		t.Errorf("systemd's path was removed: %v", err)
	}
}

func TestWhatIsMeantForAnotherProcessIsLeftAlone(t *testing.T) {
	tcp, at := tcpSocket(t, "127.0.0.1:0")
	for _, env := range [][]string{
		{"LISTEN_PID=1", "LISTEN_FDS=1"},
		{"LISTEN_FDS=1"},
		{"FAIRLEAD_TEST_MINE=1"},
	} {
		out := run(t, "tells", append(env, "FAIRLEAD_TEST_TAKE=stream="+at), tcp)
		if want := "parent: false\nnone\nrest: \n"; out != want {
			t.Errorf("%q: got\n%s\nwant\n%s", env, out, want)
		}
	}
}

func TestABrokenEnvironmentIsRefused(t *testing.T) {
	tcp, _ := tcpSocket(t, "127.0.0.1:0")
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	connected, other := os.NewFile(uintptr(pair[0]), "a"), os.NewFile(uintptr(pair[1]), "b")
	defer connected.Close()
	defer other.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("GET / HTTP/1.1\r\nHost: somebody.else\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	ended, unwritten, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ended.Close()
	_ = unwritten.Close()
	const mine = "FAIRLEAD_TEST_MINE=1"
	tests := []struct {
		name  string
		env   []string
		files []*os.File
		want  string
	}{
		{"no number", []string{mine, "LISTEN_FDS=many"}, nil, `LISTEN_FDS="many" is not a number of sockets`},
		{"none", []string{mine, "LISTEN_FDS=0"}, nil, `LISTEN_FDS="0" is not a number`},
		{"negative", []string{mine, "LISTEN_FDS=-1"}, nil, `LISTEN_FDS="-1" is not a number`},
		{"as many as fill the memory", []string{mine, "LISTEN_FDS=4611686018427387904"}, nil, "is not a number of sockets from 1 to 1024"},
		{"no pid", []string{"LISTEN_PID=me", "LISTEN_FDS=1"}, nil, `LISTEN_PID="me" is not a process id`},
		{"names", []string{mine, "LISTEN_FDS=1", "LISTEN_FDNAMES=a:b"}, []*os.File{tcp}, "has 2 names for 1 sockets"},
		{"not open", []string{mine, "LISTEN_FDS=900"}, []*os.File{tcp}, " of 900 that were announced: not "},
		{"a file", []string{mine, "LISTEN_FDS=2"}, []*os.File{tcp, file}, "descriptor 4, number 2 of 2 that were announced: not a socket"},
		{"connected", []string{mine, "LISTEN_FDS=1"}, []*os.File{connected}, "doesn't listen; with Accept=yes in a socket unit, write Accept=no"},
		{"both", []string{mine, "LISTEN_FDS=1", "FAIRLEAD_HANDOVER=1:1"}, []*os.File{tcp}, "both set"},
		{"another version", []string{"FAIRLEAD_HANDOVER=2:1"}, nil, "knows version 1 of the hand-over only; restart it instead"},
		{"no version", []string{"FAIRLEAD_HANDOVER=yes"}, nil, "knows version 1"},
		{"no count", []string{"FAIRLEAD_HANDOVER=1"}, nil, `"" is not a number of sockets from 0 to 1024`},
		{"bad count", []string{"FAIRLEAD_HANDOVER=1:-1"}, nil, `"-1" is not a number of sockets`},
		{"no pipes", []string{"FAIRLEAD_HANDOVER=1:0"}, []*os.File{file, file}, "descriptor 3, by which FAIRLEAD_HANDOVER lets the parent talk: not a pipe"},
		{"a socket for a pipe", []string{"FAIRLEAD_HANDOVER=1:0"}, []*os.File{r, tcp}, "descriptor 4, by which"},
		{"no sockets", []string{"FAIRLEAD_HANDOVER=1:1"}, []*os.File{r, r, file}, "descriptor 5, number 1 of 1 that were announced: not a socket"},
		{"somebody else's pipe", []string{"FAIRLEAD_HANDOVER=1:0"}, []*os.File{r, r}, "nobody hands sockets over here"},
		{"silence", []string{"FAIRLEAD_HANDOVER=1:0"}, []*os.File{ended, ended}, "read from the parent: EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := run(t, "tells", tt.env, tt.files...)
			if !strings.HasPrefix(out, "error: inherit sockets: ") || strings.Count(out, "\n") != 1 || !strings.Contains(out, tt.want) {
				t.Errorf("got\n%s\nwant an error with %q", out, tt.want)
			}
		})
	}
}

func TestAFreshProcessInheritsNothing(t *testing.T) {
	if out, want := run(t, "tells", []string{"FAIRLEAD_TEST_TAKE=stream=:80 datagram=:53"}), "parent: false\nnone\nnone\nrest: \n"; out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	var none *Sockets
	l, err1 := none.Listener(":80")
	p, err2 := none.Packet(":80")
	if l != nil || p != nil || err1 != nil || err2 != nil || none.CloseRest() != nil || none.Parent() != nil {
		t.Error("nil Sockets have something")
	}
}

func TestAParentThatDiesLeavesTheChildInCharge(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), mode+"=dies")
	out, _ := cmd.CombinedOutput() // killed by its child
	if want := "will true\n"; string(out) != want {
		t.Errorf("the child says %q, want %q", out, want)
	}
}

func TestWhatIsNoLongerConfiguredIsClosedAndItsPathRemoved(t *testing.T) {
	h := newHome(t)
	cfg := h.config(t)
	t.Setenv("FAIRLEAD_TEST_TAKE", "tcp")
	c := h.start(t, t.Context(), "takes and stays", cfg)
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, patient, "end of the path of a socket that nobody took", func() bool { return !exists(h.path) })
	h.close(t)
	if conn, err := net.Dial("unix", h.path); err == nil {
		_ = conn.Close()
		t.Error("somebody still listens")
	}
	conn, err := net.Dial("tcp", h.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	mustBeGone(t, c)
}

func TestAPathOfSystemdOutlivesEveryHandOver(t *testing.T) {
	for _, take := range []string{"tcp unix:%", "tcp"} {
		h := newHome(t)
		cfg := h.config(t)
		h.sockets.managed = map[string]bool{"unix:" + h.path: true}
		h.unix.(*net.UnixListener).SetUnlinkOnClose(false) // as it is for those of systemd
		t.Setenv("FAIRLEAD_TEST_TAKE", strings.ReplaceAll(take, "%", h.path))
		c := h.start(t, t.Context(), "takes over", cfg)
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		h.close(t)
		mustBeGone(t, c)
		if c.Status() != "exit status 0" || !exists(h.path) {
			t.Errorf("%s: %s, and the path exists: %v", take, c.Status(), exists(h.path))
		}
	}
}

func TestTheProgramIsFoundWhereItWasStarted(t *testing.T) {
	system, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	if err := os.Symlink(system, link); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Chdir(dir)
	for give, want := range map[string]string{
		system:                  system,
		link:                    link,
		"./current":             link,
		"current":               link,
		"foreign":               system,
		"-current":              system,
		"":                      system,
		foreign:                 system,
		filepath.Join(dir, "x"): system,
	} {
		if got, err := locate(give); err != nil || got != want {
			t.Errorf("locate(%q) = %q, %v, want %q", give, got, err, want)
		}
	}
}
