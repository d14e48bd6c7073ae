package chaos

import (
	"bufio"
	"net"
	"strconv"
	"sync"
	"time"
)

// conn is one accepted connection, served by one goroutine.
type conn struct {
	origin    *Origin
	raw       net.Conn
	nc        net.Conn // raw, or TLS over it
	br        *bufio.Reader
	number    int
	requests  int
	idle      bool // the goroutine ended between two requests
	once      sync.Once
	unplugged chan struct{} // closed when the origin wants the connection reset
	ended     chan struct{} // closed when the goroutine is gone
}

var longAgo = time.Unix(1, 0) // a deadline that interrupts

// unplug makes the connection's goroutine reset it. The order of the two steps matters to wait.
func (c *conn) unplug() {
	c.once.Do(func() {
		close(c.unplugged)
		_ = c.raw.SetDeadline(longAgo)
	})
}

func (c *conn) close() { _ = c.nc.Close() }

// reset makes the peer see ECONNRESET instead of an orderly end. On a unix socket it only closes.
func (c *conn) reset() {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.raw.Close()
}

func (c *conn) closeWrite() {
	for _, nc := range []net.Conn{c.nc, c.raw} { // TLS ends only its own side by itself
		if half, ok := nc.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
}

func (c *conn) serve() {
	defer close(c.ended)
	defer c.origin.left(c)
	p := c.origin.plan.Load()
	if onAccept := p.find("").onAccept; onAccept != nil {
		onAccept(c)
	} else if c.handshake(p.hello()) {
		for c.exchange(nil) {
		}
	}
	select {
	case <-c.unplugged:
		c.lastRequest()
		c.reset()
	default:
		c.close()
	}
}

// lastRequest records the request that waits unread in the socket of an unplugged connection, if there is one.
func (c *conn) lastRequest() {
	if !c.idle {
		return
	}
	_ = c.nc.SetDeadline(time.Now().Add(time.Millisecond))
	c.exchange(&Behaviour{name: "Down", serve: func(k *call) bool { return k.receive() }})
}

// exchange serves one request with the behaviour that the plan has for its path, or with the one given, and reports
// whether the connection goes on.
func (c *conn) exchange(b *Behaviour) bool {
	head, err := readHead(c.br)
	c.idle = head.Raw == ""
	if c.idle {
		return false
	}
	c.requests++
	k := &call{conn: c, arrival: &Arrival{Head: head, Origin: c.origin.name, ID: head.Get(FieldID), Conn: c.number,
		OnConn: c.requests, Time: time.Now(), HeadWhole: err == nil}}
	k.size, _ = strconv.ParseInt(head.Get(FieldSize), 10, 64)
	k.parse(err)
	path := k.arrival.Path()
	if b == nil {
		b = c.origin.plan.Load().find(path)
	}
	k.arrival.Behaviour = b.name
	c.origin.journal.add(k.arrival)
	if k.arrival.Fault != "" {
		k.write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		return false
	}
	if err != nil {
		return false
	}
	return b.serve(k)
}
