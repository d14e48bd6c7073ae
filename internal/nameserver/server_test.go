package nameserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

const patience = 30 * time.Second // with what has to happen, on a slow machine

// serve runs s until the test ends.
func serve(t testing.TB, s *Server) netip.AddrPort {
	t.Helper()
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return addr.(*net.UDPAddr).AddrPort()
}

func dial(t testing.TB, network string, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// exchange asks over UDP.
func exchange(t testing.TB, c net.Conn, m dnswire.Message) dnswire.Message {
	t.Helper()
	if _, err := c.Write(packed(t, m)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, dnswire.MaxSize)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, b[:n])
}

func framed(t testing.TB, m dnswire.Message) []byte {
	b := packed(t, m)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func readFrame(t testing.TB, c net.Conn) dnswire.Message {
	t.Helper()
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return parsed(t, b)
}

// wantClosed waits until the server has closed c.
func wantClosed(t testing.TB, c net.Conn) {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	if n != 0 {
		t.Errorf("%d bytes came before the end", n)
	}
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Error("the connection stayed open")
	}
}

// After a flip and Update, the next answer is the new one, over both
// transports.
func TestAFlipIsSeenAtOnce(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	s.Update() // before Run, it does no harm
	addr := serve(t, s)
	udp, tcp := dial(t, "udp", addr), dial(t, "tcp", addr)
	q := question("shop.failover.example.", dnswire.TypeA)
	addresses := map[string]string{"eu": "192.0.2.1", "us": "192.0.2.9"}
	for i := range 100 {
		target := []string{"eu", "us"}[i%2]
		world.set(func() { world.pointer.Target = target; world.pointer.Generation++ })
		s.Update()
		m := exchange(t, udp, q)
		tcp.Write(framed(t, q))
		m2 := readFrame(t, tcp)
		for _, m := range []dnswire.Message{m, m2} {
			if got := m.Answer[0].Addr.String(); got != addresses[target] {
				t.Fatalf("after flip %d the answer is %s, want %s", i, got, addresses[target])
			}
		}
	}
	if st := s.Stats(); st.UDP.Queries != 100 || st.TCP.Queries != 100 || st.TCP.Rcodes["NOERROR"] != 100 || st.Connections != 1 || st.Errors != 0 {
		t.Errorf("counted as %+v", st)
	}
}

// Many clients at once, while the pointer flips: each answer is to its question
// and of one moment.
func TestAnswersUnderFlips(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	addr := serve(t, s)
	var clients sync.WaitGroup
	for range 8 {
		c := dial(t, "udp", addr)
		clients.Go(func() {
			for i := range 200 {
				q := question("shop.failover.example.", dnswire.TypeA)
				q.ID = uint16(i)
				m := exchange(t, c, q)
				if m.ID != q.ID || len(m.Answer) != 2 && (len(m.Answer) != 1 || m.Answer[0].Addr.String() != "192.0.2.9") {
					t.Errorf("answer %s", brief(&m))
				}
			}
		})
	}
	var stop atomic.Bool
	var flips sync.WaitGroup
	flips.Go(func() {
		for i := 0; !stop.Load(); i++ {
			world.set(func() { world.pointer.Target = []string{"eu", "us"}[i%2]; world.pointer.Generation++ })
			s.Update()
			s.Stats()
		}
	})
	clients.Wait()
	stop.Store(true)
	flips.Wait()
}

// At a wildcard address, the answer comes from where the query went: a
// connected client sees no other.
func TestTheAnswerComesFromTheAddressThatWasAsked(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		s := newWorld().server(t, func(c *Config) { c.Listen = listen })
		port := serve(t, s).Port()
		for _, to := range []string{"127.0.0.1", "127.0.0.2", "127.255.0.9", "::1"} {
			addr := netip.MustParseAddr(to)
			if addr.Is6() && listen == "0.0.0.0:0" || to != "127.0.0.1" && !canBind(to) {
				continue
			}
			c := dial(t, "udp", netip.AddrPortFrom(addr, port))
			if m := exchange(t, c, question("shop.failover.example.", dnswire.TypeA)); len(m.Answer) != 2 {
				t.Errorf("%s at %s: %s", to, listen, brief(&m))
			}
		}
	}
}

func canBind(addr string) bool {
	c, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Queries that come all at once, or in pieces of one byte, are answered in
// order; and so are more of them than there is room for.
func TestPipelining(t *testing.T) {
	s := newWorld().server(t)
	for i := range 200 {
		s.plan.nsAddrs = append(s.plan.nsAddrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	addr := serve(t, s)
	const queries = 500 // answers of 3 KiB: more than flushAt
	var all []byte
	for i := range queries {
		q := question("ns1.failover.example.", dnswire.TypeA)
		q.ID = uint16(i)
		all = append(all, framed(t, q)...)
	}
	c := dial(t, "tcp", addr)
	go c.Write(all)
	for i := range queries {
		if m := readFrame(t, c); int(m.ID) != i || len(m.Answer) != 201 {
			t.Fatalf("answer %d has id %d and %d records", i, m.ID, len(m.Answer))
		}
	}
	c = dial(t, "tcp", addr)
	c.(*net.TCPConn).SetNoDelay(true)
	for _, b := range all[:len(all)/queries*3] {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if m := readFrame(t, c); int(m.ID) != i {
			t.Fatalf("answer %d has id %d", i, m.ID)
		}
	}
	// The client's end of the queries isn't that of the answers.
	c = dial(t, "tcp", addr)
	c.Write(all[:len(all)/queries*5])
	c.(*net.TCPConn).CloseWrite()
	for range 5 {
		readFrame(t, c)
	}
	wantClosed(t, c)
}

// What makes the server end a connection.
func TestConnectionsThatAreOfNoUse(t *testing.T) {
	query := framed(t, question("shop.failover.example.", dnswire.TypeA))
	response := question("shop.failover.example.", dnswire.TypeA)
	response.Response = true
	tests := []struct {
		name string
		give []byte
	}{
		{"a query of 4097 bytes", []byte{0x10, 0x01, 0}},
		{"no bytes at all", []byte{0, 0}},
		{"less than a header", []byte{0, 2, 1, 2}},
		{"a response", framed(t, response)},
		{"silence", nil},
		{"half a length", query[:1]},
		{"half a query", query[:20]},
	}
	s := newWorld().server(t)
	s.conns.idle = 50 * time.Millisecond
	addr := serve(t, s)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, "tcp", addr)
			c.Write(tt.give)
			wantClosed(t, c)
		})
	}
	t.Run("a byte now and then", func(t *testing.T) {
		c := dial(t, "tcp", addr)
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			// Each byte comes in time, but the query never does.
			if _, err := c.Write([]byte{0x0f}); err != nil {
				tick.Stop()
				return
			}
		}
	})
	t.Run("a query of 4096 bytes is read", func(t *testing.T) {
		c := dial(t, "tcp", addr)
		c.Write(append([]byte{0x10, 0, 1, 2, 0, 0, 0, 0}, make([]byte, 4092)...))
		if m := readFrame(t, c); m.Rcode != dnswire.RcodeFormatError {
			t.Errorf("got %s", brief(&m))
		}
	})
}

// Connections are bounded: one more makes the one go that was idle the longest.
func TestOneConnectionTooMany(t *testing.T) {
	s := newWorld().server(t)
	addr := serve(t, s)
	q := question("shop.failover.example.", dnswire.TypeA)
	var open []net.Conn
	for range maxConns {
		c := dial(t, "tcp", addr)
		c.Write(framed(t, q))
		readFrame(t, c)
		open = append(open, c)
	}
	open[0].Write(framed(t, q)) // now open[1] is the one
	readFrame(t, open[0])
	more := dial(t, "tcp", addr)
	more.Write(framed(t, q))
	readFrame(t, more)
	wantClosed(t, open[1])
	open[0].Write(framed(t, q))
	readFrame(t, open[0])
	if st := s.Stats(); st.ConnectionsEvicted != 1 || st.ConnectionsRefused != 0 || st.Connections != maxConns {
		t.Errorf("counted as %+v", st)
	}
}

// One prefix can't have them all.
func TestConnectionsOfOnePrefix(t *testing.T) {
	var table connTable
	table.init()
	add := func(from string) bool {
		c := &conn{from: netip.MustParseAddrPort(from)}
		c.prefix, _ = c.from.Addr().Prefix(24)
		_, ok := table.add(c, start)
		return ok
	}
	for range maxConnsPerPrefix {
		if !add("198.51.100.7:1") {
			t.Fatal("refused too early")
		}
	}
	if add("198.51.100.8:1") || !add("198.51.101.7:1") || !add("127.0.0.1:1") {
		t.Error("one more of the prefix, or none of another")
	}
	for c := range table.conns {
		table.remove(c)
		table.remove(c) // again, as it happens after an eviction
	}
	if len(table.prefixes) != 0 || !add("198.51.100.8:1") {
		t.Errorf("left behind: %v", table.prefixes)
	}
}

// A client that asks and doesn't read is given up, and Run doesn't wait for it.
func TestAClientThatDoesNotRead(t *testing.T) {
	s := newWorld().server(t)
	c := dial(t, "tcp", serve(t, s))
	q := framed(t, question("shop.failover.example.", dnswire.TypeTXT))
	c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for {
		if _, err := c.Write(q); err != nil {
			return // both ways are full; what remains is the end of the test
		}
	}
}

// A datagram that is longer than any query is dropped whole.
func TestADatagramThatIsTooLong(t *testing.T) {
	s := newWorld().server(t)
	c := dial(t, "udp", serve(t, s))
	c.Write(append(packed(t, question("shop.failover.example.", dnswire.TypeA)), make([]byte, 3000)...))
	if m := exchange(t, c, question("failover.example.", dnswire.TypeSOA)); m.Answer[0].Type != dnswire.TypeSOA {
		t.Errorf("got %s", brief(&m))
	}
	if got := s.Stats().Ignored; got != 1 {
		t.Errorf("%d ignored, want 1", got)
	}
}

// Both transports have the port; one that is taken is an error; and who
// listens doesn't have to run.
func TestListen(t *testing.T) {
	s := newWorld().server(t)
	if err := s.Run(t.Context()); !errors.Is(err, ErrNotListening) {
		t.Errorf("Run before Listen: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close before Listen: %v", err)
	}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if tcp := s.tcp.Addr().(*net.TCPAddr).Port; tcp != addr.(*net.UDPAddr).Port {
		t.Errorf("TCP at port %d, UDP at %v", tcp, addr)
	}
	other := newWorld().server(t, func(c *Config) { c.Listen = addr.String() })
	if _, err := other.Listen(); err == nil {
		t.Error("a port that is taken was bound")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	udp, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if _, err := other.Listen(); err == nil {
		t.Error("a port that is taken for UDP was bound")
	}
	named := newWorld().server(t, func(c *Config) { c.Listen = "localhost:0" })
	if _, err := named.Listen(); err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	if m := ask(t, named, question("ns1.failover.example.", dnswire.TypeANY), start); len(m.Answer) == 0 || len(named.plan.nsAddrs) != 1 {
		t.Errorf("a host's name has the addresses %v", named.plan.nsAddrs)
	}
}

// Errors are counted all, and told one a second.
func TestErrorsAreToldOnceASecond(t *testing.T) {
	var told int
	s := newWorld().server(t, func(c *Config) { c.OnError = func(error) { told++ } })
	for range 10 {
		s.report(io.ErrUnexpectedEOF)
	}
	if told != 1 || s.Stats().Errors != 10 {
		t.Errorf("told %d of %d", told, s.Stats().Errors)
	}
	s.lastReported.Add(-int64(time.Second))
	s.report(io.ErrUnexpectedEOF)
	if told != 2 {
		t.Error("a second later it wasn't told")
	}
	if s.retry(t.Context(), net.ErrClosed, 0) || !s.retry(t.Context(), io.ErrUnexpectedEOF, 0) || !s.retry(t.Context(), io.ErrUnexpectedEOF, 1) {
		t.Error("a closed socket is the end, and nothing else is")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if s.retry(ended, io.ErrUnexpectedEOF, 60) {
		t.Error("after the end it goes on")
	}
}
