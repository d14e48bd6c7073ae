package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// maxHold is how far min_hold doubles when the pointer flaps.
	maxHold = 15 * time.Minute
	// secondChance is what must be left of a route's time-out for an attempt
	// at the other origin.
	secondChance = 100 * time.Millisecond
	// maxSuggestions bounds how often all names are searched for the one that
	// was meant, so that a file of thousands of wrong names is refused in time.
	maxSuggestions = 100
)

// validate applies the rules that look at more than one key. They trust only
// sound values: a conclusion from one that was reported already would send
// the reader to the wrong place.
func (d *decoder) validate() {
	if d.broken {
		return
	}
	if len(d.cfg.Routes) == 0 && d.root.get("routes") == nil {
		d.report(0, "there is no [[routes]] table, so nothing would be served; write one with name, match, group and [routes.bulkhead]")
	}
	d.checkListen()
	d.checkTLS()
	d.checkProxyProtocol()
	d.checkState()
	d.checkAdmin()
	for i := range d.cfg.Origins {
		d.checkOrigin(i)
	}
	for i := range d.cfg.Groups {
		d.checkGroup(i)
	}
	d.checkDNS()
	d.checkRouteNames()
	for i := range d.cfg.Routes {
		d.checkRoute(i)
	}
	d.checkPatterns()
}

// sound reports whether no problem was found in the values of some keys of a
// table. One that is left out has its default, which is sound.
func sound(t *node, keys ...string) bool {
	for _, k := range keys {
		if n := t.get(k); n != nil && n.bad {
			return false
		}
	}
	return true
}

// reference is a key's value in another key's message: where it stands or
// that it is the default.
func (d *decoder) reference(t *node, key string, value time.Duration) string {
	if n := t.get(key); n != nil {
		return fmt.Sprintf("%s = %s in line %d", key, showValue(n), d.line(n.at))
	}
	return fmt.Sprintf("%s, by default %s", key, showDuration(value))
}

// contradict reports a duration that another key forbids: at the duration, or
// where that is the default, at the other key, or else at the table.
func (d *decoder) contradict(s scope, t *node, key string, value time.Duration, other *node, format string, args ...any) {
	subject, at := s.label(key)+", by default "+showDuration(value), t.at
	if n := t.get(key); n != nil {
		subject, at = s.label(key)+" = "+showValue(n), n.at
	} else if other != nil {
		at = other.at
	}
	d.report(at, "%s: %s", subject, fmt.Sprintf(format, args...))
}

func (d *decoder) checkListen() {
	server := d.root.get("server")
	if server == nil || server.kind != kindTable {
		return
	}
	addresses, at := d.allListeners()
	for i, a := range addresses {
		for j, b := range addresses[:i] {
			if claims(a, b) || claims(b, a) {
				d.reject(at[i], "%s in line %d claims this address already; remove one of the two", show(b), d.line(at[j].at))
				break
			}
		}
	}
}

// claims reports whether listening on a takes what b needs.
func claims(a, b string) bool {
	if strings.HasPrefix(a, "unix:") || strings.HasPrefix(b, "unix:") {
		return a == b
	}
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	if portA != portB || portA == "0" {
		return false
	}
	addrB, err := netip.ParseAddr(hostB)
	switch hostA {
	case "", "::":
		return true
	case "0.0.0.0":
		return err == nil && addrB.Is4()
	}
	if addrA, errA := netip.ParseAddr(hostA); errA == nil && err == nil {
		return addrA == addrB
	}
	return strings.EqualFold(hostA, hostB)
}

func (d *decoder) checkOrigin(i int) {
	o, t := &d.cfg.Origins[i], d.origins[i]
	s := scope{owner: "origin " + show(o.Name)}
	if sound(t, "url") && o.Scheme == "http" {
		for _, key := range []string{"ca", "sni"} {
			if n := t.get(key); n != nil && !n.bad {
				d.reject(value{n, s, key}, "without TLS it has no use; remove it, or write https in url")
			}
		}
	}
	if o.Scheme == "https" && o.ServerName == "" {
		o.ServerName, _, _ = net.SplitHostPort(o.Address)
	}
	if o.Health != nil {
		d.checkHealth(scope{s.owner, "health."}, t.get("health"), o.Health)
	}
}

// checkHealth fits the defaults to a short interval.
func (d *decoder) checkHealth(s scope, t *node, h *Health) {
	if t.get("timeout") == nil {
		h.Timeout = min(h.Timeout, h.Interval)
	}
	if t.get("fast_interval") == nil {
		h.FastInterval = min(h.FastInterval, h.Interval)
	}
	if sound(t, "fast_interval", "interval") && h.FastInterval > h.Interval {
		d.contradict(s, t, "fast_interval", h.FastInterval, t.get("interval"), "slower than the interval (%s); write %s or less, or a longer interval",
			d.reference(t, "interval", h.Interval), showDuration(h.Interval))
	}
}

func (d *decoder) checkGroup(i int) {
	g, t := &d.cfg.Groups[i], d.groups[i]
	s := scope{owner: "group " + show(g.Name)}
	d.checkReference(s, t, "primary", g.Primary, "origin", d.originAt)
	d.checkReference(s, t, "secondary", g.Secondary, "origin", d.originAt)
	if g.Primary == "" || g.Secondary == "" || !sound(t, "primary", "secondary") {
		return
	}
	v := value{t.get("secondary"), s, "secondary"}
	if g.Primary == g.Secondary {
		d.reject(v, "it is the primary too; write another origin, or remove the line for a plain proxy")
		return
	}
}

// checkReference checks that a key names something that exists.
func (d *decoder) checkReference(s scope, t *node, key, name, what string, known map[string]int) {
	n := t.get(key)
	if n == nil || n.bad || name == "" {
		return
	}
	if _, ok := known[name]; ok {
		return
	}
	v := value{n, s, key}
	meant := ""
	if d.suggested++; d.suggested <= maxSuggestions {
		meant = closest(name, slices.Collect(maps.Keys(known)))
	}
	if meant != "" {
		d.reject(v, "there is no such %s; did you mean %s?", what, show(meant))
		return
	}
	if badName(name) != "" {
		d.reject(v, "there is no such %s; write the name of one", what)
		return
	}
	d.reject(v, "there is no such %s; write the name of one, or add [%ss.%s]", what, what, name)
}

func (d *decoder) checkRouteNames() {
	first := map[string]*node{}
	for i, t := range d.routes {
		name := d.cfg.Routes[i].Name
		if name == "" {
			continue
		}
		if before := first[name]; before != nil {
			d.reject(value{t.get("name"), scope{owner: "route " + show(name)}, "name"}, "the route in line %d has this name; write another one", d.line(before.at))
			continue
		}
		first[name] = t
	}
}

func (d *decoder) routeScope(i int) scope {
	if name := d.cfg.Routes[i].Name; name != "" {
		return scope{owner: "route " + show(name)}
	}
	return scope{owner: fmt.Sprintf("route #%d", i+1)}
}

func (d *decoder) checkRoute(i int) {
	r, t, s := &d.cfg.Routes[i], d.routes[i], d.routeScope(i)
	d.checkReference(s, t, "group", r.Group, "group", d.groupAt)
	if !sound(t, "timeout") {
		return
	}
	if b := t.get("bulkhead"); b != nil && b.kind == kindTable && sound(b, "queue_timeout", "max_queue") && b.get("queue_timeout") != nil &&
		r.Bulkhead.MaxQueue > 0 && r.Bulkhead.QueueTimeout >= r.Timeout {
		d.contradict(scope{s.owner, "bulkhead."}, b, "queue_timeout", r.Bulkhead.QueueTimeout, t.get("timeout"),
			"the queue would use up the route's time (%s); write less, or a longer timeout", d.reference(t, "timeout", r.Timeout))
	}
	if r.Group != "" && sound(t, "group") {
		d.checkTimeout(i, s)
	}
}

// checkTimeout checks that a route's time-out leaves room for what its group
// promises.
func (d *decoder) checkTimeout(i int, s scope) {
	r, t := &d.cfg.Routes[i], d.routes[i]
	gi := d.groupAt[r.Group]
	g, gt := &d.cfg.Groups[gi], d.groups[gi]
	if sound(gt, "unsafe", "park_timeout") && g.Unsafe == UnsafePark && g.ParkTimeout >= r.Timeout &&
		gt.get("park_timeout") != nil {
		d.contradict(s, t, "timeout", r.Timeout, gt.get("park_timeout"), "a parked request would outlast it (%s of group %s); write more than %s, a shorter park_timeout or unsafe = \"unsent\"",
			d.reference(gt, "park_timeout", g.ParkTimeout), show(g.Name), showDuration(g.ParkTimeout))
	}
	if g.Secondary == "" || len(g.FailoverMethods) == 0 || !sound(gt, "primary", "secondary", "failover_methods") {
		return
	}
	pi, ok := d.originAt[g.Primary]
	if !ok || !sound(d.origins[pi], "connect_timeout", "response_header_timeout") {
		return
	}
	p, pt := &d.cfg.Origins[pi], d.origins[pi]
	if need := p.ConnectTimeout + p.ResponseHeaderTimeout + secondChance; r.Timeout < need {
		slow := cmp.Or(pt.get("response_header_timeout"), pt.get("connect_timeout"))
		d.contradict(s, t, "timeout", r.Timeout, slow, "no time would be left for the secondary after a primary that hangs (origin %s: %s; %s); write at least %s, or less there",
			show(p.Name), d.reference(pt, "connect_timeout", p.ConnectTimeout), d.reference(pt, "response_header_timeout", p.ResponseHeaderTimeout), showDuration(need))
	}
}

// checkState keeps two writers out of one file.
func (d *decoder) checkState() {
	t := d.root.get("server")
	if t == nil || t.kind != kindTable || !sound(t, "state") || d.cfg.Server.State == "" {
		return
	}
	if d.cfg.Server.State == d.cfg.Log.Output {
		d.reject(value{t.get("state"), scope{owner: "server"}, "state"}, "the log is written there; write another path")
	}
}

// checkPatterns hands the sound patterns to whoever knows their syntax.
func (d *decoder) checkPatterns() {
	if d.opt.Patterns == nil {
		return
	}
	var patterns []string
	var route []int // the route of each pattern
	for i := range d.cfg.Routes {
		if d.cfg.Routes[i].Match != "" {
			patterns = append(patterns, d.cfg.Routes[i].Match)
			route = append(route, i)
		}
	}
	for _, p := range d.opt.Patterns(patterns) {
		i := route[p.Index]
		v := value{d.routes[i].get("match"), d.routeScope(i), "match"}
		if p.Other < 0 {
			d.reject(v, "%s", p.Msg)
			continue
		}
		o := route[p.Other]
		d.reject(v, "%s (%s in line %d); change one of the two", p.Msg, d.routeScope(o).owner, d.line(d.routes[o].get("match").at))
	}
}
