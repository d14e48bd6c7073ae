package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/adminapi"
)

const steered = `
[server]
listen = ["127.0.0.1:0"]
[admin]
listen = "127.0.0.1:0"
[origins.eu]
url = "http://127.0.0.1:9101"
[origins.eu.health]
[origins.us]
url = "http://127.0.0.1:9102"
[groups.shop]
primary = "eu"
secondary = "us"
[[routes]]
name = "shop"
match = "/"
group = "shop"
bulkhead = { max_concurrent = 10 }
`

// stillService is a service that was made and does not run, so that nothing moves
// but by the test's hand.
func stillService(t *testing.T) (*service, *operator) {
	t.Helper()
	cfg := parsed(t, steered)
	l, err := openLogs(cfg.Log, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	o := newOperator("test.toml", "")
	o.stopped = func() bool { return false }
	s, err := newService(cfg, l, newKeeper("", zap.NewNop()), o.watching(newJournal(zap.NewNop())), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if _, _, err := s.listen(); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	s.crew.begin(over) // whoever a reload employs is sent home
	t.Cleanup(func() {
		s.crew.wait()
		_ = s.run(over, nil) // which closes what it listens on
	})
	return s, o
}

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.toml", []byte(text), config.Options{Patterns: checkPatterns})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func wantRefused(t *testing.T, err error, code string) {
	t.Helper()
	if r, ok := errors.AsType[*admin.Refused](err); !ok || r.Code != code {
		t.Errorf("the error is %v, want %s", err, code)
	}
}

// A group that follows another pointer stays with it, so its leader's origin can't
// be drained under it, and nobody calls it back.
func TestAGroupThatFollowsIsLeftToItsLeader(t *testing.T) {
	s, o := stillService(t)
	shop := s.now().pointers[0]
	shop.Follow(failover.RoleSecondary)
	_, err := o.Failback("shop", adminapi.Change{}, "me")
	wantRefused(t, err, "following")
	_, err = o.Drain("us", adminapi.Change{}, "me")
	wantRefused(t, err, "following")
	if _, err = o.Drain("eu", adminapi.Change{}, "me"); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if _, err = o.Ready("eu", adminapi.Change{}, "me"); err != nil {
		t.Error(err)
	}
	// Nobody probes it here, so it stays down; force is not what is tested.
	if _, err = o.Pin("shop", adminapi.PinRequest{Target: "eu", Change: adminapi.Change{Force: true}}, "me"); err != nil || shop.Pointer().Target != failover.RolePrimary {
		t.Errorf("a pin outranks it: %v", err)
	}
	if _, err = o.Drain("us", adminapi.Change{Force: true}, "me"); err != nil {
		t.Errorf("under the pin: %v", err)
	}
}

// A group that a reload brings knows that its origin is drained, also while that
// is probed in a new way and has no verdict.
func TestANewGroupOfADrainedOriginKnowsIt(t *testing.T) {
	s, o := stillService(t)
	if _, err := o.Drain("eu", adminapi.Change{}, "me"); err != nil {
		t.Fatal(err)
	}
	next := parsed(t, strings.Replace(steered, "[origins.eu.health]\n", "[origins.eu.health]\npath = \"/other\"\n", 1)+`
[groups.blog]
primary = "eu"
secondary = "us"
[[routes]]
name = "blog"
match = "/blog"
group = "blog"
bulkhead = { max_concurrent = 10 }
`)
	if err := s.reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for _, g := range s.now().pointers {
		if at := g.Pointer(); at.Target != failover.RoleSecondary || !at.Primary.Down {
			t.Errorf("group %s: %+v", g.Name(), at)
		}
	}
}

// To say that an origin is ready which nobody has drained changes nothing that is
// known of its health.
func TestReadyDoesNotMakeADownOriginHealthy(t *testing.T) {
	s, o := stillService(t)
	shop := s.now().pointers[0]
	shop.Verdict(failover.RolePrimary, false)
	if _, err := o.Ready("eu", adminapi.Change{}, "me"); err != nil {
		t.Fatal(err)
	}
	if at := shop.Pointer(); !at.Primary.Down || at.Target != failover.RoleSecondary {
		t.Errorf("the pointer is %+v", at)
	}
}

// What was counted of things that a reload removes is not kept for ever.
func TestCountsOfWhatIsGoneAreForgotten(t *testing.T) {
	s, o := stillService(t)
	o.flips["blog"], o.flips["shop"] = map[string]uint64{"pin": 1}, map[string]uint64{"pin": 1}
	o.probes["asia"], o.probes["eu"] = &probeCounts{}, &probeCounts{}
	s.keeper.notePin("blog", pinNote{reason: "gone"})
	if err := s.reload(t.Context(), parsed(t, steered)); err != nil {
		t.Fatal(err)
	}
	if len(o.flips) != 1 || len(o.probes) != 1 || len(s.keeper.pins) != 0 {
		t.Errorf("%v, %v, %v", o.flips, o.probes, s.keeper.pins)
	}
}

// Who asks for a reload when nobody does any more is told so at once.
func TestAReloadOfAProcessOnItsWayOutIsRefused(t *testing.T) {
	o, gone := newOperator("test.toml", ""), make(chan struct{})
	close(gone)
	o.asks, o.gone = make(chan reloadAsk), gone
	_, err := o.Reload(t.Context(), "me")
	wantRefused(t, err, "busy")
}
