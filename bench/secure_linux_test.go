package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// installedGenerator skips the test without h2load.
func installedGenerator(t *testing.T) generator {
	t.Helper()
	g, err := findGenerator()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestInstalledContendersServeHTTP2AndNewConnections(t *testing.T) {
	t.Parallel()
	s, g := testSession(t), installedGenerator(t)
	certificate, err := writeCertificate(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"nginx", "haproxy", "caddy", "reverseproxy"} {
		t.Run(key, func(t *testing.T) {
			c := s.installed(t, key)
			c.Setup.Certificate = certificate
			p, err := s.start(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer p.stop()
			for _, d := range doors[2:] {
				w, err := s.atDoor(t.Context(), g, p, d, 0, time.Nanosecond)
				if err != nil {
					t.Errorf("%s: %v", d.Name, p.explain(err))
					continue
				}
				// None of these asks the origin on its own account, so its writes are the client's requests.
				if d.Fresh && w.Requests != d.Connections {
					t.Errorf("%s: %d requests were counted, want %d", d.Name, w.Requests, d.Connections)
				}
				if w.Requests < 1 || w.CPU <= 0 || w.Wall <= 0 {
					t.Errorf("%s: %d requests, %v of CPU in %v", d.Name, w.Requests, w.CPU, w.Wall)
				}
			}
		})
	}
}

func TestEveryDoorHasItsFigures(t *testing.T) {
	t.Parallel() // it mostly waits
	s, g := testSession(t), installedGenerator(t)
	c, err := s.locate(t.Context(), "reverseproxy", "")
	if err != nil {
		t.Fatal(err)
	}
	some := []door{doors[0], doors[3]}
	r, err := s.secure(t.Context(), []contender{c}, g, some, options{Rounds: 1, Duration: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range r.Tables[0].Rows {
		if some[i].Name != row[0] || !strings.HasSuffix(row[2], "s") {
			t.Errorf("got %q for %s", row, some[i].Name)
		}
	}
	if c.Setup.Certificate != "" || r.Section != "tls" {
		t.Errorf("section %q; the contender was changed: %+v", r.Section, c)
	}
}

// secureProxy serves handler over TLS, by HTTP/1.1 and HTTP/2, in the test's own process.
func secureProxy(t *testing.T, s *session, handler http.HandlerFunc) *proxy {
	t.Helper()
	certificate, err := writeCertificate(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	over := make(chan error, 1)
	go func() { over <- server.ServeTLS(l, certificate, certificate) }()
	t.Cleanup(func() {
		server.Close()
		<-over
	})
	p := &proxy{addr: netip.MustParseAddrPort(l.Addr().String()), process: s.origin}
	p.Setup.Certificate = certificate
	return p
}

func TestAWrongResponseOverTLSEndsTheRun(t *testing.T) {
	s, g := testSession(t), installedGenerator(t)
	for _, tt := range []struct {
		name    string
		want    string
		handler http.HandlerFunc
	}{
		{"status", "640 5xx", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{"length", "1920 bytes of body instead of 655360", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "abc") }},
		{"no response", "640 errored", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := secureProxy(t, s, tt.handler)
			for _, d := range []door{doors[0], doors[2]} {
				_, err := s.atDoor(t.Context(), g, p, d, 0, 0)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got %v, want something with %q", d.Name, err, tt.want)
				}
			}
			if err := p.askOnce(t.Context()); err == nil {
				t.Error("it counts as ready")
			}
		})
	}
}

func TestACancelledRunOfH2loadEnds(t *testing.T) {
	s, g := testSession(t), installedGenerator(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := secureProxy(t, s, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := s.atDoor(ctx, g, p, doors[1], 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
