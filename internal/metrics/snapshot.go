package metrics

import "time"

// Snapshot is all that is shown, at one moment. Its zero value is valid and
// shows a process without routes. A scrape reads it and keeps nothing of it, so
// slices may be shared with others that only read them.
//
// Names are unique where they are a label: of routes, origins and groups, of an
// origin within a route, of files and of hosts. Closed lists are given whole,
// zeros included, since a counter that appears with its first event hides that
// event from rate().
type Snapshot struct {
	Version   string    // of Fairlead
	GoVersion string    // such as "go1.26.0"
	Started   time.Time // of the process; zero: not shown

	// Bounds are the upper bounds of all histograms, rising, without the last
	// bucket's, which has none.
	Bounds  []time.Duration
	Routes  []Route
	Origins []Origin
	Groups  []Group
	Refused uint64 // requests that were malformed or found no route

	Clients       Connections
	Handshakes    Handshakes
	HTTP2         HTTP2
	ProxyProtocol ProxyProtocol
	Certificates  []Certificate
	Hosts         []Host      // names of origins that are looked up
	Nameserver    *Nameserver // nil: there is none

	Reloads         Reloads
	State           *State // nil: no file keeps the pointers
	LogLinesDropped uint64
}

// Count is how often what has this name has happened.
type Count struct {
	Name string
	N    uint64
}

// Route is a route's counters, permits and legs.
type Route struct {
	Name  string
	Group string

	Results   []Result // of the closed list: "served", "failed_over", ...
	Failovers uint64   // requests sent to the other origin after their first attempt failed, or on a breaker's word
	Saved     uint64   // requests that failover turned from an error into a success
	ConnRetry uint64   // dead pooled connections that were replaced
	Parked    uint64   // requests that were parked

	PermitsInUse, PermitsLimit int
	Queued, QueueLimit         int
	ParkedNow                  int

	Legs []Leg
}

// Result is what became of requests, and how long that took.
type Result struct {
	Name      string
	N         uint64
	Durations Histogram
}

// Histogram counts durations.
type Histogram struct {
	// Counts are those of each bucket alone, not of it and all below. There is
	// one more than Snapshot.Bounds; with another number, or with zeros only,
	// the histogram is not shown.
	Counts []uint64
	Sum    time.Duration
}

// Leg is a route's way to one origin.
type Leg struct {
	Origin   string
	Attempts []Count // by class: "ok" and the closed list of failure classes
	// Breaker is "closed", "open" or "half-open"; anything else: there is none.
	Breaker string
	Idle    int // pooled connections
}

// Origin is an origin's health and connections.
type Origin struct {
	Name    string
	Verdict string // "healthy", "down", "unknown" or "unchecked"
	Drained bool
	// Connections are open ones of all routes. Limit is 0 without one, which
	// is not shown.
	Connections Connections

	Probes    []Count       // by result: "ok", "failed", "dropped"; nil: unchecked
	LastProbe time.Duration // how long the last one took; 0: none yet, not shown
}

// Connections are open ones and how many there may be.
type Connections struct {
	Open, Limit int
}

// Group is a group's pointer.
type Group struct {
	Name      string
	Primary   string // an origin
	Secondary string // an origin; "": there is none

	Role       string // where the pointer is: "primary", "secondary" or "none"
	Generation uint64
	Since      time.Time
	Pinned     bool
	Flips      []Count // by reason

	DrillShare float64 // of the drill that runs, from 0 to 1; 0: none runs
	Drilled    []Count // requests that drills have picked, by result
}

// Handshakes are those of TLS. A connection counts in one of Done, Failed,
// TimedOut and Refused.
type Handshakes struct {
	Done, Failed, TimedOut, Refused uint64
	Resumed                         uint64 // of Done
	Waiting                         int    // for their turn, now
}

// HTTP2 counts connections that Fairlead ended.
type HTTP2 struct {
	Broken, Calmed, Slow uint64
}

// ProxyProtocol counts headers of the PROXY protocol.
type ProxyProtocol struct {
	Believed, Local, Missing, Untrusted, Broken uint64
}

// Certificate is a file and when what it holds ends.
type Certificate struct {
	File     string
	NotAfter time.Time // zero: unknown, not shown
}

// Host is a name that is looked up.
type Host struct {
	Name                     string
	Lookups, Failures, Stale uint64
	Addresses                int // usable now
}

// Nameserver is how the pointers were asked for over DNS.
type Nameserver struct {
	Transports                           []Transport // "udp", "tcp"
	Dropped, Slipped, Truncated, Ignored uint64
	Errors                               uint64 // of its sockets
	Connections                          int    // over TCP, open now
}

// Transport is UDP or TCP.
type Transport struct {
	Name      string
	Queries   uint64
	Responses []Count // by code, such as "NXDOMAIN"
}

// Reloads counts reloads of the configuration.
type Reloads struct {
	Done, Refused uint64
	// LastRefused: the configuration at work is older than the file.
	LastRefused bool
	// LastDone is when the configuration at work was taken up, at the start or
	// by a reload; zero: not shown.
	LastDone time.Time
}

// State is the file that keeps the pointers.
type State struct {
	Kept bool // the last save went well, or none was needed yet
}
