package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
)

// benchOrigin answers every request, as it stands, with one response.
func benchOrigin(b *testing.B, size int) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	answer := append([]byte("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"), bytes.Repeat([]byte("x"), size)...)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// BenchmarkExchange is a whole keep-alive exchange: client, proxy and origin
// in one process, with a bulkhead and a breaker. The allocations are those of
// all three; client and origin allocate nothing.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) { benchExchange(b, size, false) })
	}
}

// BenchmarkExchangeRemembered is the same with the last decisions kept, and so
// many requests that not each is.
func BenchmarkExchangeRemembered(b *testing.B) {
	benchExchange(b, 1<<10, false, func(cfg *Config) { cfg.Remember = true })
}

// BenchmarkExchangeInADrill is the same while a drill picks one in twenty. Those have
// a Proxy-Status of their own, which is allocated.
func BenchmarkExchangeInADrill(b *testing.B) {
	s, addr := benchProxy(b, 1<<10, false)
	if _, err := s.StartDrill(DrillConfig{Group: "shop", Share: 0.05, StopAt: 0.01, For: MaxDrill}); err != nil {
		b.Fatal(err)
	}
	benchClient(b, addr, 1<<10, false)
	if d, _ := s.Drill("shop"); d.Picked.Requests == 0 && b.N > 20 || d.Why != failover.DrillRuns {
		b.Errorf("the drill came to %+v", d)
	}
}

// BenchmarkExchangeTLS is the same with a client that comes by TLS 1.3. What
// is allocated is crypto/tls's, on both sides: 24 bytes for each record that it
// has to read from a socket.
func BenchmarkExchangeTLS(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) { benchExchange(b, size, true) })
	}
}

// BenchmarkHandshake is a connection with a whole TLS 1.3 handshake and one
// request, client included.
func BenchmarkHandshake(b *testing.B) {
	s, addr := benchProxy(b, 1<<10, true)
	b.ReportAllocs()
	for b.Loop() {
		c, err := tls.Dial("tcp", addr, clientTLS())
		if err != nil {
			b.Fatal(err)
		}
		_, _ = c.Write([]byte(get))
		if status, _, err := readingEnd(c).response("GET"); status != 200 {
			b.Fatal(err)
		}
		_ = c.Close()
	}
	if h := s.Handshakes(); h.Failed+h.TimedOut+h.Refused != 0 {
		b.Errorf("counted %+v", h)
	}
}

// benchProxy runs a proxy until the benchmark ends.
func benchProxy(b *testing.B, size int, secure bool, changes ...func(cfg *Config)) (s *Server, addr string) {
	url := benchOrigin(b, size)
	g := failover.NewGroup(failover.GroupConfig{Name: "shop", PointerConfig: failover.PointerConfig{HasSecondary: true}})
	listen := []string{"127.0.0.1:0"}
	cfg := Config{
		IdleTimeout: time.Minute, BodyIdleTimeout: time.Minute, RequestHeaderTimeout: time.Minute, ProxyStatus: true,
		Origins: []Origin{{Name: "eu", URL: url, ConnectTimeout: time.Second, ResponseHeaderTimeout: 10 * time.Second}},
		Groups:  []Group{{Name: "shop", Primary: "eu", Secondary: "eu", Pointer: g, Policy: failover.PolicyConfig{Methods: []string{"GET", "HEAD"}, Statuses: []int{502, 503}}}},
		Routes:  []Route{{Name: "all", Match: "/", Group: "shop", Timeout: 30 * time.Second, Bulkhead: bulkhead.Config{MaxConcurrent: 10}, Breaker: BreakerConfig{ConsecutiveFailures: 5, OpenFor: time.Second}}},
	}
	if secure {
		cfg.TLSListen, cfg.TLS = listen, serverTLS()
		cfg.TLS.NextProtos = []string{"h2", "http/1.1"}
	} else {
		cfg.Listen = listen
	}
	for _, change := range changes {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	addrs, err := s.Listen()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	return s, addrs[0].String()
}

func benchExchange(b *testing.B, size int, secure bool, changes ...func(cfg *Config)) {
	_, addr := benchProxy(b, size, secure, changes...)
	benchClient(b, addr, size, secure)
}

// benchClient sends requests one after the other.
func benchClient(b *testing.B, addr string, size int, secure bool) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	if secure {
		c = tls.Client(c, clientTLS())
	}
	request := []byte("GET /product/42?color=red HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n")
	r := bufio.NewReaderSize(c, 128<<10)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := r.Discard(size); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
}

// BenchmarkExchangeOverHTTP2 is a GET of 1 KiB on a stream of its own. The
// client, which is included, allocates nothing but what crypto/tls does.
func BenchmarkExchangeOverHTTP2(b *testing.B) {
	_, addr := benchProxy(b, 1<<10, true)
	f := dialFramesTo(b, addr)
	_ = f.nc.SetDeadline(time.Time{})
	f.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	request := append([]byte{0, 0, 0, 1, 5, 0, 0, 0, 0}, 0x82, 0x87, 0x84, 0x41, 1, 'a') // the static table's GET, https and /
	request[2] = byte(len(request) - 9)
	update := []byte{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 4, 0}
	br := newReader(f.nc)
	// next reads frames until the end of a stream.
	next := func() {
		for {
			head, err := br.Peek(9)
			if err != nil {
				b.Fatal(err)
			}
			n, typ, flags := int(head[1])<<8|int(head[2]), head[3], head[4]
			if _, err := br.Discard(9 + n); err != nil {
				b.Fatal(err)
			}
			switch {
			case typ == frameReset2 || typ == frameGoAway2:
				b.Fatalf("a frame of type %d", typ)
			case typ <= frameHeaders2 && flags&1 != 0:
				return
			}
		}
	}
	next()
	b.ReportAllocs()
	id := uint32(3)
	for b.Loop() {
		binary.BigEndian.PutUint32(request[5:], id)
		id += 2
		_, _ = f.nc.Write(request)
		_, _ = f.nc.Write(update)
		next()
	}
}
