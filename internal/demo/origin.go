package demo

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// FieldOrigin names, in a response, the origin that made it.
	FieldOrigin = "Demo-Origin"
	// FieldOrder names, in a POST, the order that it places.
	FieldOrder = "Demo-Order"

	maxOrder = 64 << 10 // bytes of a POST's body that are read
)

// Origin is a small HTTP server that can be broken and mended. Its methods may be
// called from any goroutine, but not Break, Mend and Close at the same time.
type Origin struct {
	name    string
	address string
	orders  *Orders
	pages   atomic.Int64

	gate   *gate
	server *http.Server
	done   chan struct{} // closed when the server has ended
}

// NewOrigin starts an origin on 127.0.0.1, at the given port or, if that is
// taken, at one that is free. The caller closes it.
func NewOrigin(name string, port int, orders *Orders) (*Origin, error) {
	l, err := listenNear(port)
	if err != nil {
		return nil, fmt.Errorf("origin %s: %w", name, err)
	}
	o := &Origin{name: name, address: l.Addr().String(), orders: orders}
	o.serve(l)
	return o, nil
}

// Address returns where the origin listens, also while it is broken.
func (o *Origin) Address() string { return o.address }

// Break closes the listener and resets every connection.
func (o *Origin) Break() {
	o.gate.slam()
	_ = o.server.Close()
	<-o.done
}

// Mend undoes Break: the origin listens at its old address again.
func (o *Origin) Mend() error {
	l, err := net.Listen("tcp", o.address)
	if err != nil {
		return fmt.Errorf("mend origin %s: %w", o.name, err)
	}
	o.serve(l)
	return nil
}

// Close ends the origin for good.
func (o *Origin) Close() { o.Break() }

func (o *Origin) serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /", o.page)
	mux.HandleFunc("POST /", o.order)
	gate := &gate{Listener: l, conns: make(map[*net.TCPConn]struct{})}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	o.gate, o.server, o.done = gate, server, done
	go func() {
		defer close(done)
		_ = server.Serve(gate)
	}()
}

// page answers a GET: a page that renews itself for browsers, a line for others.
func (o *Origin) page(w http.ResponseWriter, r *http.Request) {
	n := o.pages.Add(1)
	w.Header().Set(FieldOrigin, o.name)
	w.Header().Set("Cache-Control", "no-store")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		fmt.Fprintf(w, "%s answers: page number %d from here, path %s\n", o.name, n, r.URL.EscapedPath())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>%[1]s</title>
<body style="font-family:sans-serif;text-align:center;margin-top:15vh"><p>This page was made by</p><h1 style="font-size:6em;margin:0">%[1]s</h1>
<p>page number %d from here, path %s</p><p>It renews itself every second. Watch the name change.</p></body></html>
`, html.EscapeString(o.name), n, html.EscapeString(r.URL.EscapedPath()))
}

// order takes a POST.
func (o *Origin) order(w http.ResponseWriter, r *http.Request) {
	// Counted when it arrives: an order that breaks off has arrived, too.
	if id := r.Header.Get(FieldOrder); id != "" {
		o.orders.Add(id)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxOrder))
	if err != nil {
		return
	}
	w.Header().Set(FieldOrigin, o.name)
	fmt.Fprintf(w, "%s took the order, %d bytes\n", o.name, n)
}

// gate is a listener that knows its connections, to reset them all at once.
type gate struct {
	net.Listener

	mu    sync.Mutex // guards what follows
	shut  bool
	conns map[*net.TCPConn]struct{}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	nc, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c, ok := nc.(*net.TCPConn)
	if !ok {
		_ = nc.Close()
		return nil, errors.New("not a TCP connection")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		reset(c)
		return nil, net.ErrClosed
	}
	g.conns[c] = struct{}{}
	return &gatedConn{c, g}, nil
}

// slam closes the listener and resets what came through it.
func (g *gate) slam() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	_ = g.Close()
	for c := range g.conns {
		reset(c)
	}
	clear(g.conns)
}

func (g *gate) forget(c *net.TCPConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// reset closes a connection so that its peer sees a reset, not an orderly end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

type gatedConn struct {
	*net.TCPConn
	gate *gate
}

// Close implements net.Conn.
func (c *gatedConn) Close() error {
	c.gate.forget(c.TCPConn)
	return c.TCPConn.Close()
}
