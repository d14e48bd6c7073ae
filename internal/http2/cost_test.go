package http2

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2/hpack"
)

// TestIdleConnectionsHoldLittle counts what a connection holds that has served
// a request and rests: heap and stacks, about 15 KB, and half more with the
// race detector.
func TestIdleConnectionsHoldLittle(t *testing.T) {
	const conns, limit = 200, 24 << 10
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i, pairs := 0, with(postHead, "user-agent", "some browser with a name of usual length", "cookie", "a=b; c=d; e=f"); i < len(pairs); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	start := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
	start = append(start, rawFrame(fHeaders, endHeaders, 1, block.Bytes())...)
	start = append(start, rawFrame(fData, endStream, 1, []byte("abc"))...)
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(Config{Handler: echo})
		var open []*prepared
		serve := func(n int) {
			for range n {
				nc := &prepared{steps: make(chan []byte), ends: make(chan int, 1)}
				open = append(open, nc)
				go func() { _ = srv.NewConn(nc, nil).Serve() }()
				nc.steps <- start
				<-nc.ends
				nc.out = nil
			}
			time.Sleep(10 * time.Second) // workers and streams go
			synctest.Wait()
		}
		serve(10)
		before := inUse()
		serve(conns)
		each := (inUse() - before) / conns
		t.Logf("%d bytes each", each)
		if each > limit {
			t.Errorf("an idle connection holds %d bytes", each)
		}
		for _, nc := range open {
			close(nc.steps)
		}
	})
}

func inUse() int {
	for range 4 {
		runtime.GC() // stacks shrink by half each time
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

func TestARequestAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("pools lose a part of what they hold")
	}
	body, head := make([]byte, 1024), fields("Content-Type", "text/plain", "Content-Length", "1024", "X-Custom", "some value")
	sum := 0
	nc := &prepared{steps: make(chan []byte), ends: make(chan int, 10)}
	c := NewServer(Config{Handler: func(s *Stream) {
		if s.HasBody {
			var room [100]byte
			n, _ := s.ReadBody(room[:])
			sum += n
		}
		_ = s.WriteHead(200, head, false)
		_ = s.WriteBody(body, true)
	}}).NewConn(nc, nil)
	served := make(chan error)
	go func() { served <- c.Serve() }()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	encode := func() []byte {
		block.Reset()
		for i, pairs := 0, with(postHead, "cookie", "a=b", "cookie", "c=d", "content-length", "5"); i < len(pairs); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return bytes.Clone(block.Bytes())
	}
	start := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
	start = append(start, rawFrame(fWindow, 0, 0, u32(1<<30))...)
	nc.steps <- append(start, rawFrame(fHeaders, endHeaders, 1, encode())...)
	nc.steps <- rawFrame(fData, endStream, 1, []byte("12345"))
	<-nc.ends
	known, id := encode(), uint32(3)
	step := make([]byte, 0, 1000)
	got := testing.AllocsPerRun(1000, func() {
		step = appendFrameHeader(step[:0], len(known), fHeaders, endHeaders, id)
		step = append(step, known...)
		step = appendFrameHeader(step, 5, fData, endStream, id)
		step = append(step, "12345"...)
		id += 2
		nc.steps <- step
		<-nc.ends
	})
	if got >= 1 {
		t.Errorf("%v allocations a request", got)
	}
	close(nc.steps)
	if err := <-served; err != nil || sum == 0 {
		t.Errorf("read %d bytes, Serve returned %v", sum, err)
	}
}

// prepared is a connection to which a test gives bytes, one step at a time, and
// which counts what ends.
type prepared struct {
	net.Conn // nil: nothing else is called
	steps    chan []byte
	ends     chan int
	rest     []byte
	out      []byte
}

func (c *prepared) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		var ok bool
		if c.rest, ok = <-c.steps; !ok {
			return 0, io.EOF
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *prepared) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	ends := 0
	for len(c.out) >= 9 {
		n := 9 + int(c.out[0])<<16 + int(c.out[1])<<8 + int(c.out[2])
		if len(c.out) < n {
			break
		}
		if c.out[3] == fData && c.out[4]&endStream != 0 {
			ends++
		}
		c.out = c.out[:copy(c.out, c.out[n:])]
	}
	if ends > 0 {
		c.ends <- ends
	}
	return len(p), nil
}

func (c *prepared) Close() error                     { return nil }
func (c *prepared) SetDeadline(time.Time) error      { return nil }
func (c *prepared) SetReadDeadline(time.Time) error  { return nil }
func (c *prepared) SetWriteDeadline(time.Time) error { return nil }
