package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/certs"
)

// writeCertificate puts site.pem and site.key into a folder, for localhost and
// 127.0.0.1, and returns what a client has to trust.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		DNSNames:     []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, data := range map[string][]byte{"site.pem": certPEM, "site.key": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return roots
}

// A client that knows only the address speaks HTTP/2 over TLS, one on the plain
// listener is sent there.
func TestTLSAndHTTP2AreServed(t *testing.T) {
	dir := t.TempDir()
	roots := writeCertificate(t, dir)
	app := origin(t, "app")
	server := fmt.Sprintf(`tls_listen = ["127.0.0.1:0"]
https_redirect = true
[[server.certificates]]
cert = %q
key = %q
`, filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key"))
	r := startServer(t, server, oneOrigin(app.URL))
	secure := r.await("listening", line{"tls": true})["address"].(string)

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: protocols}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://" + secure + "/x")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 || string(body) != "app" {
		t.Errorf("over TLS: %s %d %q", resp.Proto, resp.StatusCode, body)
	}
	req, _ := http.NewRequest("GET", "http://"+r.address+"/x?y=z", nil)
	resp, err = tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if want := "https://" + secure + "/x?y=z"; resp.StatusCode != 308 || resp.Header.Get("Location") != want {
		t.Errorf("in plain: %d to %q, want 308 to %q", resp.StatusCode, resp.Header.Get("Location"), want)
	}
}

// Certificates come, change and go with the configuration, and one that can't be
// read changes nothing.
func TestCertificatesChangeWithTheConfiguration(t *testing.T) {
	var servers []*config.Server
	var roots []*x509.CertPool
	for range 2 {
		dir := t.TempDir()
		roots = append(roots, writeCertificate(t, dir))
		servers = append(servers, &config.Server{
			TLSListen:    []string{"127.0.0.1:0"},
			Certificates: []config.Certificate{{Cert: filepath.Join(dir, "site.pem"), Key: filepath.Join(dir, "site.key")}},
		})
	}
	plain, broken := &config.Server{Listen: []string{"127.0.0.1:0"}}, *servers[0]
	broken.ClientCA = filepath.Join(t.TempDir(), "missing.pem")
	told := 0
	count := func(certs.Event) { told++ }
	change := func(store *certs.Store, s *config.Server) *certs.Store {
		t.Helper()
		next, commit, err := prepareCertificates(store, s, count)
		if err != nil {
			t.Fatal(err)
		}
		commit()
		return next
	}

	if store := change(nil, plain); store != nil {
		t.Error("a store without TLS")
	}
	if _, _, err := prepareCertificates(nil, &broken, count); err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("from none to what can't be read: %v", err)
	}
	store := change(nil, servers[0])
	l, err := tls.Listen("tcp", "127.0.0.1:0", store.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { greet(l) })
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	trusted := func(roots *x509.CertPool) error {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots})
		if err != nil {
			return err
		}
		return c.Close()
	}
	for i := range 100 {
		if err := trusted(roots[i%2]); err != nil {
			t.Fatalf("before reload %d: %v", i, err)
		}
		if next := change(store, servers[(i+1)%2]); next != store {
			t.Fatal("it is another store")
		}
		if trusted(roots[i%2]) == nil {
			t.Fatalf("reload %d doesn't show", i)
		}
	}
	if told != 101 {
		t.Errorf("told %d times of 101 new certificates", told)
	}
	if _, _, err := prepareCertificates(store, &broken, count); err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("to what can't be read: %v", err)
	}
	if err := trusted(roots[0]); err != nil {
		t.Errorf("after a refused change: %v", err)
	}
	if next := change(store, plain); next != nil {
		t.Error("a store without TLS listeners")
	}
}

// greet makes handshakes until l is closed.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.(*tls.Conn).Handshake() // the client tells
		_ = c.Close()
	}
}
