package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// Dial opens a connection. A host's addresses are tried one after the other,
// the one that worked last first, each for an equal share of what is left of
// ConnectTimeout.
//
// At the origin's MaxConnections it first closes the longest idle connection
// of another of the origin's pools. If there is none it waits in a queue,
// first in, first out, until ctx or another ConnectTimeout ends; then it may
// also give a connection that a request of this pool just put back, and whose
// Reused is true.
//
// The error is a [*DialError]. The caller owns the connection and must Put or
// Close it. ctx does not matter to the connection once it is there.
func (p *Pool) Dial(ctx context.Context) (*Conn, error) {
	c, err := p.place(ctx)
	if c != nil || err != nil {
		return c, err
	}
	c, err = p.connect(ctx)
	if err != nil {
		p.origin.release()
		return nil, err
	}
	return c, nil
}

// connect tries the origin's addresses.
func (p *Pool) connect(ctx context.Context) (*Conn, error) {
	o := p.origin
	limited, cancel := context.WithTimeout(ctx, o.cfg.ConnectTimeout)
	defer cancel()
	end, _ := limited.Deadline()
	targets, err := o.targets(limited)
	if err != nil {
		return nil, blame(ctx, &DialError{Origin: o.cfg.Name, Phase: PhaseResolve, Err: err})
	}
	var furthest *DialError
	for i, t := range targets {
		share := time.Until(end) / time.Duration(len(targets)-i)
		c, err := p.connectTo(limited, share, t)
		if err == nil {
			o.worked(t)
			return c, nil
		}
		if furthest == nil || err.Phase >= furthest.Phase {
			furthest = err
		}
		if limited.Err() != nil {
			break
		}
	}
	return nil, blame(ctx, furthest)
}

// blame makes e nobody's fault if the caller cancelled ctx.
func blame(ctx context.Context, e *DialError) *DialError {
	if errors.Is(ctx.Err(), context.Canceled) {
		e.Phase, e.Err = PhaseCanceled, context.Cause(ctx)
	}
	return e
}

// A target is one address to connect to.
type target struct {
	address string     // for net.Dialer
	ip      netip.Addr // the zero value for unix sockets
}

// targets gives at least one target, or an error.
func (o *Origin) targets(ctx context.Context) ([]target, error) {
	if o.cfg.Network != "tcp" {
		return []target{{address: o.cfg.Address}}, nil
	}
	if o.badTCP != nil {
		return nil, o.badTCP
	}
	ips, err := o.addresses(ctx)
	if err != nil {
		return nil, err
	}
	targets := make([]target, len(ips))
	for i, ip := range ips {
		targets[i] = target{net.JoinHostPort(ip.Unmap().String(), o.port), ip}
	}
	return targets, nil
}

// addresses gives the host's addresses, the one that worked last first: with
// one of several addresses dead, only one dial pays for it.
func (o *Origin) addresses(ctx context.Context) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(o.host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ips, err := o.cfg.Resolve(ctx, o.host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, &net.DNSError{Err: "no addresses", Name: o.host, IsNotFound: true}
	}
	o.mu.Lock()
	good := o.good
	o.mu.Unlock()
	if i := slices.Index(ips, good); i > 0 {
		ips = slices.Concat(ips[i:i+1], ips[:i], ips[i+1:])
	}
	return ips, nil
}

func (o *Origin) worked(t target) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.good = t.ip
}

// connectTo connects to one target and, for TLS, shakes hands.
func (p *Pool) connectTo(ctx context.Context, within time.Duration, t target) (*Conn, *DialError) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	failed := func(phase Phase, err error) (*Conn, *DialError) {
		return nil, &DialError{Origin: p.origin.cfg.Name, Phase: phase, Addr: t.address, Err: err}
	}
	var d net.Dialer // its zero value turns TCP_NODELAY and keep-alive on
	raw, err := d.DialContext(ctx, p.origin.cfg.Network, t.address)
	if err != nil {
		return failed(phaseOfConnect(ctx, err), err)
	}
	c, err := newConn(p, raw)
	if err == nil && p.origin.cfg.TLS != nil {
		err = c.shakeHands(ctx, p.origin.cfg.TLS)
	}
	if err != nil {
		raw.Close()
		return failed(phaseOfHandshake(ctx), err)
	}
	return c, nil
}

// phaseOfConnect sorts what a connect met.
func phaseOfConnect(ctx context.Context, err error) Phase {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return PhaseLimit // out of file descriptors: the origin has seen nothing
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return PhaseConnectTimeout
	default:
		return PhaseConnectRefused
	}
}

// phaseOfHandshake tells a handshake that failed from one that took too long.
func phaseOfHandshake(ctx context.Context) Phase {
	if ctx.Err() != nil {
		return PhaseConnectTimeout
	}
	return PhaseTLS
}
