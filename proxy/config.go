package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
)

// Config is everything a Server needs to know. New checks it and keeps no
// reference to its slices.
type Config struct {
	// Listen holds the addresses to accept on: "host:port" or "unix:/path".
	Listen []string
	// TLSListen holds the addresses to accept TLS on, written as in Listen.
	TLSListen []string
	// TLS is how the listeners of TLSListen speak TLS, and needed with them. New
	// copies it once for all of them, so that they share the keys of session
	// tickets. It should disable dynamic record sizing: smaller records at the
	// beginning of a connection are more system calls.
	TLS *tls.Config
	// HTTPSRedirect answers every request that came to Listen with 308 and the
	// same URL under https, at the port of the first address of TLSListen, or
	// at the default port if there is none. Requests that a trusted proxy
	// says it took by https are served.
	HTTPSRedirect bool

	// ProxyProtocol holds those addresses out of Listen and TLSListen, written
	// as there, on which connections begin with a header of the PROXY protocol,
	// version 1 or 2. A peer in TrustedProxies, or on a unix socket, must send
	// one, within RequestHeaderTimeout or, together with the handshake, within
	// HandshakeTimeout; the address in it is the client's from then on, and is
	// what TrustedProxies is asked about. From any other peer a header is
	// refused. An address that is in neither list is an error of New.
	ProxyProtocol []string

	// H2C lets clients of Listen speak HTTP/2, if they begin with it (prior
	// knowledge, RFC 9113, section 3.3).
	H2C bool

	// HandshakeTimeout bounds a TLS handshake, from the accept to its end.
	// Zero means 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the handshakes that compute at the same time; those
	// that wait for their client don't count. Over it they wait in a queue of
	// 256 for each, and over that they are refused. Zero means GOMAXPROCS.
	MaxHandshakes int

	// RequestHeaderTimeout bounds the time from the first byte of a request
	// to the end of its head. Zero means no limit.
	RequestHeaderTimeout time.Duration
	// IdleTimeout bounds the wait for the next request on a kept-alive
	// connection, and for the first one on a new connection. Zero means no limit.
	IdleTimeout time.Duration
	// BodyIdleTimeout bounds the time in which no byte of a body or tunnel
	// moved in either direction. Zero means no limit.
	BodyIdleTimeout time.Duration
	// DrainTimeout bounds the drain that Run begins when its context ends.
	// Zero means that nothing is waited for.
	DrainTimeout time.Duration

	// MaxHeaderBytes bounds a request head and a response head, each.
	// Zero means 32768.
	MaxHeaderBytes int
	// MaxConnections bounds client connections. Zero means what the
	// file-descriptor limit allows, with a reserve kept.
	MaxConnections int

	// TrustedProxies are the peers whose identity fields are believed, and on
	// the listeners of ProxyProtocol their headers.
	TrustedProxies []netip.Prefix
	// ProxyStatus adds Proxy-Status (RFC 9209) to responses.
	ProxyStatus bool
	// KeepEncodedSlash forwards %2F and %5C in a path instead of refusing them.
	KeepEncodedSlash bool

	// Resolve gives the addresses of an origin's host, in any order. Each
	// connection to an origin asks it, so it should answer from a cache, and
	// whoever fills that tells Server.AddressesChanged. It is not asked about
	// IP literals. It must be safe for concurrent use. Nil: the system's
	// resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// Inherit gives the socket that another process handed over for an address
	// of Listen or TLSListen, as it is written there, or nil: it is bound then.
	// The Server closes it. Nil: there are none.
	Inherit func(address string) (net.Listener, error)

	Origins []Origin
	Groups  []Group
	Routes  []Route

	// Log receives events: breaker moves, accept errors, the drain. Nil: none.
	Log *zap.Logger
	// AccessLog receives one record a request. Its core must not block. Nil: none.
	AccessLog *zap.Logger
	// Remember keeps the last decisions for Server.Recent.
	Remember bool
	// OnBreaker is told of each breaker that moves, by the words of LegStats, one
	// call at a time and beside requests. It must not block for long; where
	// very many move at once, some are left out. Nil: nobody is told.
	OnBreaker func(route, origin, from, to string)
	// OnDrill is told of each drill that has ended otherwise than by EndDrill, one
	// call at a time and beside requests, at most 50 ms later. It must not block.
	// Nil: nobody is told.
	OnDrill func(DrillStatus)
	// OnFailure is told of each attempt that counts against its origin, so
	// that a health checker can hurry. It is called on the request's
	// goroutine and must return at once. Nil: nobody is told.
	OnFailure func(origin string, o failover.Outcome)
}

// HostMode says which Host field an origin is sent.
type HostMode uint8

const (
	// HostClient sends what the client sent.
	HostClient HostMode = iota
	// HostOrigin sends the host of the origin's own URL.
	HostOrigin
	// HostLiteral sends Origin.HostLiteral.
	HostLiteral
)

// Origin is a server that owns content.
type Origin struct {
	// Name is unique among the origins and stands in logs.
	Name string
	// URL is "http://host:port", "https://host:port" or "unix:/path".
	URL string
	// Host says which Host field is sent; HostLiteral is used with the mode of that name.
	Host        HostMode
	HostLiteral string
	// TLS is used for https; nil means the system's roots and the URL's host
	// as the server name.
	TLS *tls.Config
	// ConnectTimeout bounds resolving, connecting and the TLS handshake together.
	ConnectTimeout time.Duration
	// ResponseHeaderTimeout bounds the time from the request's last byte to
	// the end of the final response's head. Zero means no limit.
	ResponseHeaderTimeout time.Duration
	// MaxConnections bounds connections over all routes. Zero means no limit.
	MaxConnections int
}

// Group is a primary and a secondary origin and their pointer.
type Group struct {
	Name string
	// Primary and Secondary name origins. Secondary may be empty: a plain proxy.
	Primary, Secondary string
	// Pointer says which of them is active. Its owner runs it and feeds it verdicts.
	Pointer *failover.Group
	// Policy says what may fail over. HasSecondary is set by New.
	Policy failover.PolicyConfig
}

// Route is a match, a group and a bulkhead.
type Route struct {
	// Name is unique among the routes and stands in logs.
	Name string
	// Match is a net/http.ServeMux pattern.
	Match string
	// Group names a group.
	Group string
	// MaxBodyBytes bounds a request's body. Zero means no limit.
	MaxBodyBytes int64
	// Timeout bounds queue and both attempts, up to the final response's
	// head. Zero means no limit.
	Timeout  time.Duration
	Bulkhead bulkhead.Config
	Breaker  BreakerConfig
}

// BreakerConfig sets the breaker of a route towards each of its origins.
type BreakerConfig struct {
	// ConsecutiveFailures opens the breaker. Zero means that there is none.
	ConsecutiveFailures int
	// OpenFor is how long it refuses before it lets trials through.
	OpenFor time.Duration
	// HalfOpenTrials is how many trials may be on their way at once, and how
	// many must succeed in a row to close it. Zero means 1.
	HalfOpenTrials int
}
