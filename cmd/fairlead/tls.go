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
	return certs.New(certsConfig(s, onEvent))
}

// prepareCertificates reads what the TLS listeners of another configuration
// need. Next is the store to use from commit on: the same one if there was one,
// whose TLSConfig stays; nil if nothing is served over TLS any more. The caller
// begins and ends its Watch as it comes and goes. Who doesn't call commit has
// nothing to undo. The error names each file that can't be used.
func prepareCertificates(store *certs.Store, s *config.Server, onEvent func(certs.Event)) (next *certs.Store, commit func(), err error) {
	if store == nil || len(s.TLSListen) == 0 {
		next, err = newCertificates(s, onEvent)
		return next, func() {}, err
	}
	if commit, err = store.Prepare(certsConfig(s, onEvent)); err != nil {
		return nil, nil, err
	}
	return store, commit, nil
}

func certsConfig(s *config.Server, onEvent func(certs.Event)) certs.Config {
	cc := certs.Config{
		ClientCA:   s.ClientCA,
		NextProtos: []string{"h2", "http/1.1"},
		OnEvent:    onEvent,
	}
	for _, c := range s.Certificates {
		cc.Pairs = append(cc.Pairs, certs.Pair{Cert: c.Cert, Key: c.Key})
	}
	return cc
}
