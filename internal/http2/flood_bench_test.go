package http2

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// BenchmarkFloods is what one frame, or one request, of a flood costs us, with a
// budget that never ends: with the default one, a connection bears a thousand.
func BenchmarkFloods(b *testing.B) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(getHead); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: getHead[i], Value: getHead[i+1]})
	}
	plain := bytes.Clone(block.Bytes())
	head := func(more string) func(uint32) []byte {
		return func(id uint32) []byte {
			return rawFrame(fHeaders, endHeaders|endStream, id, append(bytes.Clone(plain), more...))
		}
	}
	floods := []struct {
		name string
		give func(id uint32) []byte
	}{
		{"ping", func(uint32) []byte { return rawFrame(fPing, 0, 0, make([]byte, 8)) }},
		{"settings", func(id uint32) []byte { return rawFrame(fSettings, 0, 0, settings(4, id)) }},
		{"empty data", func(uint32) []byte { return rawFrame(fData, 0, 1, nil) }},
		{"window", func(uint32) []byte { return rawFrame(fWindow, 0, 1, u32(1)) }},
		{"unknown", func(uint32) []byte { return rawFrame(99, 0, 1, nil) }},
		{"request", head("")},
		{"rapid reset", func(id uint32) []byte { return append(head("")(id), rawFrame(fReset, 0, id, u32(8))...) }},
		{"malformed", func(id uint32) []byte { return rawFrame(fHeaders, endHeaders|endStream, id, []byte{0x82}) }},
		{"250 new entries of the table", head(strings.Repeat("\x54\x00", 250))},
		{"2000 new entries of the table", head(strings.Repeat("\x54\x00", 2000))},
		{"250 old entries of the table", head(strings.Repeat("\x94", 250))},
		{"60 times 4 KB of the table", head("\x54\x7f\xa0\x1e" + strings.Repeat("x", 3999) + strings.Repeat("\xbe", 60))},
	}
	for _, f := range floods {
		b.Run(strings.ReplaceAll(f.name, " ", "-"), func(b *testing.B) {
			nc := &prepared{steps: make(chan []byte), ends: make(chan int, 1<<20)}
			c := NewServer(Config{Patience: 1 << 40, Handler: func(s *Stream) {
				if s.HasBody {
					wait(s)
				}
				_ = s.WriteHead(204, nil, true)
			}}).NewConn(nc, nil)
			served := make(chan error)
			go func() { served <- c.Serve() }()
			start := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
			nc.steps <- append(start, rawFrame(fHeaders, endHeaders, 1, plain)...)
			const batch = 50
			id, size := uint32(3), 0
			b.ReportAllocs()
			for done := 0; done < b.N; done += batch {
				var step []byte
				for range batch {
					step = append(step, f.give(id)...)
					id += 2
				}
				size += len(step)
				nc.steps <- step
			}
			close(nc.steps)
			if err := <-served; err != nil && err != io.EOF {
				b.Error(err)
			}
			b.ReportMetric(float64(size)/float64(b.N), "sent-B/op")
		})
	}
}
