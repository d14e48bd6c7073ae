package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// until waits for what another goroutine or the kernel is about to do. A
// condition that never holds ends the test by its time-out, with a stack.
func until(condition func() bool) {
	for !condition() {
		runtime.Gosched()
	}
}

// untilDead waits until a look at c's socket shows that it is of no more use.
func untilDead(t testing.TB, c *Conn) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no way to look at a socket")
	}
	until(c.dead)
}

// testServer is an origin: it hands each connection to handle, in a goroutine
// that the test's end waits for.
type testServer struct {
	network, address string
	listener         net.Listener
	handlers         sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // all that were ever accepted
}

func serve(t testing.TB, network string, handle func(net.Conn)) *testServer {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, handle)
}

// serveOn is serve with a listener that it closes.
func serveOn(t testing.TB, l net.Listener, handle func(net.Conn)) *testServer {
	t.Helper()
	s := &testServer{network: l.Addr().Network(), address: l.Addr().String(), listener: l}
	s.handlers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.handlers.Go(func() { handle(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.handlers.Wait()
	})
	return s
}

// accepted is how many connections there were so far.
func (s *testServer) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// origin makes an origin for the server and checks, when the test is over,
// that all its connections were closed.
func (s *testServer) origin(t testing.TB, change func(*Config)) *Origin {
	t.Helper()
	cfg := Config{Name: "eu", Network: s.network, Address: s.address}
	if change != nil {
		change(&cfg)
	}
	return newOrigin(t, cfg)
}

func newOrigin(t testing.TB, cfg Config) *Origin {
	t.Helper()
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = time.Minute // not what is being tested
	}
	o := New(cfg)
	t.Cleanup(func() {
		if n := o.Open(); n != 0 {
			t.Errorf("%d connections are open at the end, want 0", n)
		}
	})
	return o
}

// newPool makes a pool that the test's end closes.
func newPool(t testing.TB, o *Origin, maxIdle int) *Pool {
	t.Helper()
	p := o.NewPool(maxIdle)
	t.Cleanup(p.Close)
	return p
}

func dial(t testing.TB, p *Pool) *Conn {
	t.Helper()
	c, err := p.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// onEachNetwork runs a test with a connection to a server that echoes, over each network.
func onEachNetwork(t *testing.T, test func(t *testing.T, s *testServer, c *Conn)) {
	t.Helper()
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			s := serve(t, network, echo)
			c := dial(t, newPool(t, s.origin(t, nil), 1))
			defer c.Close()
			test(t, s, c)
		})
	}
}

// connected gives both ends of a new connection: ours, closed at the test's
// end, and the origin's.
func connected(t testing.TB, network string) (*Conn, net.Conn) {
	t.Helper()
	peers := make(chan net.Conn, 1)
	s := serve(t, network, func(c net.Conn) { peers <- c })
	c := dial(t, newPool(t, s.origin(t, nil), 8))
	t.Cleanup(func() { c.Close() })
	return c, <-peers
}

// echo answers each read with what it read, until the connection ends.
func echo(c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answer answers each read with 1 KiB.
func answer(c net.Conn) {
	buf := make([]byte, 1024)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}

// hold keeps a connection open until the other end or the test's end closes
// it.
func hold(c net.Conn) { io.Copy(io.Discard, c) }

// authority is a certificate authority of the test's own.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{roots: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(t, template)
	a.roots.AddCert(a.cert)
	return a
}

// sign makes a certificate, signed by the authority or, if it has none yet, by
// itself.
func (a *authority) sign(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server is the configuration of a server with the given name.
func (a *authority) server(t testing.TB, name string) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	cert, key := a.sign(t, template)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// serveTLS is serve behind TLS, with a certificate for origin.test.
func serveTLS(t testing.TB, a *authority, handle func(*tls.Conn)) *testServer {
	t.Helper()
	cfg := a.server(t, "origin.test")
	return serve(t, "tcp", func(c net.Conn) {
		s := tls.Server(c, cfg)
		if s.Handshake() == nil {
			handle(s)
		}
	})
}

// trusting lets an origin verify the authority's servers.
func trusting(a *authority) func(*Config) {
	return func(c *Config) { c.TLS = &tls.Config{RootCAs: a.roots, ServerName: "origin.test"} }
}
