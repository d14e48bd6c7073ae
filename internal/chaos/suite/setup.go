package suite

import (
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Setup is a scenario's configuration. The zero value is two origins, eu and us,
// with quick probes, one group, shop, and one route, shop, for everything.
// Texts are TOML and come after the keys that are there already; a key that is
// set twice is set by the text. $DIR stands for a folder of the scenario's own.
type Setup struct {
	Server string // more of [server]
	Log    string // more of [log]
	Origin string // more of each [origins.NAME]
	// Health is more of each [origins.NAME.health]; "none": no table.
	Health string
	Group  string // more of [groups.shop]
	Route  string // more of the route
	// Permits is the route's max_concurrent. 0: 200.
	Permits int
	// Routes are whole [[routes]] tables in the place of the one route.
	Routes string
	// More is appended: further tables.
	More string

	// Defaults leaves all times at what a configuration has by default.
	Defaults bool
	// TLS makes the origins speak it, with good certificates.
	TLS bool
	// Single leaves the secondary out.
	Single bool
	// Reach is how the proxy reaches an origin, in place of its own address: a
	// URL. Nil: directly.
	Reach func(s *Stage, o *chaos.Origin) string
	// Names lets it find them by name. Nil: by address.
	Names *Names
	// Far are origins that live in a network namespace of their own.
	Far []string
	// Lines puts a line between clients and the proxy, which [Toxics] breaks.
	Lines bool
	// Prepare is done before the proxy is started for the first time.
	Prepare func(s *Stage) error
	// Doors opens two more ways in: TLS, with a certificate of the site's own,
	// and HTTP/2, over TLS and without. See [ByTLS] and its like.
	Doors bool
	// ProxyProtocol makes whoever comes from 127.0.0.1 a trusted balancer, who
	// says in a header of the PROXY protocol for whom it comes.
	ProxyProtocol bool
	// Before are commands of a shell, which the proxy then replaces: ulimit.
	Before string
	// Env is added to the proxy's environment.
	Env []string
}

// quick are times that let an outage pass in a second or two.
var quick = map[string]string{
	"origin": "connect_timeout = \"400ms\"\nresponse_header_timeout = \"500ms\"\n",
	"health": "interval = \"200ms\"\ntimeout = \"190ms\"\nfast_interval = \"50ms\"\n",
	"group":  "failback_after = \"400ms\"\nmin_hold = \"1s\"\npark_timeout = \"2s\"\n",
	"route":  "timeout = \"5s\"\n",
}

// toml writes the configuration file for the stage.
func (c *Setup) toml(s *Stage) string {
	var b strings.Builder
	put := func(head, standard, text string) {
		if c.Defaults {
			standard = ""
		}
		b.WriteString(head + "\n" + without(standard, text) + text + "\n")
	}
	put("[server]", "", fmt.Sprintf("listen = [%q]\n", s.listen)+c.doors(s)+without("drain_timeout = \"5s\"\nbody_idle_timeout = \"2s\"\n", c.Server)+c.Server)
	put("[log]", "", without("output = \"stdout\"\naccess = true\n", c.Log)+c.Log)
	put("[admin]", "", fmt.Sprintf("listen = %q\n", s.adminListen()))
	for _, o := range s.order {
		put("[origins."+o.Name()+"]", quick["origin"], fmt.Sprintf("url = %q\n", s.reach(o))+s.trust(o)+c.Origin)
		if c.Health != "none" {
			put("[origins."+o.Name()+".health]", quick["health"], c.Health)
		}
	}
	group := "primary = \"eu\"\n"
	if !c.Single {
		group += "secondary = \"us\"\n"
	}
	put("[groups.shop]", quick["group"], group+c.Group)
	if c.Routes != "" {
		b.WriteString(c.Routes + "\n")
	} else {
		permits := c.Permits
		if permits == 0 {
			permits = 200
		}
		put("[[routes]]", quick["route"], fmt.Sprintf("name = \"shop\"\nmatch = \"/\"\ngroup = \"shop\"\nbulkhead.max_concurrent = %d\n", permits)+
			without("breaker.open_for = \"500ms\"\n", c.Route+c.standing("breaker.open_for"))+c.Route)
	}
	if c.Names != nil {
		b.WriteString(c.Names.toml(s))
	}
	b.WriteString(c.certificates(s) + c.More)
	return strings.ReplaceAll(b.String(), "$DIR", s.dir)
}

// standing names a key that is to be left at its default.
func (c *Setup) standing(key string) string {
	if c.Defaults {
		return key + " ="
	}
	return ""
}

// without leaves out those lines of standard whose key the text sets itself.
func without(standard, text string) string {
	var b strings.Builder
	for line := range strings.Lines(standard) {
		key, _, _ := strings.Cut(line, " =")
		if !strings.HasPrefix(text, key+" =") && !strings.Contains(text, "\n"+key+" =") {
			b.WriteString(line)
		}
	}
	return b.String()
}
