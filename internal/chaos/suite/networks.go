package suite

import (
	"fmt"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/chaos/netns"
)

// farOrigin opens an origin in a network of its own, whose cable [Cable] pulls.
func (s *Stage) farOrigin(name string) (o *chaos.Origin, err error) {
	err = s.with(func(k kit) {
		far := netns.New(k)
		if s.props.nets == nil {
			s.props.nets = make(map[string]*netns.Net)
		}
		s.props.nets[name] = far
		o = far.Origin(k, name)
	})
	return o, err
}

// The ways to break the cable to an origin's network.
var (
	// partition loses every packet.
	partition = breakage{"partition", (*netns.Net).Partition}
	// loseRequests loses those to the origin.
	loseRequests = breakage{"requests are lost", (*netns.Net).DropRequests}
	// loseReplies loses those from the origin.
	loseReplies = breakage{"replies are lost", (*netns.Net).DropReplies}
)

// breakage is one way to break a cable.
type breakage struct {
	text string
	do   func(*netns.Net)
}

// Cable breaks the cable to an origin's network: no side hears of it.
func Cable(origin string, how breakage) Action {
	return Action{fmt.Sprintf("the network of %s: %s", origin, how.text), func(s *Stage) error {
		s.beginFault(origin, how.text)
		return s.with(func(kit) { how.do(s.props.nets[origin]) })
	}}
}

// Heal mends the cable to an origin's network.
func Heal(origin string) Action {
	return Action{"the network of " + origin + " is well", func(s *Stage) error {
		s.endFault(origin)
		s.mark(origin + " is reached again")
		return s.with(func(kit) { s.props.nets[origin].Heal() })
	}}
}
