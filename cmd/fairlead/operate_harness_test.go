//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

// console asks a process over its operators' listener, each time by a connection
// of its own, so that after an upgrade it is the new process that answers.
type console struct {
	t                *testing.T
	network, address string
	token, host      string // of every request; empty: none, and the address
}

// desk is a shop with a console: a unix socket.
type desk struct {
	*shop
	console
	admin string // the table of the listener
	more  string // further groups, origins and routes
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{shop: newShop(t), console: console{t: t, network: "unix", address: filepath.Join(testrun.ShortDir(t), "admin")}}
	d.admin = adminTable("unix:" + d.address)
	return d
}

// adminTable is the table of a listener, with more keys.
func adminTable(listen string, keys ...string) string {
	return fmt.Sprintf("[admin]\nlisten = %q\n%s\n", listen, strings.Join(keys, "\n"))
}

// text is the shop's with all that is more.
func (d *desk) text() string {
	d.routes = d.more + d.admin
	return d.shop.text()
}

// setup starts it.
func (d *desk) setup() setup { return setup{server: d.keys(), toml: d.text()} }

func (d *desk) start() *process {
	d.t.Helper()
	return d.setup().start(d.t)
}

// change writes it anew.
func (d *desk) change(p *process) {
	d.t.Helper()
	p.configure(d.keys(), d.text())
}

// try asks, whatever comes of it.
func (c *console) try(method, path string, body any) (status int, answer []byte, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	host := c.host
	if host == "" {
		host = "localhost"
	}
	var content io.Reader
	if method == http.MethodPost {
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, content)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, c.network, c.address)
	}}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// get asks for a document.
func (c *console) get(path string, into any) {
	c.t.Helper()
	c.decode(into, "GET", path, nil)
}

// post asks for a change, which must be made.
func (c *console) post(path string, body, into any) {
	c.t.Helper()
	c.decode(into, "POST", path, body)
}

func (c *console) decode(into any, method, path string, body any) {
	c.t.Helper()
	status, answer, err := c.try(method, path, body)
	if err != nil || status != http.StatusOK {
		c.t.Fatalf("%s %s %+v: %d %s, %v", method, path, body, status, answer, err)
	}
	if into == nil {
		return
	}
	reflect.ValueOf(into).Elem().SetZero() // what is absent is not what was there before
	if err := json.Unmarshal(answer, into); err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// refused asks for a change, which must be refused with this code.
func (c *console) refused(path string, body any, status int, code string) (e adminapi.Error) {
	c.t.Helper()
	got, answer, err := c.try("POST", path, body)
	if err != nil {
		c.t.Fatalf("POST %s: %v", path, err)
	}
	if err := json.Unmarshal(answer, &e); err != nil || got != status || e.Code != code || e.Text == "" {
		c.t.Fatalf("POST %s %+v: %d %s, want %d and %q", path, body, got, answer, status, code)
	}
	return e
}

func (c *console) status() (s adminapi.Status) {
	c.t.Helper()
	c.get("/v1/status", &s)
	return s
}

func (c *console) pointer(name string) adminapi.Group {
	c.t.Helper()
	return one(c.t, c.status().Groups, "group "+name, func(g adminapi.Group) bool { return g.Name == name })
}

func (c *console) origin(name string) adminapi.Origin {
	c.t.Helper()
	return one(c.t, c.status().Origins, "origin "+name, func(o adminapi.Origin) bool { return o.Name == name })
}

// one is the first of all that is meant.
func one[T any](t *testing.T, all []T, what string, meant func(T) bool) T {
	t.Helper()
	i := slices.IndexFunc(all, meant)
	if i < 0 {
		t.Fatalf("there is no %s", what)
	}
	return all[i]
}

// awaitVerdict waits until an origin has this one.
func (c *console) awaitVerdict(origin, verdict string) {
	c.t.Helper()
	chaos.Await(c.t, patience, origin+" "+verdict, func() bool { return c.origin(origin).Verdict == verdict })
}

// pinTo, change and force are bodies of changes.
func pinTo(target string, generation uint64) adminapi.PinRequest {
	return adminapi.PinRequest{Target: target, Change: seen(generation)}
}

func seen(generation uint64) adminapi.Change { return adminapi.Change{Generation: generation} }

func force() adminapi.Change { return adminapi.Change{Force: true} }

// lands is which origin serves a request now.
func lands(t *testing.T, address, method, path string) string {
	t.Helper()
	c := chaos.Client{Address: address, Timeout: patience}
	defer c.Close()
	r := c.Do(t.Context(), chaos.Request{Method: method, Path: path, BodySize: map[string]int64{"POST": 100}[method]})
	if r.Kind != chaos.Served {
		t.Fatalf("%s %s: %v %s", method, path, r, r.Text)
	}
	return r.Origin
}

// clients is how many requests of clients have come to an origin.
func clients(o *chaos.Origin) (n int) {
	for _, a := range o.AllArrivals() {
		if a.ID != "" {
			n++
		}
	}
	return n
}

// wantAt asserts where a pointer is.
func wantAt(t *testing.T, g *adminapi.Group, target string, generation uint64, reason string) {
	t.Helper()
	if g.Target != target || g.Generation != generation || g.Reason != reason {
		t.Errorf("group %s is at %s, generation %d, %s; want %s, %d, %s", g.Name, g.Target, g.Generation, g.Reason, target, generation, reason)
	}
}
