package main

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// metricsServer serves what it is given on a unix socket.
func metricsServer(t *testing.T, handler http.HandlerFunc) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return socket
}

func TestMetricsAreReadAgainAndAgainWhileAProxyIsMeasured(t *testing.T) {
	t.Parallel() // it mostly waits
	read := make(chan string, 100)
	socket := metricsServer(t, func(w http.ResponseWriter, r *http.Request) {
		read <- r.URL.Path
		io.WriteString(w, "a 1\n")
	})
	s, err := startScraper(t.Context(), socket, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	for range 3 {
		select {
		case path := <-read:
			if path != "/metrics" {
				t.Errorf("%s was read", path)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("metrics are not read any more")
		}
	}
	if err := s.err(); err != nil {
		t.Error(err)
	}
}

func TestMetricsThatCannotBeReadEndTheRun(t *testing.T) {
	socket := metricsServer(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) })
	if _, err := startScraper(t.Context(), socket, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
	if _, err := startScraper(t.Context(), filepath.Join(t.TempDir(), "nobody"), time.Second); err == nil {
		t.Error("nobody was there, and nothing was said")
	}
}
