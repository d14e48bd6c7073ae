package http2

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// listen serves cfg on a loopback port until the test ends.
func listen(t testing.TB, cfg Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, cfg)
	return l.Addr().String()
}

// serve serves every connection of l until the test ends.
func serve(t testing.TB, l net.Listener, cfg Config) {
	srv := NewServer(cfg)
	var mu sync.Mutex
	var conns []*Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := srv.NewConn(nc, nil)
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() { _ = c.Serve() })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// listenTLS is listen over TLS, with net/http's client for it.
func listenTLS(t testing.TB, cfg Config) (addr string, client *http.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair := tlsPair(t)
	serve(t, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}), cfg)
	var p http.Protocols
	p.SetHTTP2(true)
	tr := &http.Transport{Protocols: &p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the test's own server
	t.Cleanup(tr.CloseIdleConnections)
	return l.Addr().String(), &http.Client{Transport: tr}
}

// goClient is net/http's client, with prior knowledge of HTTP/2.
func goClient(t testing.TB) *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: &p}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func fields(pairs ...string) (f []Field) {
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, Field{[]byte(pairs[i]), []byte(pairs[i+1])})
	}
	return f
}

// echo answers with the request's body and trailers.
func echo(s *Stream) {
	if s.Refusal != 0 {
		_ = s.WriteHead(s.Refusal, nil, true)
		return
	}
	f := fields("Content-Type", "text/plain", "x-path", string(s.Path), "x-method", string(s.Method), "connection", "close")
	if s.Length >= 0 {
		f = append(f, Field{[]byte("Content-Length"), strconv.AppendInt(nil, s.Length, 10)})
	}
	if s.WriteHead(200, f, !s.HasBody) != nil || !s.HasBody {
		return
	}
	buf := make([]byte, 10000)
	for {
		n, err := s.ReadBody(buf)
		if err != nil && err != io.EOF {
			return
		}
		done := err == io.EOF
		if done && s.Trailers() != nil {
			if s.WriteBody(buf[:n], false) == nil {
				_ = s.WriteTrailers(s.Trailers())
			}
			return
		}
		if s.WriteBody(buf[:n], done) != nil || done {
			return
		}
	}
}

func TestGoClientGetsItsBodyAndTrailersBack(t *testing.T) {
	client := goClient(t)
	addr := listen(t, Config{Handler: echo})
	for _, size := range []int{0, 1, 1000, 70000, 3 << 20} {
		body := make([]byte, size)
		_, _ = rand.Read(body)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/x?y", struct{ io.Reader }{bytes.NewReader(body)})
		req.Trailer = http.Header{"X-Sum": {fmt.Sprint(size)}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, body) || resp.Trailer.Get("X-Sum") != fmt.Sprint(size) {
			t.Fatalf("%d bytes: got %d, %v, trailers %v", size, len(got), err, resp.Trailer)
		}
		if resp.ProtoMajor != 2 || resp.Header.Get("X-Path") != "/x?y" || resp.Header.Get("Connection") != "" {
			t.Fatalf("head: %v", resp)
		}
	}
}

func TestGoClientOverTLS(t *testing.T) {
	addr, client := listenTLS(t, Config{Handler: echo})
	for range 3 {
		body := strings.Repeat("over TLS ", 50000)
		resp, err := client.Post("https://"+addr+"/", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != body || resp.ProtoMajor != 2 {
			t.Errorf("got %d bytes over HTTP/%d, %v", len(got), resp.ProtoMajor, err)
		}
	}
}

func TestGoClientIsDrained(t *testing.T) {
	var conn atomic.Pointer[Conn]
	addr, client := listenTLS(t, Config{Handler: func(s *Stream) {
		if c := conn.Swap(s.Conn()); c == nil {
			s.Conn().Shutdown() // the response still comes, and the next request on another connection
		} else if c == s.Conn() {
			t.Error("a drained connection was used")
		}
		echo(s)
	}})
	for range 2 {
		resp, err := client.Get("https://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		client.CloseIdleConnections()
	}
}

func TestGoClientRunsManyStreamsAtOnce(t *testing.T) {
	client := goClient(t)
	addr := listen(t, Config{Handler: echo})
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			body := strings.Repeat(strconv.Itoa(i), 5000)
			resp, err := client.Post("http://"+addr+"/", "text/plain", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != body {
				t.Errorf("stream %d: got %d bytes, want %d, %v", i, len(got), len(body), err)
			}
		})
	}
	wg.Wait()
}

func TestCurlWithPriorKnowledge(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl here")
	}
	addr := listen(t, Config{Handler: echo})
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "--http2-prior-knowledge", "--max-time", "20", "-d", "some body", "-w", " %{http_version} %{http_code}", "http://"+addr+"/a").CombinedOutput()
	if err != nil || string(out) != "some body 2 200" {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestGoClientMayCancelAtAnyTime(t *testing.T) {
	var conn atomic.Pointer[Conn]
	client := goClient(t)
	addr := listen(t, Config{Patience: 100000, Handler: func(s *Stream) {
		conn.Store(s.Conn())
		echo(s)
	}})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			body := strings.Repeat("cancelled ", 10000)
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/", strings.NewReader(body))
			if i%4 == 0 {
				go cancel()
			}
			resp, err := client.Do(req)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if i%4 == 1 { // some of the response was read
				_, _ = io.ReadFull(resp.Body, make([]byte, 1000*(i%100)))
				return
			}
			got, err := io.ReadAll(resp.Body)
			if err == nil && string(got) != body {
				t.Errorf("%d: %d bytes came back", i, len(got))
			}
			if i%4 > 1 && err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	c := conn.Load()
	for from := time.Now(); ; runtime.Gosched() { // the last handlers are returning
		c.mu.Lock()
		open, running, held := c.open, c.running, c.srv.cfg.ConnWindow-c.recvWindow-c.consumed
		c.mu.Unlock()
		if open == 0 && running == 0 && held == 0 {
			return
		}
		if time.Since(from) > patience {
			t.Fatalf("%d streams, %d handlers, %d bytes of the window are left", open, running, held)
		}
	}
}

func TestGoClientIsAnsweredBeforeItsUploadEnds(t *testing.T) {
	client := goClient(t)
	addr := listen(t, Config{Handler: func(s *Stream) {
		_ = s.WriteHead(413, fields("content-length", "4"), false)
		_ = s.WriteBody([]byte("much"), true)
	}})
	for range 20 {
		resp, err := client.Post("http://"+addr+"/", "text/plain", bytes.NewReader(make([]byte, 3<<20)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != "much" || resp.StatusCode != 413 {
			t.Errorf("got %q, %v", got, err)
		}
	}
}
