package http2

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// script is a connection whose client sends prepared bytes, in pieces, takes
// everything, and leaves.
type script struct {
	net.Conn // nil: nothing else is called
	in       []byte
	piece    int
	out      bytes.Buffer // the writer's own until Serve returns
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.in[:min(len(s.in), s.piece)])
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// framesOf turns any bytes into frames that are mostly well-formed, so that the
// fuzzer gets beyond the preface and the frames' headers.
func framesOf(b []byte) []byte {
	out := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
	for len(b) >= 4 {
		typ, flags, id, n := b[0]%12, b[1], uint32(b[2]%16), int(b[3])
		b = b[4:]
		n = min(n, len(b))
		payload := b[:n]
		if typ == fHeaders && flags&(padded|priority) == 0 && n > 0 && payload[0]&1 == 0 {
			// A head of a request in front: most random ones are malformed.
			payload = append([]byte{0x82, 0x87, 0x84, 0x41, 1, 'x'}, payload[1:]...)
		}
		out = append(out, rawFrame(typ, flags, id, payload)...)
		b = b[n:]
	}
	return out
}

// FuzzConn feeds bytes to a connection. Whatever they are, Serve returns, holds
// nothing any more, and what it has sent is well-formed.
func FuzzConn(f *testing.F) {
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for i := 0; i < len(postHead); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: postHead[i], Value: postHead[i+1]})
	}
	start := append([]byte(preface), rawFrame(fSettings, 0, 0, settings(4, 10))...)
	post := append(bytes.Clone(start), rawFrame(fHeaders, endHeaders, 1, head.Bytes())...)
	f.Add(start, false, 1)
	f.Add(append(bytes.Clone(post), rawFrame(fData, endStream, 1, []byte("body"))...), false, 7)
	f.Add(append(bytes.Clone(post), rawFrame(fHeaders, endStream|endHeaders, 1, []byte{0, 1, 'a', 1, 'b'})...), false, 1000)
	f.Add(append(bytes.Clone(post), rawFrame(fReset, 0, 1, u32(8))...), false, 3)
	f.Add(append(bytes.Clone(post), rawFrame(fWindow, 0, 1, u32(1<<31-1))...), false, 100)
	f.Add([]byte{1, 5, 1, 1, 0, 0, 1, 1, 3, 1, 2, 3}, true, 5)
	f.Add([]byte{1, 4, 1, 1, 0, 0, 8, 1, 3, 1, 2, 3, 1, 5, 1, 5, 1, 0, 1, 'a', 1, 'b'}, true, 50)
	f.Fuzz(func(t *testing.T, b []byte, frames bool, piece int) {
		if frames {
			b = framesOf(b)
		}
		nc := &script{in: b, piece: 1 + int(uint(piece)%5000)}
		c := NewServer(Config{Handler: echo, MaxStreams: 5, Patience: 100, MaxHeaderBytes: 1000}).NewConn(nc, nil)
		err := c.Serve()
		if c.open != 0 || c.running != 0 || c.queue.first != nil || !c.forRoom.empty() || !c.forWindow.empty() {
			t.Errorf("left behind: %d streams, %d handlers", c.open, c.running)
		}
		if err == nil && !c.data.rest() && c.recvWindow+c.consumed != c.srv.cfg.ConnWindow {
			t.Errorf("window %d, consumed %d of %d", c.recvWindow, c.consumed, c.srv.cfg.ConnWindow)
		}
		checkOutput(t, nc.out.Bytes())
	})
}

// checkOutput holds what a server has sent against the rules for streams.
func checkOutput(t *testing.T, b []byte) {
	t.Helper()
	over := map[uint32]bool{}
	within := uint32(0) // the stream whose field block goes on
	for len(b) > 0 {
		if len(b) < 9 {
			t.Fatalf("half a frame: %x", b)
		}
		n, typ, flags, id := int(b[0])<<16|int(b[1])<<8|int(b[2]), b[3], b[4], binary.BigEndian.Uint32(b[5:])
		if len(b) < 9+n || n > 16384 {
			t.Fatalf("a frame of %d bytes, %d are here", n, len(b)-9)
		}
		b = b[9+n:]
		if (typ == fCont) != (within != 0) || within != 0 && id != within {
			t.Fatalf("type %d on stream %d within the field block of %d", typ, id, within)
		}
		switch typ {
		case fData, fHeaders, fCont:
			if id == 0 || over[id] {
				t.Fatalf("type %d on stream %d, which has ended", typ, id)
			}
			if within = 0; typ != fData && flags&endHeaders == 0 {
				within = id
			}
			if typ != fCont && flags&endStream != 0 {
				over[id] = true
			}
		case fReset:
			over[id] = true
		}
	}
}
