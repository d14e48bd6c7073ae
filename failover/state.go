package failover

import "time"

// Role is an origin's place in its group. The zero value is RoleNone.
type Role uint8

const (
	RoleNone      Role = iota // no origin; as a target: answer 503
	RolePrimary               // the origin that serves while all is well
	RoleSecondary             // the one that stands in
)

var roleNames = [...]string{RoleNone: "none", RolePrimary: "primary", RoleSecondary: "secondary"}

// String returns "none", "primary" or "secondary".
func (r Role) String() string { return nameOf(roleNames[:], r) }

// ParseRole returns the Role of that name, the reverse of String.
func ParseRole(s string) (Role, error) { return parseName[Role]("role", roleNames[:], s) }

// Other returns the opposite role; RoleNone has none but itself.
func (r Role) Other() Role {
	switch r {
	case RolePrimary:
		return RoleSecondary
	case RoleSecondary:
		return RolePrimary
	}
	return RoleNone
}

// Reason says why the pointer came to its target. The zero value is ReasonStart.
type Reason uint8

const (
	ReasonStart         Reason = iota // the pointer has not moved yet
	ReasonPrimaryDown                 // the primary fell, the secondary is healthy
	ReasonSecondaryDown               // the secondary fell, the primary is healthy
	ReasonBothDown                    // neither is healthy, and BothDown said where to go
	ReasonRecovered                   // one origin is healthy again after both were down
	ReasonFailback                    // the primary has been healthy for long enough
	ReasonOperator                    // an operator's failback
	ReasonPin                         // an operator's pin
	ReasonFollow                      // the pointer that this one follows is there
)

var reasonNames = [...]string{
	ReasonStart:         "start",
	ReasonPrimaryDown:   "primary_down",
	ReasonSecondaryDown: "secondary_down",
	ReasonBothDown:      "both_down",
	ReasonRecovered:     "recovered",
	ReasonFailback:      "failback",
	ReasonOperator:      "operator",
	ReasonPin:           "pin",
	ReasonFollow:        "follow",
}

// String returns the name that logs use, such as "primary_down".
func (r Reason) String() string { return nameOf(reasonNames[:], r) }

// ParseReason returns the Reason of that name, the reverse of String.
func ParseReason(s string) (Reason, error) {
	return parseName[Reason]("reason", reasonNames[:], s)
}

// Verdict is what is known of one origin's health. The zero value is healthy:
// an origin that nobody checks, or has checked yet, counts as healthy.
type Verdict struct {
	Down  bool
	Since time.Time // when Down last changed; at first, when the group was made
}

// State is where the pointer is and all that decides where it goes next. It is a
// value; a State that a Group has published never changes.
type State struct {
	Target     Role      // the active origin; RoleNone only under BothDownFailFast
	Generation uint64    // 1 at first, one more each time Target changes
	Since      time.Time // when Target last changed
	Reason     Reason    // why Target last changed

	Primary, Secondary Verdict

	// Hold is how long the pointer stays on the secondary before a failback. Each
	// flip away from the primary decides it anew, see PointerConfig.MinHold.
	Hold time.Duration

	Pin      Role      // the target that an operator fixed; RoleNone: not pinned
	PinUntil time.Time // when the pin ends; zero: only by hand

	Lead Role // where the pointer that this one follows is; RoleNone: none is followed now
}

// newState returns the state that a pointer starts in: on the primary, nothing
// known to be down.
func newState(now time.Time, c *PointerConfig) State {
	v := Verdict{Since: now}
	return State{Target: RolePrimary, Generation: 1, Since: now, Primary: v, Secondary: v, Hold: c.MinHold}
}
