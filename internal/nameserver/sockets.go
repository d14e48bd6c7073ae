package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// readBuffer is what may wait in the UDP socket, in bytes: a burst is answered
// late rather than lost.
const readBuffer = 1 << 20

// When the end has come, the UDP socket is still read, for queries that were
// under way, until nothing comes for silence twice: once may be a machine that
// was busy elsewhere. A flood ends after lastWork.
const (
	silence  = 25 * time.Millisecond
	lastWork = time.Second
)

// Listen binds UDP and TCP, and returns the address, with the port that both
// have. It is called once, before Run, which closes what it bound; Close does
// where Run isn't going to be called.
func (s *Server) Listen() (net.Addr, error) { return s.ListenOn(nil, nil) }

// ListenOn is Listen with sockets that are there already, such as those of a
// process before this one: they are used in place of new ones, and are the
// Server's from now on, also when there is an error. Of which there is none, nil,
// it binds one itself, at the other one's port. Both must have the same port.
func (s *Server) ListenOn(tcp *net.TCPListener, udp *net.UDPConn) (net.Addr, error) {
	s.tcp, s.udp = tcp, udp
	err := s.bindMissing()
	if err == nil && portOf(s.tcp.Addr()) != portOf(s.udp.LocalAddr()) {
		err = fmt.Errorf("TCP is at %s and UDP at %s; both need the same port", s.tcp.Addr(), s.udp.LocalAddr())
	}
	if err != nil {
		err = errors.Join(err, s.Close())
		s.tcp, s.udp = nil, nil
		return nil, fmt.Errorf("nameserver: %w", err)
	}
	_ = s.udp.SetReadBuffer(readBuffer) // as much of it as the system allows
	s.mu.Lock()
	defer s.mu.Unlock()
	s.completeLocked()
	return s.udp.LocalAddr(), nil
}

func (s *Server) bindMissing() error {
	host, port, _ := net.SplitHostPort(s.cfg.Listen)
	switch {
	case s.tcp != nil && s.udp != nil:
		return nil
	case s.tcp != nil:
		return s.bindUDP(host, portOf(s.tcp.Addr()))
	case s.udp != nil:
		return s.bindTCP(host, portOf(s.udp.LocalAddr()))
	case port != "0" && port != "":
		return s.bindBoth(host, port)
	}
	const attempts = 20 // a port that is free for TCP may be taken for UDP
	err := errors.New("no port was tried")
	for range attempts {
		if err = s.bindBoth(host, "0"); err == nil {
			break
		}
	}
	return err
}

func (s *Server) bindBoth(host, port string) error {
	if err := s.bindTCP(host, port); err != nil {
		return err
	}
	err := s.bindUDP(host, portOf(s.tcp.Addr()))
	if err != nil {
		err = errors.Join(err, s.tcp.Close())
		s.tcp = nil
	}
	return err
}

func (s *Server) bindTCP(host, port string) error {
	l, err := net.Listen("tcp"+family(host), net.JoinHostPort(host, port))
	if err == nil {
		s.tcp = l.(*net.TCPListener)
	}
	return err
}

func (s *Server) bindUDP(host, port string) error {
	c, err := net.ListenPacket("udp"+family(host), net.JoinHostPort(host, port))
	if err == nil {
		s.udp = c.(*net.UDPConn)
	}
	return err
}

// family is "4" for addresses of IPv4: else 0.0.0.0 would be every address of
// IPv6 too.
func family(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		return "4"
	}
	return ""
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// Sockets gives what Listen or ListenOn opened, nil before, so that another
// process can be given the same. They stay the Server's: whoever takes
// duplicates (File) closes those. After Run they are closed.
func (s *Server) Sockets() (tcp *net.TCPListener, udp *net.UDPConn) { return s.tcp, s.udp }

// Close closes what Listen bound, for who doesn't call Run.
func (s *Server) Close() error {
	var errs []error
	if s.udp != nil {
		errs = append(errs, s.udp.Close())
	}
	if s.tcp != nil {
		errs = append(errs, s.tcp.Close())
	}
	return errors.Join(errs...)
}

// ErrNotListening says that Run was called before Listen.
var ErrNotListening = errors.New("nameserver: Run before Listen")

// Run answers until ctx ends, and returns nil when all of its goroutines have
// ended. What has come over UDP by then is still answered; connections are closed. It
// is called once. Errors of the sockets go to OnError, and don't end it.
func (s *Server) Run(ctx context.Context) error {
	if s.udp == nil {
		return ErrNotListening
	}
	var datagrams, streams sync.WaitGroup
	datagrams.Go(func() { s.serveUDP(ctx) })
	streams.Go(func() { s.acceptTCP(ctx, &streams) })
	<-ctx.Done()
	_ = s.tcp.Close()
	s.conns.closeAll()
	now := time.Now()
	if errors.Join(s.udp.SetReadDeadline(now), s.udp.SetWriteDeadline(now.Add(2*lastWork))) != nil {
		_ = s.udp.Close() // else nothing would end the read
	}
	datagrams.Wait()
	_ = s.udp.Close()
	streams.Wait()
	return nil
}

// ending is the last that the UDP socket's reader does.
type ending struct {
	until  time.Time // zero: the end hasn't come
	silent int       // reads in a row that brought nothing
}

// again reports whether to read once more after an error: if that is the
// deadline which Run sets when the end comes, or one that again has set itself.
func (e *ending) again(ctx context.Context, udp *net.UDPConn, err error) bool {
	if ctx.Err() == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	now := time.Now()
	if e.until.IsZero() {
		e.until = now.Add(lastWork)
	}
	e.silent++
	return e.silent <= 2 && now.Before(e.until) && udp.SetReadDeadline(now.Add(silence)) == nil
}
