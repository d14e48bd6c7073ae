package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/config"
)

// maxNames is how many names a field of the log holds.
const maxNames = 20

// changes tells what a reload changes, as fields of the log. Only what changes
// is mentioned.
func changes(old, now *config.Config) (fields []zap.Field) {
	for _, d := range differences(old, now) {
		fields = append(fields, d.fields()...)
	}
	return fields
}

// changedLines is changes for the admin API: "routes_added: api, shop".
func changedLines(old, now *config.Config) []string {
	lines := []string{}
	for _, d := range differences(old, now) {
		for _, c := range d.each() {
			lines = append(lines, d.what+"_"+c.how+": "+strings.Join(shorten(c.names), ", "))
		}
	}
	return lines
}

func differences(old, now *config.Config) []difference {
	return []difference{
		compare("listen", old.Server.Listen, now.Server.Listen, text, same),
		compare("tls_listen", old.Server.TLSListen, now.Server.TLSListen, text, same),
		compare("origins", old.Origins, now.Origins, func(o config.Origin) string { return o.Name }, sameOrigin),
		compare("groups", old.Groups, now.Groups, func(g config.Group) string { return g.Name }, same),
		compare("routes", old.Routes, now.Routes, func(r config.Route) string { return r.Name }, same),
		compare("tables", tables(old), tables(now), func(t table) string { return t.name }, same),
	}
}

// difference is what has become of one sort of things, by their names.
type difference struct {
	what                    string
	added, removed, changed []string
}

func (d difference) fields() (fields []zap.Field) {
	for _, c := range d.each() {
		fields = append(fields, zap.Strings(d.what+"_"+c.how, shorten(c.names)))
	}
	return fields
}

// changed is what has become of some names.
type changed struct {
	how   string
	names []string
}

// each leaves out what has happened to none.
func (d difference) each() []changed {
	all := []changed{{"added", d.added}, {"removed", d.removed}, {"changed", d.changed}}
	return slices.DeleteFunc(all, func(c changed) bool { return len(c.names) == 0 })
}

// shorten leaves out what is too much to read.
func shorten(names []string) []string {
	if more := len(names) - maxNames; more > 0 {
		return append(names[:maxNames:maxNames], fmt.Sprintf("and %d more", more))
	}
	return names
}

func compare[T any](what string, old, now []T, name func(T) string, same func(a, b T) bool) difference {
	d := difference{what: what}
	before := make(map[string]T, len(old))
	for _, t := range old {
		before[name(t)] = t
	}
	for _, t := range now {
		was, ok := before[name(t)]
		switch {
		case !ok:
			d.added = append(d.added, name(t))
		case !same(was, t):
			d.changed = append(d.changed, name(t))
		}
		delete(before, name(t))
	}
	for _, t := range old {
		if _, gone := before[name(t)]; gone {
			d.removed = append(d.removed, name(t))
		}
	}
	return d
}

func text(s string) string { return s }

func same[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

// sameOrigin is same for origins, whose pools of roots can't be compared like that.
func sameOrigin(a, b config.Origin) bool {
	if !sameServer(&a, &b) {
		return false
	}
	a.RootCAs, b.RootCAs = nil, nil
	return same(a, b)
}

// table is a table of the configuration that is there once.
type table struct {
	name  string
	value any
}

func tables(c *config.Config) []table {
	s := c.Server
	s.Listen, s.TLSListen = nil, nil
	return []table{{"server", s}, {"log", c.Log}, {"resolver", c.Resolver}, {"nameserver", c.Nameserver}, {"admin", c.Admin}}
}
