package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// A realServer is a nameserver on real sockets, UDP and TCP on one port of
// 127.0.0.1, that answers by a script.
type realServer struct {
	addr string
	udp  *net.UDPConn
	tcp  *net.TCPListener

	udpAsked, tcpAsked atomic.Int32
	ports              sync.Map // the clients' source ports over UDP
}

// serve starts one. Over UDP a query's answers are sent by udp, which may use
// any socket; over TCP what tcp returns is written as it is, and the
// connection closed.
func serve(t *testing.T, udp func(s *realServer, from netip.AddrPort, q query), tcp func(q query) []byte) *realServer {
	t.Helper()
	s := &realServer{}
	for try := 0; ; try++ {
		var err error
		if s.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))); err != nil {
			t.Fatal(err)
		}
		s.addr = s.tcp.Addr().String()
		if s.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s.addr))); err == nil {
			break
		}
		s.tcp.Close()
		if try == 20 {
			t.Fatal(err)
		}
	}
	var work sync.WaitGroup
	work.Go(func() { s.serveUDP(udp) })
	work.Go(func() { s.serveTCP(t, tcp) })
	t.Cleanup(func() {
		s.udp.Close()
		s.tcp.Close()
		work.Wait()
	})
	return s
}

func (s *realServer) serveUDP(answer func(*realServer, netip.AddrPort, query)) {
	buf := make([]byte, 65536)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		s.udpAsked.Add(1)
		s.ports.Store(from.Port(), true)
		answer(s, from, parsed("udp", buf[:n]))
	}
}

func (s *realServer) serveTCP(t *testing.T, answer func(query) []byte) {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.tcpAsked.Add(1)
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			t.Errorf("a query over TCP: %v", err)
		}
		msg := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, msg); err != nil {
			t.Errorf("a query over TCP: %v", err)
		}
		if answer != nil {
			conn.Write(answer(parsed("tcp", msg)))
		}
		conn.Close()
	}
}

func parsed(network string, msg []byte) query {
	q := query{network: network}
	if err := dnswire.Parse(msg, &q.Message); err != nil {
		panic(err)
	}
	q.Question = q.Questions[0]
	return q
}

func packed(m dnswire.Message) []byte {
	b, err := m.Append(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func framed(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}

func (s *realServer) send(to netip.AddrPort, msgs ...[]byte) {
	for _, msg := range msgs {
		s.udp.WriteToUDPAddrPort(msg, to)
	}
}

// onSockets makes a Resolver on real sockets.
func onSockets(t *testing.T, timeout time.Duration, servers ...string) *Resolver {
	t.Helper()
	r, err := New(Config{Servers: servers, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

const (
	soon  = 100 * time.Millisecond // for servers that never answer rightly
	never = 20 * time.Second       // for those that do
)

func good(q query) []byte { return packed(has(60, "192.0.2.1", "2001:db8::1")(q).msgs[0]) }

func evil(q query) []byte { return packed(has(60, "192.0.2.66", "2001:db8::66")(q).msgs[0]) }

func TestARealServerIsAsked(t *testing.T) {
	s := serve(t, func(s *realServer, from netip.AddrPort, q query) { s.send(from, good(q)) }, nil)
	r := onSockets(t, never, s.addr)
	for i := range 20 {
		wantAddrs(t, r, fmt.Sprintf("n%d.example", i), "2001:db8::1", "192.0.2.1")
	}
	ports := 0
	s.ports.Range(func(any, any) bool { ports++; return true })
	if ports < 10 {
		t.Errorf("40 queries came from %d ports", ports)
	}
	if texts, _, err := r.Text(t.Context(), s.addr, "shop.example"); err == nil {
		t.Errorf("Text: %q", texts)
	}
}

// Every lie that arrives before the truth is waited past.
func TestLiesOverUDPAreIgnored(t *testing.T) {
	other, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	lies := map[string]func(s *realServer, from netip.AddrPort, q query){
		"wrong id": func(s *realServer, from netip.AddrPort, q query) {
			for i := range uint16(100) {
				lie := q
				lie.ID += i + 1
				s.send(from, evil(lie))
			}
		},
		"wrong question": func(s *realServer, from netip.AddrPort, q query) {
			lie := q
			lie.Questions = []dnswire.Question{{Name: "evil.example.", Type: q.Type, Class: q.Class}}
			s.send(from, evil(lie))
		},
		"wrong server": func(_ *realServer, from netip.AddrPort, q query) { other.WriteToUDPAddrPort(evil(q), from) },
		"garbage": func(s *realServer, from netip.AddrPort, q query) {
			s.send(from, nil, []byte("x"), []byte(strings.Repeat("garbage", 100)), make([]byte, 12), evil(q)[:30], make([]byte, 9000))
		},
		"the query itself": func(s *realServer, from netip.AddrPort, q query) { s.send(from, packed(q.Message)) },
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Run("before the answer", func(t *testing.T) {
				s := serve(t, func(s *realServer, from netip.AddrPort, q query) {
					lie(s, from, q)
					s.send(from, good(q))
				}, nil)
				wantAddrs(t, onSockets(t, never, s.addr), "shop.example", "2001:db8::1", "192.0.2.1")
				if n := s.udpAsked.Load(); n != 2 {
					t.Errorf("%d queries, want 2", n)
				}
			})
			t.Run("alone", func(t *testing.T) {
				s := serve(t, lie, nil)
				wantKind(t, onSockets(t, soon, s.addr), "shop.example", Timeout)
			})
		})
	}
}

func TestSilenceIsATimeout(t *testing.T) {
	s := serve(t, func(*realServer, netip.AddrPort, query) {}, nil)
	e := wantKind(t, onSockets(t, soon, s.addr), "shop.example", Timeout)
	if e.Server != s.addr || !e.Timeout() {
		t.Errorf("%v of server %s", e, e.Server)
	}
}

// A port that nobody listens on is left for the next server without a wait.
func TestAClosedPortIsPassedOver(t *testing.T) {
	gone := serve(t, nil, nil)
	gone.udp.Close()
	s := serve(t, func(s *realServer, from netip.AddrPort, q query) { s.send(from, good(q)) }, nil)
	r := onSockets(t, time.Second, gone.addr, s.addr)
	wantAddrs(t, r, "shop.example", "2001:db8::1", "192.0.2.1")
}

func truncate(s *realServer, from netip.AddrPort, q query) {
	m := q.respond()
	m.Truncated = true
	s.send(from, packed(m))
}

func TestATruncatedAnswerIsFetchedOverTCP(t *testing.T) {
	for name, udp := range map[string]func(*realServer, netip.AddrPort, query){
		"emptied": truncate,
		"cut within a record": func(s *realServer, from netip.AddrPort, q query) {
			m := has(60, "192.0.2.66", "192.0.2.67", "2001:db8::66", "2001:db8::67")(q).msgs[0]
			m.Truncated = true
			b := packed(m)
			s.send(from, b[:len(b)-15])
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, udp, func(q query) []byte {
				var records []dnswire.Record
				for i := range 500 {
					records = append(records, addr(q.Name, 60, fmt.Sprintf("198.51.%d.%d", i/250, i%250)))
				}
				return framed(packed(q.records(records...).msgs[0]))
			})
			addrs, err := onSockets(t, never, s.addr).Lookup(t.Context(), "shop.example")
			if err != nil || len(addrs) != maxAddrs {
				t.Errorf("%d addresses, %v", len(addrs), err)
			}
			if n := s.tcpAsked.Load(); n != 2 {
				t.Errorf("%d queries over TCP, want 2", n)
			}
		})
	}
}

func TestWhatGoesWrongOverTCPIsAnError(t *testing.T) {
	for _, give := range []struct {
		name string
		tcp  func(q query) []byte
	}{
		{"half a message", func(q query) []byte { b := framed(good(q)); return b[:len(b)/2] }},
		{"half a length", func(query) []byte { return []byte{0} }},
		{"nothing", func(query) []byte { return nil }},
		{"a wrong id, and the end", func(q query) []byte { q.ID++; return framed(evil(q)) }},
		{"garbage", func(query) []byte { return framed([]byte(strings.Repeat("garbage", 50))) }},
		{"an empty message", func(query) []byte { return framed(nil) }},
	} {
		t.Run(give.name, func(t *testing.T) {
			s := serve(t, truncate, give.tcp)
			wantKind(t, onSockets(t, never, s.addr), "shop.example", Unreachable)
		})
	}
	t.Run("a lie and then the answer", func(t *testing.T) {
		s := serve(t, truncate, func(q query) []byte {
			lie := q
			lie.ID++
			return append(framed(evil(lie)), framed(good(q))...)
		})
		wantAddrs(t, onSockets(t, never, s.addr), "shop.example", "2001:db8::1", "192.0.2.1")
	})
}

// A context that ends wakes the socket, whose own time-out is far away.
func TestACancelledExchangeEndsAtOnce(t *testing.T) {
	asked := make(chan struct{}, 4)
	s := serve(t, func(*realServer, netip.AddrPort, query) { asked <- struct{}{} }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	r := onSockets(t, never, s.addr)
	_, _, err := r.Text(ctx, s.addr, "shop.example")
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Canceled {
		t.Errorf("got %v", err)
	}
}
