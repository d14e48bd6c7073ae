package drill

import "time"

// Setup is what a configuration says about one route, as far as a verdict needs it.
type Setup struct {
	Route string
	// Rate is how many requests a second it is sent.
	Rate float64
	// Timeout is the route's, for the queue and both attempts.
	Timeout time.Duration
	// MaxConcurrent and MaxQueue are the bulkhead's.
	MaxConcurrent, MaxQueue int
	// Breaker is breaker.consecutive_failures; 0 means off. OpenFor is breaker.open_for.
	Breaker int
	OpenFor time.Duration
	// Bare are the methods that it is sent, which failover_methods could hold and does not.
	Bare  []string
	Group Group
}

// Group is a group of a Setup.
type Group struct {
	Name string
	// Statuses are failover_statuses.
	Statuses []int
	// Unsafe is "park", "unsent" or "never", BothDown "fail_open", "stay" or "fail_fast".
	Unsafe, BothDown string
	ParkTimeout      time.Duration
	Primary          Origin
	// Secondary is nil where there is none.
	Secondary *Origin
}

// Origin is an origin of a Setup.
type Origin struct {
	Name string
	// ConnectTimeout and HeaderTimeout are connect_timeout and response_header_timeout.
	ConnectTimeout, HeaderTimeout time.Duration
	// MaxConnections is max_connections; 0 means no limit.
	MaxConnections int
	// Check is nil where the origin has no health table.
	Check *Check
}

// Check is an origin's health table.
type Check struct {
	Interval, Timeout, FastInterval time.Duration
	Fall                            int
}
