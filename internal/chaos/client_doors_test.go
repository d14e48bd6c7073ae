package chaos

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answerer is a server of net/http that answers as an origin does, and in wrong ways. It tells opened, if that is not nil,
// of each connection.
func answerer(t *testing.T, unencrypted bool, opened *atomic.Int64) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body := Body("eu", q.Header.Get(FieldID), 5000)
		w.Header().Set(FieldOrigin, "eu")
		w.Header().Set(FieldID, q.Header.Get(FieldID))
		w.Header().Set(FieldSize, strconv.Itoa(len(body)))
		upload, _ := io.ReadAll(q.Body)
		switch q.URL.Path {
		case "/altered":
			body[4000]++
		case "/short":
			body = body[:4000]
		case "/cut":
			_, _ = w.Write(body[:4000])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/hang":
			<-q.Context().Done()
		case "/upload":
			if string(upload) != string(Body(sender, q.Header.Get(FieldID), 9000)) {
				w.WriteHeader(http.StatusTeapot)
			}
		}
		_, _ = w.Write(body)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew && opened != nil {
			opened.Add(1)
		}
	}
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP2(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	if s.EnableHTTP2 = !unencrypted; unencrypted {
		s.Start()
	} else {
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s
}

func TestHTTP2AnswersAreBelievedNoMoreThanOthers(t *testing.T) {
	t.Parallel()
	for _, unencrypted := range []bool{true, false} {
		s := answerer(t, unencrypted, nil)
		c := &Client{Address: s.Listener.Addr().String(), HTTP2: true, Timeout: 2 * time.Second}
		if !unencrypted {
			c.TLS = &tls.Config{InsecureSkipVerify: true}
		}
		defer c.Close()
		for _, tt := range []struct {
			give Request
			want Kind
			says string
		}{
			{Request{Path: "/whole"}, Served, ""},
			{Request{Path: "/upload", Method: "POST", BodySize: 9000}, Served, ""},
			{Request{Path: "/upload", Method: "POST", BodySize: 9000, Chunked: true}, Served, ""},
			{Request{Path: "/altered"}, Wrong, "byte 4000"},
			{Request{Path: "/short"}, Wrong, "looks whole"},
			{Request{Path: "/cut"}, Aborted, "stream error"},
			{Request{Path: "/hang"}, Hung, ""},
		} {
			if tt.give.Path == "/hang" {
				c.Timeout = 50 * time.Millisecond
			}
			r := c.Do(t.Context(), tt.give)
			if r.Kind != tt.want || r.Kind != Served && !strings.Contains(fmt.Sprint(r.Err), tt.says) {
				t.Errorf("unencrypted %v: %v, want %v: %s", unencrypted, r, tt.want, tt.says)
			}
		}
	}
}

func TestHTTP2WithoutAPeerIsUnsent(t *testing.T) {
	t.Parallel()
	o := NewOrigin(t, "eu")
	o.Down()
	c := &Client{Address: o.Addr(), HTTP2: true}
	defer c.Close()
	if r := c.Do(t.Context(), Request{}); r.Kind != Unsent {
		t.Errorf("%v, want it unsent", r)
	}
}

// A load over HTTP/2 has many streams on few connections.
func TestAnHTTP2LoadSharesConnections(t *testing.T) {
	t.Parallel()
	var opened atomic.Int64
	s := answerer(t, true, &opened)
	ledger := Load{Address: s.Listener.Addr().String(), HTTP2: true, Conns: 10, Count: 100, Mix: []Shot{{Path: "/"}}}.Do(t.Context())
	if n := ledger.Count(Served); n != 100 || opened.Load() > 2 {
		t.Errorf("%v over %d connections", ledger, opened.Load())
	}
}

// A response that breaks off must not end with a goodbye.
func TestAGoodbyeAfterACutResponseIsWrong(t *testing.T) {
	t.Parallel()
	certs, err := NewCertificates()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		end  func(*tls.Conn)
		want Kind
	}{
		{"a goodbye", func(c *tls.Conn) { _ = c.Close() }, Wrong},
		{"cut", func(c *tls.Conn) { _ = c.NetConn().Close() }, Aborted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := serveOne(t, func(nc net.Conn) {
				secured := tls.Server(nc, certs.shown[helloGood])
				head, _ := readHead(bufio.NewReader(secured))
				_, _ = fmt.Fprintf(secured, "HTTP/1.1 200 OK\r\n%s: eu\r\n%s: %s\r\n%s: 9\r\nContent-Length: 9\r\n\r\n", FieldOrigin, FieldID, head.Get(FieldID), FieldSize)
				tt.end(secured)
			})
			c := &Client{Address: address, TLS: &tls.Config{RootCAs: certs.Pool(), ServerName: "localhost"}}
			defer c.Close()
			if r := c.Do(t.Context(), Request{}); r.Kind != tt.want {
				t.Errorf("%v, want it %v", r, tt.want)
			}
		})
	}
}

// serveOne gives the first connection to a function, and ends when that does.
func serveOne(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if nc, err := listener.Accept(); err == nil {
			serve(nc)
			_ = nc.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func TestAPrefaceComesFirstAndOnce(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	address := serveOne(t, func(nc net.Conn) {
		br := bufio.NewReader(nc)
		first, _ := br.ReadString('\n')
		for range 2 {
			head, _ := readHead(br)
			first += head.Line + "\n"
			_, _ = io.WriteString(nc, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}
		got <- first
	})
	c := &Client{Address: address, Preface: "PROXY UNKNOWN\r\n"}
	defer c.Close()
	for range 2 {
		if r := c.Do(t.Context(), Request{Path: "/"}); r.Kind != Refused {
			t.Fatal(r)
		}
	}
	if all := <-got; all != "PROXY UNKNOWN\r\nGET / HTTP/1.1\nGET / HTTP/1.1\n" {
		t.Errorf("%q came", all)
	}
}

// A client that holds still takes no more than the system keeps for it, and its progress is what the peer let through.
func TestHoldAndProgress(t *testing.T) {
	t.Parallel()
	eu := NewOrigin(t, "eu")
	const size = 64 << 20
	release := make(chan struct{})
	var sent atomic.Int64
	c := &Client{Address: eu.Addr(), Timeout: 20 * time.Second}
	defer c.Close()
	done := make(chan Result)
	go func() { done <- c.Do(t.Context(), Request{WantSize: size, Hold: release}) }()
	Await(t, 5*time.Second, "the answer to begin", func() bool { return eu.BytesOut() > 0 })
	time.Sleep(100 * time.Millisecond) // that no more comes can't be awaited
	if n := eu.BytesOut(); n > size/2 {
		t.Errorf("a client that reads nothing took %d bytes", n)
	}
	close(release)
	if r := <-done; r.Kind != Served {
		t.Error(r)
	}
	if r := c.Do(t.Context(), Request{Method: "POST", BodySize: 100_000, Progress: &sent}); r.Kind != Served || sent.Load() < 100_000 {
		t.Errorf("%v, %d bytes sent", r, sent.Load())
	}
}
