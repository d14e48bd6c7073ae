package statefile

import (
	"encoding/json"
	"time"
)

// Snapshot is the state of all groups at one time.
type Snapshot struct {
	Saved  time.Time `json:"saved"` // when it was true
	Groups []Group   `json:"groups"`
	// Drained are the origins that an operator has taken out of service.
	Drained []string `json:"drained,omitempty"`
}

// Group is the state of one group's pointer. Origins go by their names, so that
// the state can be matched with a configuration that gives them other roles.
type Group struct {
	Name      string `json:"name"`
	Primary   string `json:"primary"`
	Secondary string `json:"secondary,omitempty"` // empty: there is none
	Target    string `json:"target"`              // the active origin; empty: none

	Generation uint64        `json:"generation"`
	Since      time.Time     `json:"since,omitzero"` // when Target last changed
	Reason     string        `json:"reason"`         // why it did
	Hold       time.Duration `json:"-"`              // written as "1m0s" by MarshalJSON

	PrimaryVerdict   Verdict `json:"primary_verdict"`
	SecondaryVerdict Verdict `json:"secondary_verdict,omitzero"`

	Pin      string    `json:"pin,omitempty"`      // the origin that an operator fixed; empty: not pinned
	PinUntil time.Time `json:"pin_until,omitzero"` // when the pin ends; zero: only by hand

	Lead      string `json:"lead,omitempty"`       // the origin that a followed pointer is at; empty: none is followed
	PinReason string `json:"pin_reason,omitempty"` // why, in the words of whoever pinned it
	PinBy     string `json:"pin_by,omitempty"`
}

// Verdict is what was known of one origin's health.
type Verdict struct {
	Down  bool      `json:"down"`
	Since time.Time `json:"since,omitzero"`
}

// plain is a Group without its methods, and with Hold as the file writes it.
type plain struct {
	*group
	Hold string `json:"hold"`
}

type group Group

// MarshalJSON writes Hold as a duration's text, as the configuration does.
func (g Group) MarshalJSON() ([]byte, error) {
	return json.Marshal(plain{group: (*group)(&g), Hold: g.Hold.String()})
}

// UnmarshalJSON is the reverse of MarshalJSON. A Hold that is left out is 0.
func (g *Group) UnmarshalJSON(data []byte) error {
	p := plain{group: (*group)(g)}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	g.Hold = 0
	if p.Hold == "" {
		return nil
	}
	var err error
	g.Hold, err = time.ParseDuration(p.Hold)
	return err
}

// times returns every time in s, to be changed in place.
func (s *Snapshot) times() []*time.Time {
	all := []*time.Time{&s.Saved}
	for i := range s.Groups {
		g := &s.Groups[i]
		all = append(all, &g.Since, &g.PrimaryVerdict.Since, &g.SecondaryVerdict.Since, &g.PinUntil)
	}
	return all
}
