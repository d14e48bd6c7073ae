//go:build unix

package main

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// Whoever has seen a generation that is past moves nothing, and learns the
// present one.
func TestChangesByHandAreComparedAndSetOnARealProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.start()
	first := d.pointer("shop")
	wantAt(t, &first, "eu", 1, "start")

	var g adminapi.Group
	d.post("/v1/groups/shop/pin", adminapi.PinRequest{Target: "us", For: "1h", Reason: "new disk", Change: seen(1)}, &g)
	wantAt(t, &g, "us", 2, "pin")
	if g.Pin == nil || g.Pin.Target != "us" || g.Pin.Reason != "new disk" || g.Pin.By == "" || g.Pin.Until == nil || time.Until(*g.Pin.Until) > time.Hour {
		t.Errorf("the pin is %+v", g.Pin)
	}
	p.await("pointer moved", line{"to": "us", "reason": "pin", "generation": 2.0})
	if at := lands(t, p.address, "GET", "/product/1"); at != "us" {
		t.Errorf("a request landed at %s", at)
	}

	for path, body := range map[string]any{"pin": pinTo("eu", 1), "unpin": seen(1), "failback": seen(1)} {
		if e := d.refused("/v1/groups/shop/"+path, body, http.StatusConflict, "stale"); e.Generation != 2 {
			t.Errorf("%s: the present generation is said to be %d", path, e.Generation)
		}
	}
	d.refused("/v1/groups/shop/failback", seen(2), http.StatusConflict, "pinned")
	d.refused("/v1/groups/shop/pin", pinTo("asia", 2), http.StatusBadRequest, "bad_request")
	d.refused("/v1/groups/blog/unpin", seen(2), http.StatusNotFound, "not_found")
	d.refused("/v1/origins/asia/drain", seen(0), http.StatusNotFound, "not_found")
	after := d.pointer("shop")
	wantAt(t, &after, "us", 2, "pin")

	d.post("/v1/groups/shop/unpin", seen(2), &g)
	wantAt(t, &g, "us", 2, "pin") // the failback has its waits
	if g.Pin != nil || g.FailbackAt == nil {
		t.Errorf("after unpin: %+v", g)
	}
	d.post("/v1/groups/shop/failback", seen(2), &g)
	wantAt(t, &g, "eu", 3, "operator")
	if at := lands(t, p.address, "POST", "/order/1"); at != "eu" {
		t.Errorf("a request landed at %s", at)
	}

	var events []adminapi.Event
	d.get("/v1/events", &events)
	var kinds []string
	for _, e := range events {
		if e.Group == "shop" {
			kinds = append(kinds, e.Kind)
		}
	}
	if want := []string{"failback", "flip", "unpin", "pin", "flip"}; !slices.Equal(kinds, want) {
		t.Errorf("events %q, want %q", kinds, want)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	for action, results := range map[string][]string{"pin": {"done", "stale", "bad_request"}, "unpin": {"done", "stale", "not_found"}, "failback": {"done", "stale", "pinned"}} {
		for _, result := range results {
			l := p.first("admin", line{"action": action, "result": result})
			if by, _ := l["by"].(string); !strings.HasPrefix(by, "unix") {
				t.Errorf("%s, %s: by %q", action, result, by)
			}
		}
	}
}

func TestWhatWouldLeaveNoHealthyOriginIsRefusedUnlessForced(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.start()
	d.awaitVerdict("eu", "healthy")
	d.us.Down()
	d.awaitVerdict("us", "down")
	d.refused("/v1/groups/shop/pin", pinTo("us", 0), http.StatusConflict, "no_healthy_origin")
	d.refused("/v1/origins/eu/drain", seen(0), http.StatusConflict, "no_healthy_origin")
	untouched := d.pointer("shop")
	wantAt(t, &untouched, "eu", 1, "start")

	var g adminapi.Group
	d.post("/v1/groups/shop/pin", adminapi.PinRequest{Target: "us", Change: force()}, &g)
	wantAt(t, &g, "us", 2, "pin")
	d.post("/v1/groups/shop/unpin", seen(2), &g)
	wantAt(t, &g, "eu", 3, "secondary_down")

	var o adminapi.Origin
	d.post("/v1/origins/eu/drain", force(), &o)
	if !o.Drained || o.Verdict != "healthy" {
		t.Errorf("drained: %+v", o)
	}
	d.post("/v1/origins/eu/ready", seen(0), &o)
	if at := lands(t, p.address, "GET", "/product/1"); o.Drained || at != "eu" {
		t.Errorf("after ready: %+v, and a request landed at %s", o, at)
	}

	if err := d.us.Up(); err != nil {
		t.Fatal(err)
	}
	d.awaitVerdict("us", "healthy")
	d.post("/v1/origins/us/drain", seen(0), nil)
	for path, body := range map[string]any{"/v1/origins/eu/drain": seen(0), "/v1/groups/shop/pin": pinTo("us", 0)} {
		if e := d.refused(path, body, http.StatusConflict, "no_healthy_origin"); !strings.Contains(e.Text, "us is drained") && !strings.Contains(e.Text, "us, is drained") {
			t.Errorf("%s: %s", path, e.Text)
		}
	}
	d.post("/v1/origins/us/ready", seen(0), nil)

	d.post("/v1/groups/shop/pin", pinTo("eu", 0), nil)
	d.refused("/v1/origins/eu/drain", seen(0), http.StatusConflict, "pinned")
	d.post("/v1/groups/shop/unpin", seen(0), nil)
	d.post("/v1/origins/eu/drain", seen(0), nil)
	if e := d.refused("/v1/groups/shop/failback", seen(0), http.StatusConflict, "primary_down"); !strings.Contains(e.Text, "eu is drained") {
		t.Errorf("failback to a drained primary: %s", e.Text)
	}
	d.post("/v1/origins/eu/ready", seen(0), nil)
	d.eu.Down()
	d.awaitVerdict("eu", "down")
	chaos.Await(t, patience, "group that knows", func() bool { return d.pointer("shop").FailbackAt == nil })
	if e := d.refused("/v1/groups/shop/failback", seen(0), http.StatusConflict, "primary_down"); !strings.Contains(e.Text, "eu is down") {
		t.Errorf("failback to a primary that is down: %s", e.Text)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestAPinExpiresAndProbesGoOnDuringIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.eager = true
	p := d.start()
	d.awaitVerdict("eu", "healthy")
	probes := arrivedAt(d.eu, "/healthz")
	var g adminapi.Group
	pinned := time.Now()
	d.post("/v1/groups/shop/pin", adminapi.PinRequest{Target: "us", For: "2s"}, &g)
	wantAt(t, &g, "us", 2, "pin")
	chaos.Await(t, patience, "probes during the pin", func() bool { return arrivedAt(d.eu, "/healthz") >= probes+4 })
	p.await("pointer moved", line{"to": "eu", "reason": "failback"})
	if lasted := time.Since(pinned); lasted < 2*time.Second {
		t.Errorf("the pin ended after %v", lasted)
	}
	if g = d.pointer("shop"); g.Pin != nil {
		t.Errorf("the pin is still there: %+v", g.Pin)
	}
	wantAt(t, &g, "eu", 3, "failback")
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// The samples of the charts, added up, are what the clients saw.
func TestTheHistoryAddsUpToTheLedger(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.start()
	history := func() (h adminapi.History) {
		d.get("/v1/history", &h)
		return h
	}
	chaos.Await(t, patience, "first sample", func() bool { return len(history().Samples) > 0 })
	load := shoppers(t, "tcp", p.address, 2)
	chaos.Await(t, patience, "load", func() bool { return load.Ledger().Len() > 100 })
	d.post("/v1/groups/shop/pin", pinTo("us", 0), nil)
	chaos.Await(t, patience, "load", func() bool { return load.Ledger().From("us") > 100 })
	ledger := d.nobodyLost(t, load)
	ended := time.Now()
	chaos.Await(t, patience, "sample without requests", func() bool {
		s := history().Samples
		return s[len(s)-1].At.After(ended) && s[len(s)-1].Groups[0].Requests == 0
	})
	h := history()
	if len(h.Samples) > historyKept || h.StepS != historyStep.Seconds() {
		t.Errorf("%d samples of %v s", len(h.Samples), h.StepS)
	}
	var all, eu, us, bad float64
	for i, s := range h.Samples[1:] {
		took := s.At.Sub(h.Samples[i].At).Seconds()
		g := s.Groups[0]
		all, eu, us, bad = all+g.Requests*took, eu+g.Primary*took, us+g.Secondary*took, bad+g.Errors*took
	}
	for what, sums := range map[string][2]float64{
		"requests": {all, float64(ledger.Len())}, "at the primary": {eu, float64(ledger.From("eu"))},
		"at the secondary": {us, float64(ledger.From("us"))}, "errors": {bad, 0},
	} {
		if math.Abs(sums[0]-sums[1]) > 0.01 {
			t.Errorf("%s: the history has %v, the clients %v", what, sums[0], sums[1])
		}
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// What is served to clients and what to operators can't be had at the other's
// door.
func TestOperatorsAndClientsHaveDoorsOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.start()
	data := console{t: t, network: "tcp", address: p.address}
	for _, path := range []string{"/", "/v1/status", "/v1/events", "/v1/config", "/v1/openapi.json", "/metrics", "/healthz", "/readyz", "/v1/live"} {
		before := arrivedAt(d.eu, path)
		status, answer, err := data.try("GET", path, nil)
		if err != nil || status != http.StatusOK || strings.Contains(string(answer), "fairlead") {
			t.Errorf("GET %s at the data listener: %d %.100s, %v", path, status, answer, err)
		}
		if arrivedAt(d.eu, path) == before {
			t.Errorf("GET %s at the data listener did not go to the origin", path)
		}
	}
	for _, path := range []string{"/v1/groups/shop/pin", "/v1/origins/eu/drain", "/v1/reload"} {
		if at := lands(t, p.address, "POST", path); at != "eu" {
			t.Errorf("POST %s landed at %q", path, at)
		}
	}
	untouched := d.pointer("shop")
	wantAt(t, &untouched, "eu", 1, "start")
	if untouched.Pin != nil || d.origin("eu").Drained {
		t.Error("a client has changed something")
	}
	before := clients(d.eu) + clients(d.us)
	for _, path := range []string{"/product/1", "/order/1", "http://eu/"} {
		status, _, err := d.try("GET", "/"+strings.TrimPrefix(path, "/"), nil)
		if err != nil || status != http.StatusNotFound {
			t.Errorf("GET %s at the operators' listener: %d, %v", path, status, err)
		}
	}
	if n := clients(d.eu) + clients(d.us) - before; n != 0 {
		t.Errorf("%d requests went through the operators' listener", n)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
