package config

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"
)

// Config is a whole configuration. Its slices are in the order of the file.
// It is never changed after Load or Parse has returned it, so it may be read
// from any goroutine.
type Config struct {
	Server   Server
	Log      Log
	Resolver Resolver
	// Nameserver is nil where there is no [nameserver] table: nothing is
	// answered over DNS.
	Nameserver *Nameserver
	// Admin is nil where there is no [admin] table: nobody can ask or change
	// anything over a socket.
	Admin   *Admin
	Origins []Origin
	Groups  []Group
	Routes  []Route
}

// Origin returns the origin of that name, or nil. The names that groups hold
// are always found; the empty name never is.
func (c *Config) Origin(name string) *Origin {
	for i := range c.Origins {
		if c.Origins[i].Name == name {
			return &c.Origins[i]
		}
	}
	return nil
}

// Route returns the route of that name, or nil.
func (c *Config) Route(name string) *Route {
	for i := range c.Routes {
		if c.Routes[i].Name == name {
			return &c.Routes[i]
		}
	}
	return nil
}

// Group returns the group of that name, or nil. The names that routes hold
// are always found.
func (c *Config) Group(name string) *Group {
	for i := range c.Groups {
		if c.Groups[i].Name == name {
			return &c.Groups[i]
		}
	}
	return nil
}

// Server is the table [server]: what concerns the clients' side of every route.
type Server struct {
	// Listen and TLSListen hold at least one address together, each "host:port"
	// or "unix:/path". Port 0 means a free one. No two of them claim the same
	// address.
	Listen, TLSListen []string
	// ProxyProtocol holds those out of Listen and TLSListen on which connections
	// of trusted proxies begin with a header of the PROXY protocol.
	ProxyProtocol []string
	// Certificates are those of TLSListen: at least one if that has an address.
	// The first one is for clients that ask for none of the others' names.
	Certificates []Certificate
	// ClientCA is the path of a PEM file: only clients with a certificate that
	// leads to one of its roots are let in by TLSListen. Empty: anybody is.
	ClientCA string
	// HTTPSRedirect answers every request on Listen with the same URL's https.
	HTTPSRedirect bool
	// H2C lets clients speak HTTP/2 on Listen, if they begin with it.
	H2C bool
	// RequestHeaderTimeout bounds the time from a request's first byte to the
	// end of its head. Never zero.
	RequestHeaderTimeout time.Duration
	// IdleTimeout is how long a kept-alive client connection may wait for its
	// next request. Never zero.
	IdleTimeout time.Duration
	// BodyIdleTimeout is how long a body or a tunnel may go without one byte
	// moved, either way. Never zero.
	BodyIdleTimeout time.Duration
	// MaxHeaderBytes bounds a head: its first line, its fields and the empty
	// line that ends it.
	MaxHeaderBytes int
	// MaxConnections bounds client connections. Zero means what the
	// file-descriptor limit allows, with a reserve kept.
	MaxConnections int
	// TrustedProxies are the peers whose identity fields are believed, and on
	// the listeners of ProxyProtocol their headers; each is masked to its length. Empty means nobody.
	TrustedProxies []netip.Prefix
	// DrainTimeout is how long requests in flight may take to finish when the
	// server stops. Zero cuts them off at once.
	DrainTimeout time.Duration
	// ProxyStatus adds a Proxy-Status field (RFC 9209) to responses.
	ProxyStatus bool
	// EncodedSlash says what becomes of a path that holds %2F or %5C.
	EncodedSlash EncodedSlash
	// Watch reloads the configuration when its file has changed.
	Watch bool
	// State is the path of the file that keeps the pointers over a restart. A
	// relative path in the file has been joined to the file's folder. Empty:
	// nothing is kept.
	State string
}

// EncodedSlash is a value of server.encoded_slash.
type EncodedSlash string

// What becomes of a path that holds an encoded slash or backslash.
const (
	EncodedSlashReject EncodedSlash = "reject" // answered with 400
	EncodedSlashKeep   EncodedSlash = "keep"   // forwarded as received
)

// Log is the table [log].
type Log struct {
	// Level is "debug", "info", "warn" or "error": the least that is written.
	Level string
	// Format is "json" or "console".
	Format string
	// Access adds one record a request.
	Access bool
	// Output is "stderr", "stdout" or a path to append to. A relative path in
	// the file has been joined to the file's folder.
	Output string
}

// Origin is a table [origins.NAME]: a server that owns content.
type Origin struct {
	Name string
	// URL is the text of the file: "http://host[:port]",
	// "https://host[:port]" or "unix:/path". The next four fields are its parts.
	URL string
	// Scheme is "http" or "https". An origin on a unix socket speaks http.
	Scheme string
	// Network is "tcp" or "unix".
	Network string
	// Address is "host:port", the port never left out, or the socket's path.
	Address string
	// Authority is what a Host field that names this origin holds: the URL's
	// host, and its port unless that is the scheme's own. On a unix socket it
	// is "localhost".
	Authority string
	// Host is HostClient, HostOrigin or the Host field's literal value.
	Host string
	// ServerName is what an https origin's certificate must name, and the SNI
	// that it is sent: the key sni, else the URL's host. Empty without https.
	ServerName string
	// CA is the path of the PEM file that RootCAs was read from, or empty.
	CA string
	// RootCAs are the only roots that an https origin's certificate may lead
	// to. Nil means the system's.
	RootCAs *x509.CertPool
	// ConnectTimeout bounds resolving, connecting and the TLS handshake
	// together. Never zero.
	ConnectTimeout time.Duration
	// ResponseHeaderTimeout bounds the wait for the final response's head,
	// once the request has been sent. Never zero.
	ResponseHeaderTimeout time.Duration
	// MaxConnections bounds connections over all routes. Zero means no limit.
	MaxConnections int
	// Health is nil where there is no [origins.NAME.health] table: no active
	// check.
	Health *Health
}

// The values of Origin.Host that are not literal.
const (
	HostClient = "client" // the Host that the client sent
	HostOrigin = "origin" // Origin.Authority
)

// Health is a table [origins.NAME.health]: active checks of one origin.
type Health struct {
	// Path begins with a slash and may carry a query.
	Path string
	// Interval separates the starts of probes. Timeout, never longer, bounds
	// one probe from connecting to its last needed byte.
	Interval, Timeout time.Duration
	// Fall failures in a row make an origin down; Rise successes in a row make
	// it healthy.
	Fall, Rise int
	// FastInterval, never longer than Interval, replaces it while real
	// requests fail or a verdict is being decided.
	FastInterval time.Duration
	// ExpectStatus are the statuses of a healthy answer, at least one range.
	ExpectStatus []StatusRange
	// ExpectBody must occur in the first 5120 bytes of the body. Empty means
	// that the body is not looked at.
	ExpectBody string
}

// StatusRange is a range of response statuses, both ends included.
type StatusRange struct {
	Min, Max int
}

// String returns the range as the file writes it: "200-399", or "204" where
// both ends are the same.
func (r StatusRange) String() string {
	if r.Min == r.Max {
		return fmt.Sprint(r.Min)
	}
	return fmt.Sprintf("%d-%d", r.Min, r.Max)
}

// Group is a table [groups.NAME]: a primary and a secondary origin and what
// decides between them.
type Group struct {
	Name string
	// Primary names an origin. Secondary names another one with another
	// address, or is empty: a plain proxy without failover.
	Primary, Secondary string
	// FailoverMethods are the methods whose requests may fail over: GET, HEAD
	// and OPTIONS or fewer, even none.
	FailoverMethods []string
	// FailoverStatuses are the response statuses that send a covered request
	// to the other origin, from 400 to 599, or none.
	FailoverStatuses []int
	// Unsafe says what becomes of an uncovered request that couldn't be sent.
	Unsafe Unsafe
	// ParkTimeout bounds how long UnsafePark holds a request. Never zero.
	ParkTimeout time.Duration
	// Failback says who moves the pointer back to a mended primary.
	Failback Failback
	// FailbackAfter is how long the primary must have been healthy first,
	// counted from its recovery.
	FailbackAfter time.Duration
	// MinHold is how long the pointer stays after a flip. It doubles on
	// flapping, up to 15 minutes.
	MinHold time.Duration
	// BothDown says where the pointer goes when both origins are down.
	BothDown BothDown
	// TTL is that of the pointer's DNS answer, in whole seconds; zero forbids
	// caching.
	TTL time.Duration
	// DNSName is the group's name below the nameserver's zone, in lower case.
	// Empty: it is not answered over DNS.
	DNSName string
	// DNSAnswer says what the name is answered with.
	DNSAnswer DNSAnswer
	// Follow is the pointer that this group's goes along with. Nil: none.
	Follow *Follow
}

// Unsafe is a value of groups.NAME.unsafe: what becomes of an uncovered
// request that could not be sent because the primary refuses connections.
type Unsafe string

// What becomes of an uncovered, unsent request while the primary refuses.
const (
	UnsafePark   Unsafe = "park"   // it waits for the pointer, for ParkTimeout at most
	UnsafeUnsent Unsafe = "unsent" // it goes to the secondary at once
	UnsafeNever  Unsafe = "never"  // it is answered with 502
)

// Failback is a value of groups.NAME.failback.
type Failback string

// Who moves the pointer back to a mended primary.
const (
	FailbackAuto   Failback = "auto"   // the pointer itself, after FailbackAfter and MinHold
	FailbackManual Failback = "manual" // an operator
)

// BothDown is a value of groups.NAME.both_down.
type BothDown string

// Where the pointer goes when both origins are down.
const (
	BothDownFailOpen BothDown = "fail_open" // to the primary; requests are still tried
	BothDownStay     BothDown = "stay"      // nowhere
	BothDownFailFast BothDown = "fail_fast" // to neither; requests get 503 at once
)

// Route is one [[routes]] table: a match, a group and a bulkhead.
type Route struct {
	Name string
	// Match is a net/http.ServeMux pattern: [METHOD ][HOST]/[PATH].
	Match string
	// Group names a group.
	Group string
	// MaxBodyBytes bounds a request's body. Zero means no limit.
	MaxBodyBytes int64
	// Timeout bounds the queue and both attempts, up to the final response's
	// head. It leaves room for a second attempt. Never zero.
	Timeout  time.Duration
	Bulkhead Bulkhead
	Breaker  Breaker
}

// Bulkhead is a table [routes.bulkhead]: the permits of one route.
type Bulkhead struct {
	// MaxConcurrent is how many requests may be in flight, at least 1.
	MaxConcurrent int
	// MaxQueue is how many more may wait for a permit. Zero means none: over
	// the limit a request is shed at once.
	MaxQueue int
	// QueueTimeout is how long one of them may wait. Never zero.
	QueueTimeout time.Duration
}

// Breaker is a table [routes.breaker]: the breaker of one route towards each
// of its group's origins.
type Breaker struct {
	// ConsecutiveFailures opens the breaker. Zero turns it off.
	ConsecutiveFailures int
	// OpenFor is how long it refuses before it lets a trial through. Never zero.
	OpenFor time.Duration
	// HalfOpenTrials is how many trials may be on their way at once, and how
	// many must succeed in a row to close it. At least 1.
	HalfOpenTrials int
}

func defaultServer() Server {
	return Server{
		Listen:               []string{"127.0.0.1:8080"},
		RequestHeaderTimeout: 10 * time.Second,
		IdleTimeout:          75 * time.Second,
		BodyIdleTimeout:      60 * time.Second,
		MaxHeaderBytes:       32768,
		DrainTimeout:         30 * time.Second,
		ProxyStatus:          true,
		EncodedSlash:         EncodedSlashReject,
	}
}

func defaultLog() Log {
	return Log{Level: "info", Format: "json", Access: true, Output: "stderr"}
}

func defaultOrigin() Origin {
	return Origin{
		Host:                  HostClient,
		ConnectTimeout:        time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
	}
}

func defaultHealth() Health {
	return Health{
		Path:         "/healthz",
		Interval:     2 * time.Second,
		Timeout:      time.Second,
		Fall:         3,
		Rise:         3,
		FastInterval: 250 * time.Millisecond,
		ExpectStatus: []StatusRange{{200, 399}},
	}
}

func defaultGroup() Group {
	return Group{
		FailoverMethods:  []string{"GET", "HEAD", "OPTIONS"},
		FailoverStatuses: []int{500, 502, 503, 504},
		Unsafe:           UnsafePark,
		ParkTimeout:      3 * time.Second,
		Failback:         FailbackAuto,
		FailbackAfter:    30 * time.Second,
		MinHold:          60 * time.Second,
		BothDown:         BothDownFailOpen,
		TTL:              5 * time.Second,
		DNSAnswer:        DNSAnswerAddress,
	}
}

func defaultRoute() Route {
	return Route{
		Timeout:  30 * time.Second,
		Bulkhead: Bulkhead{QueueTimeout: 500 * time.Millisecond},
		Breaker:  Breaker{ConsecutiveFailures: 5, OpenFor: 5 * time.Second, HalfOpenTrials: 1},
	}
}
