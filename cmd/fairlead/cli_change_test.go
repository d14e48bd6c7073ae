package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// changing is an API whose change of a group gives after.
func changing(t *testing.T, path string, after any) *fakeAPI {
	t.Helper()
	api := newFakeAPI()
	api.HandleFunc("POST "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, after) })
	serveAPI(t, api)
	return api
}

func TestPinSendsTheGenerationThatItSawAndSaysWhatWasAndIs(t *testing.T) {
	until := time.Now().UTC().Add(time.Minute)
	api := changing(t, "/v1/groups/shop/pin", adminapi.Group{
		Name: "shop", Target: "eu", Generation: 8, Reason: "pin", Pin: &adminapi.Pin{Target: "eu", Until: &until, By: "token", Reason: "a test"},
	})
	code, stdout, stderr := command(t, "pin", "shop", "eu", "--for", "30m", "--reason", "a test", "--force")
	want := "shop: us -> eu, pinned until " + clock(until, time.Now(), time.UTC) + " by token: a test (pin, generation 8)\n"
	if code != exitDone || stdout != want || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %q", code, stdout, stderr, want)
	}
	asked := api.last()
	var body adminapi.PinRequest
	if err := json.Unmarshal([]byte(asked.body), &body); err != nil {
		t.Fatal(err)
	}
	wanted := adminapi.PinRequest{Target: "eu", For: "30m", Reason: "a test", Change: adminapi.Change{Generation: 7, Force: true}}
	if body != wanted || asked.kind != "application/json" || !strings.HasPrefix(asked.agent, "fairlead/") {
		t.Errorf("it asked for %+v with %+v", body, asked)
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	api := changing(t, "/v1/groups/shop/pin", adminapi.Group{Name: "shop"})
	for _, line := range []string{"pin --for 30m shop us", "pin shop --for 30m us", "pin shop us --for=30m", "pin shop us -for 30m", "pin --for 30m -- shop us"} {
		if code, _, stderr := command(t, strings.Fields(line)...); code != exitDone || !strings.Contains(api.last().body, `"for":"30m"`) {
			t.Errorf("%s: exit code %d, stderr %q, body %s", line, code, stderr, api.last().body)
		}
	}
}

func TestUnpinAndFailbackSayWhatWasAndIs(t *testing.T) {
	long := "checkout-with-a-rather-long-name"
	api := changing(t, "/v1/groups/"+long+"/unpin", adminapi.Group{Name: long, Target: "eu", Generation: 4, Reason: "primary_recovered"})
	api.set(func(s *adminapi.Status) { s.Groups[2].Pin.Until, s.Groups[2].Pin.Reason = nil, "" })
	_, stdout, stderr := command(t, "unpin", long)
	if want := long + ": us -> eu, no longer pinned (it was to us until unpin by token) (primary_recovered, generation 4)\n"; stdout != want {
		t.Errorf("stdout %q, stderr %q, want %q", stdout, stderr, want)
	}
	if body := api.last().body; body != `{"generation":3}` {
		t.Errorf("it sent %s", body)
	}
	if code, stdout, _ := command(t, "unpin", "shop"); code != exitDone || stdout != "shop: it is not pinned, nothing was changed\n" {
		t.Errorf("of a group without a pin: exit code %d, stdout %q", code, stdout)
	}
	api.HandleFunc("POST /v1/groups/shop/failback", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, adminapi.Group{Name: "shop", Target: "eu", Generation: 8, Reason: "failback"})
	})
	if _, stdout, stderr := command(t, "failback", "shop"); stdout != "shop: us -> eu (failback, generation 8)\n" || api.last().body != `{"generation":7}` {
		t.Errorf("stdout %q, stderr %q, body %s", stdout, stderr, api.last().body)
	}
}

func TestAFailbackCannotBeForced(t *testing.T) {
	serveAPI(t, newFakeAPI())
	if code, _, stderr := command(t, "failback", "--force", "shop"); code != exitUsage || !strings.Contains(stderr, "-force") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestAPointerThatMovedInBetweenIsLeftAlone(t *testing.T) {
	api := newFakeAPI()
	api.HandleFunc("POST /v1/groups/shop/pin", func(w http.ResponseWriter, r *http.Request) {
		api.set(func(s *adminapi.Status) {
			g := &s.Groups[1]
			g.Target, g.Role, g.Generation, g.Reason, g.Since = "eu", "primary", 9, "primary_recovered", s.Now.Add(-2*time.Second)
		})
		refuse(http.StatusConflict, adminapi.Error{Code: "stale", Text: "the pointer has moved", Generation: 9})(w, r)
	})
	serveAPI(t, api)
	code, stdout, stderr := command(t, "pin", "shop", "us")
	want := "fairlead: shop: the pointer has moved in between, nothing was changed: it is at eu now (primary_recovered, generation 9, since 2 s)\nRun it again if you still want it\n"
	if code != exitWrong || stdout != "" || stderr != want {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %q", code, stdout, stderr, want)
	}
}

func TestARefusalSaysWhatToDoNext(t *testing.T) {
	tests := []struct{ code, want string }{
		{"no_healthy_origin", "With --force it is done all the same."},
		{"pinned", "fairlead unpin"},
		{"following", "Move the pointer that it follows"},
		{"primary_down", "fairlead status"},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			api := newFakeAPI()
			no := refuse(http.StatusConflict, adminapi.Error{Code: tt.code, Text: "because."})
			api.HandleFunc("POST /v1/groups/shop/", no)
			api.HandleFunc("POST /v1/origins/eu/", no)
			serveAPI(t, api)
			for _, args := range [][]string{{"pin", "shop", "us"}, {"failback", "shop"}, {"drain", "eu"}, {"ready", "eu"}} {
				code, stdout, stderr := command(t, args...)
				if code != exitWrong || stdout != "" || !strings.HasPrefix(stderr, "fairlead: because.\n") || !strings.Contains(stderr, tt.want) {
					t.Errorf("%s: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
				}
			}
		})
	}
}

func TestNamesThatAreNotThereAreToldFromThoseThatAre(t *testing.T) {
	serveAPI(t, newFakeAPI())
	tests := []struct {
		give []string
		want string
	}{
		{[]string{"pin", "shp", "us"}, `there is no group "shp": there are blog, shop, checkout`},
		{[]string{"pin", "shop", "static"}, `group shop has no origin "static": its primary is eu, its secondary us`},
		{[]string{"pin", "blog", "us"}, `its primary is static, its secondary left out`},
		{[]string{"unpin", "shp"}, `there is no group "shp"`},
		{[]string{"failback", "shp"}, `there is no group "shp"`},
		{[]string{"drain", "asia"}, `there is no origin "asia": there are us, static, eu`},
		{[]string{"ready", "asia"}, `there is no origin "asia"`},
	}
	for _, tt := range tests {
		code, stdout, stderr := command(t, tt.give...)
		if code != exitWrong || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", tt.give, code, stdout, stderr)
		}
	}
}

func TestDrainAndReadySayWhatBecameOfTheGroups(t *testing.T) {
	api := newFakeAPI()
	drain := func(drained bool, target string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			api.set(func(s *adminapi.Status) {
				s.Groups[0].Target, s.Origins[2].Drained = target, drained
			})
			answer(w, 200, adminapi.Origin{Name: "eu", Verdict: "down", Drained: drained})
		}
	}
	api.set(func(s *adminapi.Status) { s.Groups[0].Primary, s.Groups[0].Target = "eu", "eu" })
	api.HandleFunc("POST /v1/origins/eu/drain", drain(true, ""))
	api.HandleFunc("POST /v1/origins/eu/ready", drain(false, "eu"))
	serveAPI(t, api)
	code, stdout, stderr := command(t, "drain", "eu", "--force")
	if code != exitDone || !strings.HasPrefix(stdout, "eu: in service -> drained (down)\n  blog: eu -> none (start, generation 1)\n  shop: still us") || api.last().body != `{"force":true}` {
		t.Errorf("exit code %d, stdout %q, stderr %q, body %s", code, stdout, stderr, api.last().body)
	}
	code, stdout, _ = command(t, "ready", "eu")
	if code != exitDone || !strings.HasPrefix(stdout, "eu: drained -> in service (down)\n  blog: none -> eu") {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
}

func TestReloadSaysWhatChanged(t *testing.T) {
	changing(t, "/v1/reload", adminapi.ReloadResult{Config: adminapi.ConfigInfo{File: "f.toml", Fingerprint: "0123456789abcdef"}, Changed: []string{"routes_added: api"}})
	if code, stdout, _ := command(t, "reload"); code != exitDone || stdout != "reloaded f.toml, fingerprint 0123456789ab\n  routes_added: api\n" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	api := newFakeAPI()
	api.HandleFunc("POST /v1/reload", refuse(422, adminapi.Error{Code: "bad_config", Text: "the configuration has 2 mistakes", Problems: []string{"f.toml:1:1: a", "f.toml:2:1: b"}}))
	serveAPI(t, api)
	code, stdout, stderr := command(t, "reload")
	if want := "fairlead: the configuration has 2 mistakes\nf.toml:1:1: a\nf.toml:2:1: b\nNothing was changed"; code != exitWrong || stdout != "" || !strings.HasPrefix(stderr, want) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestExplainGoesThroughTheRules(t *testing.T) {
	api := newFakeAPI()
	api.HandleFunc("GET /v1/explain", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		answer(w, 200, adminapi.Explanation{
			Method: q.Get("method"), Host: q.Get("host"), Target: q.Get("url"), Route: "product", Group: "shop", Outcome: "it goes to us; if that fails, it is answered with 502",
			First: "us", WhyNot: "method", Steps: []adminapi.Step{
				{Rule: "route", Result: "pass", Text: "/product/{id} matches", Key: "routes.product.match"},
				{Rule: "coverage", Result: "stop", Text: "POST is not among the methods of requests that may be sent twice, whatever they say about themselves", Key: "groups.shop.failover_methods"},
			},
		})
	})
	serveAPI(t, api)
	t.Setenv("COLUMNS", "80")
	code, stdout, stderr := command(t, "explain", "post", "https://shop.example/product/1?a=%2F&b#part")
	want := `POST shop.example/product/1?a=%2F&b
it goes to us; if that fails, it is answered with 502
route product, group shop, not covered: it is sent once at most, as why_not is
method

  pass  route     /product/{id} matches (routes.product.match)
  stop  coverage  POST is not among the methods of requests that may be sent
                  twice, whatever they say about themselves
                  (groups.shop.failover_methods)
`
	if code != exitDone || stderr != "" || stdout != want {
		t.Errorf("exit code %d, stderr %q, got\n%swant\n%s", code, stderr, stdout, want)
	}
	_, stdout, _ = command(t, "explain", "GET", "/x", "--host", "b.example")
	if !strings.HasPrefix(stdout, "GET b.example/x\n") {
		t.Errorf("got %q", stdout)
	}
	for _, bad := range []string{"shop.example/x", "ftp://a/", "https:///x", "http://a@b/"} {
		if code, _, stderr := command(t, "explain", "GET", bad); code != exitUsage || !strings.Contains(stderr, "write http://HOST/PATH") {
			t.Errorf("%s: exit code %d, stderr %q", bad, code, stderr)
		}
	}
}

func TestRequestsTellEachAttempt(t *testing.T) {
	api := newFakeAPI()
	api.HandleFunc("GET /v1/requests", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("route") == "none" {
			refuse(404, adminapi.Error{Code: "not_found", Text: "there is no route none, but product"})(w, r)
			return
		}
		answer(w, 200, []adminapi.Request{
			{Time: noon.Add(time.Second), Method: "POST", Host: "a.example", Target: "/order", Status: 502, Result: "failed", TotalMS: 1004, WhyNot: "method", Error: "reset", ID: "abc", Attempts: []adminapi.Attempt{
				{Origin: "eu", Role: "primary", Class: "reset", Why: "it closed the connection", StartMS: 0.1, Reused: true, Address: "10.0.0.1:80"},
			}},
			{Time: noon.Add(time.Second / 2), Method: "GET", Host: "a.example", Target: "/product/1", Status: 200, Result: "failed_over", TotalMS: 12.4, Attempts: []adminapi.Attempt{
				{Origin: "eu", Role: "primary", Class: "connect_refused", StartMS: 0.1},
				{Origin: "us", Role: "secondary", Class: "ok", Status: 200, StartMS: 1.3, ConnectMS: 2, FirstByteMS: 11},
			}},
			{Time: noon, Method: "GET", Host: "a.example", Target: "/", Status: 200, Result: "served", TotalMS: 3.2, Attempts: []adminapi.Attempt{{Origin: "eu", Class: "ok", Status: 200}}},
		})
	})
	serveAPI(t, api)
	code, stdout, stderr := command(t, "requests", "--route", "product", "--failed", "-n", "3")
	want := `TIME          STATUS  RESULT         TOTAL  BY    REQUEST
12:00:00.000     200  served        3.2 ms  eu    GET a.example/
12:00:00.500     200  failed_over    12 ms  us    GET a.example/product/1
    eu, the primary: connect_refused (began at 0.1 ms)
    us, the secondary: ok 200 (began at 1.3 ms, connected in 2 ms, first byte after 11 ms)
12:00:01.000     502  failed       1004 ms  eu    POST a.example/order
    eu, the primary: reset, it closed the connection (began at 0.1 ms, on a pooled connection, at 10.0.0.1:80)
    no failover: method; answered by fairlead: reset; id abc
`
	if code != exitDone || stderr != "" || stdout != want {
		t.Errorf("exit code %d, stderr %q, got\n%swant\n%s", code, stderr, stdout, want)
	}
	if got := api.last().line; got != "GET /v1/requests?failed=true&limit=3&route=product" {
		t.Errorf("it asked for %s", got)
	}
	if code, _, stderr := command(t, "requests", "--route", "none"); code != exitWrong || !strings.Contains(stderr, "there is no route none, but product") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
