package main

import (
	"context"
	"slices"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/certs"
)

// reload puts cfg in the place of the configuration that is at work. All that
// can go wrong is done first, so if there is an error, nothing has changed.
func (s *service) reload(ctx context.Context, cfg *config.Config) (err error) {
	s.steering.Lock()
	defer s.steering.Unlock()
	s.reloading.Lock()
	defer s.reloading.Unlock()
	var undo []func()
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(undo) {
				f()
			}
		}
	}()
	commitLogs, abortLogs, err := s.logs.prepare(cfg.Log)
	if err != nil {
		return err
	}
	undo = append(undo, abortLogs)
	next, names, err := s.prepare(ctx, cfg)
	if err != nil {
		return err
	}
	undo = append(undo, names.abort)
	store, commitCerts, err := prepareCertificates(s.certs, &cfg.Server, s.watcher.certs)
	if err != nil {
		return err
	}
	commitAdmin, abortAdmin, err := s.prepareAdmin(cfg.Admin)
	if err != nil {
		return err
	}
	undo = append(undo, abortAdmin)
	if err := s.proxy.Reload(s.proxyConfig(next, store)); err != nil {
		return err
	}
	commitLogs()
	s.adopt(next) // before a new pointer is led anywhere, and one that is let go has to go by its verdicts
	names.commit()
	commitCerts()
	s.employ(next, s.plan)
	s.employCertificates(store)
	s.certs, s.plan = store, next
	s.working.Store(next)
	commitAdmin()
	s.forgetDrains(cfg)
	if s.operator != nil {
		s.operator.forget(cfg)
	}
	next.tell(s.logs.events)
	// In this order: the old file never gets what it knows nothing of.
	s.keeper.setPath(cfg.Server.State)
	s.keeper.setGroups(cfg, next.pointers)
	return nil
}

// maxPlans is how often a reload plans at most.
const maxPlans = 3

// prepare plans cfg, and its part in DNS. The latter may take seconds, in which a
// pointer may move that is to be replaced; then the new one would go on from
// where the old one was, so it plans again. If that is in vain, too, the
// origins' verdicts bring the pointer to where it belongs.
func (s *service) prepare(ctx context.Context, cfg *config.Config) (*plan, *namesChange, error) {
	for try := 1; ; try++ {
		next, err := s.newPlan(cfg)
		if err != nil {
			return nil, nil, err
		}
		names, err := s.names.prepare(ctx, cfg, next.pointers)
		if err != nil {
			return nil, nil, err
		}
		if try == maxPlans || !next.stale() {
			return next, names, nil
		}
		names.abort()
	}
}

// readCertificates reads the files of the TLS listeners that are at work, as a
// look of their Watch does, but at once: where a reload was refused since
// client_ca is missing, nobody may be let in by the one of before. What can't be
// used is told as events.
func (s *service) readCertificates() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.certs != nil {
		_ = s.certs.Reload()
	}
}

// employCertificates watches the files of the certificates that are in use.
func (s *service) employCertificates(store *certs.Store) {
	if s.certs != store && s.certs != nil {
		s.crew.dismiss(s.certs)
	}
	if store != nil && s.crew.members[store] == nil {
		s.crew.employ(store, func(ctx context.Context) { store.Watch(ctx, 0) })
	}
}
