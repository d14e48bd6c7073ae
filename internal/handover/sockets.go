package handover

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
)

// kind is what can be done with a socket.
type kind string

const (
	stream   kind = "stream"   // accepts connections
	datagram kind = "datagram" // receives packets
)

// item is one inherited socket: its conn is a net.Listener or a net.PacketConn.
type item struct {
	conn    io.Closer
	kind    kind
	bound   net.Addr
	parent  bool   // a parent handed it over, maybe one that had it from systemd
	managed bool   // systemd opened it
	address string // from a parent: as it was configured there
	name    string // from systemd: FileDescriptorName=
}

// Sockets are what this process inherited, from a parent or from systemd. Make
// it with Inherit. The zero value and nil have inherited nothing. The methods
// may be called from any goroutine.
type Sockets struct {
	program    string // the file to start a child from
	programErr error
	parent     *Parent // nil: none

	mu       sync.Mutex
	rest     []*item             // guarded by mu: nobody took them yet
	paths    []*net.UnixListener // guarded by mu: taken, and their paths are ours once we are in charge
	orphans  []string            // guarded by mu: paths of closed sockets, to be removed then
	managed  map[string]bool     // guarded by mu: addresses of what systemd opened
	child    *Child              // guarded by mu: the one that may take over, or has
	inCharge bool                // guarded by mu: the parent has left the paths to us
}

// Parent is the process that hands its sockets over to this one. It is nil
// where there is none.
func (s *Sockets) Parent() *Parent {
	if s == nil {
		return nil
	}
	return s.parent
}

// Listener takes the listening socket that the configuration calls by this
// address, "host:port" or "unix:/path". It is nil without an error if there is
// none. The caller closes it.
//
// A parent's sockets are found by exactly the text under which it had them,
// each once. Those of systemd are found by the address that they are bound to
// (":443" is [::]:443 or 0.0.0.0:443), or by FileDescriptorName=, which is the
// address with hyphens for colons. It is an error if systemd passed only a
// datagram socket for the address.
func (s *Sockets) Listener(address string) (net.Listener, error) {
	it, err := s.take(stream, address)
	if it == nil || err != nil {
		return nil, err
	}
	return it.conn.(net.Listener), nil
}

// Packet is Listener for a datagram socket.
func (s *Sockets) Packet(address string) (net.PacketConn, error) {
	it, err := s.take(datagram, address)
	if it == nil || err != nil {
		return nil, err
	}
	return it.conn.(net.PacketConn), nil
}

func (s *Sockets) take(k kind, address string) (*item, error) {
	if s == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var other *item
	for i, it := range s.rest {
		switch {
		case !it.is(address):
		case it.kind == k:
			s.rest = slices.Delete(s.rest, i, i+1)
			s.takenLocked(address, it)
			return it, nil
		case !it.parent:
			// With a parent this is a socket of the other half of a nameserver.
			other = it
		}
	}
	if other != nil {
		return nil, fmt.Errorf("systemd passed a %s socket for %s, where a %s socket is needed: write %s in the socket unit",
			other.kind, address, k, map[kind]string{stream: "ListenStream=", datagram: "ListenDatagram="}[k])
	}
	return nil, nil
}

func (s *Sockets) takenLocked(address string, it *item) {
	if it.managed {
		if s.managed == nil {
			s.managed = make(map[string]bool)
		}
		s.managed[address] = true
		return
	}
	if l, ok := it.conn.(*net.UnixListener); ok {
		s.paths = append(s.paths, l)
		l.SetUnlinkOnClose(s.inCharge)
	}
}

// is reports whether the configuration means this socket by the address.
func (it *item) is(address string) bool {
	if it.parent {
		return it.address == address
	}
	return matches(address, it.bound, it.name)
}

// String names the socket for people.
func (it *item) String() string {
	what := it.bound.String()
	switch {
	case it.parent:
		what = it.address
	case it.bound.Network() == "unix" || it.bound.Network() == "unixgram":
		what = "unix:" + what
	}
	if it.kind == datagram {
		what += " (datagram)"
	}
	return what
}

// CloseRest closes what nobody took and returns the addresses, for the log. A
// unix socket's path is removed once this process is in charge, unless it is
// systemd's.
func (s *Sockets) CloseRest() (closed []string) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.rest {
		_ = it.conn.Close()
		closed = append(closed, it.String())
		if a, ok := it.bound.(*net.UnixAddr); ok && !it.managed {
			s.orphans = append(s.orphans, a.Name)
		}
	}
	s.rest = nil
	if s.inCharge {
		s.removeOrphansLocked()
	}
	return closed
}

// takeCharge makes the paths of unix sockets ours.
func (s *Sockets) takeCharge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inCharge = true
	for _, l := range s.paths {
		l.SetUnlinkOnClose(true)
	}
	s.paths = nil
	s.removeOrphansLocked()
}

func (s *Sockets) removeOrphansLocked() {
	for _, path := range s.orphans {
		if strings.HasPrefix(path, "@") || path == "" {
			continue // an abstract name has no file
		}
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
			_ = os.Remove(path) // what stays is replaced by whoever listens there next
		}
	}
	s.orphans = nil
}
