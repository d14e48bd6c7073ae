package resolver

import (
	"net/netip"
	"time"
)

// An EventKind says which fields of an [Event] mean something.
type EventKind uint8

const (
	// Changed says that a name has another set of addresses than before, with
	// Old and New. The first answer is a change from none; an answer that there
	// is nothing is one to none, with Err. Order alone is no change.
	Changed EventKind = iota + 1
	// Failing says that an episode of failed lookups began, with Err and
	// Stale. Lookups that fail during it are no events.
	Failing
	// Recovered says that an episode ended with an answer, be it that there is
	// nothing, with Lasted and Failed.
	Recovered
	// Expired says that StaleMax ended during an episode, with Old, the
	// addresses that are withdrawn, and Err, the last failure.
	Expired
)

// String is the kind's name, such as "dns_failing".
func (k EventKind) String() string {
	switch k {
	case Changed:
		return "dns_changed"
	case Failing:
		return "dns_failing"
	case Recovered:
		return "dns_recovered"
	case Expired:
		return "dns_expired"
	}
	return "invalid"
}

// An Event is something about a name that is worth telling. There are a few in
// an episode of failures and none for a lookup that changes nothing.
type Event struct {
	Kind EventKind
	Host string // in lower case
	At   time.Time

	Old, New []netip.Addr // must not be changed
	Err      error        // an [*Error]

	// Stale says that the last good answer serves on; for Failing.
	Stale bool

	// Lasted is the time from the first failed lookup to the answer, Failed
	// the number of failed lookups; for Recovered.
	Lasted time.Duration
	Failed int
}
