package proxy

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// remembering keeps the last decisions.
var remembering = withServer(func(cfg *Config) { cfg.Remember = true })

// recent waits for the decision on the request whose target ends so: it is
// remembered after the response.
func (g *rig) recent(route string, failed bool, target string) Decision {
	g.t.Helper()
	var found Decision
	chaos.Await(g.t, patience, "decision on "+target, func() bool {
		for _, d := range g.srv.Recent(route, failed, 0) {
			if strings.HasSuffix(d.Target, target) {
				found = d
				return true
			}
		}
		return false
	})
	return found
}

func TestWhatIsRememberedIsWhatTheLogSays(t *testing.T) {
	tests := []struct {
		name   string
		setups []setup
		do     func(g *rig) (target string)
		failed bool
	}{
		{"a request that went well", nil, func(g *rig) string {
			return g.ask(chaos.Request{Method: "POST", BodySize: 1234, WantSize: 5678}).ID
		}, false},
		{"a failover", nil, func(g *rig) string {
			g.eu.Set(chaos.Status(503))
			return g.ask(chaos.Request{}).ID
		}, true},
		{"a failure of both", nil, func(g *rig) string {
			g.eu.Down()
			g.us.Down()
			return g.ask(chaos.Request{}).ID
		}, true},
		{"a request that may not fail over", nil, func(g *rig) string {
			g.eu.Set(chaos.Status(503))
			return g.ask(chaos.Request{Method: "POST"}).ID
		}, true},
		{"a request that was parked", []setup{policy(func(p *failover.PolicyConfig) { p.ParkTimeout = 50 * time.Millisecond })}, func(g *rig) string {
			g.eu.Down()
			return g.ask(chaos.Request{Method: "POST"}).ID
		}, true},
		{"a request that waited in the queue", []setup{permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 1})}, func(g *rig) string {
			release, held := make(chan struct{}), make(chan chaos.Result)
			g.eu.SetPath("/hold", chaos.OK(10).When(release))
			go func() { held <- g.ask(chaos.Request{Path: "/hold"}) }()
			g.awaitStats("a permit in use", func(s RouteStats) bool { return s.InUse == 1 })
			go func() { held <- g.ask(chaos.Request{Path: "/queued"}) }()
			g.awaitStats("a queue", func(s RouteStats) bool { return s.Queued == 1 })
			close(release)
			<-held
			<-held
			return "/queued"
		}, false},
		{"no route", []setup{withRoute(func(r *Route) { r.Match = "/shop/" })}, func(g *rig) string {
			return g.ask(chaos.Request{}).ID
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log journal
			g := startRig(t, append(tt.setups, log.logged, remembering)...)
			began := time.Now()
			target := tt.do(g)
			d, rec := g.recent("", tt.failed, target), log.find(t, target)
			got := record{
				Error: d.Error, Msg: "request", RequestID: d.ID, Client: d.Client, Method: d.Method, Host: d.Host, Target: d.Target, Status: d.Status,
				Decision: d.Result, Route: d.Route, Group: d.Group, Pointer: d.Role, Generation: d.Generation, WhyNot: d.WhyNot,
				QueueMS: milliseconds(int64(d.Queued)), ParkedMS: milliseconds(int64(d.Parked)), BytesIn: d.BytesIn, BytesOut: d.BytesOut,
				TotalMS: milliseconds(int64(d.Total)),
			}
			for _, a := range d.Attempts {
				class := a.Class
				if class == "ok" {
					class = ""
				}
				if (a.Why == "") != (a.Class == "ok") || a.Start < 0 || a.Role != map[string]string{"eu": "primary", "us": "secondary"}[a.Origin] {
					t.Errorf("attempt %+v", a)
				}
				got.Attempts = append(got.Attempts, attemptRecord{Origin: a.Origin, Address: a.Address, Class: class, Status: a.Status,
					ConnectMS: milliseconds(int64(a.Connect)), FirstByteMS: milliseconds(int64(a.FirstByte)), ConnRetry: a.ConnRetry})
			}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", rec) {
				t.Errorf("remembered\n%+v\nand logged\n%+v", got, rec)
			}
			if d.Start.Before(began) || d.Start.Add(d.Total).After(time.Now()) {
				t.Errorf("it began at %v and took %v", d.Start, d.Total)
			}
			if n := len(g.srv.Recent("all", true, 0)); !tt.failed && n != 0 || tt.failed && d.Route != "" && n != 1 {
				t.Errorf("%d that did not go well", n)
			}
		})
	}
}

func TestNothingIsRememberedUnlessAsked(t *testing.T) {
	t.Parallel()
	g, l := startLive(t)
	wantServed(t, g.ask(chaos.Request{}), "eu")
	g.awaitStats("rest", atRest)
	m := g.srv.current().table.routes[0].memory
	if got := g.srv.Recent("", false, 0); len(got) != 0 || m.good.slots != nil || m.bad.slots != nil {
		t.Errorf("got %+v", got)
	}
	l.reload(t, func(cfg *Config) { cfg.Remember = true })
	r := g.ask(chaos.Request{})
	g.recent("all", false, r.ID)
	l.route(t, func(r *Route) { r.MaxBodyBytes = 1 << 30 })
	g.recent("all", false, r.ID) // a reload forgets nothing
	if m.bad.slots != nil {
		t.Error("there is memory for failures, and there was none")
	}
}

func TestRecentIsNewestFirstOfARouteOrOfAll(t *testing.T) {
	t.Parallel()
	g := startRig(t, remembering, func(_ *rig, cfg *Config) {
		other := cfg.Routes[0]
		other.Name, other.Match = "other", "/other/"
		cfg.Routes = append(cfg.Routes, other)
	})
	g.eu.SetPath("/other/broken/", chaos.Status(503))
	var paths []string
	for i := range 12 {
		path := []string{"/", "/other/", "/other/broken/"}[i%3] + fmt.Sprint(i)
		g.ask(chaos.Request{Path: path})
		g.recent("", false, path)
		paths = append([]string{path}, paths...)
	}
	want := func(route string, failed bool, limit int, keep func(path string) bool) {
		t.Helper()
		var got, want []string
		for _, d := range g.srv.Recent(route, failed, limit) {
			got = append(got, d.Target)
		}
		for _, p := range paths {
			if keep(p) && (limit <= 0 || len(want) < limit) {
				want = append(want, p)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("route %q, failed %v, limit %d: %q, want %q", route, failed, limit, got, want)
		}
	}
	all := func(string) bool { return true }
	other := func(p string) bool { return strings.HasPrefix(p, "/other/") }
	broken := func(p string) bool { return strings.HasPrefix(p, "/other/broken/") }
	want("", false, 0, all)
	want("", false, 5, all)
	want("other", false, -1, other)
	want("all", false, 3, func(p string) bool { return !other(p) })
	want("", true, 0, broken)
	want("other", true, 2, broken)
	want("all", true, 0, func(string) bool { return false })
	want("nowhere", false, 0, func(string) bool { return false })
}

func TestTextsAreCut(t *testing.T) {
	t.Parallel()
	g := startRig(t, remembering, withServer(loopback))
	long := strings.Repeat("x", 500)
	_, _ = g.dial().Do(long[:40] + " /" + long + " HTTP/1.1\r\nHost: " + long + "\r\nX-Request-Id: " + long[:120] + "\r\n\r\n")
	short := "GET /short HTTP/1.1\r\nHost: b\r\nX-Request-Id: i\r\n\r\n"
	r, err := g.dial().Do(short)
	wantOK(t, r, err)
	d := g.recent("all", false, "/short")
	if d.Target != "/short" || d.Host != "b" || d.ID != "i" || d.Method != "GET" || d.Client != "127.0.0.1" {
		t.Errorf("short texts are %+v", d)
	}
	d = g.recent("all", false, "/"+long[:255])
	if d.Method != long[:16] || d.Host != long[:64] || d.ID != long[:64] || d.Client != "127.0.0.1" {
		t.Errorf("long texts are %+v", d)
	}
}

// A ring takes what comes until it has been taken by storm: then one in each
// period, however many come.
func TestARingTakesASampleUnderLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := rapid.SampledFrom([]int64{goodEvery, badEvery}).Draw(t, "every")
		var r ring
		var at []int64
		now := int64(0)
		for _, pause := range rapid.SliceOfN(rapid.Int64Range(0, 3*every), 1, 1000).Draw(t, "pauses") {
			now += pause / rapid.SampledFrom([]int64{1, 1, 100}).Draw(t, "haste")
			wanted := r.wants(now, every)
			in := int64(0) // taken within the time that as many take at the rate
			for _, a := range at {
				if now-a < every*maxRemembered {
					in++
				}
			}
			if !wanted && in < maxRemembered-1 {
				t.Fatalf("refused at %v, after %d in the last %v", now, in, every*maxRemembered)
			}
			if wanted {
				at = append(at, now)
			}
		}
		if most := now/every + maxRemembered + 1; int64(len(at)) > most {
			t.Fatalf("%d were taken in %v, want %d at most", len(at), time.Duration(now), most)
		}
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	if size := reflect.TypeFor[decision]().Size(); size > 850 {
		t.Errorf("a decision takes %d bytes, so that all take more than the comment of Recent says", size)
	}
	for routes, want := range map[int]int{0: 64, 1: 64, 512: 64, 513: 63, 10_000: 3, 100_000: 1} {
		if n := rememberedOf(routes); n != want {
			t.Errorf("of %d routes each remembers %d, want %d", routes, n, want)
		}
	}
	var r ring
	for i := range 200 {
		r.next(maxRemembered).end = int64(i)
	}
	got := r.appendTo(nil)
	seen := make(map[int64]bool)
	for _, d := range got {
		seen[d.end] = d.end >= 200-maxRemembered
	}
	if len(got) != maxRemembered || len(seen) != maxRemembered || !seen[200-maxRemembered] || seen[0] {
		t.Errorf("%d of the last %d are remembered", len(got), maxRemembered)
	}
}

// Those who look and those who are remembered don't meet.
func TestRecentIsSafeBesideRequests(t *testing.T) {
	t.Parallel()
	g := startRig(t, remembering)
	g.eu.Set(chaos.InTurn(chaos.OK(10), chaos.Status(503), chaos.CloseBeforeHead()))
	run := chaos.Load{Address: g.addr, Conns: 8, Rate: 2000, Count: 1000}.Start(t.Context())
	var looking sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond): // or it would take the time of who is looked at
				}
				for _, d := range g.srv.Recent("", false, 0) {
					if d.Status == 0 || d.ID == "" || d.Route != "all" || len(d.Attempts) == 0 || !strings.HasPrefix(d.Target, "/") {
						t.Errorf("a decision that nobody took: %+v", d)
						return
					}
				}
			}
		})
	}
	ledger := run.Wait()
	close(stop)
	looking.Wait()
	if n := ledger.Count(chaos.Served); n != 1000 {
		t.Errorf("%d of 1000 were served: %v", n, ledger)
	}
	if got := g.srv.Recent("all", false, 0); len(got) > 2*maxRemembered || len(g.srv.Recent("all", true, 0)) == 0 {
		t.Errorf("%d are remembered", len(got))
	}
}
