package admin

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The limits of a connection. Streams set their own deadlines.
const (
	headTimeout  = 5 * time.Second
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 60 * time.Second
	headBytes    = 16 << 10
	farewell     = 5 * time.Second // for requests that are under way at the end
)

// door is one listener and what is served on it.
type door struct {
	server     *Server
	address    string // as configured
	listener   net.Listener
	unix       bool
	host       string // of address, in lower case; "" for a unix socket
	cookieName string
	http       *http.Server
	ending     chan struct{}   // closed when it ends: streams end at once
	shut       func()          // closes ending and the listener
	ctx        context.Context // of all requests; ends with the door
	cancel     context.CancelFunc
}

func (s *Server) newDoor(address string, l net.Listener) *door {
	d := &door{server: s, address: address, listener: l, ending: make(chan struct{})}
	// A cookie belongs to a host with all its ports. With the port in its name, two
	// servers on one machine don't sign each other's browsers out.
	d.cookieName = "fairlead_session"
	if _, d.unix = l.Addr().(*net.UnixAddr); !d.unix {
		host, _, _ := net.SplitHostPort(address)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		d.host, d.cookieName = strings.ToLower(host), d.cookieName+"_"+port
	}
	d.shut = sync.OnceFunc(func() {
		close(d.ending)
		_ = l.Close()
	})
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.http = &http.Server{
		Handler:                      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(d, w, r) }),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               headBytes,
		ConnState:                    s.connState,
		ErrorLog:                     log.New(errorWriter{s}, "", 0),
		BaseContext:                  func(net.Listener) context.Context { return d.ctx },
		ConnContext:                  withCredentials,
	}
	return d
}

// Accept, Close and Addr make it the listener that net/http serves on.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &seat{Conn: c, door: d}
	if !d.server.seats.take(s) {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return s, nil
}

// Close stops accepting.
func (d *door) Close() error {
	d.shut()
	return nil
}

// Addr is where it listens.
func (d *door) Addr() net.Addr { return d.listener.Addr() }

// serve accepts until the door is shut.
func (d *door) serve() {
	err := d.http.Serve(d)
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		d.server.fault(err)
	}
}

// end accepts nothing new, ends streams and connections that wait, and lets
// requests finish for as long as farewell.
func (d *door) end() {
	d.shut()
	d.server.seats.dismiss(d)
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if d.http.Shutdown(ctx) != nil {
		d.cancel() // what still works for somebody may stop
		_ = d.http.Close()
	}
	d.cancel()
}

// discard closes a door that nobody has come by; nil is none.
func (d *door) discard() {
	if d != nil {
		d.shut()
		d.cancel()
	}
}

// connState follows which connections wait for a request.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	if c, ok := c.(*seat); ok && (state == http.StateActive || state == http.StateIdle) {
		s.seats.serves(c, state == http.StateActive, time.Now())
	}
}

// errorWriter hands what net/http would log to OnError.
type errorWriter struct{ server *Server }

func (w errorWriter) Write(line []byte) (int, error) {
	w.server.fault(errors.New(strings.TrimSpace(string(line))))
	return len(line), nil
}
