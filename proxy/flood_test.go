package proxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// floods are what a hostile client of HTTP/2 may send without end. Each makes
// the next piece, for a connection whose preface and settings were sent.
var floods = []struct {
	name string
	next func(f *frames, n uint32) []byte
}{
	{"rapid reset", func(f *frames, n uint32) []byte {
		id := 2*n + 1
		return append(frameOf(1, 5, id, f.block("GET")), frameOf(3, 0, id, []byte{0, 0, 0, 8})...)
	}},
	{"a head without end", func(f *frames, n uint32) []byte {
		if n == 0 {
			return frameOf(1, 0, 1, f.block("GET"))
		}
		return frameOf(9, 0, 1, bytes.Repeat([]byte{0x00, 1, 'a', 1, 'b'}, 200))
	}},
	{"empty continuations", func(f *frames, n uint32) []byte {
		if n == 0 {
			return frameOf(1, 0, 1, f.block("GET"))
		}
		return frameOf(9, 0, 1, nil)
	}},
	{"empty data", func(f *frames, n uint32) []byte {
		if n == 0 {
			return frameOf(1, 4, 1, f.block("POST"))
		}
		return frameOf(0, 0, 1, nil)
	}},
	{"pings", func(*frames, uint32) []byte { return frameOf(6, 0, 0, make([]byte, 8)) }},
	{"settings", func(*frames, uint32) []byte { return frameOf(4, 0, 0, []byte{0, 4, 0, 0, 255, 255}) }},
	{"window updates", func(*frames, uint32) []byte { return frameOf(8, 0, 0, []byte{0, 0, 0, 1}) }},
	{"priorities", func(_ *frames, n uint32) []byte { return frameOf(2, 0, 2*n+1, make([]byte, 5)) }},
	{"unknown frames", func(*frames, uint32) []byte { return frameOf(99, 0, 0, make([]byte, 16)) }},
	{"malformed requests", func(f *frames, n uint32) []byte { return frameOf(1, 5, 2*n+1, []byte{0x82}) }},
}

func frameOf(typ, flags byte, id uint32, p []byte) []byte {
	head := []byte{byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p)), typ, flags}
	return append(binary.BigEndian.AppendUint32(head, id), p...)
}

// block is a request's head of five bytes and an indexed authority, in the
// static table's terms.
func (f *frames) block(method string) []byte {
	first := byte(0x82)
	if method == "POST" {
		first = 0x83
	}
	return []byte{first, 0x87, 0x84, 0x41, 1, 'a'}
}

// flood sends pieces until the proxy ends the connection. It reports whether it
// did before a great many.
func flood(f *frames, next func(*frames, uint32) []byte) (sent int, ended bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, f.nc)
	}()
	defer func() { f.nc.Close(); <-done }()
	var buf []byte
	for n := uint32(0); n < 200_000; {
		buf = buf[:0]
		for range 64 {
			buf = append(buf, next(f, n)...)
			n++
		}
		written, err := f.nc.Write(buf)
		sent += written
		if err != nil {
			return sent, true
		}
	}
	return sent, false
}

// Each flood ends its own connection, and nobody else's request fails. What it
// leaves behind is less than it sent.
func TestFloodsEndTheirConnectionAndNoOther(t *testing.T) {
	for _, tt := range floods { // one at a time: the heap is looked at
		t.Run(tt.name, func(t *testing.T) {
			g := startRig(t, withHTTP2)
			c := g.http2Client()
			must(t, c, "GET", "/", nil)
			var wg sync.WaitGroup
			var stop atomic.Bool
			wg.Go(func() {
				for !stop.Load() {
					if a, err := try(t, c, "GET", "/", nil); err != nil || a.StatusCode != 200 {
						t.Errorf("a good request beside the flood: %v", err)
						return
					}
				}
			})
			before := heap()
			sent, ended := flood(dialFrames(t, g), tt.next)
			t.Logf("%d bytes until the end", sent)
			if !ended {
				t.Errorf("%d bytes were taken without an end", sent)
			}
			stop.Store(true)
			wg.Wait()
			chaos.Await(t, patience, "the flood's permits to be back", func() bool { return g.stats().InUse == 0 })
			if grown := heap() - before; grown > int64(sent)+4<<20 {
				t.Errorf("%d bytes sent left %d behind", sent, grown)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkGoodTrafficBesideFloods is a GET over HTTP/2 while one client floods
// on connection after connection, at most ten a second. p99-ratio is the 99th
// percentile beside the flood to that right before it, the median of all rounds.
// The flood itself runs on the same cores.
func BenchmarkGoodTrafficBesideFloods(b *testing.B) {
	for _, tt := range floods {
		b.Run(tt.name, func(b *testing.B) {
			_, addr := benchProxy(b, 1<<10, true)
			var ratios []float64
			for b.Loop() {
				alone := slowest(b, addr, 2000)
				var stop atomic.Bool
				var wg sync.WaitGroup
				wg.Go(func() {
					for !stop.Load() {
						next := time.Now().Add(100 * time.Millisecond)
						flood(dialFramesTo(b, addr), tt.next)
						time.Sleep(time.Until(next))
					}
				})
				beside := slowest(b, addr, 2000)
				stop.Store(true)
				wg.Wait()
				ratios = append(ratios, float64(beside)/float64(alone))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "p99-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// slowest is the 99th percentile of n requests in a row.
func slowest(b *testing.B, addr string, n int) time.Duration {
	b.Helper()
	f := dialFramesTo(b, addr)
	defer f.nc.Close()
	_ = f.nc.SetDeadline(time.Time{})
	took := make([]time.Duration, 0, n)
	for i := range n {
		id := uint32(2*i + 1)
		began := time.Now()
		_, _ = f.nc.Write(append(frameOf(1, 5, id, f.block("GET")), frameOf(8, 0, 0, []byte{0, 0, 4, 0})...))
		for {
			typ, _ := f.await(id)
			if typ == frameData2 {
				break
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
