package config

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// Certificate is a table [[server.certificates]]: a certificate and its key.
type Certificate struct {
	// Cert and Key are the paths of PEM files: the server's certificate with
	// those between it and the root, and the private key. Relative paths in the
	// file have been joined to the file's folder.
	Cert, Key string
}

func certificateFields(c *Certificate) fields {
	return fields{
		"cert": filled(&c.Cert, "the path of a PEM file"),
		"key":  filled(&c.Key, "the path of a PEM file"),
	}
}

// certificates reads the tables [[server.certificates]].
func certificates(s *Server) setter {
	return func(d *decoder, v value) {
		if v.kind != kindTables {
			d.reject(v, "a list of tables is needed, not %s; write [[server.certificates]] above each cert and key", v.kind)
			return
		}
		for i, t := range v.items {
			c := Certificate{}
			scope := scope{owner: fmt.Sprintf("server: certificate #%d", i+1)}
			d.table(scope, t, certificateFields(&c))
			d.require(scope, t, "cert", `cert = "site.pem", with the path of a PEM file`)
			d.require(scope, t, "key", `key = "site.key", with the path of a PEM file`)
			if c.Cert != "" && c.Key != "" {
				d.pair(scope, t, &c)
			}
			s.Certificates = append(s.Certificates, c)
		}
	}
}

// clientCA stores the path of a PEM file with certificates.
func clientCA(dst *string) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, "the path of a PEM file") {
			return
		}
		if v.text == "" {
			d.reject(v, "empty; write the path of a PEM file, or remove it to let anybody in")
			return
		}
		*dst, _ = d.roots(v, v.text)
	}
}

// pair reads a certificate and its key, to see that they are such and belong
// together.
func (d *decoder) pair(s scope, t *node, c *Certificate) {
	c.Cert, c.Key = d.path(c.Cert), d.path(c.Key)
	certPEM, err1 := d.pemFile(value{t.get("cert"), s, "cert"}, c.Cert)
	keyPEM, err2 := d.pemFile(value{t.get("key"), s, "key"}, c.Key)
	if err1 != nil || err2 != nil {
		return
	}
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
		d.reject(value{t.get("cert"), s, "cert"}, "it can't be used with the key %s: %s; write the files that belong together", showText(c.Key), showText(err.Error()))
	}
}

// checkTLS applies the rules that join the listeners and what they need.
func (d *decoder) checkTLS() {
	t := d.root.get("server")
	if t == nil || t.kind != kindTable {
		return
	}
	s, server := scope{owner: "server"}, &d.cfg.Server
	if n := t.get("listen"); n != nil && !n.bad && len(server.Listen) == 0 && t.get("tls_listen") == nil {
		d.reject(value{n, s, "listen"}, "an empty list, and there is no tls_listen; write at least one address")
	}
	if !sound(t, "tls_listen") {
		return
	}
	if n := t.get("https_redirect"); n != nil && !n.bad && server.HTTPSRedirect && len(server.Listen) == 0 && sound(t, "listen") {
		d.reject(value{n, s, "https_redirect"}, "there is no listen that could redirect; write an address there, or remove this line")
	}
	if len(server.TLSListen) > 0 {
		if t.get("certificates") == nil {
			d.reject(value{t.get("tls_listen"), s, "tls_listen"}, "there is no certificate; write [[server.certificates]] with cert and key")
		}
		return
	}
	for _, key := range []string{"certificates", "client_ca", "https_redirect"} {
		if n := t.get(key); n != nil && !n.bad && (key != "https_redirect" || server.HTTPSRedirect) {
			d.reject(value{n, s, key}, "without TLS listeners it has no use; write tls_listen, or remove it")
		}
	}
}

// allListeners are the addresses of [server], each with its node and key.
func (d *decoder) allListeners() (addresses []string, at []value) {
	t := d.root.get("server")
	for _, list := range []struct {
		key   string
		items []string
	}{{"listen", d.cfg.Server.Listen}, {"tls_listen", d.cfg.Server.TLSListen}} {
		n := t.get(list.key)
		if n == nil || n.bad {
			continue
		}
		addresses = slices.Concat(addresses, list.items)
		for _, item := range n.items {
			at = append(at, value{item, scope{owner: "server"}, list.key})
		}
	}
	return addresses, at
}
