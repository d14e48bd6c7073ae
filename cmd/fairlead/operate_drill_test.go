//go:build unix

package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// drillOf is what is said of a group's drill.
func (d *desk) drillOf(group string) adminapi.Drill {
	d.t.Helper()
	g := d.pointer(group)
	if g.Drill == nil {
		d.t.Fatalf("%s has no drill", group)
	}
	return *g.Drill
}

// eventOf is the newest event of a kind.
func (d *desk) eventOf(kind string) adminapi.Event {
	d.t.Helper()
	var events []adminapi.Event
	d.get("/v1/events?kind="+kind, &events)
	if len(events) == 0 {
		d.t.Fatalf("no event %s", kind)
	}
	return events[0]
}

func TestAGameDayOnARealProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.start()
	d.awaitVerdict("us", "healthy")
	const path = "/v1/groups/shop/drill"
	var g adminapi.Group
	d.post(path, adminapi.DrillRequest{Share: 1, For: "1h", Reason: "game day", Change: seen(1)}, &g)
	if r := g.Drill; r == nil || !r.Running || r.Share != 1 || r.StopAt != 0.01 || r.Until.Sub(r.Since) != time.Hour || r.Reason != "game day" || r.By == "" {
		t.Fatalf("the drill is %+v", g.Drill)
	}
	d.refused(path, adminapi.DrillRequest{}, http.StatusConflict, "drill_runs")
	if e := d.eventOf("drill_started"); e.Group != "shop" || e.To != "us" || e.By == "" || !strings.Contains(e.Text, "100 % of the requests that may fail over go to us as if eu had failed") {
		t.Errorf("event %+v", e)
	}
	if get, post := lands(t, p.address, "GET", "/product/1"), lands(t, p.address, "POST", "/order/1"); get != "us" || post != "eu" {
		t.Errorf("a GET landed at %s, a POST at %s", get, post)
	}
	chaos.Await(t, patience, "the request to be counted", func() bool { return d.drillOf("shop").Secondary == 1 })
	var requests []adminapi.Request
	chaos.Await(t, patience, "both to be remembered", func() bool {
		d.get("/v1/requests", &requests)
		return len(requests) == 2
	})
	// They stand in the order in which they were over for the proxy, which is after their clients had them.
	i := slices.IndexFunc(requests, func(r adminapi.Request) bool { return r.Method == "GET" })
	if len(requests) != 2 || i < 0 || !requests[i].Drill || len(requests[i].Attempts) != 2 || !requests[i].Attempts[0].Simulated {
		t.Errorf("requests %+v", requests)
	}
	_, page, err := d.try("GET", "/metrics", nil)
	if err != nil || !strings.Contains(string(page), "\nfairlead_drill_share{group=\"shop\"} 1\n") || !strings.Contains(string(page), "\nfairlead_drill_requests_total{group=\"shop\",result=\"secondary\"} 1\n") {
		t.Errorf("the metrics don't show the drill: %v", err)
	}

	d.us.SetPath("/product/", chaos.Status(503)) // its probes stay well
	for range failover.DrillMinErrors {
		if at := lands(t, p.address, "GET", "/product/1"); at != "eu" {
			t.Errorf("a request that us fails landed at %s", at)
		}
	}
	p.await("drill ended", line{"group": "shop", "why": "errors", "rescued": 3.0})
	if r := d.drillOf("shop"); r.Running || r.Why != "errors" || r.Ended == nil || r.Rescued != failover.DrillMinErrors || r.Failed != 0 {
		t.Errorf("the drill is %+v", r)
	}
	if e := d.eventOf("drill_stopped"); e.Cause != "errors" || e.Level != "warn" || !strings.Contains(e.Text, "the secondary answered 1, the primary 3 after it, and 0 failed") {
		t.Errorf("event %+v", e)
	}
	if status, answer, err := d.try("DELETE", path, nil); err != nil || status != http.StatusNotFound {
		t.Errorf("%d %s, %v", status, answer, err)
	}

	d.us.ClearPath("/product/")
	d.post(path, adminapi.DrillRequest{Share: 1}, &g)
	d.decode(&g, "DELETE", path, nil)
	if r := g.Drill; r == nil || r.Running || r.Why != "operator" || r.Reason != "" {
		t.Errorf("the drill is %+v", r)
	}
	if e := d.eventOf("drill_stopped"); e.Cause != "operator" || e.By == "" {
		t.Errorf("event %+v", e)
	}
	if at := lands(t, p.address, "GET", "/product/1"); at != "eu" {
		t.Errorf("a request after the end landed at %s", at)
	}
	now := d.pointer("shop")
	wantAt(t, &now, "eu", 1, "start")
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// refusedAs asserts a refusal and that its text says something.
func refusedAs(t *testing.T, err error, code, says string) {
	t.Helper()
	r, ok := errors.AsType[*admin.Refused](err)
	if !ok || r.Code != code || !strings.Contains(r.Text, says) {
		t.Errorf("got %v, want %s, %q", err, code, says)
	}
}

func TestAGroupThatIsUnfitForADrillIsSaidToBe(t *testing.T) {
	s, o := stillService(t)
	start := func(force bool) error {
		_, err := o.StartDrill("shop", adminapi.DrillRequest{Share: 0.5, StopAt: 0.01, For: "1m", Change: adminapi.Change{Force: force}}, "me")
		return err
	}
	refusedAs(t, start(false), "no_healthy_origin", "us, the secondary of shop, has no health table")
	_, err := o.StartDrill("none", adminapi.DrillRequest{Share: 0.5, StopAt: 0.01, For: "1m"}, "me")
	refusedAs(t, err, "not_found", "there is no group")
	_, err = o.StartDrill("shop", adminapi.DrillRequest{Change: adminapi.Change{Generation: 9}}, "me")
	refusedAs(t, err, "stale", "it is on eu, generation 1")
	_, err = o.StopDrill("shop", "me")
	refusedAs(t, err, "not_found", "no drill runs in group shop")
	if err := start(true); err != nil {
		t.Fatal(err)
	}
	if _, err := o.StopDrill("shop", "me"); err != nil {
		t.Fatal(err)
	}

	if _, err := o.Drain("us", adminapi.Change{}, "me"); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, start(true), "no_healthy_origin", "us, the secondary of shop, is drained")
	if _, err := o.Ready("us", adminapi.Change{}, "me"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Pin("shop", pinTo("us", 0), "me"); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, start(true), "not_on_primary", "group shop is on us")
	if _, err := o.Pin("shop", pinTo("eu", 0), "me"); err != nil {
		t.Fatal(err)
	}
	s.now().pointers[0].Verdict(failover.RolePrimary, false)
	refusedAs(t, start(true), "primary_down", "eu, the primary of shop, is down")
}

func TestADrillNamesTheRoutesThatItNeverPicksFrom(t *testing.T) {
	const more = `
[[routes]]
name = "quick"
match = "/quick/"
group = "shop"
timeout = "399ms"
bulkhead = { max_concurrent = 9, queue_timeout = "100ms" }
[[routes]]
name = "enough"
match = "GET /enough/"
group = "shop"
timeout = "400ms"
bulkhead = { max_concurrent = 9, queue_timeout = "100ms" }
[[routes]]
name = "write"
match = "POST /quick/"
group = "shop"
timeout = "399ms"
bulkhead = { max_concurrent = 9, queue_timeout = "100ms" }
`
	s, o := stillService(t)
	const times = "connect_timeout = \"50ms\"\nresponse_header_timeout = \"50ms\"\n"
	hurried := strings.NewReplacer("[origins.eu]\n", "[origins.eu]\n"+times, "[origins.us]\n", "[origins.us]\n"+times).Replace(steered)
	if err := s.reload(t.Context(), parsed(t, hurried+more)); err != nil {
		t.Fatal(err)
	}
	r := adminapi.DrillRequest{Share: 0.5, StopAt: 0.01, For: "1m", Change: adminapi.Change{Force: true}}
	g, err := o.StartDrill("shop", r, "me")
	if err != nil {
		t.Fatal(err)
	}
	if d := g.Drill; d == nil || !slices.Equal(d.NeverPicked, []string{"quick"}) {
		t.Errorf("the drill is %+v", d)
	}
}

// A process that another one replaces ends its drills: the other knows of none.
func TestADrillEndsWithTheUpgradeAndWithTheReloadOfItsGroup(t *testing.T) {
	s, o := stillService(t)
	r := adminapi.DrillRequest{Share: 0.5, StopAt: 0.01, For: "1m", Reason: "game day", Change: adminapi.Change{Force: true}}
	if _, err := o.StartDrill("shop", r, "me"); err != nil {
		t.Fatal(err)
	}
	s.setHanding(true)
	if d := o.drill("shop"); d.Running || d.Why != "upgrade" || d.Reason != "game day" || d.By != "me" {
		t.Errorf("the drill is %+v", d)
	}
	_, err := o.StartDrill("shop", r, "me")
	refusedAs(t, err, "busy", "another process is taking over")
	s.setHanding(false)
	if _, err := o.StartDrill("shop", r, "me"); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(t.Context(), parsed(t, strings.Replace(steered, "[groups.shop]", "[groups.shop]\nttl = \"6s\"", 1))); err != nil {
		t.Fatal(err)
	}
	if d := o.drill("shop"); !d.Running {
		t.Errorf("a reload that left the group's origins ended the drill: %+v", d)
	}
	if err := s.reload(t.Context(), parsed(t, strings.Replace(steered, "9102", "9103", 1))); err != nil {
		t.Fatal(err)
	}
	if d := o.drill("shop"); d.Running || d.Why != "reload" {
		t.Errorf("the drill is %+v", d)
	}
	if _, err := o.StartDrill("shop", r, "me"); err != nil {
		t.Fatal(err)
	}
	gone := strings.NewReplacer("[groups.shop]", "[groups.other]", `group = "shop"`, `group = "other"`).Replace(steered)
	if err := s.reload(t.Context(), parsed(t, gone)); err != nil {
		t.Fatal(err)
	}
	if d := o.drill("shop"); d != nil || len(o.drills) != 0 {
		t.Errorf("a group that is gone has a drill: %+v, %v", d, o.drills)
	}
}
