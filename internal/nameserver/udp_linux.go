package nameserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/fairlead/fairlead/internal/dnswire"
)

const (
	batchSize = 32
	// maxDatagram is one byte more than the longest query that is read, so that
	// longer ones are known by filling it.
	maxDatagram = 2049
)

// batchConn reads and writes many datagrams with one system call each:
// recvmmsg and sendmmsg.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// batch is what the reader of the UDP socket works with.
type batch struct {
	conn    batchConn
	in, out [batchSize]ipv4.Message
	replies [batchSize][]byte
	// ifIndex is where the interface's number is in a datagram's control message;
	// 0: there are none.
	ifIndex int
}

func newBatch(udp *net.UDPConn) *batch {
	b := &batch{}
	local := udp.LocalAddr().(*net.UDPAddr)
	space, v4 := 0, local.IP.To4() != nil
	if v4 {
		b.conn = ipv4.NewPacketConn(udp)
	} else {
		b.conn = ipv6.NewPacketConn(udp)
	}
	if local.IP.IsUnspecified() {
		space = b.wantDestination(v4)
	}
	for i := range b.in {
		b.in[i].Buffers = [][]byte{make([]byte, maxDatagram)}
		b.in[i].OOB = make([]byte, space)
		b.out[i].Buffers = make([][]byte, 1)
		b.replies[i] = make([]byte, 0, dnswire.MaxUDPSize)
	}
	return b
}

// wantDestination has each datagram tell to which address it was sent, so that
// the answer can leave from there: a client takes it from no other. It returns
// the space that this takes.
func (b *batch) wantDestination(v4 bool) int {
	header := syscall.CmsgLen(0)
	if v4 {
		_ = b.conn.(*ipv4.PacketConn).SetControlMessage(ipv4.FlagDst, true)
		b.ifIndex = header // in_pktinfo: index, local address, destination
		return syscall.CmsgSpace(12)
	}
	_ = b.conn.(*ipv6.PacketConn).SetControlMessage(ipv6.FlagDst, true)
	b.ifIndex = header + 16 // in6_pktinfo: address, index
	return syscall.CmsgSpace(20)
}

// source turns the control message that came with a query into that of its
// answer: the same address, but the way out is the routing's to choose.
func (b *batch) source(control []byte) []byte {
	if b.ifIndex == 0 || len(control) < b.ifIndex+4 {
		return nil
	}
	clear(control[b.ifIndex : b.ifIndex+4])
	return control
}

// serveUDP answers datagrams until the socket is closed. It is the only one to
// read them: of several readers all but one wait for the socket's lock, and
// waking them made a lone query's answer take half as long again, while the
// kernel's part, twenty times that of the answer itself, stayed one after the other.
func (s *Server) serveUDP(ctx context.Context) {
	b, w := newBatch(s.udp), &worker{s: s}
	failures, end := 0, ending{}
	for {
		n, err := b.conn.ReadBatch(b.in[:], 0)
		if err != nil {
			if end.again(ctx, s.udp, err) {
				continue
			}
			if !s.retry(ctx, err, failures) {
				return
			}
			failures++
			continue
		}
		failures, end.silent = 0, 0
		if answers := b.answer(w, n); answers > 0 {
			s.writeBatch(b.conn, b.out[:answers])
		}
	}
}

// answer fills b.out with the answers to the first n of b.in.
func (b *batch) answer(w *worker, n int) (answers int) {
	now := time.Now()
	for i := range b.in[:n] {
		m := &b.in[i]
		addr, ok := m.Addr.(*net.UDPAddr)
		if !ok || m.N == maxDatagram {
			w.s.counts.ignored.Add(1)
			continue
		}
		reply := w.handle(b.replies[answers][:0], m.Buffers[0][:m.N], addrPort(addr), false, now)
		if len(reply) == 0 {
			continue
		}
		b.replies[answers] = reply
		out := &b.out[answers]
		out.Buffers[0], out.Addr, out.OOB = reply, addr, b.source(m.OOB[:m.NN])
		answers++
	}
	return answers
}

// addrPort is addr.AddrPort, which would look the zone up.
func addrPort(addr *net.UDPAddr) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(addr.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(addr.Port))
}

// writeBatch sends all of ms but those that can't be sent, such as to an address
// without a route. An error is about the first one that wasn't sent.
func (s *Server) writeBatch(conn batchConn, ms []ipv4.Message) {
	for len(ms) > 0 {
		n, err := conn.WriteBatch(ms, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.report(err)
			n = max(n, 0) + 1 // the system's -1 comes through
		}
		ms = ms[min(n, len(ms)):]
	}
}
