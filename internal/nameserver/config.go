package nameserver

import (
	"net/netip"
	"time"
)

// Config says what to answer and where.
type Config struct {
	// Listen is the host:port of UDP and TCP. Port 0 takes one that is free for
	// both. A host that is left out or unspecified means every address; then
	// answers leave from the address that was asked, on Linux. Elsewhere the
	// system chooses, so a machine with several addresses names one here.
	Listen string

	// Zone is the name that everything else is below. NS are the zone's
	// nameservers, at least one; the first one is the SOA's. Admin is the mailbox
	// of who is responsible, as user@host or as a name; "": hostmaster in the
	// zone. Names may end in a dot or not.
	Zone  string
	NS    []string
	Admin string

	// NSAddresses are the addresses of NS names within the zone. None: the
	// address listened at, if it is a specific one. Without either, those names
	// have no data, and only who knows the address already finds the server.
	NSAddresses []netip.Addr

	Groups []Group

	// RateLimit is the number of responses a second that one client prefix (/24
	// of IPv4, /56 of IPv6) gets over UDP. Of the rest every second one is empty
	// and truncated, which makes honest clients come back over TCP, and the
	// others aren't sent. Exempt are TCP, clients with a valid cookie, and
	// loopback, since these can't be somebody else's address. 0: no limit.
	RateLimit int

	// Serial, unless nil, gives the last serial that an earlier server of the zone
	// had, see Stats: the first one here is greater, so that whoever keeps the
	// zone by its serial takes it for newer. 0: it isn't known. It is asked once, on
	// the way to the first answer. Without it the first serial is the time, in
	// seconds; an earlier server was at most 16 s ahead of that, and only after a
	// burst of changes.
	Serial func() uint32

	// OnError hears of errors of the sockets, at most one a second. It must not
	// block. nil: nobody.
	OnError func(error)
}

// Group is a name with a pointer behind it.
type Group struct {
	// Name is one or more labels below the zone.
	Name string
	// TTL is that of the pointer's answers, in whole seconds; less counts as 0.
	TTL time.Duration
	// CNAME answers with the name of an origin that has one, instead of its
	// addresses.
	CNAME bool
	// Pointer tells where the pointer is. It is called on the way to an answer,
	// from any goroutine, so it must be quick, and not wait for an answer.
	Pointer func() Pointer
	Origins []Origin
}

// Pointer is where a group's pointer is, and why.
type Pointer struct {
	Target     string // an origin's name; "": none
	Generation uint64 // counts the flips
	Since      time.Time
	Reason     string
	Via        []string // ids of whom the pointer follows, nearest first
}

// Origin is a server that a pointer can be at.
type Origin struct {
	// Name is one label below the group's name.
	Name string
	// Host is the origin's DNS name; "": it has none.
	Host string
	// Addresses gives the origin's addresses and how long they hold; 0: they are
	// stale, yet the best there is. Literal addresses hold for years. No
	// addresses and ok: there are none, as with a unix socket. Not ok: they
	// aren't known now. It is called like Pointer. nil: there are none.
	Addresses func() (addrs []netip.Addr, left time.Duration, ok bool)
}
