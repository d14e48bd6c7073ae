package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWhatAnOriginSendsDecidesTheProbe(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	long := strings.Repeat("x", 5118)
	tests := []struct {
		name       string
		give       string // what the origin sends before it closes
		expectBody string
		wantStatus int
		wantPhase  Phase
		wantErr    error
	}{
		{"an empty 200", ok + "Content-Length: 0\r\n\r\n", "", 200, "", nil},
		{"a 204", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, "", nil},
		{"a 302 as it stands", "HTTP/1.1 302 Found\r\nLocation: /else\r\n\r\n", "", 302, "", nil},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", "ok", 200, "", nil},
		{"a status outside the range", "HTTP/1.1 404 Not Found\r\n\r\n", "", 404, PhaseStatus, ErrStatus},
		{"a 503 with the right body", "HTTP/1.1 503 Oh\r\n\r\nok", "ok", 503, PhaseStatus, ErrStatus},
		{"interim responses first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "\r\n", "", 200, "", nil},
		{"an upgrade that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "", 101, PhaseStatus, ErrStatus},
		{"the expected body", ok + "Content-Length: 7\r\n\r\nall ok!", "ok", 200, "", nil},
		{"another body", ok + "Content-Length: 7\r\n\r\nfailed!", "ok", 200, PhaseBody, ErrBody},
		{"no body", ok + "Content-Length: 0\r\n\r\n", "ok", 200, PhaseBody, ErrBody},
		{"a chunked body, the text across chunks", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", "ok", 200, "", nil},
		{"text that ends at byte 5120", ok + "\r\n" + long + "ok", "ok", 200, "", nil},
		{"text that ends one byte later", ok + "\r\n" + long + "xok", "ok", 200, PhaseBody, ErrBody},
		{"a body cut off after the text", ok + "Content-Length: 100\r\n\r\nok", "ok", 200, "", nil},
		{"a body cut off before the text", ok + "Content-Length: 100\r\n\r\no", "ok", 200, PhaseBody, ErrBody},
		{"bad chunks after the text", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nnonsense", "ok", 200, "", nil},
		{"nothing", "", "", 0, PhaseHead, ErrClosed},
		{"half a head", ok, "", 0, PhaseHead, ErrClosed},
		{"a head without its end", ok + "Content-Length: 0\r\n", "", 0, PhaseHead, ErrClosed},
		{"an interim response only", "HTTP/1.1 100 Continue\r\n\r\n", "", 0, PhaseHead, ErrClosed},
		{"another protocol", "220 mail.test ESMTP\r\n", "", 0, PhaseHead, ErrMalformed},
		{"a field that is none", ok + "nonsense\r\n\r\n", "", 0, PhaseHead, ErrMalformed},
		{"an endless head", ok + strings.Repeat("X: yyyyyyyy\r\n", 10000) + "\r\n", "", 0, PhaseHead, ErrHeadTooLong},
		{"as many interim responses as requests may have", strings.Repeat("HTTP/1.1 102 Wait\r\n\r\n", 64) + ok + "\r\n", "", 200, "", nil},
		{"one interim response more", strings.Repeat("HTTP/1.1 102 Wait\r\n\r\n", 65) + ok + "\r\n", "", 0, PhaseHead, ErrMalformed},
		{"endless interim responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("a", 1000)+"\r\n\r\n", 64) + ok + "\r\n", "", 0, PhaseHead, ErrHeadTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			origin := listen(t, func(conn net.Conn) {
				io.WriteString(conn, tt.give)
				// What is unread at a close would reset the connection.
				conn.(*net.TCPConn).CloseWrite()
				untilLeft(conn)
			})
			got := probeOnce(t, Config{URL: origin, ExpectBody: tt.expectBody})
			if got.Status != tt.wantStatus || phaseOf(t, got) != tt.wantPhase || !errors.Is(got.Err, tt.wantErr) {
				t.Errorf("status %d, error %v; want %d, phase %q, %v", got.Status, got.Err, tt.wantStatus, tt.wantPhase, tt.wantErr)
			}
		})
	}
}

func TestErrorsSayWhatHappened(t *testing.T) {
	tests := []struct{ give, expectBody, want string }{
		{"HTTP/1.1 503 Oh\r\n\r\n", "", "probe origin eu: status: unexpected status 503, not one of 200-399"},
		{"HTTP/1.1 200 OK\r\n\r\nno", "ok", `probe origin eu: body: expected text not in body: "ok" not in its first 2 bytes`},
		{"", "", "probe origin eu: head: connection closed before a whole response head"},
		{"HTTP/1.1 200 OK\r\n\x1b[31mforged: x\x00\r\n\r\n", "",
			"probe origin eu: head: malformed response: malformed MIME header line: \"\\x1b[31mforged: x\\x00\""},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			origin := listen(t, func(conn net.Conn) { io.WriteString(conn, tt.give) })
			got := probeOnce(t, Config{URL: origin, ExpectBody: tt.expectBody})
			if got.Err == nil || got.Err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", got.Err, tt.want)
			}
		})
	}
}

func TestAParserErrorIsCutAndMadePrintable(t *testing.T) {
	err := headError(errors.New("odd\x1b[2J\nline "+strings.Repeat("x", 1000)), false)
	want := "malformed response: odd\uFFFD[2J\uFFFDline " + strings.Repeat("x", 200-len([]rune("odd?[2J?line ")))
	if err.Error() != want || !errors.Is(err, ErrMalformed) {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}

func TestARefusedConnectionIsAFailedDial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	got := probeOnce(t, Config{URL: &url.URL{Scheme: "http", Host: listener.Addr().String()}})
	if phaseOf(t, got) != PhaseDial || got.Status != 0 || errors.Is(got.Err, ErrTimeout) {
		t.Errorf("result %+v, want a failed dial", got)
	}
}

func TestTextThatComesByteByByteIsFound(t *testing.T) {
	ours, theirs := net.Pipe() // a read gets no more than one write brought
	go func() {
		defer theirs.Close()
		theirs.Read(make([]byte, 4096))
		for _, piece := range []string{"HTTP/1.1 200 OK\r\n\r\n", "a", "l", "l", " ", "o", "k"} {
			io.WriteString(theirs, piece)
		}
	}()
	got := probeOnce(t, Config{
		URL: mustURL(t, "http://origin.test"), ExpectBody: "all ok",
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
	})
	if got.Err != nil {
		t.Error(got.Err)
	}
}

func TestTheRequestIsTheSameShortOneEachTime(t *testing.T) {
	heads := make(chan string, 1)
	cfg := Config{
		URL: mustURL(t, "http://origin.test"), Path: "/healthz?deep=%2F&x", Host: "shop.test",
		Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				buf := make([]byte, 4096)
				n, _ := theirs.Read(buf)
				heads <- string(buf[:n])
			}()
			return ours, nil
		},
	}
	const want = "GET /healthz?deep=%2F&x HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: fairlead-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	probeOnce(t, cfg)
	if got := <-heads; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		http.Redirect(w, r, "/login", http.StatusFound)
	}))
	defer server.Close()
	ranges := []StatusRange{{200, 299}}
	got := probeOnce(t, Config{URL: mustURL(t, server.URL), ExpectStatus: ranges})
	server.Close()
	if got.Status != http.StatusFound || !errors.Is(got.Err, ErrStatus) {
		t.Errorf("status %d, error %v; want 302, unexpected", got.Status, got.Err)
	}
	if len(paths) != 1 || paths[0] != "/healthz" {
		t.Errorf("asked for %v, want /healthz only", paths)
	}
}

func TestAConnectionIsNeverReused(t *testing.T) {
	var opened, closed atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	checker, err := NewChecker(Config{Origin: "eu", URL: mustURL(t, server.URL)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if got := checker.prober.probe(t.Context()); got.Err != nil {
			t.Fatal(got.Err)
		}
	}
	server.Close() // waits for the connections that are left
	if opened.Load() != 5 || closed.Load() != 5 {
		t.Errorf("%d connections opened and %d closed for 5 probes", opened.Load(), closed.Load())
	}
}

func TestHTTPSIsVerified(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.TLS == nil {
			panic("not HTTP/1.1 over TLS")
		}
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are what we ask for
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	tests := []struct {
		name      string
		tls       *tls.Config
		wantPhase Phase
	}{
		{"with the origin's CA", &tls.Config{RootCAs: roots}, ""},
		{"with HTTP/2 on offer", &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}}, ""},
		{"with the name in the certificate", &tls.Config{RootCAs: roots, ServerName: "example.com"}, ""},
		{"with another name", &tls.Config{RootCAs: roots, ServerName: "shop.test"}, PhaseTLS},
		{"with the system's roots", nil, PhaseTLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := probeOnce(t, Config{URL: mustURL(t, server.URL), TLS: tt.tls})
			if phase := phaseOf(t, got); phase != tt.wantPhase {
				t.Errorf("failed in phase %q with %v, want %q", phase, got.Err, tt.wantPhase)
			}
		})
	}
}

func TestHTTPToAnHTTPSOriginFails(t *testing.T) {
	origin := listen(t, func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n") })
	origin.Scheme = "https"
	got := probeOnce(t, Config{URL: origin})
	if phaseOf(t, got) != PhaseTLS {
		t.Errorf("result %v, want a failed handshake", got.Err)
	}
}

func TestUnixSocketsAreProbed(t *testing.T) {
	// t.TempDir is too long for a socket's name on some systems.
	dir, err := os.MkdirTemp("", "fl")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Skip("no unix sockets here: ", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "host %s", r.Host)
	})}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(listener) })
	defer running.Wait()
	defer server.Close()
	tests := []struct {
		name string
		give Config
	}{
		{"named by a URL", Config{URL: &url.URL{Scheme: "unix", Path: socket}, ExpectBody: "host localhost"}},
		{"named by an address", Config{URL: &url.URL{Scheme: "http", Host: "shop.test"}, Network: "unix", Address: socket, ExpectBody: "host shop.test"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := probeOnce(t, tt.give); got.Err != nil {
				t.Error(got.Err)
			}
		})
	}
}

func TestCancellingEndsRunAtOnceAndIsNoResult(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	origin := listen(t, func(conn net.Conn) {
		close(asked)
		untilLeft(conn)
		close(left)
	})
	var events []Event
	checker, err := NewChecker(Config{URL: origin, Fall: 1, Timeout: time.Minute, Interval: time.Hour},
		func(e Event) { events = append(events, e) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { err = checker.Run(ctx) })
	<-asked
	cancel()
	running.Wait()
	<-left
	if !errors.Is(err, context.Canceled) || len(events) != 0 || checker.Verdict() != Unknown {
		t.Errorf("Run returned %v, events %v, verdict %s", err, events, checker.Verdict())
	}
}

func TestNoBytesOfAnOriginMakeAProbeHangOrPanic(t *testing.T) {
	pieces := []string{
		"HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 C\r\n\r\n", "HTTP/9.9 999 \r\n", "\r\n", "\n", ":", "a: b\r\n", " folded\r\n",
		"Content-Length: 5\r\n", "Content-Length: -1\r\n", "Transfer-Encoding: chunked\r\n", "5\r\n", "ffffffffffffffff\r\n",
		"0\r\n\r\n", "ok", "\x00", strings.Repeat("z", 6000),
	}
	rapid.Check(t, func(rt *rapid.T) {
		give := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 30).Draw(rt, "pieces"), "")
		cfg := Config{URL: mustURL(t, "http://origin.test"), ExpectBody: "ok"}
		cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				theirs.Read(make([]byte, 4096))
				io.WriteString(theirs, give)
			}()
			return ours, nil
		}
		got := probeOnce(t, cfg)
		if got.Err == nil && !(strings.Contains(give, "200 OK") && strings.Contains(give, "ok")) {
			rt.Fatalf("%q is a success", give)
		}
		if errors.Is(got.Err, ErrTimeout) {
			rt.Fatalf("%q made a probe hang", give)
		}
	})
}
