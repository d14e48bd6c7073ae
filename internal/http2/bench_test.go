package http2

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// tlsPair is a certificate for the benchmark's own use.
func tlsPair(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// BenchmarkRequests is a whole request and its response of 1 KiB, over
// loopback, with a client that sends prepared bytes and counts ends of streams.
// What is reported holds both ends.
func BenchmarkRequests(b *testing.B) {
	for _, streams := range []int{1, 10, 100} {
		for _, secure := range []bool{false, true} {
			b.Run(fmt.Sprintf("streams=%d/tls=%t", streams, secure), func(b *testing.B) { benchRequests(b, streams, 1<<10, secure) })
		}
	}
}

// BenchmarkDownloads is the same with bodies of 1 MiB.
func BenchmarkDownloads(b *testing.B) {
	for _, secure := range []bool{false, true} {
		b.Run(fmt.Sprintf("tls=%t", secure), func(b *testing.B) {
			b.SetBytes(1 << 20)
			benchRequests(b, 2, 1<<20, secure)
		})
	}
}

func benchRequests(b *testing.B, streams, size int, secure bool) {
	body := make([]byte, size)
	head := fields("content-type", "text/plain", "content-length", fmt.Sprint(size), "date", "Mon, 23 Nov 2026 03:00:00 GMT", "server", "x", "etag", `"0123456789abcdef"`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	pair := tlsPair(b)
	srv := NewServer(Config{Handler: func(s *Stream) {
		if s.WriteHead(200, head, false) == nil {
			_ = s.WriteBody(body, true)
		}
	}})
	wg.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		if secure {
			nc = tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true})
		}
		_ = srv.NewConn(nc, nil).Serve()
	})
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	if secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the benchmark's own server
	}
	defer nc.Close()
	// One batch is a head for each stream; after the first, the table knows every field.
	var block []byte
	enc := hpack.NewEncoder(writerFunc(func(p []byte) (int, error) { block = append(block, p...); return len(p), nil }))
	encode := func() []byte {
		block = nil
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "shop.example"}, {":path", "/product/42"}, {"user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0"}, {"accept", "*/*"}, {"cookie", "session=0123456789abcdef"}} {
			_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		return block
	}
	hello := append([]byte(preface), rawFrame(fSettings, 0, 0, settings(4, 1<<30))...)
	hello = append(hello, rawFrame(fWindow, 0, 0, u32(1<<30))...)
	hello = append(hello, rawFrame(fHeaders, endStream|endHeaders, 1, encode())...)
	known := encode()
	if _, err := nc.Write(hello); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReaderSize(nc, 64<<10)
	ends := 0
	sent := 0
	readEnds := func(n int) {
		var h [9]byte
		for ends < n {
			if _, err := io.ReadFull(r, h[:]); err != nil {
				b.Fatal(err)
			}
			if _, err := r.Discard(int(h[0])<<16 | int(h[1])<<8 | int(h[2])); err != nil {
				b.Fatal(err)
			}
			if h[3] == fData && h[4]&endStream != 0 {
				ends++
			}
			if h[3] == fGoAway {
				b.Fatal("GOAWAY")
			}
		}
		ends -= n
	}
	readEnds(1)
	id := uint32(3)
	var batch []byte
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += streams {
		batch = batch[:0]
		for range streams {
			batch = append(appendFrameHeader(batch, len(known), fHeaders, endStream|endHeaders, id), known...)
			id += 2
		}
		if sent += streams * size; sent > 1<<28 {
			batch = append(batch, rawFrame(fWindow, 0, 0, u32(uint32(sent)))...)
			sent = 0
		}
		if _, err := nc.Write(batch); err != nil {
			b.Fatal(err)
		}
		readEnds(streams)
	}
	b.StopTimer()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
