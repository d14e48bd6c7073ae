package certs

import (
	"crypto/tls"
	"testing"
)

// Sessions outlive a reload and go from one listener to another, since all use
// one configuration.
func TestASessionIsResumedAfterASwap(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	cert, key := ca.issue(t, year, "a.example")
	s := newStore(t, Config{Pairs: []Pair{f.pair("a", cert, key)}})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		for i := range 3 {
			state, err := connect(t, s.TLSConfig(), client)
			if err != nil || state.DidResume != (i > 0) {
				t.Errorf("%s, connection %d: resumed: %v, %v", tls.VersionName(version), i, state.DidResume, err)
			}
			cert, key := ca.issue(t, year, "a.example")
			f.pair("a", cert, key)
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A session that began with a certificate of an authority which was then taken
// out is no way around that.
func TestASessionIsNotResumedWithoutItsAuthority(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	cert, key := ca.issue(t, year, "a.example")
	other := newAuthority(t, "other")
	s := newStore(t, Config{Pairs: []Pair{f.pair("a", cert, key)}, ClientCA: f.write("ca.pem", ca.pem())})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", MaxVersion: version, Certificates: []tls.Certificate{ca.client(t)},
			ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		try := func(when string, authorities []byte, ok, resumed bool) {
			t.Helper()
			f.write("ca.pem", authorities)
			_ = s.Reload()
			state, err := connect(t, s.TLSConfig(), client)
			if (err == nil) != ok || err == nil && state.DidResume != resumed {
				t.Errorf("%s, %s: resumed: %v, %v", tls.VersionName(version), when, state.DidResume, err)
			}
		}
		try("first", ca.pem(), true, false)
		try("again", ca.pem(), true, true)
		try("another authority beside it", append(ca.pem(), other.pem()...), true, true)
		try("only another authority", other.pem(), false, false)
		try("none", nil, false, false)
		try("back", ca.pem(), true, false) // the client has dropped a session that was refused
	}
}

// Client authorities that a new configuration adds, takes away or swaps are no
// matter of the sessions that there are already.
func TestASessionIsNoWayAroundNewClientAuthorities(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	other := newAuthority(t, "other")
	cert, key := ca.issue(t, year, "a.example")
	pair := f.pair("a", cert, key)
	ours, theirs := f.write("ca.pem", ca.pem()), f.write("other.pem", other.pem())
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newStore(t, Config{Pairs: []Pair{pair}})
		shown := []tls.Certificate{} // what the client has to show
		client := &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(4),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &append(shown, tls.Certificate{})[0], nil
			}}
		try := func(when, clientCA string, ok, resumed bool) {
			t.Helper()
			if err := s.Configure(Config{Pairs: []Pair{pair}, ClientCA: clientCA}); err != nil {
				t.Fatal(err)
			}
			state, err := connect(t, s.TLSConfig(), client)
			if (err == nil) != ok || err == nil && state.DidResume != resumed {
				t.Errorf("%s, %s: resumed: %v, %v", tls.VersionName(version), when, state.DidResume, err)
			}
			if err == nil && clientCA != "" && len(state.VerifiedChains) == 0 {
				t.Errorf("%s, %s: nothing was verified", tls.VersionName(version), when)
			}
		}
		try("none", "", true, false)
		try("still none", "", true, true)
		try("added", ours, false, false)
		shown = append(shown, ca.client(t))
		try("added, with a certificate", ours, true, false)
		try("the same", ours, true, true)
		try("swapped", theirs, false, false)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		try("back, with no session", ours, true, false)
		try("removed", "", true, false)
		shown = shown[:0]
		try("removed, without a certificate", "", true, true)
		try("added again", ours, false, false)
	}
}
