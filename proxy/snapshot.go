package proxy

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/internal/http2"
)

// snapshot is a configuration at work, with everything that requests and new
// connections need of it. It never changes: a reload puts another one in its
// place. An exchange keeps the one that was there when it began, unless its
// route was bound anew (see rebind).
type snapshot struct {
	cfg     Config
	maxHead int
	clients int // connections at most
	origins int // connections to origins at most
	table   *table
	trust   *trust       // whose identity fields are believed; the same one until it changes
	access  zapcore.Core // nil: no access log
	// remembered is how many decisions of each kind a route remembers; 0: none.
	remembered int
	tls        *tls.Config   // of connections to TLS listeners; nil without
	http2      *http2.Server // of connections that begin now
	replaced   chan struct{} // closed when another one takes its place
}

// current is the configuration that is at work now.
func (s *Server) current() *snapshot { return s.live.Load() }

// newSnapshot builds what cfg asks for, taking over from old, which may be nil,
// what is unchanged. Nothing of old is changed before adopt.
func (s *Server) newSnapshot(cfg *Config, old *snapshot) (*snapshot, error) {
	n := &snapshot{cfg: *cfg, maxHead: cfg.MaxHeaderBytes, replaced: make(chan struct{})}
	n.cfg.ProxyProtocol = slices.Clone(cfg.ProxyProtocol)
	n.cfg.Listen, n.cfg.TLSListen = slices.Clone(cfg.Listen), slices.Clone(cfg.TLSListen)
	n.cfg.Resolve = s.cfg.Resolve
	if n.maxHead <= 0 {
		n.maxHead = defaultMaxHead
	}
	if n.cfg.HandshakeTimeout <= 0 {
		n.cfg.HandshakeTimeout = defaultHandshakeTimeout
	}
	n.clients, n.origins = s.fds.divide(cfg.MaxConnections)
	if cfg.AccessLog != nil {
		n.access = cfg.AccessLog.Core()
	}
	if err := checkProxyProtocol(cfg); err != nil {
		return nil, err
	}
	if len(cfg.TLSListen) > 0 && cfg.TLS == nil {
		return nil, errors.New("TLSListen needs TLS")
	}
	var before *table
	if old != nil {
		before = old.table
	}
	table, err := newTable(&n.cfg, before, s.moves, s.budget)
	if err != nil {
		return nil, err
	}
	n.table = table
	if cfg.Remember {
		n.remembered = rememberedOf(len(table.routes))
	}
	if old != nil && slices.Equal(old.trust.peers, cfg.TrustedProxies) {
		n.trust = old.trust
	} else {
		n.trust = &trust{slices.Clone(cfg.TrustedProxies)}
	}
	if old != nil && old.cfg.TLS == cfg.TLS {
		n.tls = old.tls // with the keys of session tickets
	} else {
		n.tls = secureConfig(cfg.TLS)
	}
	if old != nil && old.sameHTTP2(n) {
		n.http2 = old.http2
	} else {
		n.http2 = newHTTP2Server(s, n)
	}
	return n, nil
}

// sameHTTP2 reports whether the next snapshot needs no HTTP/2 server of its own.
func (n *snapshot) sameHTTP2(next *snapshot) bool {
	return n.maxHead == next.maxHead && n.cfg.RequestHeaderTimeout == next.cfg.RequestHeaderTimeout &&
		n.cfg.IdleTimeout == next.cfg.IdleTimeout && n.cfg.BodyIdleTimeout == next.cfg.BodyIdleTimeout
}

// trust are the peers whose identity fields are believed.
type trust struct{ peers []netip.Prefix }

func (t *trust) includes(ip netip.Addr) bool {
	return slices.ContainsFunc(t.peers, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// idleTimeout is how long a connection may wait for a request. It is never
// without a limit, so that evict sees who came first.
func (n *snapshot) idleTimeout() time.Duration {
	if n.cfg.IdleTimeout <= 0 {
		return forever
	}
	return n.cfg.IdleTimeout
}
