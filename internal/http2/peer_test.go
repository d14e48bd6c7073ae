package http2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Frames and flags as the tests write them: by number, from RFC 9113, 6, so
// that a mistake in the constants shows.
const (
	fData, fHeaders, fPriority, fReset, fSettings, fPush, fPing, fGoAway, fWindow, fCont = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9

	endStream, ack, endHeaders, padded, priority = 0x1, 0x1, 0x4, 0x8, 0x20
)

// a frame as it was received.
type frame struct {
	typ, flags byte
	id         uint32
	payload    []byte
}

func (f frame) u32(at int) uint32 { return binary.BigEndian.Uint32(f.payload[at:]) }

// peer is a client that speaks frames, on the other end of a pipe. What it
// sends leaves in a goroutine of its own, so that a server that has stopped
// reading doesn't stop the test.
type peer struct {
	t    testing.TB
	nc   net.Conn
	conn *Conn
	err  error // of Serve, once served is closed

	served chan struct{}
	enc    *hpack.Encoder
	encBuf bytes.Buffer
	dec    *hpack.Decoder
	list   [][2]string

	mu     sync.Mutex
	cond   sync.Cond
	queue  [][]byte
	closed bool
}

// connect serves cfg on a pipe and sends nothing yet.
func connect(t testing.TB, cfg Config) *peer {
	t.Helper()
	client, server := net.Pipe()
	return connectOn(t, client, server, cfg, nil)
}

// connectEarly is a connection of which some was read before.
func connectEarly(t testing.TB, cfg Config, early []byte) *peer {
	t.Helper()
	client, server := net.Pipe()
	return connectOn(t, client, server, cfg, early)
}

func connectOn(t testing.TB, client, server net.Conn, cfg Config, early []byte) *peer {
	p := &peer{t: t, nc: client, served: make(chan struct{})}
	p.cond.L = &p.mu
	p.enc = hpack.NewEncoder(&p.encBuf)
	p.dec = hpack.NewDecoder(4096, func(f hpack.HeaderField) { p.list = append(p.list, [2]string{f.Name, f.Value}) })
	p.conn = NewServer(cfg).NewConn(server, early)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(p.served)
		p.err = p.conn.Serve()
	})
	wg.Go(p.sendLoop)
	t.Cleanup(func() {
		p.close()
		p.conn.Close()
		wg.Wait()
	})
	return p
}

func (p *peer) close() {
	p.mu.Lock()
	p.closed = true
	p.cond.Signal()
	p.mu.Unlock()
	p.nc.Close()
}

func (p *peer) sendLoop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.queue) == 0 && !p.closed {
			p.cond.Wait()
		}
		if p.closed {
			return
		}
		b := p.queue[0]
		p.queue = p.queue[1:]
		p.mu.Unlock()
		_, err := p.nc.Write(b)
		p.mu.Lock()
		if err != nil {
			p.closed = true
		}
	}
}

// write sends bytes.
func (p *peer) write(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, bytes.Clone(b))
	p.cond.Signal()
}

// rawFrame is a frame's bytes.
func rawFrame(typ, flags byte, id uint32, payload []byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), typ, flags}
	return append(binary.BigEndian.AppendUint32(b, id), payload...)
}

func (p *peer) frame(typ, flags byte, id uint32, payload []byte) {
	p.write(rawFrame(typ, flags, id, payload))
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// settings are pairs of a number and a value.
func settings(pairs ...uint32) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		b = binary.BigEndian.AppendUint16(b, uint16(pairs[i]))
		b = binary.BigEndian.AppendUint32(b, pairs[i+1])
	}
	return b
}

// greet sends the preface and settings, and takes the server's.
func (p *peer) greet(pairs ...uint32) *peer {
	p.t.Helper()
	p.write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	p.frame(fSettings, 0, 0, settings(pairs...))
	f := p.next()
	if f.typ != fSettings || f.flags != 0 {
		p.t.Fatalf("the first frame is %+v", f)
	}
	p.frame(fSettings, ack, 0, nil)
	p.want(fSettings, 0)
	return p
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// read reads the next frame.
func (p *peer) read() (f frame, err error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(patience))
	var head [9]byte
	if _, err := io.ReadFull(p.nc, head[:]); err != nil {
		return f, err
	}
	f = frame{typ: head[3], flags: head[4], id: binary.BigEndian.Uint32(head[5:])}
	f.payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(p.nc, f.payload)
	return f, err
}

func (p *peer) next() frame {
	p.t.Helper()
	f, err := p.read()
	if err != nil {
		p.t.Fatalf("no frame: %v; Serve: %v", err, p.serveErr())
	}
	return f
}

// want reads until a frame of that type on that stream comes. Settings,
// window updates and their answers may come before it, and frames of other streams.
func (p *peer) want(typ byte, id uint32) frame {
	p.t.Helper()
	for {
		f := p.next()
		if f.typ == typ && f.id == id {
			return f
		}
		if f.typ == fGoAway || f.id == id && id != 0 && f.typ != fWindow {
			p.t.Fatalf("got %+v, want type %d on stream %d", f, typ, id)
		}
	}
}

func (p *peer) wantReset(id uint32, code ErrCode) {
	p.t.Helper()
	if f := p.want(fReset, id); ErrCode(f.u32(0)) != code {
		p.t.Fatalf("stream %d was reset with %v, want %v", id, ErrCode(f.u32(0)), code)
	}
}

// wantGoAway reads until the connection is ended for that reason.
func (p *peer) wantGoAway(code ErrCode) frame {
	p.t.Helper()
	for {
		f, err := p.read()
		if err != nil {
			p.t.Fatalf("no GOAWAY: %v", err)
		}
		if f.typ != fGoAway || code != CodeNo && ErrCode(f.u32(4)) == CodeNo {
			continue
		}
		if ErrCode(f.u32(4)) != code {
			p.t.Fatalf("GOAWAY %v %q, want %v", ErrCode(f.u32(4)), f.payload[8:], code)
		}
		return f
	}
}

// wantError is a GOAWAY after which the connection ends, with Serve's error.
func (p *peer) wantError(code ErrCode) {
	p.t.Helper()
	p.wantGoAway(code)
	p.wantEnd()
	var ce *ConnError
	if !errors.As(p.err, &ce) || ce.Code != code {
		p.t.Fatalf("Serve returned %v, want %v", p.err, code)
	}
}

// wantEnd reads until the connection has ended.
func (p *peer) wantEnd() {
	p.t.Helper()
	for {
		if _, err := p.read(); err != nil {
			break
		}
	}
	<-p.served
}

// alive fails if the connection doesn't answer a ping.
func (p *peer) alive() {
	p.t.Helper()
	p.frame(fPing, 0, 0, []byte("12345678"))
	for {
		f := p.next()
		if f.typ == fGoAway {
			p.t.Fatalf("GOAWAY %v %q", ErrCode(f.u32(4)), f.payload[8:])
		}
		if f.typ == fPing && f.flags == ack {
			return
		}
	}
}

// block encodes pairs of a name and a value.
func (p *peer) block(pairs ...string) []byte {
	p.encBuf.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = p.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(p.encBuf.Bytes())
}

var getHead = []string{":method", "GET", ":scheme", "https", ":authority", "example.com", ":path", "/"}

// with is a head with more fields.
func with(head []string, pairs ...string) []string {
	return append(append([]string(nil), head...), pairs...)
}

var postHead = []string{":method", "POST", ":scheme", "https", ":authority", "example.com", ":path", "/"}

// headers opens a stream, or sends trailers.
func (p *peer) headers(id uint32, end bool, pairs ...string) {
	flags := byte(endHeaders)
	if end {
		flags |= endStream
	}
	p.frame(fHeaders, flags, id, p.block(pairs...))
}

func (p *peer) data(id uint32, end bool, body string) {
	var flags byte
	if end {
		flags = endStream
	}
	p.frame(fData, flags, id, []byte(body))
}

// response is what came on a stream.
type response struct {
	status   string
	head     [][2]string
	body     string
	trailers [][2]string
}

// wantResponse reads a whole response.
func (p *peer) wantResponse(id uint32) (r response) {
	p.t.Helper()
	for {
		f := p.next()
		switch {
		case f.typ == fHeaders:
			p.list = nil
			if _, err := p.dec.Write(f.payload); err != nil {
				p.t.Fatalf("field block: %v", err)
			}
			_ = p.dec.Close()
			if f.id != id {
				continue
			}
			if r.head == nil || r.status[0] == '1' {
				r.head, r.status = p.list, p.list[0][1]
			} else {
				r.trailers = p.list
			}
		case f.id != id:
			continue
		case f.typ == fData:
			r.body += string(f.payload)
		case f.typ == fReset:
			p.t.Fatalf("stream %d was reset: %v", id, ErrCode(f.u32(0)))
		}
		if (f.typ == fHeaders || f.typ == fData) && f.flags&endStream != 0 {
			return r
		}
	}
}

func (p *peer) wantStatus(id uint32, status string) response {
	p.t.Helper()
	r := p.wantResponse(id)
	if r.status != status {
		p.t.Fatalf("stream %d: status %s, want %s", id, r.status, status)
	}
	return r
}

// serveErr is what Serve returned, if it has.
func (p *peer) serveErr() error {
	select {
	case <-p.served:
		return p.err
	case <-time.After(time.Second):
		return errors.New("still serving")
	}
}

// get is the value of a request's field, "" if it isn't there.
func get(s *Stream, name string) string {
	for _, f := range s.Fields {
		if string(f.Name) == name {
			return string(f.Value)
		}
	}
	return ""
}

// wait blocks until the stream has ended, however it ends.
func wait(s *Stream) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for s.state == streamOpen && s.stopped == 0 {
		s.readable.Wait()
	}
}

// bodyOf answers with a body of that many digits.
func bodyOf(n int) func(*Stream) {
	body := []byte(strings.Repeat("0123456789", n/10+1)[:n])
	return func(s *Stream) {
		if get(s, "x-empty") != "" {
			_ = s.WriteHead(204, nil, true)
		} else if s.WriteHead(200, nil, false) == nil {
			_ = s.WriteBody(body, true)
		}
	}
}

func wantData(p *peer, id uint32, body string, end bool) {
	p.t.Helper()
	f := p.want(fData, id)
	if string(f.payload) != body || (f.flags&endStream != 0) != end {
		p.t.Fatalf("got %q end=%t, want %q end=%t", f.payload, f.flags&endStream != 0, body, end)
	}
}
