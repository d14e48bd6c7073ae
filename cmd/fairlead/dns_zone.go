package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/nameserver"
)

// forever is how long the addresses hold that stand in the file.
const forever = 10 * 365 * 24 * time.Hour

// zone is what the nameserver answers. The pointers are the groups', in the
// configuration's order.
func (n *names) zone(cfg *config.Config, pointers []*failover.Group, followers map[string]*following) nameserver.Config {
	c := cfg.Nameserver
	nc := nameserver.Config{
		Listen: c.Listen, Zone: c.Zone, NS: c.NS, NSAddresses: c.NSAddresses, Admin: c.Admin,
		RateLimit: c.RateLimit, Serial: n.lastSerial.Load, OnError: n.w.nameserver,
	}
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		if g.DNSName == "" {
			continue
		}
		ng := nameserver.Group{
			Name: g.DNSName, TTL: g.TTL, CNAME: g.DNSAnswer == config.DNSAnswerCNAME,
			Pointer: pointerOf(g, pointers[i], followers[g.Name]),
		}
		for _, name := range []string{g.Primary, g.Secondary} {
			if name != "" {
				ng.Origins = append(ng.Origins, n.origin(cfg.Origin(name)))
			}
		}
		nc.Groups = append(nc.Groups, ng)
	}
	return nc
}

// pointerOf is a group's pointer as the nameserver sees it. The follower is nil
// where the group follows nobody.
func pointerOf(g *config.Group, pointer *failover.Group, f *following) func() nameserver.Pointer {
	return func() nameserver.Pointer {
		s := pointer.Pointer()
		p := nameserver.Pointer{Generation: s.Generation, Since: s.Since, Reason: s.Reason.String()}
		if s.Target != failover.RoleNone {
			p.Target = originIn(g, s.Target)
		}
		if f != nil {
			p.Via = f.Via()
		}
		return p
	}
}

// origin is an origin as the nameserver sees it.
func (n *names) origin(o *config.Origin) nameserver.Origin {
	no := nameserver.Origin{Name: o.Name, Host: dnsHost(o)}
	if no.Host != "" {
		no.Addresses = func() ([]netip.Addr, time.Duration, bool) { return n.peek(no.Host) }
		return no
	}
	var literal []netip.Addr // none for a socket
	if o.Network == "tcp" {
		host, _, _ := net.SplitHostPort(o.Address)
		literal = []netip.Addr{netip.MustParseAddr(host)}
	}
	no.Addresses = func() ([]netip.Addr, time.Duration, bool) { return literal, forever, true }
	return no
}

// open has a nameserver listen, at sockets that were inherited if there are
// any.
func (n *names) open(s *nameserver.Server, address string) (net.Addr, error) {
	if n.inherit == nil {
		return s.Listen()
	}
	l, c, err := n.inherit(address)
	if err != nil {
		return nil, fmt.Errorf("nameserver: inherited sockets for %s: %w", address, err)
	}
	tcp, isTCP := l.(*net.TCPListener)
	udp, isUDP := c.(*net.UDPConn)
	if l != nil && !isTCP || c != nil && !isUDP {
		err = fmt.Errorf("nameserver: inherited sockets for %s: TCP and UDP are needed, not %T and %T", address, l, c)
		if l != nil {
			err = errors.Join(err, l.Close())
		}
		if c != nil {
			err = errors.Join(err, c.Close())
		}
		return nil, err
	}
	return s.ListenOn(tcp, udp)
}

// answer has a nameserver work, with n.mu held.
func (n *names) answer(s *nameserver.Server) {
	ctx, cancel := context.WithCancel(n.running)
	silent := make(chan struct{})
	n.mute, n.silent = cancel, silent
	n.work.Go(func() {
		defer close(silent)
		_ = s.Run(ctx)
	})
}

// silence ends a nameserver, with n.mu held. The next one's serial comes after
// its own.
func (n *names) silence(s *nameserver.Server) {
	if serial := s.Stats().Serial; serial != 0 {
		n.lastSerial.Store(serial)
	}
	if n.mute == nil { // run wasn't called
		_ = s.Close()
		return
	}
	n.mute()
	n.leaving = append(n.leaving, n.silent)
	n.mute, n.silent = nil, nil
}

// awaitSilence waits until nameservers that were replaced have closed their
// sockets: they answer what has still come, which takes a moment, and whoever
// moves back at once needs the address. The error is ctx's.
func (n *names) awaitSilence(ctx context.Context) error {
	n.mu.Lock()
	leaving := n.leaving
	n.leaving = nil
	n.mu.Unlock()
	for i, silent := range leaving {
		select {
		case <-silent:
		case <-ctx.Done():
			n.mu.Lock()
			n.leaving = append(n.leaving, leaving[i:]...)
			n.mu.Unlock()
			return context.Cause(ctx)
		}
	}
	return nil
}

// stopAnswering ends the nameserver, for a process that has handed its sockets
// over: two that answer in turn would tell of two pointers and two serials. It
// doesn't wait.
func (n *names) stopAnswering() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mute != nil {
		n.mute()
	}
}

// dnsSockets are a nameserver's.
type dnsSockets struct {
	address string // as the configuration writes it
	tcp     *net.TCPListener
	udp     *net.UDPConn
}

// sockets are those to hand over to another process. They stay the
// nameserver's.
func (n *names) sockets() []dnsSockets {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.server.Load()
	if s == nil {
		return nil
	}
	tcp, udp := s.Sockets()
	if tcp == nil || udp == nil {
		return nil
	}
	return []dnsSockets{{n.listens, tcp, udp}}
}
