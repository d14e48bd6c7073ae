package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/certs"
	"github.com/fairlead/fairlead/internal/chaos"
)

// gated is a server's TLS in which the certificate, and with it the handshake's
// computation, waits for a word. begun counts handshakes that have come so far.
func gated(begun *atomic.Int64, open <-chan struct{}) *tls.Config {
	cfg := serverTLS()
	cert := cfg.Certificates[0]
	cfg.Certificates = nil
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		begun.Add(1)
		<-open
		return &cert, nil
	}
	return cfg
}

// A client that does not get on with its handshake is cut off, wherever it stops.
func TestASlowHandshakeIsCutOff(t *testing.T) {
	t.Parallel()
	hello := helloBytes(t)
	for name, sent := range map[string]int{"silent": 0, "half a record's head": 3, "half a hello": len(hello) / 2, "hello only": len(hello)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.HandshakeTimeout = 200 * time.Millisecond }))
			c := chaos.Dial(t, "tcp", g.tlsAddr())
			c.Timeout = patience
			_ = c.Send(string(hello[:sent]))
			_, err := c.ReadAll()
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("the connection was left open")
			}
			chaos.Await(t, patience, "count", func() bool { return g.srv.Handshakes() == HandshakeStats{TimedOut: 1} })
		})
	}
}

// A drip of bytes does not extend the time.
func TestAHandshakeInDropsIsCutOff(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.HandshakeTimeout = 200 * time.Millisecond }))
	c := chaos.Dial(t, "tcp", g.tlsAddr())
	for _, b := range helloBytes(t) {
		if c.Send(string([]byte{b})) != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	chaos.Await(t, patience, "count", func() bool { return g.srv.Handshakes().TimedOut == 1 })
}

// Clients that stall in their handshake keep nobody out, however few may compute.
func TestStalledHandshakesHoldNoTurn(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.MaxHandshakes = 1 }))
	hello := string(helloBytes(t))
	for i := range 20 {
		c := chaos.Dial(t, "tcp", g.tlsAddr())
		_ = c.Send(hello[:len(hello)>>(i%2)]) // half of them get an answer and say no more
	}
	for range 3 {
		if status, _ := g.mustDialTLS().do(t, get, "GET"); status != 200 {
			t.Errorf("got %d", status)
		}
	}
}

// Over the limit handshakes wait, and all the while who is connected is served.
func TestAFloodOfHandshakesTakesTurns(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	open := make(chan struct{})
	release := sync.OnceFunc(func() { close(open) })
	g := startRig(t, alone, withTLS, withServer(func(c *Config) {
		c.TLS, c.MaxHandshakes, c.HandshakeTimeout = gated(&begun, open), 2, time.Minute
	}))
	t.Cleanup(release)
	// One is connected before: the gate is open for it.
	early := make(chan *secured)
	go func() {
		c, _ := g.dialTLS(clientTLS())
		early <- c
	}()
	chaos.Await(t, patience, "first handshake", func() bool { return begun.Load() == 1 })
	open <- struct{}{}
	established := <-early
	// It is established for the client a moment sooner than for the server.
	chaos.Await(t, patience, "first to be done", func() bool { return g.srv.Handshakes().Done == 1 })
	hello := string(helloBytes(t))
	for range 2 + 30 {
		_ = chaos.Dial(t, "tcp", g.tlsAddr()).Send(hello)
	}
	chaos.Await(t, patience, "queue", func() bool { return g.srv.Handshakes().Waiting == 30 })
	if n := begun.Load(); n != 3 {
		t.Errorf("%d handshakes compute", n-1)
	}
	for range 3 {
		if status, _ := established.do(t, get, "GET"); status != 200 {
			t.Errorf("got %d", status)
		}
	}
	release()
	if status, _ := g.mustDialTLS().do(t, get, "GET"); status != 200 {
		t.Errorf("after the flood: %d", status)
	}
}

// The queue has an end, but not for those whose handshake has begun; and who
// is interrupted leaves it.
func TestTheQueueOfHandshakesIsBounded(t *testing.T) {
	t.Parallel()
	h := newHandshakes(1)
	if err := h.take(new(watch), true); err != nil {
		t.Fatal(err)
	}
	waits := make([]watch, handshakeQueue+1)
	results := make(chan error)
	for i := range waits {
		waits[i].wake = func() {}
		if i == handshakeQueue {
			chaos.Await(t, patience, "full queue", func() bool { return h.waiting.Load() == handshakeQueue })
			if err := h.take(new(watch), true); err != errHandshakeQueue {
				t.Errorf("over the queue: %v", err)
			}
		}
		go func() { results <- h.take(&waits[i], i < handshakeQueue) }()
	}
	chaos.Await(t, patience, "one more that has begun", func() bool { return h.waiting.Load() == handshakeQueue+1 })
	<-h.turns
	if err := <-results; err != nil {
		t.Errorf("a turn that came: %v", err)
	}
	for i := range waits {
		waits[i].interrupt(causeIdle)
	}
	for range handshakeQueue {
		if err := <-results; err == nil {
			t.Error("a turn that nobody gave")
		}
	}
	if n := h.waiting.Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// Who waits for a turn is cut off at its time, and frees its place.
func TestAWaitForATurnIsBounded(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	open := make(chan struct{})
	g := startRig(t, alone, withTLS, withServer(func(c *Config) {
		c.TLS, c.MaxHandshakes, c.HandshakeTimeout = gated(&begun, open), 1, 300*time.Millisecond
	}))
	t.Cleanup(sync.OnceFunc(func() { close(open) }))
	hello := string(helloBytes(t))
	for range 4 {
		_ = chaos.Dial(t, "tcp", g.tlsAddr()).Send(hello)
	}
	chaos.Await(t, patience, "time-outs", func() bool {
		h := g.srv.Handshakes()
		return h.TimedOut == 3 && h.Waiting == 0 && g.srv.conns.size() == 1
	})
}

// A handshake is a wait like any: a drain ends it, and so does another client
// that needs its place, if nobody has waited longer.
func TestAHandshakeMakesRoom(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.MaxConnections = 2 }))
	stalled := chaos.Dial(t, "tcp", g.tlsAddr())
	chaos.Await(t, patience, "connection", func() bool { return g.srv.conns.size() == 1 })
	time.Sleep(3 * sweepEvery) // waits are as exact as the sweep
	first := g.mustDialTLS()
	first.do(t, get, "GET")
	second := g.mustDialTLS()
	if status, _ := second.do(t, get, "GET"); status != 200 || !stalled.Closed() {
		t.Errorf("got %d; the handshake was kept", status)
	}
	if status, _ := first.do(t, get, "GET"); status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestADrainEndsHandshakesAtOnce(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.HandshakeTimeout = time.Hour }))
	_ = chaos.Dial(t, "tcp", g.tlsAddr()).Send(string(helloBytes(t)))
	chaos.Dial(t, "tcp", g.tlsAddr())
	chaos.Await(t, patience, "connections", func() bool { return g.srv.conns.size() == 2 })
	g.cancel()
	g.drained(patience / 2)
}

// A client that leaves in the middle of its handshake is not waited for.
func TestAClientThatLeavesItsHandshakeIsForgotten(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.HandshakeTimeout = time.Hour }))
	for _, leave := range []func(*chaos.Raw){(*chaos.Raw).Close, (*chaos.Raw).Reset, (*chaos.Raw).CloseWrite} {
		c := chaos.Dial(t, "tcp", g.tlsAddr())
		_ = c.Send(string(helloBytes(t)))
		leave(c)
		chaos.Await(t, patience, "end", func() bool { return g.srv.conns.size() == 0 })
	}
}

// written puts a certificate into files.
func written(t testing.TB, dir string, c credentials) certs.Pair {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	pair := certs.Pair{Cert: filepath.Join(dir, "site.pem"), Key: filepath.Join(dir, "site.key")}
	for path, block := range map[string]*pem.Block{
		pair.Cert: {Type: "CERTIFICATE", Bytes: c.cert.Certificate[0]},
		pair.Key:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pair
}

// Certificates are swapped under load, and no request, handshake or session is
// lost by it.
func TestAReloadUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	store, err := certs.New(certs.Config{Pairs: []certs.Pair{written(t, t.TempDir(), ours())}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.TLS = store.TLSConfig() }))
	var work sync.WaitGroup
	var left atomic.Int64
	left.Store(100)
	cache := tls.NewLRUClientSessionCache(4)
	for range 4 {
		work.Go(func() {
			for left.Add(-1) >= 0 {
				cfg := clientTLS()
				if left.Load()%2 == 0 {
					cfg.ClientSessionCache = cache
				}
				nc, err := tls.Dial("tcp", g.tlsAddr(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				in := readingEnd(nc)
				for range 2 {
					io.WriteString(nc, get)
					if status, _, err := in.response("GET"); status != 200 {
						t.Errorf("%d, %v", status, err)
					}
				}
				nc.Close()
			}
		})
	}
	for left.Load() > 0 {
		if err := store.Reload(); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
	if h := g.srv.Handshakes(); h.Done != 100 || h.Failed+h.TimedOut+h.Refused != 0 || h.Resumed == 0 {
		t.Errorf("counted %+v", h)
	}
}

// With client_ca nobody gets through without a certificate, and nobody at all
// while the authorities can't be read.
func TestClientCertificatesFailClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pair := written(t, dir, ours())
	authorities := filepath.Join(dir, "clients.pem")
	self := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours().cert.Certificate[0]})
	if err := os.WriteFile(authorities, self, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := certs.New(certs.Config{Pairs: []certs.Pair{pair}, ClientCA: authorities})
	if err != nil {
		t.Fatal(err)
	}
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.TLS = store.TLSConfig() }))
	with, without := clientTLS(), clientTLS()
	with.Certificates = []tls.Certificate{clientCert(t)}
	try := func(when string, cfg *tls.Config, want bool) {
		t.Helper()
		c, err := g.dialTLS(cfg)
		if err == nil {
			io.WriteString(c, get)
			_, _, err = c.response("GET")
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", when, err)
		}
	}
	try("with a certificate", with, true)
	try("without", without, false)
	if err := os.Remove(authorities); err != nil {
		t.Fatal(err)
	}
	if store.Reload() == nil {
		t.Error("reloaded without authorities")
	}
	try("with a certificate, without authorities", with, false)
	if err := os.WriteFile(authorities, self, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Reload(); err != nil {
		t.Error(err)
	}
	try("recovered", with, true)
	if s := g.stats(); s.Accepted != 2 {
		t.Errorf("%d requests were accepted", s.Accepted)
	}
}
