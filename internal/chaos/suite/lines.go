package suite

import (
	"fmt"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/chaos/toxic"
)

// link is the line to an origin, which is made when it is first asked for.
func (s *Stage) link(to, address string) (*toxic.Link, error) {
	if l := s.props.links[to]; l != nil {
		return l, nil
	}
	if s.props.links == nil {
		s.props.links = make(map[string]*toxic.Link)
	}
	err := s.with(func(k kit) { s.props.links[to] = toxic.New(k, address) })
	return s.props.links[to], err
}

// byLine is a Setup's Reach: every origin is reached by a line of its own, which
// [Line] breaks.
func byLine(s *Stage, o *chaos.Origin) string {
	l, err := s.link(o.Name(), o.Addr())
	if err != nil {
		panic(err) // no port is left on this machine
	}
	if s.certs != nil {
		return "https://" + l.Address()
	}
	return "http://" + l.Address()
}

// Toxics makes the line to an origin, or that of the clients if it is "", as bad as
// these toxics say; without any it is well again.
func Toxics(origin, text string, all ...toxic.Toxic) Action {
	whose := origin
	if whose == "" {
		whose = "the clients"
	}
	return Action{"the line of " + whose + ": " + text, func(s *Stage) error {
		l := s.props.links[origin]
		if l == nil {
			return fmt.Errorf("there is no line of %s", whose)
		}
		if origin != "" {
			s.endFault(origin)
		}
		if len(all) > 0 && origin != "" {
			s.beginFault(origin, text)
		}
		s.mark(whose + ": " + text)
		l.Set(all...)
		return nil
	}}
}
