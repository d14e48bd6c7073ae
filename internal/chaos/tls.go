package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// hello is what an origin that speaks TLS does about a handshake.
type hello uint8

const (
	helloGood hello = iota
	helloStalled
	helloWrongName
	helloExpired
)

// Certificates are an authority of their own and the certificates that origins show: a good one, one for another name
// and one that has expired. All of it is made in memory and ends with the process. It is made by [NewCertificates],
// never changes, and may be shared by origins.
type Certificates struct {
	authority []byte // PEM
	pool      *x509.CertPool
	shown     map[hello]*tls.Config
}

// NewCertificates makes certificates for 127.0.0.1, ::1, localhost and the further names and addresses given.
func NewCertificates(names ...string) (*Certificates, error) {
	c, err := newCertificates(append([]string{"127.0.0.1", "::1", "localhost"}, names...))
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return c, nil
}

func newCertificates(names []string) (*Certificates, error) {
	now := time.Now()
	from, to := now.Add(-24*time.Hour), now.Add(30*24*time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Chaos authority"},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if authority, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	c := &Certificates{authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pool: x509.NewCertPool(), shown: make(map[hello]*tls.Config)}
	c.pool.AddCert(authority)
	leaves := []struct {
		hello hello
		names []string
		to    time.Time
	}{
		{helloGood, names, to},
		{helloWrongName, []string{"wrong.invalid"}, to},
		{helloExpired, names, now.Add(-time.Hour)},
	}
	for i, leaf := range leaves {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 2), NotBefore: from, NotAfter: leaf.to,
			Subject: pkix.Name{CommonName: "Chaos origin"}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		for _, name := range leaf.names {
			if ip := net.ParseIP(name); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, name)
			}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), key)
		if err != nil {
			return nil, err
		}
		c.shown[leaf.hello] = &tls.Config{
			MinVersion:             tls.VersionTLS12,
			Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			SessionTicketsDisabled: true, // a session that goes on would show no certificate
		}
	}
	return c, nil
}

// Pair returns the good certificate and its key in PEM, as the two files have them that a server reads.
func (c *Certificates) Pair() (cert, key []byte, err error) {
	good := &c.shown[helloGood].Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(good.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("write a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// CA returns the authority's certificate in PEM, as a file has it that a configuration names. The caller must not change
// it.
func (c *Certificates) CA() []byte { return c.authority }

// Pool returns a pool that trusts the authority and nobody else. The caller must not change it.
func (c *Certificates) Pool() *x509.CertPool { return c.pool }

// NewTLSOrigin opens an origin that speaks TLS, with certificates of its own, on a free port of 127.0.0.1 and closes it
// when the test ends.
func NewTLSOrigin(tb TB, name string) *Origin {
	tb.Helper()
	certs, err := NewCertificates()
	if err != nil {
		tb.Fatalf("open origin %s: %v", name, err)
	}
	return adopt(tb)(ListenTLS(name, "tcp", "127.0.0.1:0", certs))
}

// ListenTLS opens an origin that speaks TLS at an address, which is host:port: network is "tcp", and port 0 is as for
// [Listen]. The caller closes it.
func ListenTLS(name, network, address string, certs *Certificates) (*Origin, error) {
	if network != "tcp" || certs == nil {
		return nil, fmt.Errorf("open origin %s: TLS needs the network tcp, not %q, and certificates", name, network)
	}
	return listenAt(name, network, address, certs)
}

// Certificates returns what an origin that speaks TLS shows, nil for one that does not.
func (o *Origin) Certificates() *Certificates { return o.certs }

// secure wraps a connection in TLS if the origin speaks it.
func (o *Origin) secure(nc net.Conn) net.Conn {
	if o.certs == nil {
		return nc
	}
	return tls.Server(nc, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return o.certs.shown[o.plan.Load().hello()], nil
		},
	})
}

// handshake reports whether requests can come on the connection: at once without TLS, and with it after a handshake. A
// stalled one takes what comes until the peer leaves, which it never reports as done.
func (c *conn) handshake(h hello) bool {
	secured, ok := c.nc.(*tls.Conn)
	if !ok {
		return true
	}
	if h == helloStalled {
		_, _ = io.Copy(io.Discard, c.raw)
		return false
	}
	return secured.Handshake() == nil
}
