package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"time"
)

// Configure puts other pairs and other client authorities in use, from the next
// handshake on. Connections that are open stay, TLSConfig stays the same one,
// so sessions can still be resumed, and Watch goes on with the new files. Of
// cfg only Pairs and ClientCA count. A session that began without a client's
// certificate is not resumed once one is asked for, nor the other way round.
//
// All files are read first, those that are in use already too: what runs is
// what a start with cfg would run. On an error, which names each file that
// can't be used, nothing changes.
func (s *Store) Configure(cfg Config) error {
	commit, err := s.Prepare(cfg)
	if err == nil {
		commit()
	}
	return err
}

// Prepare is Configure up to the point where nothing can go wrong any more.
// Commit does the rest; it reads no certificate, and counts once. Whoever
// doesn't call it has nothing to undo. Files that were read again between the
// two, by Reload or Watch, are in use as they were read last.
func (s *Store) Prepare(cfg Config) (commit func(), err error) {
	if len(cfg.Pairs) == 0 {
		return nil, errNoPairs
	}
	p := prepared{
		pairs: slices.Clone(cfg.Pairs), certs: make([]*tls.Certificate, len(cfg.Pairs)), clientCA: cfg.ClientCA,
		reading: s.reading.Add(1),
	}
	var errs []error
	for i, pair := range p.pairs {
		p.certs[i], err = readPair(pair)
		errs = append(errs, err)
	}
	if p.clientCA != "" {
		p.pool, p.raw, err = readAuthorities(p.clientCA)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { s.commit(&p) }), nil
}

// prepared is a configuration with what was read for it.
type prepared struct {
	pairs    []Pair
	certs    []*tls.Certificate
	clientCA string // "": none
	pool     *x509.CertPool
	raw      []byte
	reading  uint64
}

func (s *Store) commit(p *prepared) {
	var events []Event
	s.mu.Lock()
	defer s.mu.Unlock()
	pairs := make([]pairState, len(p.pairs))
	for i, files := range p.pairs {
		if was := slices.Index(s.cfg.Pairs, files); was >= 0 {
			pairs[i] = s.pairs[was]
		}
		if pairs[i].read < p.reading {
			pairs[i].take(files, p.certs[i], p.reading, &events)
		}
	}
	if p.clientCA != s.cfg.ClientCA {
		s.ca = caState{}
	}
	if p.clientCA != "" && s.ca.read < p.reading {
		s.ca.take(p.clientCA, p.pool, p.raw, p.reading, &events)
	}
	s.cfg.Pairs, s.cfg.ClientCA, s.pairs = p.pairs, p.clientCA, pairs
	s.stamps, s.last = nil, nil // whatever happened since they were read, Watch reads them once more
	s.view.Store(s.viewLocked())
	s.remindLocked(&events, time.Now())
	s.tell(events)
}
