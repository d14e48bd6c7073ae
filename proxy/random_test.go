package proxy

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// Whatever the origins do, each client gets one origin's whole response, an
// error or an abort, and nothing that may not be is sent twice.
func TestRandomFaultsKeepTheInvariants(t *testing.T) { randomFaults(t) }

func TestRandomFaultsKeepTheInvariantsOverTLS(t *testing.T) { randomFaults(t, overTLS) }

func TestRandomFaultsKeepTheInvariantsOverHTTP2(t *testing.T) { randomFaults(t, overHTTP2) }

func randomFaults(t *testing.T, more ...setup) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	behaviours := append(chaos.HeadFaults(), chaos.BodyFaults()...)
	behaviours = append(behaviours, chaos.Hang(), chaos.StallMidBody(), chaos.EarlyClose(503), chaos.EarlyClose(200), chaos.DuplicateLength(),
		chaos.ExtraResponse(), chaos.CloseOnReuse(), chaos.ResetOnReuse(), chaos.Status(404), chaos.Status(500), chaos.Status(503),
		chaos.Delay(5*time.Millisecond), chaos.OK(1<<20), chaos.GiantHead(20<<10))
	for range 6 {
		behaviours = append(behaviours, chaos.Sound()...)
	}
	turns := func() chaos.Behaviour {
		plan := make([]chaos.Behaviour, 200)
		for i := range plan {
			plan[i] = behaviours[r.IntN(len(behaviours))]
		}
		return chaos.InTurn(plan...)
	}
	g := startRig(t, append(more, breaks(1+r.IntN(8), 20*time.Millisecond), permits(bulkhead.Config{MaxConcurrent: 20, MaxQueue: r.IntN(8), QueueTimeout: 300 * time.Millisecond}),
		points(failover.PointerConfig{BothDown: failover.BothDown(r.IntN(3))}),
		policy(func(p *failover.PolicyConfig) {
			p.Unsafe, p.ParkTimeout = failover.Unsafe(r.IntN(3)), 200*time.Millisecond
		}),
		func(_ *rig, cfg *Config) {
			cfg.BodyIdleTimeout = 200 * time.Millisecond
			for i := range cfg.Origins {
				cfg.Origins[i].ResponseHeaderTimeout = 60 * time.Millisecond
				cfg.Origins[i].MaxConnections = 18
			}
			cfg.Routes[0].Timeout = time.Second
		})...)
	g.eu.Set(turns())
	g.us.Set(turns())
	run := chaos.Load{Address: g.addr, Conns: 24, Rate: 800, Count: 1000, Mix: []chaos.Shot{
		{Weight: 8}, {Weight: 2, WantSize: 300_000}, {Method: "HEAD"}, {Method: "OPTIONS"},
		{Weight: 2, Method: "POST", BodySize: 100}, {Method: "POST", BodySize: 200_000}, {Method: "PUT", BodySize: 50_000, Chunked: true},
		{Method: "DELETE"}, {Method: "GET", BodySize: 30},
	}}.Start(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); run.Wait() }()
	for events := true; events; {
		select {
		case <-done:
			events = false
		case <-time.After(time.Duration(r.IntN(60)) * time.Millisecond):
			o := []*chaos.Origin{g.eu, g.us}[r.IntN(2)]
			role := failover.Role(1 + r.IntN(2))
			switch r.IntN(6) {
			case 0:
				o.Down()
				_ = o.Up()
			case 1:
				o.ResetConns()
			case 2:
				g.pointer.Verdict(role, false)
			default:
				g.pointer.Verdict(role, true)
			}
		}
	}
	ledger := run.Wait()
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		t.Error(err)
	}
	if n := ledger.Count(chaos.Served); n < 50 {
		t.Errorf("hardly anything was served, which proves little: %v", ledger)
	}
	g.awaitStats("rest", atRest)
}
