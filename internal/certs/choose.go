package certs

import (
	"crypto/tls"
	"strings"
)

// choice is the certificates of one moment, by name. It does not change.
type choice struct {
	first *tls.Certificate
	exact map[string][]*tls.Certificate // by a name in lower case
	wild  map[string][]*tls.Certificate // by what follows "*."
}

func newChoice(certs []*tls.Certificate) *choice {
	c := &choice{first: certs[0], exact: make(map[string][]*tls.Certificate), wild: make(map[string][]*tls.Certificate)}
	for _, cert := range certs {
		for _, name := range cert.Leaf.DNSNames {
			name = normal(name)
			if parent, ok := strings.CutPrefix(name, "*."); ok {
				c.wild[parent] = append(c.wild[parent], cert)
			} else {
				c.exact[name] = append(c.exact[name], cert)
			}
		}
	}
	return c
}

// normal is a name as it is compared.
func normal(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// pick implements tls.Config.GetCertificate. Of several pairs for one name, say
// with keys of different kinds, it takes the first that the client can verify.
func (c *choice) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	fit := c.named(hello.ServerName)
	if len(fit) > 1 {
		for _, cert := range fit {
			if hello.SupportsCertificate(cert) == nil {
				return cert, nil
			}
		}
	}
	if len(fit) > 0 {
		return fit[0], nil
	}
	return c.first, nil
}

// named lists the certificates for a name, those that have it before those
// with a wildcard.
func (c *choice) named(name string) []*tls.Certificate {
	name = normal(name)
	if fit := c.exact[name]; len(fit) > 0 {
		return fit
	}
	if label, parent, ok := strings.Cut(name, "."); ok && label != "" {
		return c.wild[parent]
	}
	return nil
}
