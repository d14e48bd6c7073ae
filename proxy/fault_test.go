package proxy

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Each fault of the kit's table must be to an attempt what the table says: the drill and the suite go by it.
func TestEachNamedFaultIsOfItsClass(t *testing.T) {
	for _, f := range chaos.Faults() {
		if f.Some || !f.Requests {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			var log journal
			g := startRig(t, log.logged, func(g *rig, cfg *Config) {
				eu := &cfg.Origins[0]
				if f.TLS {
					g.eu = chaos.NewTLSOrigin(t, "eu")
					eu.URL = g.eu.URL()
					eu.TLS = &tls.Config{RootCAs: g.eu.Certificates().Pool(), MinVersion: tls.VersionTLS12}
				}
				if f.Class == "connect_timeout" {
					eu.ConnectTimeout = 300 * time.Millisecond
				}
				if f.Class == "header_timeout" {
					eu.ResponseHeaderTimeout = 300 * time.Millisecond
				}
				cfg.BodyIdleTimeout = time.Second
			})
			if err := f.Possible(g.eu); err != nil {
				t.Skip(err)
			}
			results := []chaos.Result{g.ask(chaos.Request{})}
			wantServed(t, results[0], "eu")
			if err := f.Begin(g.eu, ""); err != nil {
				t.Fatal(err)
			}
			r := g.ask(chaos.Request{})
			rec := log.find(t, r.ID)
			switch first := rec.Attempts[0]; {
			case f.Class != "":
				wantServed(t, r, "us")
				if first.Origin != "eu" || first.Class != f.Class && !slices.Contains(f.Also, first.Class) {
					t.Errorf("the first attempt was %+v, want class %s", first, f.Class)
				}
			case f.Aborts:
				if r.Kind != chaos.Aborted || r.Origin != "eu" {
					t.Errorf("%v, want an abort of eu's response", r)
				}
			default:
				wantServed(t, r, "eu")
				if f.Slow && r.Latency < 200*time.Millisecond {
					t.Errorf("%v, want it slow", r)
				}
			}
			if err := f.End(g.eu); err != nil {
				t.Fatal(err)
			}
			again := g.ask(chaos.Request{Method: "POST", BodySize: 10})
			wantServed(t, again, "eu")
			g.judge(append(results, r, again)...)
		})
	}
}
