package http2

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAnyWindowsCarryTheBodies opens windows in any order and by any amount. No
// stream may be sent more than it allowed, and every body must arrive whole.
func TestAnyWindowsCarryTheBodies(t *testing.T) {
	const size, streams = 70000, 3
	body := []byte(strings.Repeat("0123456789", size/10))
	rapid.Check(t, func(rt *rapid.T) {
		p := connect(t, Config{Patience: 1 << 20, Handler: func(s *Stream) {
			_ = s.WriteHead(200, nil, false)
			rest := body
			for len(rest) > 0 {
				n := min(len(rest), 9999)
				if s.WriteBody(rest[:n], n == len(rest)) != nil {
					return
				}
				rest = rest[n:]
			}
		}})
		initial := rapid.IntRange(0, 40000).Draw(rt, "initial")
		p.greet(4, uint32(initial))
		conn := 65535
		windows := map[uint32]int{}
		got := map[uint32]*bytes.Buffer{}
		for i := range uint32(streams) {
			p.headers(2*i+1, true, getHead...)
			windows[2*i+1], got[2*i+1] = initial, new(bytes.Buffer)
		}
		ended, shrink := 0, 0
		take := func(f frame) {
			switch f.typ {
			case fData:
				conn -= len(f.payload)
				windows[f.id] -= len(f.payload)
				if len(f.payload) > 0 && (conn < 0 || windows[f.id] < 0) {
					rt.Fatalf("stream %d was sent too much: %d and %d left", f.id, windows[f.id], conn)
				}
				got[f.id].Write(f.payload)
				if f.flags&endStream != 0 {
					ended++
				}
			case fSettings: // ours were applied: only now a smaller window counts
				for id := range windows {
					windows[id] -= shrink
				}
				shrink = 0
			case fReset, fGoAway:
				rt.Fatalf("got %+v", f)
			}
		}
		barrier := func() {
			p.frame(fPing, 0, 0, make([]byte, 8))
			for f := p.next(); f.typ != fPing; f = p.next() {
				take(f)
			}
		}
		for range rapid.IntRange(0, 30).Draw(rt, "steps") {
			id := 2*uint32(rapid.IntRange(0, streams-1).Draw(rt, "stream")) + 1
			n := rapid.IntRange(1, 30000).Draw(rt, "bytes")
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				conn += n
				p.frame(fWindow, 0, 0, u32(uint32(n)))
			case 1:
				windows[id] += n
				p.frame(fWindow, 0, id, u32(uint32(n)))
			default:
				if by := n - initial; by > 0 {
					for id := range windows {
						windows[id] += by
					}
				} else {
					shrink = -by
				}
				initial = n
				p.frame(fSettings, 0, 0, settings(4, uint32(n)))
			}
			barrier()
		}
		conn += streams * size
		p.frame(fWindow, 0, 0, u32(streams*size))
		for id := range windows {
			windows[id] += 2 * size
			p.frame(fWindow, 0, id, u32(2*size))
		}
		for ended < streams {
			take(p.next())
		}
		for id, b := range got {
			if !bytes.Equal(b.Bytes(), body) {
				rt.Errorf("stream %d got %d bytes, or others", id, b.Len())
			}
		}
		p.close()
		<-p.served
	})
}

// TestTheReasonArrives lets a client send on after it has broken the protocol.
// The GOAWAY must not be lost to a reset of the connection.
func TestTheReasonArrives(t *testing.T) {
	addr := listen(t, Config{Handler: echo})
	for range 20 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		start := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
		start = append(start, rawFrame(fPing, 0, 1, make([]byte, 8))...)
		if _, err := nc.Write(append(start, make([]byte, 200<<10)...)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(nc)
		nc.Close()
		if err != nil || !bytes.Contains(got, []byte("PING on a stream")) {
			t.Errorf("got %q, %v", got, err)
		}
	}
}
