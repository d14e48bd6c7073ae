package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/admin/page"
	"github.com/fairlead/fairlead/internal/metrics"
)

// adminConfig is what the operators' listener is made of.
func (s *service) adminConfig(c *config.Admin) (admin.Config, error) {
	ac := admin.Config{
		Listen: c.Listen, Hosts: c.Hosts, Backend: s.operator, Events: s.operator.events,
		Metrics: metrics.New(s.operator.metrics).Handler(), Page: page.Files, OnChange: s.watcher.asked, OnError: s.watcher.admin,
	}
	if c.TokenFile == "" {
		return ac, nil
	}
	token, exposed, err := admin.ReadToken(c.TokenFile)
	if exposed {
		s.watcher.admin(fmt.Errorf("everybody on this machine may read the token in %s: chmod 600 it", c.TokenFile))
	}
	ac.Token = token
	return ac, err
}

// newAdmin makes and binds the operators' listener; nil where the table is missing.
func (s *service) newAdmin(c *config.Admin) (*admin.Server, error) {
	if c == nil || s.operator == nil {
		return nil, nil
	}
	ac, err := s.adminConfig(c)
	if err != nil {
		return nil, err
	}
	a, err := admin.New(ac)
	if err != nil {
		return nil, err
	}
	var l net.Listener
	if s.handed != nil {
		if l, err = s.handed.Listener(c.Listen); err != nil {
			return nil, fmt.Errorf("admin: listen on %s: the socket that was handed over: %w", c.Listen, err)
		}
	}
	if l != nil {
		err = a.ListenOn(l)
	} else {
		_, err = a.Listen()
	}
	return a, err
}

// prepareAdmin makes what another configuration needs. One of commit and abort
// is to be called.
func (s *service) prepareAdmin(c *config.Admin) (commit, abort func(), err error) {
	old := s.admin
	if old != nil && c != nil {
		ac, err := s.adminConfig(c)
		if err != nil {
			return nil, nil, err
		}
		return old.Prepare(ac)
	}
	next, err := s.newAdmin(c)
	if err != nil {
		return nil, nil, err
	}
	commit = func() {
		s.admin = next
		if old != nil {
			s.crew.dismiss(old)
		}
		s.employAdmin()
	}
	abort = func() {
		if next != nil {
			_ = next.Close()
		}
	}
	return commit, abort, nil
}

// employAdmin has the operators' listener serve.
func (s *service) employAdmin() {
	a := s.admin
	if a == nil {
		return
	}
	s.crew.employ(a, func(ctx context.Context) {
		if err := a.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.watcher.admin(err)
		}
	})
}
