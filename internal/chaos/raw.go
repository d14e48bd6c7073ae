package chaos

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// Raw is a connection for tests of the wire: it sends exactly the bytes that it is given. Every operation ends within
// Timeout. Not safe for concurrent use, but Send may run beside a read. Of a [Dial] the test's end closes it.
type Raw struct {
	Timeout time.Duration // of each operation; Dial sets 5 s, Open what it is given

	nc net.Conn
	br *bufio.Reader
}

// Dial connects to "tcp" or "unix" and ends the test if that fails.
func Dial(tb TB, network, address string) *Raw {
	tb.Helper()
	r, err := Open(network, address, 5*time.Second)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(r.Close)
	return r
}

// Open connects to "tcp" or "unix". Timeout is that of the connect and of every operation. The caller closes it.
func Open(network, address string, timeout time.Duration) (*Raw, error) {
	nc, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return nil, err
	}
	return newRaw(nc, timeout), nil
}

// OpenFrom is Open to "tcp" from another address of this machine, such as 127.0.0.2, which Linux has without being told.
func OpenFrom(from, address string, timeout time.Duration) (*Raw, error) {
	dialer := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return newRaw(nc, timeout), nil
}

func newRaw(nc net.Conn, timeout time.Duration) *Raw {
	return &Raw{Timeout: timeout, nc: nc, br: bufio.NewReader(nc)}
}

// Conn returns the connection itself. Bytes that a read of Raw has buffered are not seen on it.
func (r *Raw) Conn() net.Conn { return r.nc }

// Send writes the bytes in one write.
func (r *Raw) Send(bytes string) error {
	_ = r.nc.SetWriteDeadline(time.Now().Add(r.Timeout))
	_, err := io.WriteString(r.nc, bytes)
	return err
}

// SendSlowly writes one byte at a time, with a pause after each.
func (r *Raw) SendSlowly(bytes string, pause time.Duration) error {
	for i := range len(bytes) {
		if err := r.Send(bytes[i : i+1]); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// ReadAll reads until the peer closes and returns everything. A reset or the time-out is an error, beside what came.
func (r *Raw) ReadAll() (string, error) {
	_ = r.nc.SetReadDeadline(time.Now().Add(r.Timeout))
	all, err := io.ReadAll(r.br)
	return string(all), err
}

// Read reads exactly n bytes, for instance from a tunnel.
func (r *Raw) Read(n int) (string, error) {
	_ = r.nc.SetReadDeadline(time.Now().Add(r.Timeout))
	p := make([]byte, n)
	n, err := io.ReadFull(r.br, p)
	return string(p[:n]), err
}

// Response is one response as it came.
type Response struct {
	Head             // of the final response, or of a 101
	Status   int     // 0 when no whole head came
	Interim  []Head  // 1xx before it, in order
	Body     string  // without its framing, as far as it came
	Trailers []Field // after a chunked body
	Chunked  bool    // the body came in chunks
}

// ReadResponse reads one response to a request of the given method, interim ones before it included. io.EOF means that
// the peer closed before any byte of it; io.ErrUnexpectedEOF that it broke off. What came before an error is returned
// with it. After a 101 the rest of the connection is for Read.
func (r *Raw) ReadResponse(method string) (Response, error) {
	_ = r.nc.SetReadDeadline(time.Now().Add(r.Timeout))
	var p Response
	for {
		head, err := readHead(r.br)
		p.Head = head
		if err != nil {
			return p, err
		}
		if fault := head.fault(); fault != "" {
			return p, malformed(fault)
		}
		if p.Status, err = status(head.Line); err != nil {
			return p, err
		}
		if p.Status >= 200 || p.Status == 101 {
			break
		}
		if p.Interim = append(p.Interim, head); len(p.Interim) > maxInter {
			return p, malformed("too many interim responses")
		}
	}
	framing, length, err := p.frame(framingUntilClose)
	if err != nil {
		return p, err
	}
	if method == "HEAD" || p.Status == 101 || p.Status == 204 || p.Status == 304 {
		framing = framingNone
	}
	content := &body{br: r.br, framing: framing, left: length}
	var text strings.Builder
	_, err = io.Copy(&text, content)
	p.Body, p.Trailers, p.Chunked = text.String(), content.trailers, framing == framingChunked
	return p, err
}

// Do sends the bytes and reads one response; the method is that of the request line.
func (r *Raw) Do(request string) (Response, error) {
	if err := r.Send(request); err != nil {
		return Response{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	return r.ReadResponse(method)
}

// Closed reports whether the peer closes, in order or by reset, without sending another byte.
func (r *Raw) Closed() bool {
	_ = r.nc.SetReadDeadline(time.Now().Add(r.Timeout))
	_, err := r.br.ReadByte()
	timeout, ok := errors.AsType[net.Error](err)
	return err != nil && !(ok && timeout.Timeout())
}

// CloseWrite ends this side and leaves the other open.
func (r *Raw) CloseWrite() {
	if half, ok := r.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// Reset makes the peer see ECONNRESET.
func (r *Raw) Reset() {
	if tcp, ok := r.nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = r.nc.Close()
}

// Close closes the connection; again is harmless.
func (r *Raw) Close() { _ = r.nc.Close() }
