package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/adminapi"
)

// Each of many checkers notices the same pause: that must not push what matters
// out of the journal.
func TestAPauseThatAllCheckersNoticeIsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperator("f.toml", "")
		for i := range 100 {
			o.health(health.Event{Kind: health.PauseDetected, Origin: "eu", At: time.Now(), Pause: time.Duration(i+1) * time.Second})
			time.Sleep(time.Millisecond)
		}
		first := time.Now().Add(-100 * time.Millisecond)
		time.Sleep(pauseEvery)
		synctest.Wait()
		events := o.events.Latest(10, nil)
		if len(events) != 1 {
			t.Fatalf("%d events, want 1", len(events))
		}
		if e := events[0]; e.Kind != "pause" || e.Origin != "" || !e.Time.Equal(first) || !strings.Contains(e.Text, "1m40s") || !strings.Contains(e.Text, "100 times") {
			t.Errorf("the event is %+v", e)
		}
		o.health(health.Event{Kind: health.PauseDetected, Origin: "us", At: time.Now(), Pause: time.Second})
		time.Sleep(pauseEvery)
		synctest.Wait()
		if events = o.events.Latest(10, nil); len(events) != 2 || !strings.Contains(events[0].Text, "for 1s;") {
			t.Errorf("of a later pause: %+v", events)
		}
	})
}

func TestAFlipSaysHowGraveItIsAndWhoIsDrained(t *testing.T) {
	o := newOperator("f.toml", "")
	o.service = &service{}
	o.service.drained.Store(&map[string]bool{})
	g := &config.Group{Name: "shop", Primary: "eu", Secondary: "us"}
	at := func(r failover.Role, why failover.Reason) failover.State {
		return failover.State{Target: r, Reason: why}
	}
	primary := at(failover.RolePrimary, failover.ReasonStart)
	tell := func(to failover.State) adminapi.Event {
		o.flip(g, primary, to)
		return o.events.Latest(1, nil)[0]
	}
	if e := tell(at(failover.RoleSecondary, failover.ReasonPrimaryDown)); e.Level != "warn" || strings.Contains(e.Text, "drained") {
		t.Errorf("away: %+v", e)
	}
	for _, r := range []failover.Role{failover.RolePrimary, failover.RoleSecondary, failover.RoleNone} {
		if e := tell(at(r, failover.ReasonBothDown)); e.Level != "error" {
			t.Errorf("both down, to %v: %+v", r, e)
		}
	}
	if e := tell(at(failover.RolePrimary, failover.ReasonFailback)); e.Level != "info" {
		t.Errorf("back: %+v", e)
	}
	o.service.drained.Store(&map[string]bool{"eu": true, "ap": true})
	if e := tell(at(failover.RoleSecondary, failover.ReasonPrimaryDown)); !strings.HasSuffix(e.Text, "from eu to us: primary_down (eu is drained)") {
		t.Errorf("of a drain: %+v", e)
	}
}
