package config

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFileBytes bounds a configuration: 10,000 routes need a tenth of it.
const maxFileBytes = 16 << 20

// Options says how to read a file. The zero value is ready to use.
type Options struct {
	// Patterns checks the match of every route and returns what is wrong with
	// them; patterns are in the file's order. Nil leaves patterns unchecked.
	Patterns func(patterns []string) []PatternProblem
	// ReadFile reads a PEM file that the configuration names: a CA, a certificate,
	// a key. Nil means ReadFile of this package.
	ReadFile func(path string) ([]byte, error)
	// OnRead is told the bytes that Load has read, which must not be kept. Nil:
	// nobody is.
	OnRead func(data []byte)
}

// PatternProblem is something that is wrong with a route's pattern.
type PatternProblem struct {
	// Index is the pattern's place in the slice that was checked.
	Index int
	// Other is the place of the pattern that it conflicts with, or -1.
	Other int
	// Msg says what is wrong.
	Msg string
}

// Load reads and checks the file at path. The error is Problems if the file
// could be read, else what the operating system said about it.
func Load(path string, opt Options) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if opt.OnRead != nil {
		opt.OnRead(data)
	}
	return Parse(path, data, opt)
}

// Parse checks the bytes of a file. The name stands in problems; the relative
// paths in the file are relative to its folder. The error is nil or Problems.
// Parse keeps no reference to data.
func Parse(name string, data []byte, opt Options) (*Config, error) {
	source := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if msg, at := unreadable(source); msg != "" {
		return nil, place(name, source, []finding{{at, msg}})
	}
	if opt.ReadFile == nil {
		opt.ReadFile = ReadFile
	}
	d := &decoder{
		document: parseTOML(source),
		dir:      filepath.Dir(name),
		name:     filepath.Clean(name),
		opt:      opt,
		cfg:      &Config{Server: defaultServer(), Log: defaultLog(), Resolver: defaultResolver()},
		originAt: map[string]int{},
		groupAt:  map[string]int{},
	}
	d.table(scope{}, d.root, d.rootFields())
	d.validate()
	if len(d.findings) > 0 {
		return nil, place(name, source, d.findings)
	}
	return d.cfg, nil
}

// unreadable says why source can't be TOML at all, or "".
func unreadable(source []byte) (msg string, at int) {
	if len(source) > maxFileBytes {
		return fmt.Sprintf("the file is larger than %d bytes; no configuration needs that", maxFileBytes), 0
	}
	if utf8.Valid(source) {
		return "", 0
	}
	for at < len(source) {
		r, size := utf8.DecodeRune(source[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return "this is not UTF-8; save the file as UTF-8", at
}

// ReadFile reads a PEM file, but nothing that could block or has no end.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil, errors.New("not a PEM file")
	}
	return os.ReadFile(path)
}

// decoder turns a document into a Config. What the rules of validate.go need
// for their positions is kept beside it: the table of each element of cfg.
type decoder struct {
	*document
	dir  string
	name string // of the file, cleaned
	opt  Options
	cfg  *Config

	origins, groups, routes []*node
	originAt, groupAt       map[string]int      // places in cfg's slices by name
	homes                   map[string][]string // made when the first unknown key is met
	suggested               int                 // how often closest has searched the names
}

// scope is the table that a key stands in, for messages.
type scope struct {
	owner  string // what the table belongs to: `route "product"`; empty at the top
	prefix string // the tables below that: "bulkhead."
}

func (s scope) label(key string) string {
	if s.owner == "" {
		return s.prefix + key
	}
	return s.owner + ": " + s.prefix + key
}

// value is a node with what messages call it.
type value struct {
	*node
	scope scope
	key   string
}

// setter checks a value and stores it, or reports what is wrong with it.
type setter func(d *decoder, v value)

// fields are the keys of one table. A key that isn't here is unknown.
type fields map[string]setter

// reject reports that a value can't be used.
func (d *decoder) reject(v value, format string, args ...any) {
	v.bad = true
	label, msg := v.scope.label(showKey(v.key)), fmt.Sprintf(format, args...)
	if v.kind == kindTables || v.kind == kindTable && v.birth != bornInline {
		d.report(v.at, "%s: %s", label, msg) // there is a header, but no = that could be repeated
		return
	}
	d.report(v.at, "%s = %s: %s", label, showValue(v.node), msg)
}

// table reads every key of a table, in the file's order.
func (d *decoder) table(s scope, t *node, f fields) {
	for _, e := range t.keys {
		set := f[e.name]
		switch {
		case set == nil:
			d.unknown(s, t, e, f)
		case !e.value.bad:
			set(d, value{e.value, s, e.name})
		}
	}
}

// require reports a key that a table must have, at the table's header, and
// shows how to write it.
func (d *decoder) require(s scope, t *node, key, example string) {
	if !d.broken && t.get(key) == nil {
		d.report(t.at, "%s is missing; write %s", s.label(key), example)
	}
}

// unknown reports a key that its table doesn't know: where it belongs, what
// it may have meant, or else what there is.
func (d *decoder) unknown(s scope, t *node, e *entry, f fields) {
	e.value.bad = true
	label := s.label(showKey(e.name))
	names := slices.Sorted(maps.Keys(f))
	meant := closest(e.name, names)
	if d.homes == nil {
		d.homes = homes()
	}
	homes := d.homes[e.name]
	switch {
	case s == scope{}:
		d.unknownAtTop(e, meant, homes)
	case len(homes) > 0:
		d.report(e.at, "%s is an unknown key here; it belongs in %s", label, oneOf(homes))
	case meant != "":
		d.report(e.at, "%s is an unknown key; did you mean %s?", label, meant)
	default:
		d.report(e.at, "%s is an unknown key; known here are %s", label, strings.Join(names, ", "))
	}
	if meant != "" && t.index[meant] == nil {
		t.index[meant] = e // so that it isn't reported as missing too
	}
}

// headers are the tables at the top of a file, as their headers are written.
var headers = map[string]string{
	"server":     "[server]",
	"log":        "[log]",
	"resolver":   "[resolver]",
	"nameserver": "[nameserver]",
	"admin":      "[admin]",
	"origins":    "[origins.NAME]",
	"groups":     "[groups.NAME]",
	"routes":     "[[routes]]",
}

func (d *decoder) unknownAtTop(e *entry, meant string, homes []string) {
	label, what := showKey(e.name), "key"
	d.broken = d.broken || e.value.kind == kindTable || e.value.kind == kindTables
	switch e.value.kind {
	case kindTable:
		label, what = "["+label+"]", "table"
	case kindTables:
		label, what = "[["+label+"]]", "table"
	}
	switch {
	case what == "table" && meant != "":
		d.report(e.at, "%s is an unknown %s; did you mean %s?", label, what, headers[meant])
	case len(homes) > 0:
		d.report(e.at, "%s is an unknown %s at the top; it belongs in %s", label, what, oneOf(homes))
	case meant != "":
		d.report(e.at, "%s is an unknown %s; did you mean %s?", label, what, headers[meant])
	default:
		d.report(e.at, "%s is an unknown %s; a file has the tables [server], [log], [resolver], [nameserver], [admin], [origins.NAME], [groups.NAME] and [[routes]]", label, what)
	}
}

// homes returns the tables that know each key, as their headers are written.
func homes() map[string][]string {
	found := map[string][]string{}
	for _, t := range []struct {
		header string
		fields fields
	}{
		{"[server]", serverFields(new(Server))},
		{"[[server.certificates]]", certificateFields(new(Certificate))},
		{"[log]", logFields(new(Log))},
		{"[resolver]", resolverFields(new(Resolver))},
		{"[nameserver]", nameserverFields(new(Nameserver))},
		{"[admin]", adminFields(new(Admin))},
		{"[origins.NAME]", originFields(new(Origin))},
		{"[origins.NAME.health]", healthFields(new(Health))},
		{"[groups.NAME]", groupFields(new(Group))},
		{"[[routes]]", routeFields(new(Route))},
		{"[routes.bulkhead]", bulkheadFields(new(Bulkhead))},
		{"[routes.breaker]", breakerFields(new(Breaker))},
	} {
		for key := range t.fields {
			found[key] = append(found[key], t.header)
		}
	}
	return found
}

func (d *decoder) rootFields() fields {
	return fields{
		"server":     topTable("server", serverFields(&d.cfg.Server)),
		"log":        topTable("log", logFields(&d.cfg.Log)),
		"resolver":   topTable("resolver", resolverFields(&d.cfg.Resolver)),
		"nameserver": (*decoder).nameserver,
		"admin":      (*decoder).admin,
		"origins":    namedTables("origin", "origins", (*decoder).origin),
		"groups":     namedTables("group", "groups", (*decoder).group),
		"routes":     (*decoder).allRoutes,
	}
}

// topTable reads a table that stands once at the top.
func topTable(name string, f fields) setter {
	return func(d *decoder, v value) {
		if v.kind != kindTable {
			d.reject(v, "a table is needed, not %s; write [%s] and its keys below", v.kind, name)
			return
		}
		d.table(scope{owner: name}, v.node, f)
	}
}

// namedTables reads the tables below [origins] or [groups].
func namedTables(one, all string, read func(d *decoder, s scope, name string, t *node)) setter {
	return func(d *decoder, v value) {
		if v.kind != kindTable {
			d.broken = true
			d.reject(v, "one table for each %s is needed, not %s; write [%s.NAME] and its keys below", one, v.kind, all)
			return
		}
		for _, e := range v.keys {
			if e.value.bad {
				d.broken = true
				continue
			}
			if e.value.kind != kindTable {
				d.broken = true
				d.reject(value{e.value, scope{prefix: all + "."}, e.name}, "a table is needed, not %s; write [%s.%s] and its keys below", e.value.kind, all, showKey(e.name))
				continue
			}
			s := scope{owner: one + " " + show(e.name)}
			if why := badName(e.name); why != "" {
				d.report(e.at, "%s: %s", s.owner, why)
			}
			read(d, s, e.name, e.value)
		}
	}
}

// subTable reads a table within an origin or a route.
func subTable(header string, f func() fields) setter {
	return func(d *decoder, v value) {
		if v.kind != kindTable {
			d.reject(v, "a table is needed, not %s; write %s and its keys below", v.kind, header)
			return
		}
		d.table(scope{v.scope.owner, v.key + "."}, v.node, f())
	}
}

func (d *decoder) origin(s scope, name string, t *node) {
	o := defaultOrigin()
	o.Name = name
	if name == "none" {
		d.report(t.at, "%s: a pointer that is at no origin is said to be at \"none\"; write another name", s.owner)
	}
	d.table(s, t, originFields(&o))
	d.require(s, t, "url", `url = "http://127.0.0.1:9101", with your own address`)
	if ca := t.get("ca"); ca != nil && o.CA != "" {
		o.CA, o.RootCAs = d.roots(value{ca, s, "ca"}, o.CA)
	}
	d.originAt[name] = len(d.cfg.Origins)
	d.cfg.Origins = append(d.cfg.Origins, o)
	d.origins = append(d.origins, t)
}

// path returns a path of the file as seen from where the program runs.
func (d *decoder) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(d.dir, p)
}

// roots reads a PEM file of certificates.
func (d *decoder) roots(v value, path string) (string, *x509.CertPool) {
	path = d.path(path)
	pem, err := d.pemFile(v, path)
	if err != nil {
		return path, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		d.reject(v, "%s holds no certificate; write the path of a PEM file that has a line -----BEGIN CERTIFICATE-----", showText(path))
	}
	return path, pool
}

// pemFile reads a PEM file that v names. An error has been reported.
func (d *decoder) pemFile(v value, path string) ([]byte, error) {
	return d.readFile(v, path, "a PEM file")
}

// readFile reads a file that v names. An error has been reported.
func (d *decoder) readFile(v value, path, what string) ([]byte, error) {
	pem, err := d.opt.ReadFile(path)
	if err == nil {
		return pem, nil
	}
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err
	}
	d.reject(v, "%s can't be read: %s; write the path of %s, relative paths begin at this file's folder", showText(path), showText(err.Error()), what)
	return nil, err
}

func (d *decoder) group(s scope, name string, t *node) {
	g := defaultGroup()
	g.Name = name
	d.table(s, t, groupFields(&g))
	d.require(s, t, "primary", `primary = "NAME", with the name of an origin`)
	d.groupAt[name] = len(d.cfg.Groups)
	d.cfg.Groups = append(d.cfg.Groups, g)
	d.groups = append(d.groups, t)
}

func (d *decoder) allRoutes(v value) {
	switch implied := v.kind == kindTable && v.birth == bornImplied; {
	case implied && d.broken: // a [[routes]] line may be what couldn't be read
		return
	case implied:
		d.report(v.at, "[routes.%s] has no [[routes]] above it; write [[routes]] and the keys of a route first", showKey(v.keys[0].name))
	case v.kind != kindTables:
		d.reject(v, "a list of tables is needed, not %s; write [[routes]] above the keys of each route", v.kind)
	}
	d.broken = d.broken || v.kind != kindTables
	for i, t := range v.items {
		d.route(i, t)
	}
}

func (d *decoder) route(i int, t *node) {
	s := scope{owner: fmt.Sprintf("route #%d", i+1)}
	if name := t.get("name"); name != nil && name.kind == kindString && badName(name.text) == "" {
		s.owner = "route " + show(name.text)
	}
	r := defaultRoute()
	d.table(s, t, routeFields(&r))
	d.require(s, t, "name", `name = "NAME", a name of its own for logs and metrics`)
	d.require(s, t, "match", `match = "/", or another pattern`)
	d.require(s, t, "group", `group = "NAME", with the name of a group`)
	if b := t.get("bulkhead"); b == nil {
		d.require(s, t, "bulkhead", "[routes.bulkhead] with max_concurrent = 100 below it, or how many requests may be in flight")
	} else if b.kind == kindTable {
		d.require(scope{s.owner, "bulkhead."}, b, "max_concurrent", "max_concurrent = 100, or how many requests may be in flight")
	}
	d.cfg.Routes = append(d.cfg.Routes, r)
	d.routes = append(d.routes, t)
}
