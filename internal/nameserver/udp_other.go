//go:build !linux

package nameserver

import (
	"context"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// maxDatagram is what no datagram fills: on Windows, one that is longer than
// its buffer is an error.
const maxDatagram = 1 << 16

// serveUDP answers datagrams until the socket is closed.
func (s *Server) serveUDP(ctx context.Context) {
	w := &worker{s: s}
	in, out := make([]byte, maxDatagram), make([]byte, 0, dnswire.MaxUDPSize)
	failures, end := 0, ending{}
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(in)
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
		if reply := w.handle(out[:0], in[:n], from, false, time.Now()); len(reply) > 0 {
			if _, err := s.udp.WriteToUDPAddrPort(reply, from); err != nil {
				s.report(err)
			}
		}
	}
}
