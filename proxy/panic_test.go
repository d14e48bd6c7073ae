package proxy

import (
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// A defect, here in a function that the embedding program gave, costs the one
// connection it happens on, and nothing of what that connection held.
func TestPanicCostsOneConnection(t *testing.T) {
	for name, give := range map[string]chaos.Request{
		"GET":          {},
		"POST":         {Method: "POST", BodySize: 10},
		"large upload": {Method: "POST", BodySize: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var defect atomic.Bool
			core, logs := observer.New(zapcore.ErrorLevel)
			g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1}), breaks(1000, 1),
				primary(func(o *Origin) { o.MaxConnections = 1 }),
				withServer(func(cfg *Config) {
					cfg.Log = zap.New(core)
					cfg.OnFailure = func(string, failover.Outcome) {
						if defect.Load() {
							panic("a defect")
						}
					}
				}))
			g.eu.Set(chaos.Status(503)) // its connection is in use when OnFailure is called
			defect.Store(true)
			for range 3 {
				r := g.ask(give)
				if r.Kind != chaos.Aborted {
					t.Errorf("got %v, want it aborted", r)
				}
			}
			if n := logs.FilterMessageSnippet("panic").Len(); n != 3 {
				t.Errorf("%d panics in the log, want 3", n)
			}
			g.awaitStats("rest", atRest)
			chaos.Await(t, patience, "closed connections", func() bool { return g.leg(failover.RolePrimary).origin.upstream.Open() == 0 })
			defect.Store(false)
			g.eu.Set(chaos.OK(10))
			wantServed(t, g.ask(give), "eu")
		})
	}
}
