package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/filestamp"
)

const (
	// expiresSoon is how long before its end a certificate is told of, and
	// remindEvery how often.
	expiresSoon = 14 * 24 * time.Hour
	remindEvery = 24 * time.Hour
)

// ErrClientAuthorities is what handshakes fail with while the file of the client
// authorities can't be used.
var ErrClientAuthorities = errors.New("client authorities can't be read")

// Pair is the paths of a certificate, with its chain, and of its private key,
// both in PEM. They may be one file.
type Pair struct{ Cert, Key string }

// Config says what a Store keeps.
type Config struct {
	// Pairs are the certificates; the first is the default. At least one is needed.
	Pairs []Pair
	// ClientCA is the path of the authorities in PEM of which every client must
	// show a certificate. "": clients need none.
	ClientCA string
	// NextProtos are the protocols offered by ALPN, the preferred one first.
	NextProtos []string
	// OnEvent is told what happens, one event at a time, by New, Reload, Watch,
	// Configure and what Prepare returns. It must not call the Store. Nil:
	// nobody is told.
	OnEvent func(Event)
}

// Store is the certificates of a server. Its methods may be called from any
// goroutine.
type Store struct {
	base    *tls.Config          // keeps the keys of session tickets, whatever is swapped
	view    atomic.Pointer[view] // what handshakes use
	reading atomic.Uint64        // numbers each reading of files as it begins

	mu     sync.Mutex       // one reload at a time
	cfg    Config           // Pairs and ClientCA guarded by mu, the rest never changes
	pairs  []pairState      // guarded by mu
	ca     caState          // guarded by mu
	stamps filestamp.Stamps // guarded by mu; of the files as last read, nil before Watch has looked
	last   filestamp.Stamps // guarded by mu; of the files as Watch saw them last
}

// view is what handshakes use at one moment. It does not change.
type view struct {
	config *tls.Config
	refuse error // every handshake fails with it; nil: none
}

type pairState struct {
	cert     *tls.Certificate // in use
	read     uint64           // the reading that brought cert
	problem  string           // why the files can't be used now; "": they can
	exposed  bool             // it was told that all may read the key
	reminded time.Time        // when it was told that the certificate ends
}

type caState struct {
	pool    *x509.CertPool // nil while there is a problem
	raw     []byte
	read    uint64 // the reading that brought pool, or that found nothing to use
	problem string
}

// New reads all files. The error names each file that can't be used, and why.
// A certificate that has expired is used all the same, and told of.
func New(cfg Config) (*Store, error) {
	if len(cfg.Pairs) == 0 {
		return nil, errNoPairs
	}
	cfg.Pairs, cfg.NextProtos = slices.Clone(cfg.Pairs), slices.Clone(cfg.NextProtos)
	s := &Store{cfg: cfg, pairs: make([]pairState, len(cfg.Pairs))}
	var events []Event
	if err := s.loadLocked(&events); err != nil { // nobody else knows s yet
		return nil, err
	}
	s.base = s.config()
	s.base.GetConfigForClient = s.configFor
	s.remindLocked(&events, time.Now())
	s.tell(events)
	return s, nil
}

// TLSConfig is the configuration for every listener of the server: always the
// same one, so that a session of one listener, or of before a reload, can be
// resumed at another. It must not be changed. TLS 1.2 is the oldest version;
// all else is what crypto/tls holds safe, with the keys of session tickets
// made anew every day.
func (s *Store) TLSConfig() *tls.Config { return s.base }

// config is what does not depend on the files.
func (s *Store) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: s.cfg.NextProtos,
		// Else the first 128 KB of a connection leave in smaller records, each with
		// a system call of its own.
		DynamicRecordSizingDisabled: true,
	}
}

// configFor implements tls.Config.GetConfigForClient. A session is resumed only
// if the client's certificate still has an authority: crypto/tls verifies
// that against the ClientCAs of what is returned here.
func (s *Store) configFor(*tls.ClientHelloInfo) (*tls.Config, error) {
	v := s.view.Load()
	return v.config, v.refuse
}

// Reload reads all files again and puts what is in order in use. The error
// joins what is not; see Failed for what becomes of that.
func (s *Store) Reload() error {
	var events []Event
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.loadLocked(&events)
	s.tell(events)
	return err
}

// loadLocked reads the files and swaps the view. Before there is one, it does so
// only if all is in order.
func (s *Store) loadLocked(events *[]Event) error {
	var errs []error
	reading := s.reading.Add(1)
	for i := range s.pairs {
		errs = append(errs, s.loadPairLocked(i, reading, events))
	}
	if s.cfg.ClientCA != "" {
		errs = append(errs, s.loadCALocked(reading, events))
	}
	err := errors.Join(errs...)
	if err != nil && s.view.Load() == nil {
		return err
	}
	s.view.Store(s.viewLocked())
	return err
}

func (s *Store) loadPairLocked(i int, reading uint64, events *[]Event) error {
	files, p := s.cfg.Pairs[i], &s.pairs[i]
	cert, err := readPair(files)
	if err != nil {
		if p.problem != err.Error() {
			p.problem = err.Error()
			*events = append(*events, Event{Kind: Failed, File: files.Cert, Err: err})
		}
		return err
	}
	p.take(files, cert, reading, events)
	return nil
}

// take puts in use what a reading brought.
func (p *pairState) take(files Pair, cert *tls.Certificate, reading uint64, events *[]Event) {
	about := Event{File: files.Cert, Names: cert.Leaf.DNSNames, NotAfter: cert.Leaf.NotAfter}
	if p.problem != "" {
		p.problem, about.Kind = "", Recovered
		*events = append(*events, about)
	}
	if p.cert == nil || !slices.EqualFunc(p.cert.Certificate, cert.Certificate, bytes.Equal) {
		p.reminded, about.Kind = time.Time{}, Loaded
		*events = append(*events, about)
	}
	if bad := exposed(files.Key); bad != p.exposed {
		if p.exposed = bad; bad {
			*events = append(*events, Event{Kind: Exposed, File: files.Key})
		}
	}
	p.cert, p.read = cert, reading
}

func (s *Store) loadCALocked(reading uint64, events *[]Event) error {
	file := s.cfg.ClientCA
	pool, raw, err := readAuthorities(file)
	if err != nil {
		if !exhausted(err) { // that is not the file's fault
			s.ca.pool, s.ca.read = nil, reading
		}
		if s.ca.problem != err.Error() {
			s.ca.problem = err.Error()
			*events = append(*events, Event{Kind: Failed, File: file, Err: err})
		}
		return err
	}
	s.ca.take(file, pool, raw, reading, events)
	return nil
}

// take puts in use what a reading brought.
func (c *caState) take(file string, pool *x509.CertPool, raw []byte, reading uint64, events *[]Event) {
	if c.problem != "" {
		c.problem = ""
		*events = append(*events, Event{Kind: Recovered, File: file})
	}
	if !bytes.Equal(c.raw, raw) {
		*events = append(*events, Event{Kind: Loaded, File: file})
	}
	*c = caState{pool: pool, raw: raw, read: reading}
}

// viewLocked is what is to be used now.
func (s *Store) viewLocked() *view {
	certs := make([]*tls.Certificate, len(s.pairs))
	for i := range s.pairs {
		certs[i] = s.pairs[i].cert
	}
	v := &view{config: s.config()}
	v.config.GetCertificate = newChoice(certs).pick
	if s.cfg.ClientCA == "" {
		return v
	}
	if s.ca.pool == nil {
		return &view{refuse: fmt.Errorf("%w: %s", ErrClientAuthorities, s.ca.problem)}
	}
	v.config.ClientAuth, v.config.ClientCAs = tls.RequireAndVerifyClientCert, s.ca.pool
	return v
}

// remindLocked tells of certificates that end soon.
func (s *Store) remindLocked(events *[]Event, now time.Time) {
	for i := range s.pairs {
		p := &s.pairs[i]
		leaf := p.cert.Leaf
		if leaf.NotAfter.Sub(now) >= expiresSoon || now.Sub(p.reminded) < remindEvery {
			continue
		}
		p.reminded = now
		*events = append(*events, Event{Kind: Expiring, File: s.cfg.Pairs[i].Cert, Names: leaf.DNSNames, NotAfter: leaf.NotAfter})
	}
}

// tell hands on what happened.
func (s *Store) tell(events []Event) {
	if s.cfg.OnEvent == nil {
		return
	}
	for _, e := range events {
		s.cfg.OnEvent(e)
	}
}
