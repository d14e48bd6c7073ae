//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

// A drained origin gets no request any more, what is in flight there is finished,
// and when it is ready the pointer comes back by its rules.
func TestADrainedOriginGetsNoRequestUntilItIsReady(t *testing.T) {
	t.Parallel()
	const after = 1500 * time.Millisecond
	d := newDesk(t)
	answer := make(chan struct{})
	d.eu.SetPath("/slow", chaos.OK(10).When(answer))
	set := d.setup()
	set.toml = strings.Replace(set.toml, `failback_after = "1h"`, fmt.Sprintf("failback_after = %q\nmin_hold = \"0s\"", after), 1)
	p := set.start(t)
	d.awaitVerdict("eu", "healthy")
	slow := fetch(t.Context(), "GET", "http://"+p.address+"/slow")
	chaos.Await(t, patience, "request in flight", func() bool { return arrivedAt(d.eu, "/slow") == 1 })
	load := shoppers(t, "tcp", p.address, 4)
	served := func(n int) {
		t.Helper()
		from := load.Ledger().Len()
		chaos.Await(t, patience, "load", func() bool { return load.Ledger().Len() >= from+n })
	}
	served(50)

	var o adminapi.Origin
	d.post("/v1/origins/eu/drain", seen(0), &o)
	if !o.Drained || o.Verdict != "healthy" {
		t.Errorf("drained: %+v", o)
	}
	p.await("pointer moved", line{"to": "us"})
	close(answer)
	if a := <-slow; a.err != nil || a.status != http.StatusOK || len(a.body) != 10 {
		t.Errorf("the request that was in flight: %+v", a)
	}
	var flips []adminapi.Event
	if d.get("/v1/events?kind=flip&limit=1", &flips); len(flips) != 1 || !strings.HasSuffix(flips[0].Text, "primary_down (eu is drained)") {
		t.Errorf("the flip is told as %+v", flips)
	}
	served(50) // those that were on their way have arrived
	before, probes := clients(d.eu), arrivedAt(d.eu, "/healthz")
	served(500)
	if n := clients(d.eu) - before; n > 0 {
		t.Errorf("%d requests came to the drained origin", n)
	}
	chaos.Await(t, patience, "probes of the drained origin", func() bool { return arrivedAt(d.eu, "/healthz") > probes+2 })
	if g := d.pointer("shop"); g.Target != "us" || g.FailbackAt != nil {
		t.Errorf("while it is drained: %+v", g)
	}

	ready := time.Now()
	d.post("/v1/origins/eu/ready", seen(0), &o)
	if o.Drained {
		t.Errorf("ready: %+v", o)
	}
	if g := d.pointer("shop"); g.Target != "us" || g.FailbackAt == nil {
		t.Errorf("right after ready: %+v", g)
	}
	p.await("pointer moved", line{"to": "eu", "reason": "failback"})
	if waited := time.Since(ready); waited < after {
		t.Errorf("the pointer was back after %v", waited)
	}
	chaos.Await(t, patience, "requests at the origin", func() bool { return clients(d.eu) > before+10 })
	d.nobodyLost(t, load)
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	for _, route := range []string{"read", "order"} {
		if l := p.totals(route); l["failed"] != 0.0 {
			t.Errorf("route %s: %v", route, l)
		}
	}
}

// Who follows the events hears that the process stops, and until when it may last.
func TestTheBeginOfTheEndIsAnEvent(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	answer := make(chan struct{})
	d.eu.SetPath("/slow", chaos.OK(10).When(answer))
	p := d.start()
	d.awaitVerdict("eu", "healthy")
	slow := fetch(t.Context(), "GET", "http://"+p.address+"/slow")
	chaos.Await(t, patience, "request in flight", func() bool { return arrivedAt(d.eu, "/slow") == 1 })
	ended := make(chan int, 1)
	go func() { ended <- p.end() }()
	var events []adminapi.Event
	chaos.Await(t, patience, "event of the stop", func() bool {
		_, answer, err := d.try("GET", "/v1/events?kind=stop", nil)
		return err == nil && json.Unmarshal(answer, &events) == nil && len(events) > 0
	})
	if e := events[0]; !strings.Contains(e.Text, " UTC, for ") {
		t.Errorf("the event is %+v", e)
	}
	close(answer)
	if a := <-slow; a.err != nil {
		t.Errorf("the request in flight: %+v", a)
	}
	if code := <-ended; code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// An origin is drained in all its groups, unless one of them has no other.
func TestADrainHoldsInAllGroupsOfAnOrigin(t *testing.T) {
	t.Parallel()
	const blog, solo = `
[groups.blog]
primary = "eu"
secondary = "us"
[[routes]]
name = "blog"
match = "GET /blog/"
group = "blog"
bulkhead = { max_concurrent = 8 }
`, `
[groups.solo]
primary = "eu"
[[routes]]
name = "solo"
match = "GET /solo/"
group = "solo"
bulkhead = { max_concurrent = 8 }
`
	d := newDesk(t)
	d.more = blog + solo
	p := d.start()
	if e := d.refused("/v1/origins/eu/drain", seen(0), http.StatusConflict, "no_healthy_origin"); !strings.Contains(e.Text, "solo") {
		t.Errorf("the reason is %s", e.Text)
	}
	d.more = blog
	d.change(p)
	p.reload("")
	d.post("/v1/origins/eu/drain", seen(0), nil)
	for _, name := range []string{"shop", "blog"} {
		g := d.pointer(name)
		wantAt(t, &g, "us", 2, "primary_down")
	}
	for _, path := range []string{"/product/1", "/blog/1"} {
		if at := lands(t, p.address, "GET", path); at != "us" {
			t.Errorf("GET %s landed at %s", path, at)
		}
	}
	d.post("/v1/origins/eu/ready", seen(0), nil)
	for _, name := range []string{"shop", "blog"} {
		var g adminapi.Group
		d.post("/v1/groups/"+name+"/failback", seen(2), &g)
		wantAt(t, &g, "eu", 3, "operator")
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// Drains, pins, reloads and all that looks on at once: each change is made or
// refused as a whole, nobody's request is lost, and in the end all agree.
func TestChangesByHandAmongReloadsLeaveOneStory(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.start()
	d.awaitVerdict("eu", "healthy")
	d.awaitVerdict("us", "healthy")
	load := shoppers(t, "tcp", p.address, 3)
	var all, watching sync.WaitGroup
	over := make(chan struct{})
	for _, path := range []string{"/v1/status", "/metrics", "/v1/config", "/v1/history", "/v1/requests", "/v1/events", "/v1/explain?method=GET&url=/a"} {
		watching.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if status, answer, err := d.try("GET", path, nil); err != nil || status != http.StatusOK {
					t.Errorf("GET %s: %d %.200s, %v", path, status, answer, err)
					return
				}
			}
		})
	}
	all.Go(func() { // file after file, by one hand, since they share one
		for i := range 12 {
			d.concurrent = 40 + i
			d.more = []string{"", extraRoute}[i%2]
			d.change(p)
			if status, answer, err := d.try("POST", "/v1/reload", struct{}{}); err != nil || status != http.StatusOK {
				t.Errorf("reload: %d %s, %v", status, answer, err)
			}
		}
	})
	for _, origin := range []string{"eu", "us"} {
		all.Go(func() {
			for range 15 {
				for _, action := range []string{"drain", "ready"} {
					status, answer, err := d.try("POST", "/v1/origins/"+origin+"/"+action, seen(0))
					refused := action == "drain" && status == http.StatusConflict // the other one is drained, or it is pinned
					if err != nil || status != http.StatusOK && !refused {
						t.Errorf("%s %s: %d %s, %v", action, origin, status, answer, err)
					}
				}
			}
		})
	}
	all.Go(func() {
		for range 15 {
			for action, body := range map[string]any{"pin": pinTo("us", 0), "unpin": seen(0), "failback": seen(0)} {
				if status, answer, err := d.try("POST", "/v1/groups/shop/"+action, body); err != nil || status != http.StatusOK && status != http.StatusConflict {
					t.Errorf("%s: %d %s, %v", action, status, answer, err)
				}
			}
		}
	})
	all.Wait()
	close(over)
	watching.Wait()
	d.nobodyLost(t, load)

	d.post("/v1/groups/shop/unpin", seen(0), nil)
	for _, origin := range []string{"eu", "us"} {
		if o := d.origin(origin); o.Drained || o.Verdict != "healthy" {
			t.Errorf("in the end: %+v", o)
		}
	}
	d.post("/v1/groups/shop/failback", seen(0), nil)
	if at := lands(t, p.address, "GET", "/product/1"); at != "eu" {
		t.Errorf("a request landed at %s", at)
	}
	d.post("/v1/origins/eu/drain", seen(0), nil)
	if at := lands(t, p.address, "POST", "/order/1"); at != "us" {
		t.Errorf("a request landed at %s", at)
	}
	if code := p.end(); code != exitDone { // another one where the race detector has found something
		t.Errorf("exit code %d", code)
	}
}

// What a reload removes is forgotten: a group of the same name that comes again is
// not pinned, and an origin is in service, then and after a restart.
func TestAReloadThatRemovesAPinnedGroupAndADrainedOriginForgetsBoth(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	asia := chaos.NewOrigin(t, "asia")
	state := testrun.ShortDir(t) + "/state"
	d.server = fmt.Sprintf("state = %q", state)
	more := fmt.Sprintf(`
[origins.asia]
url = %q
[groups.blog]
primary = "eu"
secondary = "asia"
[[routes]]
name = "blog"
match = "GET /blog/"
group = "blog"
bulkhead = { max_concurrent = 8 }
`, asia.URL())
	d.more = more
	p := d.start()
	d.post("/v1/groups/blog/pin", adminapi.PinRequest{Target: "eu", Reason: "before"}, nil)
	d.post("/v1/origins/asia/drain", seen(0), nil)
	d.more = ""
	d.change(p)
	p.reload("")
	d.refused("/v1/groups/blog/unpin", seen(0), http.StatusNotFound, "not_found")
	d.refused("/v1/origins/asia/ready", seen(0), http.StatusNotFound, "not_found")
	chaos.Await(t, patience, "state without them", func() bool { return !strings.Contains(logText(state), "asia") })
	d.more = more
	d.change(p)
	p.reload("")
	for again := range 2 {
		if g, o := d.pointer("blog"), d.origin("asia"); g.Pin != nil || o.Drained {
			t.Errorf("life %d: %+v, %+v", again, g.Pin, o)
		}
		var g adminapi.Group
		d.post("/v1/groups/blog/pin", adminapi.PinRequest{Target: "asia", For: "1h"}, &g) // refused if it counted as drained
		if g.Pin == nil || g.Pin.Reason != "" {
			t.Errorf("life %d: the pin is %+v", again, g.Pin)
		}
		if at := lands(t, p.address, "GET", "/blog/1"); at != "asia" {
			t.Errorf("life %d: a request landed at %s", again, at)
		}
		d.post("/v1/groups/blog/unpin", seen(0), nil)
		if code := p.end(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
		if again == 0 {
			p = d.start()
		}
	}
}
