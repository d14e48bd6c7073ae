package certs

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The certificate is chosen by the name that the client asks for.
func TestACertificateIsChosenByName(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	var pairs []Pair
	for name, sans := range map[string][]string{"b": {"www.a.example", "A.example"}, "c": {"*.a.example", "*.wild.example"}} {
		cert, key := ca.issue(t, year, sans...)
		pairs = append(pairs, f.pair(name, cert, key))
	}
	cert, key := ca.issue(t, year, "first.example")
	s := newStore(t, Config{Pairs: append([]Pair{f.pair("a", cert, key)}, pairs...), NextProtos: []string{"h2", "http/1.1"}})
	tests := []struct{ give, want string }{
		{"first.example", "first.example"},
		{"www.a.example", "www.a.example"},
		{"WWW.A.Example", "www.a.example"},
		{"a.example", "www.a.example"},
		{"other.a.example", "*.a.example"},
		{"x.wild.example", "*.a.example"},
		{"x.y.wild.example", "first.example"},
		{"wild.example", "first.example"},
		{"elsewhere.example", "first.example"},
		{"", "first.example"},
	}
	for _, tt := range tests {
		state, err := connect(t, s.TLSConfig(), &tls.Config{ServerName: tt.give, InsecureSkipVerify: true, NextProtos: []string{"http/1.1", "h2"}})
		if err != nil {
			t.Fatalf("%q: %v", tt.give, err)
		}
		if got := state.PeerCertificates[0].DNSNames[0]; got != tt.want {
			t.Errorf("%q got the certificate of %s, want %s", tt.give, got, tt.want)
		}
		if state.NegotiatedProtocol != "h2" {
			t.Errorf("agreed on %q", state.NegotiatedProtocol)
		}
	}
}

// Whatever the names: a client gets a certificate, and one that is good for the
// name it asked for if there is one.
func TestTheChosenCertificateCoversTheName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.SampledFrom([]string{"a", "b", "C", "*"})
		name := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(append(rapid.SliceOfN(label, 1, 3).Draw(t, "labels"), "x"), ".")
		})
		var all []*tls.Certificate
		for _, sans := range rapid.SliceOfN(rapid.SliceOfN(name, 0, 3), 1, 4).Draw(t, "sans") {
			all = append(all, &tls.Certificate{Leaf: &x509.Certificate{Raw: []byte{1}, DNSNames: sans}})
		}
		asked := strings.ReplaceAll(name.Draw(t, "asked"), "*", "d")
		got, err := newChoice(all).pick(&tls.ClientHelloInfo{ServerName: asked})
		if err != nil || got == nil {
			t.Fatalf("%v, %v", got, err)
		}
		covers := func(c *tls.Certificate) bool { return c.Leaf.VerifyHostname(asked) == nil }
		if slices.ContainsFunc(all, covers) && !covers(got) {
			t.Fatalf("%q got a certificate for %q", asked, got.Leaf.DNSNames)
		}
	})
}

// Of two pairs for one name a client gets the one that it can verify.
func TestAClientGetsTheKindOfKeyThatItKnows(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	cert, key := ca.issue(t, year, "a.example")
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(year)}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, old.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	oldKey := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(old)})
	s := newStore(t, Config{Pairs: []Pair{f.pair("ec", cert, key), f.pair("rsa", certPEM(der), oldKey)}})
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   x509.RSA,
	} {
		state, err := connect(t, s.TLSConfig(), &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err != nil || state.PeerCertificates[0].PublicKeyAlgorithm != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}
}

func TestOldVersionsAreRefused(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	cert, key := ca.issue(t, year, "a.example")
	s := newStore(t, Config{Pairs: []Pair{f.pair("a", cert, key)}})
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := connect(t, s.TLSConfig(), &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// New says of each file that it can't use which it is and why.
func TestNewNamesEachFileThatIsWrong(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	cert, key := ca.issue(t, year, "a.example")
	other, _ := ca.issue(t, year, "b.example")
	good := f.pair("good", cert, key)
	big := f.write("big.pem", bytes.Repeat([]byte("x"), maxFile+1))
	empty, missing := f.write("empty.pem", nil), f.path("missing.pem")
	damaged := f.write("damaged.pem", append(ca.pem(), certPEM([]byte("junk"))...))
	tests := []struct {
		name string
		give Config
		want []string
	}{
		{"none", Config{}, []string{"no certificate is configured"}},
		{"missing", Config{Pairs: []Pair{{missing, good.Key}}}, []string{"certificate: open " + missing}},
		{"missing key", Config{Pairs: []Pair{{good.Cert, missing}}}, []string{"key: open " + missing}},
		{"empty", Config{Pairs: []Pair{{empty, good.Key}}}, []string{empty + " holds no PEM certificate"}},
		{"empty key", Config{Pairs: []Pair{{good.Cert, empty}}}, []string{empty + " holds no PEM private key"}},
		{"swapped", Config{Pairs: []Pair{{good.Key, good.Cert}}}, []string{good.Key + " holds no PEM certificate"}},
		{"mismatched", Config{Pairs: []Pair{{f.write("other.pem", other), good.Key}}}, []string{"other.pem", good.Key, "does not match"}},
		{"too large", Config{Pairs: []Pair{{big, good.Key}}}, []string{big, "more than"}},
		{"a directory", Config{Pairs: []Pair{{f.dir, good.Key}}}, []string{f.dir}},
		{"two wrong", Config{Pairs: []Pair{{missing, good.Key}, {empty, good.Key}}}, []string{missing, empty}},
		{"no authorities", Config{Pairs: []Pair{good}, ClientCA: missing}, []string{"client authorities: open " + missing}},
		{"empty authorities", Config{Pairs: []Pair{good}, ClientCA: empty}, []string{"client authorities: " + empty + " holds no PEM certificate"}},
		{"authorities without a certificate", Config{Pairs: []Pair{good}, ClientCA: good.Key}, []string{"client authorities: " + good.Key}},
		{"damaged authorities", Config{Pairs: []Pair{good}, ClientCA: damaged}, []string{"certificate 2 of " + damaged}},
	}
	for _, tt := range tests {
		s, err := New(tt.give)
		if err == nil || s != nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", tt.name, err, want)
			}
		}
	}
}

// serverName is the first name of the certificate that is in use.
func serverName(t testing.TB, s *Store) string {
	t.Helper()
	state, err := connect(t, s.TLSConfig(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].DNSNames[0]
}

// A pair that is broken stays what it was; the others are swapped.
func TestABrokenPairKeepsTheOldOne(t *testing.T) {
	ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
	first, firstKey := ca.issue(t, year, "first.example")
	second, secondKey := ca.issue(t, year, "second.example")
	other, otherKey := ca.issue(t, year, "other.example")
	s := newStore(t, Config{Pairs: []Pair{f.pair("a", first, firstKey), f.pair("b", other, otherKey)}, OnEvent: told.tell})
	want := func(when, name string, err bool, kinds ...Kind) {
		t.Helper()
		if got := s.Reload(); (got != nil) != err {
			t.Errorf("%s: %v", when, got)
		}
		if got := serverName(t, s); got != name {
			t.Errorf("%s: %s is in use, want %s", when, got, name)
		}
		if got := told.take(); !slices.Equal(got, kinds) {
			t.Errorf("%s: told %v, want %v", when, got, kinds)
		}
	}
	if got := told.take(); !slices.Equal(got, []Kind{Loaded, Loaded}) {
		t.Errorf("New told %v", got)
	}
	want("nothing changed", "first.example", false)
	f.write("a.pem", second)
	want("half of a new pair", "first.example", true, Failed)
	want("the same again", "first.example", true)
	f.remove("a.key")
	want("another problem", "first.example", true, Failed)
	renewed, renewedKey := ca.issue(t, year, "renewed.example")
	f.pair("b", renewed, renewedKey)
	want("a good pair beside it", "first.example", true, Loaded)
	f.write("a.key", secondKey)
	want("the other half", "second.example", false, Recovered, Loaded)
}

// Without the authorities nobody can be verified, so nobody is let in.
func TestClientAuthoritiesFailClosed(t *testing.T) {
	ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
	cert, key := ca.issue(t, year, "a.example")
	s := newStore(t, Config{Pairs: []Pair{f.pair("a", cert, key)}, ClientCA: f.write("ca.pem", ca.pem()), OnEvent: told.tell})
	told.take()
	stranger := newAuthority(t, "stranger")
	ours, theirs := ca.client(t), stranger.client(t)
	check := func(when string, want bool, with ...tls.Certificate) {
		t.Helper()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			_, err := connect(t, s.TLSConfig(), &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", MaxVersion: version,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &append(with, tls.Certificate{})[0], nil
				}})
			if (err == nil) != want {
				t.Errorf("%s, %s: %v", when, tls.VersionName(version), err)
			}
		}
	}
	check("with a certificate", true, ours)
	check("without", false)
	check("a stranger", false, theirs)
	for _, broken := range []func(){func() { f.remove("ca.pem") }, func() { f.write("ca.pem", nil) }, func() { f.write("ca.pem", certPEM([]byte("junk"))) }} {
		broken()
		if err := s.Reload(); err == nil {
			t.Error("reloaded without authorities")
		}
		if got := told.take(); !slices.Equal(got, []Kind{Failed}) {
			t.Errorf("told %v", got)
		}
		check("broken", false, ours)
		check("broken, without", false)
	}
	f.write("ca.pem", stranger.pem())
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	if got := told.take(); !slices.Equal(got, []Kind{Recovered, Loaded}) {
		t.Errorf("told %v", got)
	}
	check("no more", false, ours)
	check("now", true, theirs)
}

// Handshakes and reloads may run at the same time.
func TestReloadsDisturbNoHandshake(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	cert, key := ca.issue(t, year, "a.example")
	s := newStore(t, Config{Pairs: []Pair{f.pair("a", cert, key)}})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = s.Reload()
			}
		}
	})
	for range 50 {
		if _, err := connect(t, s.TLSConfig(), &tls.Config{RootCAs: ca.pool(), ServerName: "a.example"}); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

// One file may hold the chain and the key, in any order.
func TestOneFileMayHoldBoth(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	cert, key := ca.issue(t, year, "a.example")
	path := f.write("all.pem", slices.Concat(key, cert, ca.pem()))
	s := newStore(t, Config{Pairs: []Pair{{path, path}}})
	state, err := connect(t, s.TLSConfig(), &tls.Config{RootCAs: ca.pool(), ServerName: "a.example"})
	if err != nil || len(state.PeerCertificates) != 2 {
		t.Errorf("%d certificates, %v", len(state.PeerCertificates), err)
	}
}

func BenchmarkPick(b *testing.B) {
	var all []*tls.Certificate
	for _, name := range []string{"a.example", "*.b.example"} {
		all = append(all, &tls.Certificate{Leaf: &x509.Certificate{DNSNames: []string{name}}})
	}
	c, hello := newChoice(all), &tls.ClientHelloInfo{ServerName: "x.b.example"}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.pick(hello)
	}
}
