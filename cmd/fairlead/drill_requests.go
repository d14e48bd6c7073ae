package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/drill"
	"github.com/fairlead/fairlead/internal/route"
)

const (
	drillBody   = 256 // bytes of a POST
	readWeight  = 4   // GETs to a POST, where a route takes both
	writeWeight = 1
)

// drillRoute is a route that a drill drives, and with what.
type drillRoute struct {
	config *config.Route
	group  *config.Group
	host   string
	mix    []chaos.Shot
}

// covers reports whether a method's requests without a body are covered.
func (r *drillRoute) covers(method string) bool {
	return r.group.Secondary != "" && slices.Contains(r.group.FailoverMethods, method)
}

// drillRouter says to which route the proxy would send a request.
type drillRouter func(method, host, path string) (route string, status int)

// newDrillRouter asks the proxy itself, so that the drill has no opinion of its own.
func newDrillRouter(cfg *config.Config) (drillRouter, error) {
	port := 0
	staged := stageConfig(cfg, func(string) string {
		port++
		return "127.0.0.1:" + strconv.Itoa(port) // none of which is ever asked
	}, nil)
	l, err := openLogs(staged.Log, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	defer l.close()
	s, err := newService(staged, l, newKeeper("", l.events), watcher{}, nil, nil)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return func(method, host, path string) (string, int) {
		e, err := s.proxy.Explain(method, host, path)
		if err != nil {
			return "", 400
		}
		return e.Route, e.Status
	}, nil
}

// newDrillRoute finds requests that a route and no other takes. Why says what
// stands in the way if there are none.
func newDrillRoute(cfg *config.Config, c *config.Route, ask drillRouter) (r *drillRoute, why string) {
	samples, err := route.SamplesOf(c.Match)
	if err != nil {
		return nil, err.Error()
	}
	r = &drillRoute{config: c, group: cfg.Group(c.Group), host: samples.Host}
	if r.host == "" {
		r.host = drillHost
	}
	if strings.Contains(r.host, ":") {
		r.host = "[" + r.host + "]" // an address of IPv6
	}
	methods := []string{samples.Method}
	if samples.Method == "" {
		methods = []string{r.reading(), "POST"}
	}
	for _, method := range methods {
		path, found := r.find(method, samples.Paths, ask)
		if found == "" {
			r.mix = append(r.mix, r.shot(method, path))
		} else if why == "" {
			why = found
		}
	}
	if len(r.mix) == 0 {
		return nil, why
	}
	return r, ""
}

// reading is the method of covered requests to a route that takes any: GET if
// that is covered.
func (r *drillRoute) reading() string {
	for _, m := range append([]string{"GET"}, r.group.FailoverMethods...) {
		if r.covers(m) {
			return m
		}
	}
	return "GET"
}

// find is a path by which the route is reached; else why says what became of the
// first one.
func (r *drillRoute) find(method string, paths []string, ask drillRouter) (path, why string) {
	for _, path := range paths {
		got, status := ask(method, r.host, path)
		switch {
		case got == r.config.Name:
			return path, ""
		case why != "":
		case got != "":
			why = fmt.Sprintf("route %s takes %s %s%s", got, method, r.host, path)
		default:
			why = fmt.Sprintf("%s %s%s is answered with %d before any route is looked for", method, r.host, path, status)
		}
	}
	return "", why
}

// shot is the request of one method.
func (r *drillRoute) shot(method, path string) chaos.Shot {
	s := chaos.Shot{Weight: readWeight, Method: method, Path: path, Fixed: true}
	if slices.Contains([]string{"POST", "PUT", "PATCH"}, method) {
		s.Weight, s.BodySize = writeWeight, drillBody
		if limit := r.config.MaxBodyBytes; limit > 0 {
			s.BodySize = min(s.BodySize, limit)
		}
	}
	return s
}

// describe says what the route is sent, for people and for JSON.
func (r *drillRoute) describe(rate float64) drill.Route {
	d := drill.Route{Name: r.config.Name, Match: r.config.Match, Group: r.config.Group, Rate: rate}
	for i := range r.mix {
		shot := &r.mix[i]
		text := fmt.Sprintf("%s http://%s%s", shot.Method, r.host, shot.Path)
		at := &d.Uncovered
		if shot.BodySize == 0 && r.covers(shot.Method) {
			at = &d.Covered
		}
		if *at != "" {
			*at += ", "
		}
		*at += text
	}
	return d
}

// setup is what the configuration says about the route.
func (r *drillRoute) setup(cfg *config.Config, rate float64) drill.Setup {
	s := drill.Setup{
		Route: r.config.Name, Rate: rate, Timeout: r.config.Timeout,
		MaxConcurrent: r.config.Bulkhead.MaxConcurrent, MaxQueue: r.config.Bulkhead.MaxQueue,
		Breaker: r.config.Breaker.ConsecutiveFailures, OpenFor: r.config.Breaker.OpenFor,
		Group: drill.Group{
			Name: r.group.Name, Statuses: r.group.FailoverStatuses, Unsafe: string(r.group.Unsafe), BothDown: string(r.group.BothDown),
			ParkTimeout: r.group.ParkTimeout, Primary: drillOrigin(cfg.Origin(r.group.Primary)),
		},
	}
	for i := range r.mix {
		if m := r.mix[i].Method; slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, m) && !slices.Contains(r.group.FailoverMethods, m) {
			s.Bare = append(s.Bare, m)
		}
	}
	if r.group.Secondary != "" {
		secondary := drillOrigin(cfg.Origin(r.group.Secondary))
		s.Group.Secondary = &secondary
	}
	return s
}

func drillOrigin(c *config.Origin) drill.Origin {
	o := drill.Origin{Name: c.Name, ConnectTimeout: c.ConnectTimeout, HeaderTimeout: c.ResponseHeaderTimeout, MaxConnections: c.MaxConnections}
	if h := c.Health; h != nil {
		o.Check = &drill.Check{Interval: h.Interval, Timeout: h.Timeout, FastInterval: h.FastInterval, Fall: h.Fall}
	}
	return o
}
