package suite

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/chaos/dnsfault"
)

// Names lets the proxy find its origins by name, at a nameserver of the scenario.
// Answers hold for a fifth of a second.
type Names struct {
	Resolver string // more of [resolver]
	// First is what the nameserver does about single origins when the proxy
	// starts, by origin; left out, it answers.
	First map[string]dnsfault.Mode
}

// quickNames let an answer's life pass in a scenario's.
const quickNames = "timeout = \"300ms\"\nmin_ttl = \"100ms\"\nmax_ttl = \"200ms\"\n"

// hostname is the name of an origin.
func hostname(origin string) string { return origin + ".test" }

// openNames starts the nameserver.
func (s *Stage) openNames() error {
	names := s.scenario.Setup.Names
	if names == nil {
		return nil
	}
	if err := s.with(func(k kit) { s.props.dns = dnsfault.New(k) }); err != nil {
		return err
	}
	for _, o := range s.order {
		host, _, err := net.SplitHostPort(o.Addr())
		if err != nil {
			return err
		}
		s.props.dns.Put(hostname(o.Name()), time.Second, host)
		if mode, ok := names.First[o.Name()]; ok {
			s.props.dns.SetName(hostname(o.Name()), mode)
		}
	}
	return nil
}

// toml is the table [resolver].
func (n *Names) toml(s *Stage) string {
	return fmt.Sprintf("[resolver]\nservers = [%q]\n", s.props.dns.Address()) + without(quickNames, n.Resolver) + n.Resolver
}

// url has the origin's name in place of its address.
func (n *Names) url(o *chaos.Origin) string {
	_, port, _ := net.SplitHostPort(o.Addr())
	scheme, _, _ := strings.Cut(o.URL(), ":")
	return scheme + "://" + net.JoinHostPort(hostname(o.Name()), port)
}

// Resolves makes the nameserver do this about an origin's name.
func Resolves(origin string, mode dnsfault.Mode) Action {
	return Action{fmt.Sprintf("the name of %s: %s", origin, mode.Text), func(s *Stage) error {
		if s.endFault(origin); mode.Fails {
			s.beginFault(origin, "dns_"+mode.Name)
		}
		s.mark(fmt.Sprintf("DNS %s: %s", origin, mode.Name))
		s.props.dns.SetName(hostname(origin), mode)
		return nil
	}}
}

// Moved gives an origin's name other addresses.
func Moved(origin string, addresses ...string) Action {
	return Action{fmt.Sprintf("the name of %s is now that of %v", origin, addresses), func(s *Stage) error {
		s.mark(fmt.Sprintf("DNS %s: %v", origin, addresses))
		s.props.dns.Put(hostname(origin), time.Second, addresses...)
		return nil
	}}
}

// NoNameserver ends the nameserver: its port refuses.
func NoNameserver() Action {
	return Action{"the nameserver is gone", func(s *Stage) error {
		s.mark("DNS gone")
		s.props.dns.Close()
		return nil
	}}
}

// AsksAgain waits until the name of an origin has been asked for n more times.
func AsksAgain(origin string, n int) Action {
	return Action{fmt.Sprintf("the name of %s is asked for %d more times", origin, n), func(s *Stage) error {
		n := n + s.props.dns.Asked(hostname(origin))
		return s.await(patience, "questions for "+hostname(origin), func() bool { return s.props.dns.Asked(hostname(origin)) >= n })
	}}
}

// AsksWithin holds that the name of an origin is asked for at most so often in d.
func AsksWithin(origin string, most int, d time.Duration) Action {
	return Action{fmt.Sprintf("the name of %s is asked for at most %d times in %v", origin, most, d), func(s *Stage) error {
		before, begun := s.props.dns.Asked(hostname(origin)), time.Now()
		time.Sleep(d) // that it is not asked for can't be awaited
		if n := s.props.dns.Asked(hostname(origin)) - before; n > most*int(1+time.Since(begun)/d) {
			return fmt.Errorf("it was %d times", n)
		}
		return nil
	}}
}

// AlsoAt opens another server of an origin, at the same port of another loopback
// address: 127.0.0.2 and so on. What reaches it is judged as what reaches the origin.
func AlsoAt(origin, address string) Action {
	return Action{origin + " is also at " + address, func(s *Stage) error {
		_, port, err := net.SplitHostPort(s.origins[origin].Addr())
		if err != nil {
			return err
		}
		o, err := chaos.Listen(origin, "tcp", net.JoinHostPort(address, port))
		if err != nil {
			return err
		}
		s.later(o.Close)
		s.others = append(s.others, o)
		return nil
	}}
}

// Reaches waits until n more requests have reached the server that [AlsoAt] opened.
func Reaches(address string, n int) Action {
	return Action{fmt.Sprintf("%d requests reach %s", n, address), func(s *Stage) error {
		for _, o := range s.others {
			if strings.HasPrefix(o.Addr(), address+":") {
				n := n + o.Arrived()
				return s.await(patience, "requests at "+address, func() bool { return o.Arrived() >= n })
			}
		}
		return fmt.Errorf("nothing is at %s", address)
	}}
}

// Deserted waits until an origin has no connection left.
func Deserted(origin string) Action {
	return Action{"nobody is connected to " + origin, func(s *Stage) error {
		return s.await(patience, "the end of connections to "+origin, func() bool { return s.origins[origin].OpenConns() == 0 })
	}}
}
