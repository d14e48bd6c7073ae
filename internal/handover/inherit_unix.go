//go:build unix

package handover

import (
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Inherit takes the sockets that a parent or systemd passed to this process. Call
// it once, early in main, before anything opens a file or starts a process. The
// environment variables that announce the sockets are removed, and no process
// started from here inherits the sockets.
//
// The error says what is wrong with the environment or the descriptors. Nothing
// is closed then that isn't known to be a socket or pipe passed to us: end the
// process.
func Inherit() (*Sockets, error) {
	g, err := readEnvironment(os.Getenv, os.Getpid())
	for _, name := range variables {
		_ = os.Unsetenv(name)
	}
	if err != nil {
		return nil, fmt.Errorf("inherit sockets: %w", err)
	}
	s := &Sockets{inCharge: !g.parent}
	s.program, s.programErr = locate(os.Args[0])
	switch {
	case g.parent:
		err = s.fromParent(g.handed)
	case len(g.names) > 0:
		err = s.fromSystemd(g.names)
	}
	if err != nil {
		for _, it := range s.rest {
			_ = it.conn.Close()
		}
		return nil, fmt.Errorf("inherit sockets: %w", err)
	}
	return s, nil
}

func (s *Sockets) fromSystemd(names []string) error {
	items, err := inspect(firstDescriptor, len(names))
	if err != nil {
		return err
	}
	for i, it := range items {
		it.name, it.managed = names[i], true
	}
	return s.adopt(firstDescriptor, items)
}

func (s *Sockets) fromParent(sockets int) error {
	for _, fd := range []int{inDescriptor, outDescriptor} {
		if err := wantPipe(fd); err != nil {
			return err
		}
	}
	items, err := inspect(handedFrom, sockets)
	if err != nil {
		return err
	}
	in, err := takePipe(inDescriptor, "parent")
	if err != nil {
		return err
	}
	out, err := takePipe(outDescriptor, "parent")
	if err != nil {
		return err
	}
	_ = in.SetReadDeadline(time.Now().Add(patience))
	m, state, err := readManifest(in)
	if err != nil {
		return fmt.Errorf("read from the parent: %w", err)
	}
	if len(m.Sockets) != sockets {
		return fmt.Errorf("the parent names %d sockets, but %s says %d", len(m.Sockets), variable, sockets)
	}
	for i, it := range items {
		it.parent, it.address, it.managed = true, m.Sockets[i].Address, m.Sockets[i].Managed
	}
	s.parent = &Parent{in: in, out: out, state: state, charge: s.takeCharge}
	return s.adopt(handedFrom, items)
}

// inspect looks at descriptors without owning them: they may be anything.
func inspect(from, n int) ([]*item, error) {
	items := make([]*item, n)
	for i := range items {
		k, err := kindOf(from + i)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d, number %d of %d that were announced: %w", from+i, i+1, n, err)
		}
		items[i] = &item{kind: k}
	}
	return items, nil
}

// adopt makes descriptors that were inspected ours.
func (s *Sockets) adopt(from int, items []*item) (err error) {
	for i := range items {
		unix.CloseOnExec(from + i)
	}
	for i, it := range items {
		// The file is of no further use: the net package works on a duplicate.
		// Closing it must not wait for the end of the loop, lest descriptors
		// run out. A socket that doesn't block stays so: a parent still uses it.
		f := os.NewFile(uintptr(from+i), "socket")
		switch it.kind {
		case stream:
			var l net.Listener
			if l, err = net.FileListener(f); err == nil {
				it.conn, it.bound = l, l.Addr()
			}
		case datagram:
			var c net.PacketConn
			if c, err = net.FilePacketConn(f); err == nil {
				it.conn, it.bound = c, c.LocalAddr()
			}
		}
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("descriptor %d: %w", from+i, err)
		}
		s.rest = append(s.rest, it)
	}
	return nil
}
