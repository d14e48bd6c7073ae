//go:build unix

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/resolver"
)

// quiet hears everything and tells nobody.
var quiet = watcher{
	flip:   func(*config.Group, failover.State, failover.State) {},
	health: func(health.Event) {},
	dns:    func(resolver.Event) {},
	follow: func(string, follower.Event) {},
}

// byHand drains an origin, or says that it is ready.
func byHand(t *testing.T, s *service, origin string, drained bool) {
	t.Helper()
	s.steering.Lock()
	defer s.steering.Unlock()
	if err := s.setDrained(s.now(), origin, drained); err != nil {
		t.Fatal(err)
	}
}

// A pointer that is led to a drained origin leaves it, isn't led there by a later
// answer either, and comes back when the origin is ready.
func TestNoPointerIsLedToADrainedOrigin(t *testing.T) {
	// Nobody answers at the address, so the test speaks for the follower.
	text := strings.ReplaceAll(shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", "failback = \"manual\"\nfollow = \"dns://127.0.0.1:1/shop.failover.example.\""),
		`health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }`, "")
	cfg := readConfig(t, text)
	l, err := openLogs(cfg.Log, t.Output(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var told []error
	w := quiet
	w.follow = func(_ string, e follower.Event) { told = append(told, e.Err) }
	s, err := newService(cfg, l, newKeeper("", l.events), w, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	shop, f := s.plan.pointers[0], s.names.followers["shop"]
	want := func(when string, target, lead failover.Role) {
		t.Helper()
		if p := shop.Pointer(); p.Target != target || p.Lead != lead {
			t.Errorf("%s: the pointer is at %+v", when, p)
		}
	}
	f.lead("eu")
	want("led to the primary", failover.RolePrimary, failover.RolePrimary)
	byHand(t, s, "eu", true)
	want("drained where it is led", failover.RoleSecondary, failover.RoleNone)
	var here *drainedHere
	if len(told) != 1 || !errors.As(told[0], &here) || here.origin != "eu" {
		t.Errorf("told %v", told)
	}
	f.lead("us")
	want("led to the secondary", failover.RoleSecondary, failover.RoleSecondary)
	f.lead("eu")
	want("led to a drained origin", failover.RoleSecondary, failover.RoleNone)
	byHand(t, s, "eu", false)
	want("ready", failover.RolePrimary, failover.RolePrimary)
}

// What is known of an origin holds for a group that a reload brings, although the
// reload also changes how the origin is probed. A drained one is down there.
func TestANewGroupStartsWithWhatIsKnownOfItsOrigins(t *testing.T) {
	text := func(path string, more string) string {
		return strings.ReplaceAll(shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", `failback = "manual"`),
			`health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }`, fmt.Sprintf(`health = { path = %q, interval = "1h" }`, path)) + more
	}
	const blog = "\n[groups.blog]\nprimary = \"eu\"\nsecondary = \"us\"\n"
	for name, put := range map[string]func(s *service){
		"down":    func(s *service) { s.plan.pointers[0].Verdict(failover.RolePrimary, false) },
		"drained": func(s *service) { byHand(t, s, "eu", true) },
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := runService(t, readConfig(t, text("/", "")), quiet)
			put(s)
			if err := s.reload(ctx, readConfig(t, text("/other", blog))); err != nil {
				t.Fatal(err)
			}
			for i := range s.plan.pointers {
				if p := s.plan.pointers[i].Pointer(); p.Target != failover.RoleSecondary || !p.Primary.Down {
					t.Errorf("group %s is at %+v", s.plan.cfg.Groups[i].Name, p)
				}
			}
		})
	}
}

// Ready says nothing of an origin's health: until its first verdict it stays down.
func TestAReadyOriginWaitsForItsFirstVerdict(t *testing.T) {
	for probed, down := range map[string]bool{`health = { path = "/", interval = "1h" }`: true, "": false} {
		s, _ := idleService(t, strings.ReplaceAll(shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", `failback = "manual"`),
			`health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }`, probed))
		byHand(t, s, "eu", true)
		byHand(t, s, "eu", false)
		if p := s.plan.pointers[0].Pointer(); p.Primary.Down != down {
			t.Errorf("with %q: %+v", probed, p)
		}
	}
}

// idleService is a service of which nothing runs: no probe is made.
func idleService(t *testing.T, text string) (*service, *operator) {
	t.Helper()
	cfg := readConfig(t, text)
	l, err := openLogs(cfg.Log, t.Output(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o := newOperator("", "")
	s, err := newService(cfg, l, newKeeper("", l.events), o.watching(newJournal(l.events)), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(); l.close() })
	return s, o
}

// A flip away from a drained origin says so. A pin by somebody who has seen an
// older pointer is stale before it is anything that force would help against.
func TestAChangeByHandIsToldAsWhatItIs(t *testing.T) {
	s, o := idleService(t, shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", `failback = "manual"`))
	byHand(t, s, "eu", true)
	found := false
	for _, e := range o.events.Latest(100, func(*adminapi.Event) bool { return true }) {
		found = found || e.Kind == "flip" && e.Cause == "primary_down" && strings.HasSuffix(e.Text, "(eu is drained)")
	}
	if !found {
		t.Error("no flip says that eu is drained")
	}
	_, err := o.Pin("shop", pinTo("eu", 1), "test")
	var no *admin.Refused
	if !errors.As(err, &no) || no.Code != "stale" || no.Generation != 2 {
		t.Errorf("a pin that is stale and unfit: %v", err)
	}
	if _, err := o.Pin("shop", pinTo("eu", 2), "test"); !errors.As(err, &no) || no.Code != "no_healthy_origin" {
		t.Errorf("a pin that is unfit: %v", err)
	}
}

// An origin that a group follows the other pointer to is drained by force only.
func TestADrainWhereAGroupIsLedIsRefused(t *testing.T) {
	_, o := idleService(t, shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", `follow = "dns://127.0.0.1:1/shop.failover.example."`))
	o.service.names.followers["shop"].lead("eu")
	var no *admin.Refused
	if _, err := o.Drain("eu", adminapi.Change{}, "test"); !errors.As(err, &no) || no.Code != "following" {
		t.Errorf("a drain: %v", err)
	}
	if _, err := o.Drain("eu", force(), "test"); err != nil {
		t.Error(err)
	}
	if p := o.service.plan.pointers[0].Pointer(); p.Target != failover.RoleSecondary {
		t.Errorf("the pointer is at %+v", p)
	}
}

// Of a process on its way out a reload is refused, and doesn't wait for anybody.
func TestAProcessOnItsWayOutReloadsNoMore(t *testing.T) {
	o := newOperator("", "")
	gone := make(chan struct{})
	o.asks, o.gone = make(chan reloadAsk), gone
	close(gone)
	var no *admin.Refused
	if _, err := o.Reload(t.Context(), "test"); !errors.As(err, &no) || no.Code != "busy" {
		t.Errorf("got %v", err)
	}
}
