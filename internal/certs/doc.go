// Package certs keeps the certificates of a TLS server: it reads them from
// files, chooses one for each client, and swaps them while the server runs.
//
//	store, err := certs.New(certs.Config{
//		Pairs:      []certs.Pair{{Cert: "site.pem", Key: "site.key"}},
//		NextProtos: []string{"h2", "http/1.1"},
//	})
//	if err != nil {
//		return err
//	}
//	go store.Watch(ctx, 0) // follows the files until ctx ends
//	l, err := tls.Listen("tcp", ":443", store.TLSConfig())
//
// The name that a client asks for (SNI) is looked up in the DNS names of the
// certificates, first as it is and then with its first label as a wildcard;
// who asks for another name, or for none, gets the first pair.
//
// What is in use stays in use until something better is there: a pair that
// can't be read, or whose key belongs to another certificate, changes
// nothing. Client certificates are the opposite: while the file of their
// authorities can't be used, every handshake is refused.
//
// The package logs nothing, it tells [Config.OnEvent]. It staples no OCSP
// answers, checks no revocation lists, and fetches no certificate from
// anywhere.
package certs
