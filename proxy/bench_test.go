package proxy

import (
	"bufio"
	"bytes"
	"context"
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
		b.Run(strconv.Itoa(size), func(b *testing.B) { benchExchange(b, size) })
	}
}

func benchExchange(b *testing.B, size int) {
	url := benchOrigin(b, size)
	g := failover.NewGroup(failover.GroupConfig{Name: "shop", PointerConfig: failover.PointerConfig{HasSecondary: true}})
	s, err := New(Config{
		Listen: []string{"127.0.0.1:0"}, IdleTimeout: time.Minute, BodyIdleTimeout: time.Minute, RequestHeaderTimeout: time.Minute, ProxyStatus: true,
		Origins: []Origin{{Name: "eu", URL: url, ConnectTimeout: time.Second, ResponseHeaderTimeout: 10 * time.Second}},
		Groups:  []Group{{Name: "shop", Primary: "eu", Secondary: "eu", Pointer: g, Policy: failover.PolicyConfig{Methods: []string{"GET", "HEAD"}, Statuses: []int{502, 503}}}},
		Routes:  []Route{{Name: "all", Match: "/", Group: "shop", Timeout: 30 * time.Second, Bulkhead: bulkhead.Config{MaxConcurrent: 10}, Breaker: BreakerConfig{ConsecutiveFailures: 5, OpenFor: time.Second}}},
	})
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
	c, err := net.Dial("tcp", addrs[0].String())
	if err != nil {
		b.Fatal(err)
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
	cancel()
	<-done
}
