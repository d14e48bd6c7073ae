package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// credentials are a certificate for the host "a", and who believes it.
type credentials struct {
	cert tls.Certificate
	pool *x509.CertPool
}

// ours are those of every proxy in these tests, made once.
var ours = sync.OnceValue(func() credentials {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"a"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return credentials{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool}
})

// serverTLS is what a TLS listener of these tests speaks.
func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ours().cert}, DynamicRecordSizingDisabled: true, NextProtos: []string{"http/1.1"}}
}

// clientTLS is what believes it.
func clientTLS() *tls.Config { return &tls.Config{RootCAs: ours().pool, ServerName: "a"} }

// withTLS adds a TLS listener.
func withTLS(_ *rig, cfg *Config) { cfg.TLSListen, cfg.TLS = []string{"127.0.0.1:0"}, serverTLS() }

// overTLS lets every client of a test come by TLS, through a bridge that speaks
// it for them.
func overTLS(g *rig, cfg *Config) {
	withTLS(g, cfg)
	g.bridged = true
}

// tlsAddr is the address of the first TLS listener.
func (g *rig) tlsAddr() string { return g.listener(true).Addr().String() }

// listener is the first one with or without TLS.
func (g *rig) listener(secure bool) *listener {
	g.srv.reloading.Lock()
	defer g.srv.reloading.Unlock()
	for _, l := range g.srv.listeners {
		if (l.speaks.Load().tls != nil) == secure {
			return l
		}
	}
	g.t.Fatal("no such listener")
	return nil
}

// errNoGoodbye: the connection ended without a close_notify.
var errNoGoodbye = errors.New("TLS was cut off")

// strict is a socket whose FIN is an error, so that crypto/tls says io.EOF only
// after a close_notify.
type strict struct {
	net.Conn
}

func (s *strict) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err == io.EOF {
		err = errNoGoodbye
	}
	return n, err
}

// secured is a TLS client.
type secured struct {
	*tls.Conn
	reading
	tcp *net.TCPConn
}

// dialTLS connects a TLS client and makes the handshake.
func (g *rig) dialTLS(cfg *tls.Config) (*secured, error) {
	g.t.Helper()
	nc, err := net.Dial("tcp", g.tlsAddr())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := tls.Client(&strict{Conn: nc}, cfg)
	err = c.Handshake()
	return &secured{Conn: c, reading: readingEnd(c), tcp: nc.(*net.TCPConn)}, err
}

// mustDialTLS connects a TLS client as it should be.
func (g *rig) mustDialTLS() *secured {
	g.t.Helper()
	c, err := g.dialTLS(clientTLS())
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// do sends a request and reads its response.
func (c *secured) do(t testing.TB, request, method string) (status int, body string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Errorf("%v", err)
		return 0, ""
	}
	status, body, err := c.response(method)
	if err != nil {
		t.Errorf("%v", err)
	}
	return status, body
}

// bridge speaks TLS for clients that don't: what comes to its address in plain
// goes to the target over TLS. Ends and resets are carried over both ways.
func bridge(t testing.TB, target string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	serving.Go(func() {
		for {
			plain, err := l.Accept()
			if err != nil {
				return
			}
			nc, err := net.Dial("tcp", target)
			if err != nil {
				plain.Close()
				continue
			}
			mu.Lock()
			open = append(open, plain, nc)
			mu.Unlock()
			serving.Go(func() { bridged(plain.(*net.TCPConn), nc.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, nc := range open {
			nc.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return l.Addr().String()
}

// bridged carries one connection.
func bridged(plain, nc *net.TCPConn) {
	defer plain.Close()
	defer nc.Close()
	c := tls.Client(&strict{Conn: nc}, clientTLS())
	if c.Handshake() != nil {
		_ = plain.SetLinger(0)
		return
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{plain})
		if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "read" {
			_ = nc.SetLinger(0)
			nc.Close()
		}
		if err != nil {
			return // what the proxy has said by now still goes back
		}
		_ = c.CloseWrite()
		_ = nc.CloseWrite()
	}()
	_, err := io.Copy(struct{ io.Writer }{plain}, struct{ io.Reader }{c})
	switch {
	case err == nil || errors.Is(err, errNoGoodbye):
		_ = plain.CloseWrite()
	default:
		_ = plain.SetLinger(0)
		plain.Close()
		nc.Close()
	}
	<-up
}

// idle reports whether n connections wait without a buffer.
func (g *rig) awaitIdle(n int) {
	g.t.Helper()
	chaos.Await(g.t, patience, "idle connections", func() bool {
		idle := 0
		for _, c := range g.srv.conns.all() {
			if phase(c.x.mark.Load()&phaseBits) == phaseIdle {
				idle++
			}
		}
		return idle == n
	})
}

// clientCert is a client's certificate, signed by ours.
func clientCert(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ours().cert.Leaf, key.Public(), ours().cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// helloBytes is the first thing that a client says.
func helloBytes(t testing.TB) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = tls.Client(theirs, clientTLS()).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := ours.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
