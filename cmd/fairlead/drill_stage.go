package main

import (
	"crypto/x509"
	"errors"
	"slices"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/chaos"
)

// drillHealth is the path of every health check during a drill. It is the drill's
// own, so that no request of a route is taken for a probe.
const drillHealth = "/fairlead-drill-health"

// drillHost is the host of requests to routes that take any.
const drillHost = "drill.test"

// stageConfig is a copy of a checked configuration that touches nothing outside
// of this machine: groups, routes, limits, time-outs and health tables are the
// same, but there is one plain listener on a free port of 127.0.0.1, each origin
// is at the address given, and there is no nameserver, no admin API, no state and
// no log. Pointers go by their own verdicts. Origins of https need roots.
func stageConfig(cfg *config.Config, address func(origin string) string, roots *x509.CertPool) *config.Config {
	staged := &config.Config{
		Server:   cfg.Server,
		Log:      config.Log{Level: "error", Format: "json", Output: "stderr"},
		Resolver: cfg.Resolver,
		Origins:  slices.Clone(cfg.Origins),
		Groups:   slices.Clone(cfg.Groups),
		Routes:   cfg.Routes,
	}
	s := &staged.Server
	s.Listen, s.TLSListen, s.ProxyProtocol = []string{"127.0.0.1:0"}, nil, nil
	s.Certificates, s.ClientCA, s.HTTPSRedirect = nil, "", false
	s.TrustedProxies = nil
	s.Watch, s.State, s.DrainTimeout = false, "", 0
	s.ProxyStatus = true // by which a shed request is told from another error
	for i := range staged.Origins {
		stageOrigin(&staged.Origins[i], address, roots)
	}
	for i := range staged.Groups {
		staged.Groups[i].DNSName, staged.Groups[i].Follow = "", nil
	}
	return staged
}

// stageOrigin puts an origin of the drill in the place of one of the
// configuration. Its probes are answered as the drill's origins answer.
func stageOrigin(o *config.Origin, address func(string) string, roots *x509.CertPool) {
	o.Network, o.Address = "tcp", address(o.Name)
	o.Authority = o.Address
	o.URL, o.CA = o.Scheme+"://"+o.Address, ""
	if o.Scheme == "https" {
		o.RootCAs = roots
	}
	if o.Health == nil {
		return
	}
	h := *o.Health
	h.Path = drillHealth
	h.ExpectStatus = append(slices.Clone(h.ExpectStatus), config.StatusRange{Min: 200, Max: 200})
	if h.ExpectBody != "" {
		h.ExpectBody = o.Name // with which the body of a good answer begins
	}
	o.Health = &h
}

// drillOrigins are the origins of one fault, by name.
type drillOrigins map[string]*chaos.Origin

// openDrillOrigins opens an origin on a free port for each of the configuration.
func openDrillOrigins(cfg *config.Config, certs *chaos.Certificates) (drillOrigins, error) {
	origins := make(drillOrigins, len(cfg.Origins))
	for i := range cfg.Origins {
		c := &cfg.Origins[i]
		o, err := openDrillOrigin(c, certs)
		if err != nil {
			origins.close()
			return nil, err
		}
		origins[c.Name] = o
	}
	return origins, nil
}

func openDrillOrigin(c *config.Origin, certs *chaos.Certificates) (*chaos.Origin, error) {
	const free = "127.0.0.1:0"
	if c.Scheme == "https" {
		return chaos.ListenTLS(c.Name, "tcp", free, certs)
	}
	return chaos.Listen(c.Name, "tcp", free)
}

func (d drillOrigins) address(name string) string { return d[name].Addr() }

func (d drillOrigins) close() {
	for _, o := range d {
		o.Close()
	}
}

// all lists them in no order.
func (d drillOrigins) all() []*chaos.Origin {
	list := make([]*chaos.Origin, 0, len(d))
	for _, o := range d {
		list = append(list, o)
	}
	return list
}

// drillCertificates makes certificates that name every https origin of the
// configuration; nil where there is none.
func drillCertificates(cfg *config.Config) (*chaos.Certificates, error) {
	var names []string
	secure := false
	for i := range cfg.Origins {
		if o := &cfg.Origins[i]; o.Scheme == "https" {
			secure, names = true, append(names, o.ServerName)
		}
	}
	if !secure {
		return nil, nil //nolint:nilnil // no certificates are what a drill without TLS has
	}
	return chaos.NewCertificates(names...)
}

// errNothingToDrive: no route of the configuration can be driven.
var errNothingToDrive = errors.New("no route can be driven")
