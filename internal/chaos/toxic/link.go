package toxic

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Link is a line to an address. It is made by [New] and safe for concurrent use.
type Link struct {
	upstream string
	listener net.Listener
	ended    context.Context
	end      context.CancelFunc
	running  sync.WaitGroup

	mu     sync.Mutex
	set    [2][kinds]func() pipe // by direction; nil: no such toxic
	wires  map[*wire]struct{}
	closed bool
}

// The two directions of a connection.
const (
	up   = 0
	down = 1
)

const dialTimeout = 5 * time.Second

// New opens a link on a free port of 127.0.0.1 to the address, which is host:port, without any toxic. The test's end
// closes it.
func New(tb chaos.TB, upstream string) *Link {
	tb.Helper()
	hush()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("open a link to %s: %v", upstream, err)
	}
	l := &Link{upstream: upstream, listener: listener, wires: make(map[*wire]struct{})}
	l.ended, l.end = context.WithCancel(context.Background())
	l.running.Go(l.accept)
	tb.Cleanup(l.Close)
	return l
}

// Address returns the host:port at which the link accepts.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Set puts these toxics in the place of those that were set, for open and for new connections. Of several of one sort
// the last one counts in each direction.
func (l *Link) Set(all ...Toxic) {
	var set [2][kinds]func() pipe
	for _, t := range all {
		if t.make == nil {
			continue
		}
		if !t.down {
			set[up][t.kind] = t.make
		}
		if !t.up {
			set[down][t.kind] = t.make
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set = set
	for w := range l.wires {
		w.change(&set)
	}
}

// Clear takes every toxic away. Connections that were not broken go on, with what was held back.
func (l *Link) Clear() { l.Set() }

// Close ends the link and its connections and returns when its goroutines have ended. A [Reset] that is on its way is
// waited for.
func (l *Link) Close() {
	l.end()
	_ = l.listener.Close()
	l.Clear()
	l.mu.Lock()
	l.closed = true
	for w := range l.wires {
		w.end(false)
	}
	l.mu.Unlock()
	l.running.Wait()
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if tcp, ok := client.(*net.TCPConn); ok && err == nil {
			l.running.Go(func() { l.relay(tcp) })
		}
	}
}

// relay serves one connection. If there is nobody behind, the client's is reset.
func (l *Link) relay(client *net.TCPConn) {
	nc, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(l.ended, "tcp", l.upstream)
	behind, ok := nc.(*net.TCPConn)
	if err != nil || !ok {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	w := &wire{conns: [2]*net.TCPConn{client, behind}}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		w.end(false)
		return
	}
	for direction := range w.chains {
		w.chains[direction] = newChain(&l.set[direction])
	}
	l.wires[w] = struct{}{}
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { w.chains[up].run(w, w.conns[0], w.conns[1]) })
	both.Go(func() { w.chains[down].run(w, w.conns[1], w.conns[0]) })
	both.Wait()
	w.end(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.wires, w)
}

// wire is one connection: the client's side, the side behind, and a chain for each direction.
type wire struct {
	conns  [2]*net.TCPConn
	chains [2]*chain
}

func (w *wire) change(set *[2][kinds]func() pipe) {
	for direction, c := range w.chains {
		c.change(&set[direction])
	}
}

// end closes both sides, so that both chains end.
func (w *wire) end(broken bool) {
	for _, nc := range w.conns {
		if broken {
			_ = nc.SetLinger(0)
		}
		_ = nc.Close()
	}
}
