// Package dnsfault is a nameserver that fails in every way a real one can, for a resolver in this or in another process.
//
//	dns := dnsfault.New(t)
//	dns.Put("eu.test", time.Second, "127.0.0.1")
//	proxy := startProxy(t, dns.Address(), "http://eu.test:"+port)
//	dns.Set(dnsfault.ServFail())
//	...
//	dns.Set(dnsfault.OK())
//
// It answers over UDP and TCP at one port, knows A, AAAA and CNAME, and writes its messages by hand: a library would not
// let it break them, and would share its mistakes with whom it judges.
package dnsfault

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Server is a nameserver. It is made by [New] and safe for concurrent use. A new one knows no name and is well.
type Server struct {
	udp     net.PacketConn
	tcp     net.Listener
	running sync.WaitGroup
	ended   context.Context
	end     context.CancelFunc

	mu    sync.Mutex
	zone  map[string]entry
	mode  Mode
	names map[string]Mode // modes of single names
	count map[string]int  // queries by name, "" for all
	byTCP int
	conns map[net.Conn]struct{}
}

// entry is what the zone has for a name.
type entry struct {
	ttl   uint32
	addrs []netip.Addr
}

// New opens a nameserver on a free port of 127.0.0.1, the same for UDP and TCP. The test's end closes it.
func New(tb chaos.TB) *Server {
	tb.Helper()
	s := &Server{zone: make(map[string]entry), names: make(map[string]Mode), count: make(map[string]int),
		conns: make(map[net.Conn]struct{}), mode: OK()}
	if err := s.listen(); err != nil {
		tb.Fatalf("open a nameserver: %v", err)
	}
	s.ended, s.end = context.WithCancel(context.Background())
	s.running.Go(s.serveUDP)
	s.running.Go(s.accept)
	tb.Cleanup(s.Close)
	return s
}

// listen looks for a port that is free for both.
func (s *Server) listen() (err error) {
	for range 100 {
		if s.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		if s.udp, err = net.ListenPacket("udp", s.tcp.Addr().String()); err == nil {
			return nil
		}
		_ = s.tcp.Close()
	}
	return err
}

// Address returns the host:port of both.
func (s *Server) Address() string { return s.tcp.Addr().String() }

// Put gives a name these addresses, of either family, in the place of those that it had. The TTL counts in whole
// seconds. Without addresses the name exists and has none. It panics if an address is none: that is the test's mistake.
func (s *Server) Put(name string, ttl time.Duration, addresses ...string) {
	e := entry{ttl: uint32(ttl / time.Second)}
	for _, address := range addresses {
		e.addrs = append(e.addrs, netip.MustParseAddr(address))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[canonical(name)] = e
}

// Remove makes a name one that does not exist.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zone, canonical(name))
}

// Set makes m the mode of every name that has none of its own, from the next query on.
func (s *Server) Set(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// SetName gives one name a mode of its own.
func (s *Server) SetName(name string, m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[canonical(name)] = m
}

// Queries returns how many queries have come, over UDP and TCP and whatever became of them.
func (s *Server) Queries() int { return s.Asked("") }

// Asked returns how many queries have come for a name, whatever their type; those for its endless aliases count too.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[canonical(name)]
}

// OverTCP returns how many of the queries came over TCP.
func (s *Server) OverTCP() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byTCP
}

// Close ends the server and returns when its goroutines have ended. Its port then refuses.
func (s *Server) Close() {
	s.end()
	_ = s.udp.Close()
	_ = s.tcp.Close()
	s.mu.Lock()
	for nc := range s.conns {
		_ = nc.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (s *Server) serveUDP() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows tells of answers that nobody took
		}
		packet := append([]byte(nil), buf[:n]...)
		s.running.Go(func() {
			if answer := s.answer(packet, false); answer != nil {
				_, _ = s.udp.WriteTo(answer, from)
			}
		})
	}
}

func (s *Server) accept() {
	for {
		nc, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		s.conns[nc] = struct{}{}
		s.mu.Unlock()
		s.running.Go(func() {
			s.serveTCP(nc)
			_ = nc.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, nc)
		})
	}
}

// serveTCP answers one query after the other (RFC 1035, 4.2.2) until the peer leaves, or a mode ends the connection.
func (s *Server) serveTCP(nc net.Conn) {
	if s.ended.Err() != nil {
		return // Close may have missed it
	}
	var size [2]byte
	for {
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(nc, packet); err != nil {
			return
		}
		answer := s.answer(packet, true)
		if answer == nil {
			continue
		}
		if len(answer) == 0 {
			return
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
		if _, err := nc.Write(append(framed, answer...)); err != nil {
			return
		}
	}
}

// answer returns what is to be sent: nil for nothing, and for an empty one the connection is closed.
func (s *Server) answer(packet []byte, tcp bool) []byte {
	q, ok := parse(packet)
	if !ok {
		return nil
	}
	q.tcp = tcp
	base := q.name
	if _, began, ok := strings.Cut(base, endless); ok {
		base = began
	}
	s.mu.Lock()
	s.count[""]++
	s.count[base]++
	if tcp {
		s.byTCP++
	}
	mode, own := s.names[base]
	if !own {
		mode = s.mode
	}
	q.entry, q.known = s.zone[q.name]
	s.mu.Unlock()
	if mode.delay > 0 {
		timer := time.NewTimer(mode.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ended.Done():
			return nil
		}
	}
	return mode.answer(q)
}
