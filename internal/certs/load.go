package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
)

// maxFile bounds what is read of a file. Chains and bundles of authorities are
// smaller by far.
const maxFile = 4 << 20

// readFile reads a file whole, or not at all. The errors name it.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxFile)
	}
	return b, nil
}

// exhausted reports whether a file could not be read for want of file
// descriptors.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// readPair reads a certificate, with the chain below it, and its key.
func readPair(p Pair) (*tls.Certificate, error) {
	cert, err := readFile(p.Cert)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := readFile(p.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	switch {
	case !holdsBlock(cert, func(t string) bool { return t == "CERTIFICATE" }):
		return nil, fmt.Errorf("certificate: %s holds no PEM certificate", p.Cert)
	case !holdsBlock(key, isKey):
		return nil, fmt.Errorf("key: %s holds no PEM private key", p.Key)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	if pair.Leaf == nil { // as with GODEBUG=x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", p.Cert, err)
		}
	}
	return &pair, nil
}

// isKey reports whether a PEM block of this type is a private key.
func isKey(blockType string) bool {
	switch blockType {
	case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
		return true
	}
	return false
}

// holdsBlock reports whether one of the PEM blocks in b is of a type that is asked for.
func holdsBlock(b []byte, wanted func(blockType string) bool) bool {
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			return false
		}
		if wanted(block.Type) {
			return true
		}
		b = rest
	}
}

// readAuthorities reads a bundle of certificates. One that is damaged makes all
// of it unusable: whoever wrote it meant something else.
func readAuthorities(path string) (pool *x509.CertPool, raw []byte, err error) {
	raw, err = readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("client authorities: %w", err)
	}
	pool = x509.NewCertPool()
	b, n := raw, 0
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("client authorities: certificate %d of %s: %w", n+1, path, err)
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return nil, nil, fmt.Errorf("client authorities: %s holds no PEM certificate", path)
	}
	return pool, raw, nil
}

// exposed reports whether everybody may read the file, where a file's mode says so.
func exposed(path string) bool {
	if runtime.GOOS == "windows" {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}

var errNoPairs = errors.New("no certificate is configured")
