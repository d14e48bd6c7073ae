package main

import (
	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/certs"
)

// newCertificates reads what the TLS listeners need, nil without one.
func newCertificates(s *config.Server, onEvent func(certs.Event)) (*certs.Store, error) {
	if len(s.TLSListen) == 0 {
		return nil, nil
	}
	cc := certs.Config{
		ClientCA:   s.ClientCA,
		NextProtos: []string{"h2", "http/1.1"},
		OnEvent:    onEvent,
	}
	for _, c := range s.Certificates {
		cc.Pairs = append(cc.Pairs, certs.Pair{Cert: c.Cert, Key: c.Key})
	}
	return certs.New(cc)
}
