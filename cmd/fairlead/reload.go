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
	next, err := s.newPlan(cfg)
	if err != nil {
		return err
	}
	names, err := s.names.prepare(ctx, cfg, next.pointers)
	if err != nil {
		return err
	}
	undo = append(undo, names.abort)
	store, commitCerts, err := prepareCertificates(s.certs, &cfg.Server, s.watcher.certs)
	if err != nil {
		return err
	}
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
	s.keeper.setGroups(cfg, next.pointers)
	s.keeper.setPath(cfg.Server.State)
	return nil
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
