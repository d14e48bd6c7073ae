package health

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// probeOnce sends one probe as a Checker would. Its time-out, unless cfg has
// one, is too long to strike on a busy machine.
func probeOnce(t *testing.T, cfg Config) Result {
	t.Helper()
	cfg.Origin = "eu"
	if cfg.Timeout == 0 {
		cfg.Timeout, cfg.Interval = time.Minute, time.Minute
	}
	checker, err := NewChecker(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return checker.prober.probe(t.Context())
}

// phaseOf is the phase in which a probe failed, "" for a success.
func phaseOf(t *testing.T, r Result) Phase {
	t.Helper()
	if r.Err == nil {
		return ""
	}
	probeErr, ok := errors.AsType[*ProbeError](r.Err)
	if !ok || probeErr.Origin != "eu" {
		t.Fatalf("error %v is no ProbeError of origin eu", r.Err)
	}
	return probeErr.Phase
}

// listen starts a TCP origin that gives each connection to handle, after its
// request head was read.
func listen(t *testing.T, handle func(conn net.Conn)) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					handle(conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}
}

// untilLeft waits for the prober to close the connection.
func untilLeft(conn net.Conn) { io.Copy(io.Discard, conn) }
