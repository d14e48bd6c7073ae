package proxy

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
)

// drillEnds keeps what OnDrill is told.
type drillEnds struct{ told chan DrillStatus }

func newDrillEnds() *drillEnds { return &drillEnds{make(chan DrillStatus, 16)} }

func (e *drillEnds) kept(_ *rig, cfg *Config) {
	cfg.OnDrill = func(s DrillStatus) { e.told <- s }
}

// next waits for the end of a drill.
func (e *drillEnds) next(t testing.TB, want failover.DrillEnd) DrillStatus {
	t.Helper()
	select {
	case s := <-e.told:
		if s.Why != want || s.Ended.IsZero() || s.Ended.Before(s.Began) {
			t.Errorf("a drill that ended by %v at %v, want by %v", s.Why, s.Ended, want)
		}
		return s
	case <-time.After(patience):
		t.Fatalf("no drill has ended, want one by %v", want)
		return DrillStatus{}
	}
}

// none asserts that nobody was told of an end.
func (e *drillEnds) none(t testing.TB) {
	t.Helper()
	select {
	case s := <-e.told:
		t.Errorf("told of an end by %v", s.Why)
	default:
	}
}

// drill starts one of the group shop.
func (g *rig) drill(share float64) {
	g.t.Helper()
	if _, err := g.srv.StartDrill(DrillConfig{Group: "shop", Share: share, StopAt: 0.01, For: MaxDrill}); err != nil {
		g.t.Fatal(err)
	}
}

// drilled is the last drill of the group shop.
func (g *rig) drilled() DrillStatus {
	g.t.Helper()
	all := g.srv.Drills()
	if len(all) != 1 || all[0].Last == nil {
		g.t.Fatalf("no drill in %+v", all)
	}
	return *all[0].Last
}

// undisturbed asserts that neither the breakers nor the pointer have noticed anything.
func (g *rig) undisturbed() {
	g.t.Helper()
	for _, r := range []failover.Role{failover.RolePrimary, failover.RoleSecondary} {
		if state := g.leg(r).breakerState(); state != "closed" {
			g.t.Errorf("the breaker towards the %v is %s", r, state)
		}
	}
	if n := g.pointer.Pointer().Generation; n != 1 {
		g.t.Errorf("the pointer has moved: generation %d", n)
	}
}

// A drill must not cost a client what the primary would have given it.
// unreachable makes no connection to the secondary, for as long as one may take,
// which is longer than the route's timeout.
func unreachable(_ *rig, cfg *Config) {
	cfg.Origins[1].URL, cfg.Origins[1].ConnectTimeout = "http://us.test:80", time.Minute
	cfg.Routes[0].Timeout = 2 * time.Second
	cfg.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}
