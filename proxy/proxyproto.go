package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/internal/proxyproto"
)

// introduction is what a connection of a listener of ProxyProtocol has until it
// is known who its client is: until its header has been read or, with a peer
// that is not trusted, until it is clear that it sends none.
type introduction struct {
	stranger bool    // the peer's header would not be believed, and is not awaited
	tls      *secure // begins after the header; nil on a plain listener
}

var (
	errNoHeader   = errors.New("nothing came in time")
	errHalfHeader = errors.New("it stopped halfway")
)

// refuseStrangersHeader is the answer to a header of version 1, which is text,
// from a peer that is not trusted.
var refuseStrangersHeader = &refusal{status: 400, text: "the connection begins with a PROXY header, which is not accepted from this address", proxyError: "http_request_error", end: true}

// checkProxyProtocol refuses listeners of ProxyProtocol that are none, or whose
// headers nobody may send.
func checkProxyProtocol(cfg *Config) error {
	for _, a := range cfg.ProxyProtocol {
		if !slices.Contains(cfg.Listen, a) && !slices.Contains(cfg.TLSListen, a) {
			return fmt.Errorf("ProxyProtocol: %s is neither in Listen nor in TLSListen", a)
		}
		if len(cfg.TrustedProxies) == 0 && !strings.HasPrefix(a, "unix:") {
			return fmt.Errorf("ProxyProtocol: on %s no header would be believed without TrustedProxies", a)
		}
	}
	return nil
}

// expectHeader prepares for the header. Only local processes with access to it
// reach a unix socket, so what comes by one is trusted.
func (c *conn) expectHeader() {
	_, local := c.nc.(*net.UnixConn)
	c.intro = &introduction{stranger: !local && !c.srv.current().trust.includes(c.x.ip)}
	if !c.intro.stranger {
		c.intro.tls, c.sec, c.stream = c.sec, nil, c.nc
	}
}

// awaitsHeader reports whether the connection has to send a header yet.
func (c *conn) awaitsHeader() bool { return c.intro != nil && !c.intro.stranger }

// greetFor is how long a client has from the accept to what comes before its
// first request: its header, its handshake, or both.
func (c *conn) greetFor() time.Duration {
	now := c.srv.current()
	switch {
	case !c.x.plain:
		return now.cfg.HandshakeTimeout
	case now.cfg.RequestHeaderTimeout > 0:
		return now.cfg.RequestHeaderTimeout
	}
	return now.idleTimeout()
}

// awaitHeader begins the wait for the header.
func (c *conn) awaitHeader() {
	c.headBy = after(c.srv.clock.now(), c.greetFor())
	c.x.mark.Store(at(phaseHandshake, c.headBy))
	// After the mark: a drain either finds the wait or is seen here.
	if _, now := c.x.door.leaves(); now {
		c.last = true
	}
}

// introduce looks at the first bytes of the connection. done is false when
// what follows them here is a request.
func (c *conn) introduce() (n next, done bool) {
	if c.intro.stranger {
		return c.watchStranger()
	}
	h, length, err := proxyproto.Parse(c.unread())
	switch {
	case err != nil:
		c.intro = nil
		c.refuseIntroduction(err)
		return nextClose, true
	case length == 0:
		if c.srv.clock.now() >= c.headBy {
			return nextClose, true
		}
		// A wait that was ended and goes on after all has its old deadline.
		c.x.mark.Store(at(phaseHandshake, c.headBy))
		return nextRead, true
	}
	c.r += length
	c.believe(h)
	if c.intro.tls != nil {
		return nextHandshake, true
	}
	c.intro, c.headBy = nil, 0
	if c.r == c.w {
		c.rest()
		return nextRead, true
	}
	c.beginWait()
	return nextRead, false
}

// believe takes over what a header says. Where it names nobody the peer's own
// address stays, but what its requests say of others is not believed: a
// balancer that does not know its client hasn't cleaned the client's fields.
func (c *conn) believe(h proxyproto.Header) {
	switch {
	case h.Local:
		c.srv.headers.local.Add(1)
		c.x.ip, c.x.trust = netip.Addr{}, nil
		return
	case h.Source == netip.Addr{}: // a unix socket's client
		c.x.peer, c.x.ip, c.x.trust = nil, netip.Addr{}, nil
	default:
		c.setPeer(h.Source)
	}
	c.srv.headers.believed.Add(1)
}

// startTLS begins TLS after the header. What came behind that is the beginning
// of it.
func (c *conn) startTLS() {
	c.sec, c.intro = c.intro.tls, nil
	c.stream = c.sec
	if c.r < c.w {
		c.sec.sock.early = slices.Clone(c.unread())
	}
	c.dropBuffers()
}

// watchStranger is introduce for a peer that is not trusted: whatever it sends
// is its own, unless it is a header.
func (c *conn) watchStranger() (n next, done bool) {
	version, more := proxyproto.Resembles(c.unread())
	if more {
		c.awaitHead()
		return nextRead, true
	}
	c.intro = nil
	switch version {
	case 0:
		return nextRead, false
	case 1:
		c.refuseHead(refuseStrangersHeader)
	}
	c.srv.headers.note(c, &c.srv.headers.untrusted, untrustedHeader, nil)
	return nextClose, true
}

// refuseStranger is watchStranger for what crypto/tls found in the place of a
// handshake: the first bytes of the connection. It reports whether they are
// those of a header.
func (c *conn) refuseStranger(head []byte) bool {
	if c.intro == nil {
		return false
	}
	version := proxyproto.Signature(head)
	switch version {
	case 0:
		return false
	case 1:
		c.refuseHead(refuseStrangersHeader)
	}
	c.srv.headers.note(c, &c.srv.headers.untrusted, untrustedHeader, nil)
	return true
}

// refuseIntroduction notes why a trusted peer's connection is ended.
func (c *conn) refuseIntroduction(err error) {
	h := &c.srv.headers
	if errors.Is(err, proxyproto.ErrNone) || err == errNoHeader {
		h.note(c, &h.missing, missingHeader, err)
		return
	}
	h.note(c, &h.broken, brokenHeader, err)
}

// endIntroduction notes a header that has not come. Who opens a connection and
// leaves again without a word, as a check of the port does, has sent no header
// either, but is nothing to mend; nor is who is sent away by a drain or for
// another client.
func (c *conn) endIntroduction() {
	if !c.awaitsHeader() {
		return
	}
	late := c.srv.clock.now() >= c.headBy
	switch {
	case c.last && !late:
	case c.r < c.w:
		c.refuseIntroduction(errHalfHeader)
	case late:
		c.refuseIntroduction(errNoHeader)
	}
}

// ProxyProtocolStats are the counters of the listeners of ProxyProtocol.
type ProxyProtocolStats struct { //nolint:revive // the protocol is called PROXY
	Believed  uint64 // headers that say who the client is
	Local     uint64 // headers that name nobody: the balancer's own connections
	Missing   uint64 // trusted peers that sent something else, or nothing in time
	Untrusted uint64 // headers from peers that are not in TrustedProxies
	Broken    uint64 // headers from trusted peers that can't be read, or stopped halfway
}

// ProxyProtocol reports on headers of the PROXY protocol. It may be called from
// any goroutine.
func (s *Server) ProxyProtocol() ProxyProtocolStats {
	h := &s.headers
	return ProxyProtocolStats{
		Believed:  h.believed.Load(),
		Local:     h.local.Load(),
		Missing:   h.missing.count.Load(),
		Untrusted: h.untrusted.count.Load(),
		Broken:    h.broken.count.Load(),
	}
}

// headerCounts counts headers, and those that end their connection by why.
type headerCounts struct {
	believed, local            atomic.Uint64
	missing, untrusted, broken headerFault
}

// headerFault is a reason to end a connection. Strangers can cause it as often
// as they like, so it is logged once a second at most.
type headerFault struct {
	count  atomic.Uint64
	logged atomic.Int64 // when, in the server's time; 0: never
}

const (
	untrustedHeader = "PROXY header from a peer that is not in trusted_proxies: connection ended; if it is a balancer of yours, add it there"
	missingHeader   = "no PROXY header from a peer that is in trusted_proxies: connection ended; let it send one, or take the listener out of proxy_protocol"
	brokenHeader    = "PROXY header that can't be read: connection ended; see what the balancer sends"
)

func (h *headerCounts) note(c *conn, f *headerFault, msg string, err error) {
	f.count.Add(1)
	now, last := max(c.srv.clock.coarse.Load(), 1), f.logged.Load()
	if last != 0 && now-last < int64(time.Second) || !f.logged.CompareAndSwap(last, now) {
		return
	}
	c.srv.log.Warn(msg, zap.ByteString("client", c.x.peer), zap.Stringer("listener", c.nc.LocalAddr()), zap.Error(err))
}
