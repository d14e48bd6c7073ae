package chaos

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	waitShort = 2 * time.Second // for what never comes
	probe     = "/healthz"
)

func TestTheTableOfFaultsIsClosedAndSound(t *testing.T) {
	classes := map[string]bool{"": true, "connect_refused": true, "connect_timeout": true, "tls": true, "write": true,
		"header_timeout": true, "reset": true, "malformed": true}
	seen := map[string]bool{}
	for _, f := range Faults() {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		if got, ok := FaultByName(f.Name); !ok || got.Text != f.Text {
			t.Errorf("%s is not found by its name", f.Name)
		}
		if f.Text == "" || strings.HasSuffix(f.Text, ".") || !f.Requests && !f.Probes {
			t.Errorf("%s: %q meets requests: %v, probes: %v", f.Name, f.Text, f.Requests, f.Probes)
		}
		for _, class := range append(f.Also, f.Class) {
			if !classes[class] && !strings.HasPrefix(class, "status:5") {
				t.Errorf("%s: no class is called %q", f.Name, class)
			}
		}
		if f.Slow && f.Class != "" || f.Aborts && f.Class != "" {
			t.Errorf("%s: class %q though nothing fails before the head's end", f.Name, f.Class)
		}
		if _, ok := onTheWire[f.Name]; !ok && !f.Some {
			t.Errorf("%s has no row in the test of what it does", f.Name)
		}
	}
	if _, ok := FaultByName("connect_refusd"); ok || len(seen) != 37 {
		t.Errorf("an unknown name is found, or faults are missing: %d", len(seen))
	}
}

func TestASecondFaultTakesThePlaceOfTheFirst(t *testing.T) {
	t.Parallel()
	o := NewTLSOrigin(t, "eu")
	tests := []struct{ name, want string }{
		{"connect_refused", "refused"},
		{"hang", "silence before the head"},
		{"flapping", "refused"},
		{"tls_expired", "expired"},
		{"status_503", "503"},
		{"stall", "silence before the head"},
		{"slow", "200, late"},
	}
	for _, tt := range tests {
		f, _ := FaultByName(tt.name)
		begin(t, f, o)
		if got := askAnew(o, "/"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if err := (Fault{}).End(o); err != nil || askAnew(o, "/") != "200" {
		t.Errorf("after the end: %v", err)
	}
}

func TestWhatWasSetHoldsUnderAFaultAndAfterIt(t *testing.T) {
	o := NewOrigin(t, "eu")
	o.SetPath("/gone", Status(404))
	o.SetPath(probe, Status(204))
	f, _ := FaultByName("status_503")
	f.Probes = false
	if err := f.Begin(o, probe+"?deep=1"); err != nil {
		t.Fatal(err)
	}
	o.SetPath("/new", Status(403))
	for path, want := range map[string]string{"/gone": "503", "/new": "503", probe: "204", probe + "?deep=1": "204", "/": "503"} {
		if got := askAnew(o, path); got != want {
			t.Errorf("during: %s: %s, want %s", path, got, want)
		}
	}
	_ = f.End(o)
	for path, want := range map[string]string{"/gone": "404", "/new": "403", probe: "204", "/": "200"} {
		if got := askAnew(o, path); got != want {
			t.Errorf("after: %s: %s, want %s", path, got, want)
		}
	}
	slow, _ := FaultByName("slow")
	begin(t, slow, o)
	if got := askAnew(o, "/gone"); got != "404, late" {
		t.Errorf("slow: %s, want what was set, late", got)
	}
}

func TestAStallIsReleasedAtItsEnd(t *testing.T) {
	o := NewOrigin(t, "eu")
	f, _ := FaultByName("stall")
	begin(t, f, o)
	ledger := &Ledger{}
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			c := &Client{Address: o.Addr(), Timeout: waitLong}
			defer c.Close()
			ledger.Add(c.Do(t.Context(), Request{}))
		})
	}
	Await(t, waitLong, "arrivals", func() bool { return o.Arrived() == 20 })
	if ledger.Len() != 0 {
		t.Errorf("answered before the end: %v", ledger)
	}
	if err := f.End(o); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	if ledger.Count(Served) != 20 {
		t.Errorf("%v: %v", ledger, ledger.Unserved())
	}
}

func TestAFaultThatCantBeHadSaysWhy(t *testing.T) {
	plain, unix := NewOrigin(t, "eu"), NewUnixOrigin(t, "us")
	stall, _ := FaultByName("tls_stall")
	if err := stall.Begin(plain, ""); err == nil || !strings.Contains(err.Error(), "tls_stall: origin eu speaks no TLS") {
		t.Errorf("got %v", err)
	}
	hole, _ := FaultByName("blackhole")
	if err := hole.Begin(unix, ""); err == nil || !strings.Contains(err.Error(), "unix socket") {
		t.Errorf("got %v", err)
	}
	plain.Down()
	if err := hole.Begin(plain, ""); err == nil {
		t.Error("an origin that is down became a black hole")
	}
	refused, _ := FaultByName("connect_refused")
	begin(t, refused, unix)
	if got := askAnew(unix, "/"); got != "refused" {
		t.Errorf("unix socket: %s, want refused", got)
	}
	thief, err := net.Listen("tcp", plain.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	plain.tb = nil // which would report it too
	begin(t, refused, plain)
	if err := refused.End(plain); err == nil {
		t.Error("an origin without its address is called well")
	}
}

func TestFaultsComeAndGoWhileRequestsRun(t *testing.T) {
	for _, open := range []func(TB, string) *Origin{NewOrigin, NewTLSOrigin} {
		CheckLeaks(t)
		o := open(t, "eu")
		ctx, stop := context.WithCancel(t.Context())
		ledger := &Ledger{}
		var running sync.WaitGroup
		for range 3 {
			running.Go(func() {
				c := clientOf(o)
				c.Timeout = 50 * time.Millisecond
				defer c.Close()
				for ctx.Err() == nil {
					ledger.Add(c.Do(ctx, Request{}))
				}
			})
		}
		for worker := range 2 {
			running.Go(func() {
				for i, f := range Faults() {
					if f.Possible(o) != nil || f.Name == "blackhole" && worker > 0 {
						continue
					}
					if err := f.Begin(o, probe); err != nil && f.Name != "blackhole" { // which the other may have taken down
						t.Errorf("begin: %v", err)
					}
					if i%2 == worker {
						if err := f.End(o); err != nil {
							t.Errorf("end: %v", err)
						}
					}
				}
				stop()
			})
		}
		running.Wait()
		stop()
		if err := (Fault{}).End(o); err != nil {
			t.Error(err)
		}
		c := clientOf(o)
		if r := c.Do(t.Context(), Request{}); r.Kind != Served {
			t.Errorf("afterwards: %v", r)
		}
		c.Close()
		o.Close()
	}
}

func clientOf(o *Origin) *Client {
	c := &Client{Network: o.Network(), Address: o.Addr(), Timeout: waitLong}
	if certs := o.Certificates(); certs != nil {
		c.TLS = &tls.Config{RootCAs: certs.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	}
	return c
}
