package handover

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestMatchesFindsTheSocketThatIsMeant(t *testing.T) {
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	udp := func(ip string, port int) net.Addr { return &net.UDPAddr{IP: net.ParseIP(ip), Port: port} }
	unix := func(path string) net.Addr { return &net.UnixAddr{Net: "unix", Name: path} }
	tests := []struct {
		address string
		bound   net.Addr
		name    string
		want    bool
	}{
		{address: ":443", bound: tcp("::", 443), want: true},
		{address: ":443", bound: tcp("0.0.0.0", 443), want: true},
		{address: ":443", bound: tcp("127.0.0.1", 443)},
		{address: ":443", bound: tcp("::", 80)},
		{address: "0.0.0.0:443", bound: tcp("0.0.0.0", 443), want: true},
		{address: "0.0.0.0:443", bound: tcp("::", 443)},
		{address: "[::]:443", bound: tcp("0.0.0.0", 443)},
		{address: "[::]:443", bound: tcp("::", 443), want: true},
		{address: "127.0.0.1:8080", bound: tcp("127.0.0.1", 8080), want: true},
		{address: "127.0.0.1:8080", bound: tcp("127.0.0.2", 8080)},
		{address: "[::1]:8080", bound: tcp("::1", 8080), want: true},
		{address: "[0:0::1]:8080", bound: tcp("::1", 8080), want: true},
		{address: "[::ffff:127.0.0.1]:80", bound: tcp("127.0.0.1", 80), want: true},
		{address: "[fe80::1%eth0]:80", bound: &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 80}, want: true},
		{address: "[fe80::1%eth1]:80", bound: &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 80}},
		{address: "127.0.0.1:0", bound: tcp("127.0.0.1", 0)},
		{address: ":53", bound: udp("::", 53), want: true},
		{address: "localhost:80", bound: tcp("127.0.0.1", 80)},
		{address: "localhost:80", bound: tcp("127.0.0.1", 80), name: "localhost-80", want: true},
		{address: "localhost:80", bound: tcp("127.0.0.1", 9), name: "localhost-80", want: true},
		{address: "localhost:80", bound: tcp("127.0.0.1", 80), name: "localhost:80", want: true},
		{address: "localhost:80", bound: tcp("127.0.0.1", 80), name: "fairlead.socket"},
		{address: "", bound: tcp("127.0.0.1", 80), name: ""},
		{address: "unix:/run/a", bound: unix("/run/a"), want: true},
		{address: "unix:/run/./a", bound: unix("/run/a"), want: true},
		{address: "unix:/run/b", bound: unix("/run/a")},
		{address: "unix:", bound: unix("")},
		{address: "unix:/run/a", bound: tcp("::", 1)},
		{address: "/run/a", bound: unix("/run/a")},
		{address: ":80", bound: unix(":80")},
		{address: ":80", bound: nil},
	}
	for _, tt := range tests {
		if got := matches(tt.address, tt.bound, tt.name); got != tt.want {
			t.Errorf("matches(%q, %v, %q) = %v", tt.address, tt.bound, tt.name, got)
		}
	}
}

// closer is a socket that counts how often it was closed.
type closer struct{ closed int }

func (c *closer) Close() error              { c.closed++; return nil }
func (c *closer) Accept() (net.Conn, error) { return nil, io.EOF }
func (c *closer) Addr() net.Addr            { return &net.TCPAddr{} }

func TestAParentsSocketsAreFoundByTheirTextEachOnce(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4zero, Port: 80}
	a, b, c := &closer{}, &closer{}, &closer{}
	s := &Sockets{rest: []*item{
		{conn: a, kind: stream, bound: at, parent: true, address: "host:0"},
		{conn: b, kind: stream, bound: at, parent: true, address: "host:0"},
		{conn: c, kind: datagram, bound: at, parent: true, address: ":80"},
	}}
	for _, tt := range []struct {
		give string
		want net.Listener
	}{{"0.0.0.0:80", nil}, {":80", nil}, {"host:0", a}, {"host:0", b}, {"host:0", nil}} {
		if got, err := s.Listener(tt.give); err != nil || got != tt.want {
			t.Errorf("Listener(%q) = %v, %v, want %v", tt.give, got, err, tt.want)
		}
	}
	if rest := s.CloseRest(); !slices.Equal(rest, []string{":80 (datagram)"}) || c.closed != 1 || a.closed != 0 {
		t.Errorf("the rest is %q, closed %d and %d times", rest, c.closed, a.closed)
	}
	if rest := s.CloseRest(); rest != nil || c.closed != 1 {
		t.Errorf("then the rest is %q, closed %d times", rest, c.closed)
	}
}

func TestAManifestArrivesAsItWasSentAndNotAByteMoreIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.Custom(func(t *rapid.T) entry {
			return entry{Address: rapid.String().Draw(t, "address"), Managed: rapid.Bool().Draw(t, "managed")}
		})
		m := &manifest{Sockets: rapid.SliceOfN(entries, 0, 20).Draw(t, "sockets")}
		state := rapid.SliceOf(rapid.Byte()).Draw(t, "state")
		m.State = len(state)
		head, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		sent := slices.Concat(head, state, []byte("c"))
		cut := rapid.IntRange(0, len(sent)-2).Draw(t, "cut")
		if _, _, err := readManifest(bytes.NewReader(sent[:cut])); err == nil {
			t.Fatalf("%d of %d bytes are enough", cut, len(sent)-1)
		}
		r := bytes.NewReader(sent)
		got, gotState, err := readManifest(iotest.OneByteReader(r))
		if err != nil || !slices.Equal(got.Sockets, m.Sockets) || !bytes.Equal(gotState, state) {
			t.Fatalf("sent %+v and %x, got %+v and %x, %v", m, state, got, gotState, err)
		}
		if r.Len() != 1 {
			t.Fatalf("%d bytes are left, want the parent's confirmation", r.Len())
		}
	})
}

func TestAManifestOfALaterVersionIsUnderstood(t *testing.T) {
	text := `{"sockets":[{"address":":80","colour":"blue"}],"state":2,"more":{"a":1}}`
	head := append([]byte(magic), 0, 0, 0, byte(len(text)))
	m, state, err := readManifest(strings.NewReader(string(head) + text + "ok"))
	if err != nil || len(m.Sockets) != 1 || m.Sockets[0].Address != ":80" || string(state) != "ok" {
		t.Errorf("got %+v, %q, %v", m, state, err)
	}
}

func TestAnAddressThatIsTooLongIsRefusedByTheSender(t *testing.T) {
	m := &manifest{Sockets: []entry{{Address: strings.Repeat("a", maxHead)}}}
	if _, err := m.encode(); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("encode returned %v", err)
	}
}

func FuzzReadManifest(f *testing.F) {
	for _, m := range []*manifest{{}, {Sockets: []entry{{Address: ":80"}, {Address: "unix:/a", Managed: true}}, State: 3}} {
		head, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(head, "abc"...))
	}
	f.Add([]byte(magic + "\xff\xff\xff\xff"))
	f.Add([]byte(magic + "\x00\x00\x00\x0c" + `{"state":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, state, err := readManifest(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(state) != m.State || len(m.Sockets) > MaxSockets {
			t.Errorf("accepted %d bytes of state for %d, and %d sockets", len(state), m.State, len(m.Sockets))
		}
	})
}

func FuzzReadEnvironment(f *testing.F) {
	f.Add("1:3", "", "", "")
	f.Add("", "7", "2", "a:b")
	f.Add("", "7", "-1", "")
	f.Fuzz(func(t *testing.T, handover, pid, fds, names string) {
		values := map[string]string{variable: handover, listenPID: pid, listenFDs: fds, listenNames: names}
		g, err := readEnvironment(func(name string) string { return values[name] }, 7)
		if err == nil && (g.handed < 0 || g.handed > MaxSockets || len(g.names) > MaxSockets) {
			t.Errorf("accepted %+v", g)
		}
		if err != nil && (g.parent || g.names != nil) {
			t.Errorf("%+v beside %v", g, err)
		}
	})
}

func TestAChildHasTheEnvironmentOfItsParent(t *testing.T) {
	give := []string{"A=1", "LISTEN_FDS=3", "LISTEN_PID=4", "NOTIFY_SOCKET=/run/n", "FAIRLEAD_HANDOVER=1:9", "LISTEN_FDS_NOT=1"}
	want := []string{"A=1", "NOTIFY_SOCKET=/run/n", "LISTEN_FDS_NOT=1", "FAIRLEAD_HANDOVER=1:2"}
	if got := childEnvironment(give, 2); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
