package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnOriginThatNeverAnswersTimesOut(t *testing.T) {
	origin := listen(t, untilLeft)
	got := probeOnce(t, Config{URL: origin, Timeout: 50 * time.Millisecond})
	if got.Err == nil || got.Status != 0 || !errors.Is(got.Err, ErrTimeout) {
		t.Errorf("status %d, error %v; want a time-out", got.Status, got.Err)
	}
}

func TestABodyThatComesTooSlowlyTimesOut(t *testing.T) {
	origin := listen(t, func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nalmost")
		untilLeft(conn)
	})
	got := probeOnce(t, Config{URL: origin, ExpectBody: "ok", Timeout: 50 * time.Millisecond})
	if !errors.Is(got.Err, ErrTimeout) {
		t.Errorf("error %v, want a time-out", got.Err)
	}
}

func TestATimeoutEndsAProbeInEveryPhase(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	tests := []struct {
		name       string
		scheme     string
		reads      bool   // whether the origin takes the request
		give       string // what it sends before it falls silent
		wantStatus int
		wantPhase  Phase
	}{
		{"no handshake", "https", true, "", 0, PhaseTLS},
		{"a request that nobody reads", "http", false, "", 0, PhaseWrite},
		{"no answer", "http", true, "", 0, PhaseHead},
		{"half a head", "http", true, head[:20], 0, PhaseHead},
		{"interim responses only", "http", true, "HTTP/1.1 103 Early Hints\r\n\r\n", 0, PhaseHead},
		{"no body", "http", true, head, 200, PhaseBody},
		{"a body that stops", "http", true, head + "almost", 200, PhaseBody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer theirs.Close()
				if tt.reads {
					go func() {
						theirs.Read(make([]byte, 4096))
						io.WriteString(theirs, tt.give)
						untilLeft(theirs)
					}()
				}
				got := probeOnce(t, Config{
					URL: mustURL(t, tt.scheme+"://origin.test"), ExpectBody: "ok", Timeout: time.Second,
					Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
				})
				if got.Status != tt.wantStatus || phaseOf(t, got) != tt.wantPhase || !errors.Is(got.Err, ErrTimeout) {
					t.Errorf("status %d, error %v; want %d, a time-out of phase %q", got.Status, got.Err, tt.wantStatus, tt.wantPhase)
				}
				if got.Took != time.Second {
					t.Errorf("took %s, want the time-out's second", got.Took)
				}
			})
		})
	}
}

// What a time-out closes is the connection below TLS. A variable that is TLS's by
// then would be a race.
func TestATimeoutAfterTheHandshakeEndsAProbe(t *testing.T) {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	cert := server.TLS.Certificates[0]
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		origin := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{cert}})
		defer origin.Close()
		go untilLeft(origin)
		got := probeOnce(t, Config{
			URL: mustURL(t, "https://origin.test"), Timeout: time.Second,
			TLS:  &tls.Config{RootCAs: roots, ServerName: "example.com"},
			Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		})
		if phase := phaseOf(t, got); phase != PhaseHead || !errors.Is(got.Err, ErrTimeout) {
			t.Errorf("phase %q, error %v; want a time-out of the head", phase, got.Err)
		}
	})
}

func TestABodyThatNeverEndsIsNoFailure(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n\r\n"
	for _, tt := range []struct{ name, expectBody string }{
		{"when its text came", "ok"},
		{"when none is expected", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			origin := listen(t, func(conn net.Conn) {
				io.WriteString(conn, head+"data: ok\n\n")
				untilLeft(conn)
			})
			got := probeOnce(t, Config{URL: origin, ExpectBody: tt.expectBody})
			if got.Err != nil {
				t.Error(got.Err)
			}
		})
	}
}
