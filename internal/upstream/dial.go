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

// Dial opens a connection within ConnectTimeout. Of a host with several
// addresses each dial begins with another one; the families take turns, IPv6
// first as long as it works, and an address that failed in the last 10 s is
// tried last. The next address is tried when one fails, or beside one that has
// been silent for 250 ms; the first that accepts is taken (RFC 8305). If its
// TLS handshake fails, the addresses that are left are tried in the same way.
//
// avoid holds addresses, as Remote gives them, that are not dialled if the host
// has others.
//
// At the origin's MaxConnections it first closes the longest idle connection
// of another of the origin's pools. If there is none it waits in a queue,
// first in, first out, until ctx or another ConnectTimeout ends; then it may
// also give a connection that a request of this pool just put back, whose
// Reused is true and whose address may be one to avoid. For that limit a Dial is
// one connection, to however many addresses it connects at once: all but one
// are closed when it returns.
//
// The error is a [*DialError]. The caller owns the connection and must Put or
// Close it. ctx does not matter to the connection once it is there.
func (p *Pool) Dial(ctx context.Context, avoid ...string) (*Conn, error) {
	c, err := p.place(ctx)
	if c != nil || err != nil {
		return c, err
	}
	c, err = p.connect(ctx, avoid)
	if err != nil {
		p.origin.release()
		return nil, err
	}
	return c, nil
}

// Connect opens a bare connection, without TLS, to the address that the next
// Dial would use, in the same way and within ConnectTimeout: for health probes,
// which so see what requests see. It belongs to no pool and does not count as
// one of MaxConnections. A failure makes the address one that Dial tries last, a
// success undoes that; whose turn it is stays the same.
//
// The error is a [*DialError], never with ErrTLS. The caller must close the
// connection; ctx does not matter to it any more.
func (o *Origin) Connect(ctx context.Context) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	targets, err := o.targets(limited, true)
	if err != nil {
		return nil, blame(ctx, err)
	}
	end := o.reach(limited, targets)
	if end.raw == nil {
		return nil, blame(ctx, end.failed)
	}
	o.chooser.success(end.at.ip)
	return end.raw, nil
}

// timeout is ConnectTimeout.
func (o *Origin) timeout() time.Duration { return time.Duration(o.connectTimeout.Load()) }

// connect tries the origin's addresses until one serves.
func (p *Pool) connect(ctx context.Context, avoid []string) (*Conn, error) {
	o := p.origin
	limited, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	targets, furthest := o.targets(limited, false)
	for targets = without(targets, avoid); len(targets) > 0; {
		end := o.reach(limited, targets)
		furthest = further(furthest, end.failed)
		if end.raw == nil {
			break
		}
		c, err := p.secure(limited, end)
		if err == nil {
			o.chooser.success(end.at.ip)
			return c, nil
		}
		furthest = further(furthest, err)
		if limited.Err() != nil {
			break
		}
		targets = end.rest
	}
	return nil, blame(ctx, furthest)
}

// further gives the failure that came further, b if both came as far. Either
// may be nil.
func further(a, b *DialError) *DialError {
	if a == nil || b != nil && b.Phase >= a.Phase {
		return b
	}
	return a
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
	ip      netip.Addr // the zero value if the origin is a unix socket or an IP literal
}

// fixedTarget is the only target of an origin that nobody has to resolve; nil
// if it is not such a one.
func (o *Origin) fixedTarget() []target {
	if o.cfg.Network != "tcp" {
		return []target{{address: o.cfg.Address}}
	}
	ip, err := netip.ParseAddr(o.host)
	if o.badTCP != nil || err != nil {
		return nil
	}
	return []target{o.target(ip)}
}

func (o *Origin) target(ip netip.Addr) target {
	return target{address: net.JoinHostPort(ip.Unmap().String(), o.port)}
}

// targets gives at least one target, or an error. peek leaves the turn to the
// next one.
func (o *Origin) targets(ctx context.Context, peek bool) ([]target, *DialError) {
	if o.fixed != nil {
		return o.fixed, nil
	}
	ips, err := o.resolve(ctx)
	if err != nil {
		return nil, &DialError{Origin: o.cfg.Name, Phase: PhaseResolve, Err: err}
	}
	if len(ips) > 1 {
		ips = o.chooser.choose(ips, time.Now(), peek)
	}
	targets := make([]target, len(ips))
	for i, ip := range ips {
		targets[i] = o.target(ip)
		targets[i].ip = ip.Unmap()
	}
	return targets, nil
}

// resolve gives at least one valid address, or an error.
func (o *Origin) resolve(ctx context.Context) ([]netip.Addr, error) {
	if o.badTCP != nil {
		return nil, o.badTCP
	}
	ips, err := o.cfg.Resolve(ctx, o.host)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(ips, netip.Addr.IsValid) {
		return nil, &net.DNSError{Err: "no addresses", Name: o.host, IsNotFound: true}
	}
	return ips, nil
}

// without leaves out the targets that avoid names, unless none would be left.
func without(targets []target, avoid []string) []target {
	if len(targets) < 2 || len(avoid) == 0 {
		return targets
	}
	others := slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return slices.Contains(avoid, t.address) })
	if len(others) == 0 {
		return targets
	}
	return others
}

// secure makes a Conn of a connection that was just opened and, for TLS, shakes
// hands. While there are other targets, it leaves them their share of the time.
func (p *Pool) secure(ctx context.Context, end reached) (*Conn, *DialError) {
	o := p.origin
	c, err := newConn(p, end.raw, end.at.ip)
	if err == nil && o.cfg.TLS != nil {
		if deadline, ok := ctx.Deadline(); ok && len(end.rest) > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(end.rest)+1))
			defer cancel()
		}
		err = c.shakeHands(ctx, o.cfg.TLS)
	}
	if err != nil {
		_ = end.raw.Close()
		return nil, o.fault(ctx, end.at, phaseOfHandshake(ctx), err)
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
