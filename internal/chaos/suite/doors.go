package suite

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// site is what the proxy's own TLS listener shows to clients.
type site struct {
	dir    string
	listen string                 // its address; before the first start it ends in :0
	pairs  [2]*chaos.Certificates // the first one is shown at the start
	client *tls.Config            // of who trusts both
}

// newSite makes two certificates and writes the first one's files.
func newSite(dir string) (*site, error) {
	w := &site{dir: dir, listen: "127.0.0.1:0"}
	pool := x509.NewCertPool()
	for i := range w.pairs {
		var err error
		if w.pairs[i], err = chaos.NewCertificates(); err != nil {
			return nil, err
		}
		pool.AppendCertsFromPEM(w.pairs[i].CA())
	}
	w.client = &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	err := w.show(0)
	return w, err
}

// show puts a pair's files in place.
func (w *site) show(i int) error {
	cert, key, err := w.pairs[i].Pair()
	if err != nil {
		return err
	}
	return w.write(cert, key)
}

// write puts two files in place, each in one step.
func (w *site) write(cert, key []byte) error {
	for name, text := range map[string][]byte{w.cert(): cert, w.key(): key} {
		if err := os.WriteFile(name+".new", text, 0o600); err != nil {
			return err
		}
		if err := os.Rename(name+".new", name); err != nil {
			return err
		}
	}
	return nil
}

func (w *site) cert() string { return filepath.Join(w.dir, "site.pem") }

func (w *site) key() string { return filepath.Join(w.dir, "site.key") }

// shown says which pair's certificate a new client is shown.
func (w *site) shown() (int, error) {
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", w.listen, w.client)
	if err != nil {
		return 0, err
	}
	defer func() { _ = nc.Close() }()
	for i, pair := range w.pairs {
		if _, err := nc.ConnectionState().PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pair.Pool()}); err == nil {
			return i, nil
		}
	}
	return 0, errors.New("a certificate that nobody put there")
}

// doors are the keys of [server] for what Doors and ProxyProtocol ask for.
func (c *Setup) doors(s *Stage) string {
	text := ""
	if c.Doors {
		text += fmt.Sprintf("tls_listen = [%q]\nh2c = true\n", s.site.listen)
	}
	if c.ProxyProtocol {
		text += fmt.Sprintf("proxy_protocol = [%q]\ntrusted_proxies = [\"127.0.0.1/32\"]\n", s.listen)
	}
	return text
}

// certificates is the table for the TLS listener.
func (c *Setup) certificates(s *Stage) string {
	if !c.Doors {
		return ""
	}
	return fmt.Sprintf("[[server.certificates]]\ncert = %q\nkey = %q\n", s.site.cert(), s.site.key())
}

// ByTLS sends a load through the TLS listener, in HTTP/1.1. Setup.Doors opens it.
func ByTLS(l chaos.Load) chaos.Load {
	l.TLS = &tls.Config{MinVersion: tls.VersionTLS12} // the stage fills in whom to trust
	return l
}

// ByHTTP2 sends a load through the TLS listener, in HTTP/2.
func ByHTTP2(l chaos.Load) chaos.Load {
	l = ByTLS(l)
	l.HTTP2 = true
	return l
}

// ByH2C sends a load in HTTP/2 without TLS, with prior knowledge.
func ByH2C(l chaos.Load) chaos.Load {
	l.HTTP2 = true
	return l
}

// ByPROXY sends a load as a balancer does, with a header of the PROXY protocol
// on each connection. Setup.ProxyProtocol lets it.
func ByPROXY(header string, l chaos.Load) chaos.Load {
	l.Preface = header
	return l
}
