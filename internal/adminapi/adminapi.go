// Package adminapi is what the admin API says: one Go type for each JSON
// document. The server, the command line and their tests share it. It decides
// nothing and imports nothing of ours.
//
// Times are RFC 3339 with an offset, in UTC. Durations are seconds, as
// floating-point numbers, and their fields end in "_s"; those of single requests
// are milliseconds and end in "_ms". A field that has nothing to say is absent
// where omitempty says so, else it is there with its zero value. Later
// versions add fields and remove none.
package adminapi

import "time"

// Status is GET /v1/status, and the event "status" of GET /v1/live.
type Status struct {
	Now     time.Time `json:"now"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	UptimeS float64   `json:"uptime_s"`
	// State is "serving" or "draining".
	State       string      `json:"state"`
	Config      ConfigInfo  `json:"config"`
	Connections Connections `json:"connections"`
	Groups      []Group     `json:"groups"`
	Origins     []Origin    `json:"origins"`
	Routes      []Route     `json:"routes"`
}

// ConfigInfo says which configuration is at work.
type ConfigInfo struct {
	File string `json:"file"`
	// Fingerprint is the beginning of the SHA-256 of the file's bytes, in hex.
	Fingerprint string    `json:"fingerprint"`
	Loaded      time.Time `json:"loaded"`
	// Failed is set while the last reload was refused: why, one problem a line.
	Failed []string `json:"failed,omitempty"`
}

// Connections are those of clients.
type Connections struct {
	Open  int `json:"open"`
	Limit int `json:"limit"`
}

// Group is a group and its pointer.
type Group struct {
	Name      string `json:"name"`
	Primary   string `json:"primary"`
	Secondary string `json:"secondary,omitempty"`
	// Target is the active origin's name, "" for none; Role is its place:
	// "primary", "secondary" or "none".
	Target     string    `json:"target"`
	Role       string    `json:"role"`
	Generation uint64    `json:"generation"`
	Since      time.Time `json:"since"`
	// Reason is the closed list of the pointer: "start", "primary_down", ...
	Reason string  `json:"reason"`
	HoldS  float64 `json:"hold_s"`
	// FailbackAt is when the pointer returns if nothing happens until then.
	FailbackAt *time.Time `json:"failback_at,omitempty"`
	// Failback is "auto" or "manual".
	Failback string `json:"failback"`
	Pin      *Pin   `json:"pin,omitempty"`
	// Follow is the pointer that this one goes along with, as configured.
	Follow string `json:"follow,omitempty"`
	// Drill is the drill that runs, or the last one of this process.
	Drill *Drill `json:"drill,omitempty"`
}

// Drill is a share of a group's real requests that are treated as if its primary
// had failed: of those that may fail over, and no other.
type Drill struct {
	Running bool      `json:"running"`
	Since   time.Time `json:"since"`
	// Until is when it ends at the latest, Ended when it did.
	Until time.Time  `json:"until"`
	Ended *time.Time `json:"ended,omitempty"`
	// Why it ended: "time", "errors", "pointer_moved", "primary_down",
	// "secondary_down", "drained", "operator", "reload", "upgrade" or "stop".
	Why string `json:"why,omitempty"`
	// Share is how many requests are picked, from 0 to 1. StopAt ends the drill
	// when the picked ones' share of errors is so much above that of the others.
	Share  float64 `json:"share"`
	StopAt float64 `json:"stop_at"`
	Reason string  `json:"reason,omitempty"`
	By     string  `json:"by,omitempty"`
	// Picked are those that it picks, Others those that it might have picked.
	Picked DrillCounts `json:"picked"`
	Others DrillCounts `json:"others"`
	// Secondary, Rescued and Failed are the picked requests by what their clients
	// got: a good response of the secondary; one of the primary, after the
	// secondary had failed; an error, a response that broke off, or nothing until
	// they gave up.
	Secondary uint64 `json:"secondary"`
	Rescued   uint64 `json:"rescued"`
	Failed    uint64 `json:"failed"`
	// NeverPicked are the routes of the group whose timeout is under 400 ms, which is
	// too little for both origins: of their requests none is ever picked.
	NeverPicked []string `json:"never_picked,omitempty"`
}

// DrillCounts are requests of a drill that are over.
type DrillCounts struct {
	// Requests are those whose client has stayed, or has waited in vain for a second
	// at least; Left are those whose client went away sooner.
	Requests uint64 `json:"requests"`
	Left     uint64 `json:"left"`
	// Errors are those that failed at the origin that was asked first, whatever
	// their clients got.
	Errors uint64  `json:"errors"`
	P50MS  float64 `json:"p50_ms"`
	P99MS  float64 `json:"p99_ms"`
}

// Pin is a target fixed by hand.
type Pin struct {
	Target string     `json:"target"`
	Until  *time.Time `json:"until,omitempty"` // absent: until unpin
	Reason string     `json:"reason,omitempty"`
	By     string     `json:"by,omitempty"`
}

// Origin is an origin and what is known of its health.
type Origin struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// Verdict is "healthy", "down", "unknown" (probed, no verdict yet) or
	// "unchecked" (no health table).
	Verdict string     `json:"verdict"`
	Since   *time.Time `json:"since,omitempty"` // of the verdict
	// Drained: an operator has taken it out of service.
	Drained   bool     `json:"drained"`
	Addresses []string `json:"addresses"`
	// Connections are open ones, of all routes; Limit is 0 without one.
	Connections int     `json:"connections"`
	Limit       int     `json:"limit"`
	Probes      []Probe `json:"probes"` // the last 60, oldest first
}

// Probe is one active health check.
type Probe struct {
	At      time.Time `json:"at"`
	TookMS  float64   `json:"took_ms"`
	OK      bool      `json:"ok"`
	Status  int       `json:"status,omitempty"`
	Error   string    `json:"error,omitempty"`
	Dropped bool      `json:"dropped,omitempty"` // it counted for nothing
}

// Route is a route, its bulkhead and its breakers.
type Route struct {
	Name     string    `json:"name"`
	Match    string    `json:"match"`
	Group    string    `json:"group"`
	Bulkhead Bulkhead  `json:"bulkhead"`
	Breakers []Breaker `json:"breakers"`
	Totals   Totals    `json:"totals"`
}

// Bulkhead is a route's permits now.
type Bulkhead struct {
	MaxConcurrent int `json:"max_concurrent"`
	InUse         int `json:"in_use"`
	MaxQueue      int `json:"max_queue"`
	Queued        int `json:"queued"`
	Parked        int `json:"parked"`
}

// Breaker is a route's breaker towards one origin.
type Breaker struct {
	Origin string `json:"origin"`
	// State is "closed", "open", "half-open" or "off".
	State string `json:"state"`
}

// Totals are a route's counters since the start of the process:
// accepted = served + failed_over + shed + failed + left + in flight.
type Totals struct {
	Accepted   uint64 `json:"accepted"`
	Served     uint64 `json:"served"`
	FailedOver uint64 `json:"failed_over"`
	Saved      uint64 `json:"saved"` // of FailedOver: an error without failover
	Shed       uint64 `json:"shed"`
	Failed     uint64 `json:"failed"`
	Left       uint64 `json:"left"`
	Parked     uint64 `json:"parked"`
	ConnRetry  uint64 `json:"conn_retry"`
}

// Event is something that happened: GET /v1/events, newest first, and the event
// "event" of its stream and of GET /v1/live.
type Event struct {
	// Seq grows by one with each event of this process. A stream resumes behind
	// the Last-Event-ID that the client sends.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	// Kind is "start", "flip", "verdict", "breaker", "pin", "unpin", "failback",
	// "drain", "ready", "drill_started", "drill_stopped", "reload",
	// "reload_failed", "dns", "certificate", "pause" or "stop".
	Kind string `json:"kind"`
	// Level is "info", "warn" or "error".
	Level  string `json:"level"`
	Group  string `json:"group,omitempty"`
	Origin string `json:"origin,omitempty"`
	Route  string `json:"route,omitempty"`
	// From and To are origins for a flip, verdicts or states otherwise.
	From       string `json:"from,omitempty"`
	To         string `json:"to,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	// Cause says why, in the words of the closed lists or of an error. By says
	// who asked, where somebody did.
	Cause string `json:"cause,omitempty"`
	By    string `json:"by,omitempty"`
	// Text is the event in one sentence for people.
	Text string `json:"text"`
	// Evidence are the probes that led to a verdict, oldest first.
	Evidence []Probe `json:"evidence,omitempty"`
}

// Explanation is GET /v1/explain?method=&url=&host=: what would happen to this
// request now.
type Explanation struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Target string `json:"target"` // path and query, as matched
	// Route and Group are "" if no route matches.
	Route string `json:"route,omitempty"`
	Group string `json:"group,omitempty"`
	// Outcome is one sentence: "it goes to eu; if that fails, to us".
	Outcome string `json:"outcome"`
	// First and Then are the origins that would be tried, "" for none.
	First   string `json:"first,omitempty"`
	Then    string `json:"then,omitempty"`
	Covered bool   `json:"covered"`
	// WhyNot is why it may not fail over, of the closed list.
	WhyNot string `json:"why_not,omitempty"`
	// Status is what it would be answered with where no origin is asked, else 0.
	Status int    `json:"status,omitempty"`
	Steps  []Step `json:"steps"`
}

// Step is one rule of an explanation, in the order in which they apply.
type Step struct {
	// Rule is "request", "route", "body", "coverage", "permit", "pointer",
	// "breaker", "drain", "drill", "second" or "unsafe".
	Rule string `json:"rule"`
	// Result is "pass", "stop" or "note".
	Result string `json:"result"`
	Text   string `json:"text"`
	// Key is the key of the configuration that decides this, such as
	// "groups.shop.failover_methods".
	Key string `json:"key,omitempty"`
}

// Request is one of the last decisions: GET /v1/requests?route=&failed=&limit=,
// newest first.
type Request struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"` // when it began
	Client     string    `json:"client,omitempty"`
	Method     string    `json:"method"`
	Host       string    `json:"host"`
	Target     string    `json:"target"` // cut to 256 bytes
	Route      string    `json:"route,omitempty"`
	Group      string    `json:"group,omitempty"`
	Status     int       `json:"status"`
	Result     string    `json:"result"` // "served", "failed_over", "shed", "failed", "left", "refused"
	Role       string    `json:"pointer,omitempty"`
	Generation uint64    `json:"generation,omitempty"`
	Covered    bool      `json:"covered"`
	WhyNot     string    `json:"why_not,omitempty"`
	Error      string    `json:"error,omitempty"` // of our own response
	QueuedMS   float64   `json:"queued_ms,omitempty"`
	ParkedMS   float64   `json:"parked_ms,omitempty"`
	TotalMS    float64   `json:"total_ms"`
	BytesIn    int64     `json:"bytes_in"`
	BytesOut   int64     `json:"bytes_out"`
	Drill      bool      `json:"drill,omitempty"` // a drill has picked it
	Attempts   []Attempt `json:"attempts"`
}

// Attempt is one try at one origin.
type Attempt struct {
	Origin  string `json:"origin"`
	Role    string `json:"role"`
	Address string `json:"address,omitempty"`
	// Class is "ok" or of the closed list of failure classes.
	Class string `json:"class"`
	// Why is in words what Class means here, empty for "ok".
	Why         string  `json:"why,omitempty"`
	Status      int     `json:"status,omitempty"`
	Reused      bool    `json:"reused,omitempty"`
	ConnRetry   bool    `json:"conn_retry,omitempty"`
	StartMS     float64 `json:"start_ms"` // since the request's begin
	ConnectMS   float64 `json:"connect_ms,omitempty"`
	FirstByteMS float64 `json:"first_byte_ms,omitempty"`
	// Simulated: a drill has it that the origin failed; it was not asked.
	Simulated bool `json:"simulated,omitempty"`
}

// History is GET /v1/history: the last ten minutes, for charts.
type History struct {
	StepS   float64  `json:"step_s"`
	Samples []Sample `json:"samples"` // oldest first
}

// Sample is what happened in one step, and the event "sample" of GET /v1/live.
type Sample struct {
	At     time.Time     `json:"at"` // the step's end
	Groups []GroupSample `json:"groups"`
}

// GroupSample is one group's part of a Sample, over all its routes.
type GroupSample struct {
	Group    string  `json:"group"`
	Requests float64 `json:"requests_per_s"`
	Errors   float64 `json:"errors_per_s"` // shed and failed
	Primary  float64 `json:"primary_per_s"`
	// Secondary are requests that were sent to the secondary, per second.
	Secondary float64 `json:"secondary_per_s"`
	P50MS     float64 `json:"p50_ms"`
	P99MS     float64 `json:"p99_ms"`
}

// PinRequest is POST /v1/groups/{group}/pin.
type PinRequest struct {
	// Target is the name of one of the group's origins.
	Target string `json:"target"`
	// For is a Go duration such as "30m"; "" means until unpin.
	For    string `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
	Change
}

// DrillRequest is POST /v1/groups/{group}/drill.
type DrillRequest struct {
	// Share is how many of the requests that may fail over are picked, above 0
	// and at most 1; 0 means 0.05, one in twenty.
	Share float64 `json:"share,omitempty"`
	// StopAt ends the drill when the picked requests' share of errors is so much
	// above that of the others, above 0 and at most 1; 0 means 0.01.
	StopAt float64 `json:"stop_at,omitempty"`
	// For is a Go duration of at most an hour; "" means one minute.
	For    string `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
	Change
}

// Change is what every change may say: the body of unpin, failback, drain and
// ready.
type Change struct {
	// Generation is the one that the asker has seen: if the pointer has moved
	// since, the change is refused with 409. 0: whatever it is. (Of no use to
	// drain and ready, where an origin may be in many groups.)
	Generation uint64 `json:"generation,omitempty"`
	// Force changes even if no healthy origin would be left.
	Force bool `json:"force,omitempty"`
}

// ReloadResult is POST /v1/reload.
type ReloadResult struct {
	Config  ConfigInfo `json:"config"`
	Changed []string   `json:"changed"` // "routes_added: api", one a line
}

// SessionRequest is POST /v1/session, which answers with a cookie and no
// document.
type SessionRequest struct {
	// Token is the one of token_file.
	Token string `json:"token"`
}

// Error is the body of every answer of 400 and above, but for /readyz.
type Error struct {
	// Code is "bad_request", "unauthorized", "forbidden", "not_found",
	// "method_not_allowed", "stale", "no_healthy_origin", "pinned", "following",
	// "primary_down", "drill_runs", "not_on_primary", "bad_config", "too_large", "unsupported_media_type",
	// "busy" or "internal".
	Code string `json:"code"`
	// Text says what is wrong and what to do, in a sentence or two.
	Text string `json:"text"`
	// Problems are those of a configuration, one each.
	Problems []string `json:"problems,omitempty"`
	// Generation is the present one, where Code is "stale".
	Generation uint64 `json:"generation,omitempty"`
}
