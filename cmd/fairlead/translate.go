package main

import (
	"crypto/tls"
	"errors"
	"net/url"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/route"
	"github.com/fairlead/fairlead/proxy"
)

// This file says what the configuration means to each package.

// pointerConfig says how a group's pointer moves.
func pointerConfig(g *config.Group) (failover.PointerConfig, error) {
	failback, err1 := failover.ParseFailback(string(g.Failback))
	bothDown, err2 := failover.ParseBothDown(string(g.BothDown))
	return failover.PointerConfig{
		HasSecondary:  g.Secondary != "",
		Failback:      failback,
		BothDown:      bothDown,
		FailbackAfter: g.FailbackAfter,
		MinHold:       g.MinHold,
	}, errors.Join(err1, err2)
}

// policyConfig says what may fail over in a group.
func policyConfig(g *config.Group) (failover.PolicyConfig, error) {
	unsafe, err := failover.ParseUnsafe(string(g.Unsafe))
	return failover.PolicyConfig{
		Methods:      g.FailoverMethods,
		Statuses:     g.FailoverStatuses,
		Unsafe:       unsafe,
		ParkTimeout:  g.ParkTimeout,
		HasSecondary: g.Secondary != "",
	}, err
}

// healthConfig says how an origin is probed.
func healthConfig(o *config.Origin, tls *tls.Config) health.Config {
	h := o.Health
	hc := health.Config{
		Origin:       o.Name,
		URL:          &url.URL{Scheme: o.Scheme, Host: o.Authority},
		Network:      o.Network,
		Address:      o.Address,
		Path:         h.Path,
		Interval:     h.Interval,
		Timeout:      h.Timeout,
		FastInterval: h.FastInterval,
		Fall:         h.Fall,
		Rise:         h.Rise,
		ExpectBody:   h.ExpectBody,
		TLS:          tls,
	}
	if mode, literal := hostMode(o.Host); mode == proxy.HostLiteral {
		hc.Host = literal
	}
	for _, r := range h.ExpectStatus {
		hc.ExpectStatus = append(hc.ExpectStatus, health.StatusRange{From: r.Min, To: r.Max})
	}
	return hc
}

// proxyConfig is all of the proxy's configuration but what is shared with
// others: pointers, loggers and checkers. Each https origin has its tls.
func proxyConfig(cfg *config.Config, tls map[string]*tls.Config) proxy.Config {
	pc := proxy.Config{
		Listen:               cfg.Server.Listen,
		TLSListen:            cfg.Server.TLSListen,
		HTTPSRedirect:        cfg.Server.HTTPSRedirect,
		H2C:                  cfg.Server.H2C,
		RequestHeaderTimeout: cfg.Server.RequestHeaderTimeout,
		IdleTimeout:          cfg.Server.IdleTimeout,
		BodyIdleTimeout:      cfg.Server.BodyIdleTimeout,
		DrainTimeout:         cfg.Server.DrainTimeout,
		MaxHeaderBytes:       cfg.Server.MaxHeaderBytes,
		MaxConnections:       cfg.Server.MaxConnections,
		TrustedProxies:       cfg.Server.TrustedProxies,
		ProxyProtocol:        cfg.Server.ProxyProtocol,
		ProxyStatus:          cfg.Server.ProxyStatus,
		KeepEncodedSlash:     cfg.Server.EncodedSlash == config.EncodedSlashKeep,
	}
	for i := range cfg.Origins {
		pc.Origins = append(pc.Origins, proxyOrigin(&cfg.Origins[i], tls[cfg.Origins[i].Name]))
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		pc.Routes = append(pc.Routes, proxy.Route{
			Name:         r.Name,
			Match:        r.Match,
			Group:        r.Group,
			MaxBodyBytes: r.MaxBodyBytes,
			Timeout:      r.Timeout,
			Bulkhead: bulkhead.Config{
				MaxConcurrent: r.Bulkhead.MaxConcurrent,
				MaxQueue:      r.Bulkhead.MaxQueue,
				QueueTimeout:  r.Bulkhead.QueueTimeout,
			},
			Breaker: proxy.BreakerConfig{
				ConsecutiveFailures: r.Breaker.ConsecutiveFailures,
				OpenFor:             r.Breaker.OpenFor,
				HalfOpenTrials:      r.Breaker.HalfOpenTrials,
			},
		})
	}
	return pc
}

func proxyOrigin(o *config.Origin, tls *tls.Config) proxy.Origin {
	mode, literal := hostMode(o.Host)
	po := proxy.Origin{
		Name: o.Name,
		// Put together from the parts, so that a port that goes without
		// saying is in no Host field.
		URL:                   o.Scheme + "://" + o.Authority,
		Host:                  mode,
		HostLiteral:           literal,
		TLS:                   tls,
		ConnectTimeout:        o.ConnectTimeout,
		ResponseHeaderTimeout: o.ResponseHeaderTimeout,
		MaxConnections:        o.MaxConnections,
	}
	if o.Network == "unix" {
		po.URL = "unix:" + o.Address
	}
	return po
}

// hostMode turns the word or literal of the configuration into the proxy's mode.
func hostMode(host string) (mode proxy.HostMode, literal string) {
	switch host {
	case config.HostClient:
		return proxy.HostClient, ""
	case config.HostOrigin:
		return proxy.HostOrigin, ""
	}
	return proxy.HostLiteral, host
}

// checkPatterns tells the config package, which knows no routes' syntax, what
// is wrong with patterns.
func checkPatterns(patterns []string) []config.PatternProblem {
	_, err := route.NewTable(patterns)
	if err == nil {
		return nil
	}
	var problems []config.PatternProblem
	for _, e := range flatten(err) {
		if pe, ok := errors.AsType[*route.PatternError](e); ok {
			problems = append(problems, config.PatternProblem{Index: pe.Index, Other: pe.Other, Msg: pe.Msg})
		}
	}
	return problems
}

// flatten returns the errors that were joined into err.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
