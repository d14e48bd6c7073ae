package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config describes an origin. After [New] only [Origin.SetLimits] changes it.
type Config struct {
	// Name is the origin's name in errors.
	Name string

	// Network is "tcp" or "unix"; empty means "tcp".
	Network string

	// Address is host:port for tcp and a path for unix.
	Address string

	// TLS makes connections speak TLS; nil means plain. An empty ServerName
	// is filled in with Address's host. New clones it.
	TLS *tls.Config

	// ConnectTimeout bounds resolving, connecting and the TLS handshake
	// together, over all addresses, and separately the wait for
	// MaxConnections. Zero or less means DefaultConnectTimeout.
	ConnectTimeout time.Duration

	// MaxConnections bounds the open connections of all pools, those that
	// are being dialled included. A Dial counts as one, even while it
	// connects to several addresses. Zero or less means no limit.
	MaxConnections int

	// Budget bounds them together with those of other origins. When it is used
	// up, a Dial takes the place of an idle connection of this origin, or fails
	// at once with ErrLimit. Nil means no bound.
	Budget *Budget

	// Resolve gives the addresses of a host, in any order. Each Dial asks it,
	// so it should answer from a cache; its answer is not changed. It is not
	// asked about IP literals. Nil means the system's resolver. It must be
	// safe for concurrent use.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// IdleTimeout is how long a pooled connection may lie idle. Zero or less
	// means DefaultIdleTimeout.
	IdleTimeout time.Duration
}

// Defaults for a [Config]'s zero values.
const (
	DefaultConnectTimeout = time.Second
	DefaultIdleTimeout    = 60 * time.Second
)

// Origin is one server and the count of connections to it. It needs no Close:
// it holds nothing but what its pools hold. Safe for concurrent use.
type Origin struct {
	cfg    Config // but for its two limits, which are below
	host   string // of cfg.Address; tcp only
	port   string
	badTCP error    // cfg.Address is not host:port
	fixed  []target // what a unix socket or an IP literal leads to; nil for a name

	// dialer is net.Dialer's, and a test's where an address has to be silent.
	dialer  func(ctx context.Context, network, address string) (net.Conn, error)
	chooser chooser

	connectTimeout atomic.Int64 // a time.Duration

	// mu guards the origin's and all its pools' state, so that the limit, the
	// queue for it and the idle connections are always seen together.
	mu             sync.Mutex
	maxConnections int       // 0 or less: no limit
	open           int       // connections open or being dialled
	waiters        []*waiter // first in, first out; while there is one, nothing is idle
	pools          []*Pool

	addresses  []netip.Addr // of the last SetAddresses, canonical
	generation uint64       // of addresses; zero before the first SetAddresses
}

// New makes an origin. It does not connect: a bad address shows at the first
// [Pool.Dial].
func New(cfg Config) *Origin {
	if cfg.Network == "" {
		cfg.Network = "tcp"
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = DefaultIdleTimeout
	}
	if cfg.Resolve == nil {
		cfg.Resolve = resolveSystem
	}
	d := &net.Dialer{} // its zero value turns TCP_NODELAY and keep-alive on
	o := &Origin{dialer: d.DialContext}
	if cfg.Network == "tcp" {
		o.host, o.port, o.badTCP = net.SplitHostPort(cfg.Address)
	}
	if cfg.TLS != nil {
		cfg.TLS = cfg.TLS.Clone()
		if cfg.TLS.ServerName == "" {
			cfg.TLS.ServerName = o.host
		}
	}
	o.cfg = cfg
	o.SetLimits(cfg.ConnectTimeout, cfg.MaxConnections)
	o.fixed = o.fixedTarget()
	return o
}

func resolveSystem(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// SetLimits changes ConnectTimeout and MaxConnections, with the meaning that they
// have in a Config, for the dials to come. Over a smaller limit idle connections
// are closed at once and busy ones when they are put back; until then nobody who
// waits gets their places. Those who wait get what a larger limit gives.
func (o *Origin) SetLimits(connectTimeout time.Duration, maxConnections int) {
	if connectTimeout <= 0 {
		connectTimeout = DefaultConnectTimeout
	}
	o.connectTimeout.Store(int64(connectTimeout))
	for _, c := range o.resize(maxConnections) {
		c.retire()
	}
}

// resize changes MaxConnections and takes what is idle over it out of the pools.
func (o *Origin) resize(maxConnections int) (extra []*Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.maxConnections = maxConnections
	for maxConnections > 0 && o.open-len(extra) > maxConnections {
		c := o.oldestIdleLocked()
		if c == nil {
			break
		}
		extra = append(extra, c)
	}
	for len(o.waiters) > 0 && o.roomyLocked() && o.cfg.Budget.take() {
		o.open++
		o.popWaiterLocked().grant(nil)
	}
	return extra
}

// NewPool makes a pool that keeps up to maxIdle idle connections; with zero or
// less every connection is closed after its use. Close it when it is no longer
// used.
func (o *Origin) NewPool(maxIdle int) *Pool {
	p := &Pool{origin: o, maxIdle: maxIdle}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pools = append(o.pools, p)
	return p
}

// Open is the number of connections of all pools, idle, in use or being
// dialled.
func (o *Origin) Open() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open
}

// release gives back a closed connection's place.
func (o *Origin) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiters) == 0 || o.overLocked() {
		o.open--
		o.cfg.Budget.give()
		return
	}
	o.popWaiterLocked().grant(nil) // the place changes hands, open stays
}

// oldestIdleLocked takes the connection that has been idle the longest out of
// its pool, or gives nil if there is none.
func (o *Origin) oldestIdleLocked() *Conn {
	var from *Pool
	for _, p := range o.pools {
		if len(p.idle) > 0 && (from == nil || p.idle[0].idleSince < from.idle[0].idleSince) {
			from = p
		}
	}
	if from == nil {
		return nil
	}
	return from.shiftLocked()
}

func (o *Origin) popWaiterLocked() *waiter {
	w := o.waiters[0]
	o.waiters = slices.Delete(o.waiters, 0, 1)
	return w
}
