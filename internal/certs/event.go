package certs

import (
	"strconv"
	"time"
)

// Kind says what an Event is about.
type Kind uint8

// The kinds of events.
const (
	// Loaded: what the file holds is new, and in use from now on.
	Loaded Kind = iota + 1
	// Failed: the file can't be used, see Err. A pair stays what it was; client
	// authorities are refused, and every client with them. It is told once for
	// each change of the error.
	Failed
	// Recovered: the file that failed can be used again.
	Recovered
	// Expiring: the certificate ends at NotAfter, which is less than 14 days
	// away or has passed. It is told once a day.
	Expiring
	// Exposed: everybody on this machine may read the file of a key.
	Exposed
)

var kindNames = [...]string{Loaded: "loaded", Failed: "failed", Recovered: "recovered", Expiring: "expiring", Exposed: "exposed"}

// String is the kind's name in lower case.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return "Kind(" + strconv.Itoa(int(k)) + ")"
	}
	return kindNames[k]
}

// Event is something that an operator may want to know.
type Event struct {
	Kind Kind
	// File is the path of the certificate, of the client authorities, or for
	// Exposed of the key.
	File string
	// Names are the DNS names of the certificate; nil for client authorities.
	Names []string
	// NotAfter is the certificate's end; zero for client authorities, Failed and
	// Exposed.
	NotAfter time.Time
	// Err is why the file can't be used; for Failed only.
	Err error
}
