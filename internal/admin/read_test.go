package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// document reads an answer as T, and fails over fields that T doesn't have.
func document[T any](t *testing.T, g got) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(g.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || g.status != 200 || g.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s: %v", g.status, g.header, g.body, err)
	}
	return v
}

func TestReadsSayWhatTheBackendSays(t *testing.T) {
	r := start(t, nil)
	r.backend.sample(1)
	if have := document[adminapi.Status](t, r.ask("GET", "/v1/status", "")); !reflect.DeepEqual(have, r.backend.Status()) {
		t.Errorf("status: %+v", have)
	}
	if have := document[adminapi.History](t, r.ask("GET", "/v1/history", "")); !reflect.DeepEqual(have, r.backend.History()) {
		t.Errorf("history: %+v", have)
	}
	if g := r.ask("GET", "/v1/config", ""); g.body != `{"server":{"listen":["x"]}}`+"\n" {
		t.Errorf("config: %s", g.body)
	}
	if g := r.ask("GET", "/metrics", ""); g.status != 200 || g.body != "up 1\n" {
		t.Errorf("metrics: %s", g.body)
	}
}

func TestHEADSaysWhatGETWouldWithoutABody(t *testing.T) {
	r := start(t, nil)
	for _, path := range []string{"/v1/status", "/v1/events", "/v1/config", "/v1/openapi.json", "/healthz", "/", "/page.css"} {
		get, head := r.ask("GET", path, ""), r.ask("HEAD", path, "")
		if head.status != get.status || head.body != "" || head.header.Get("Content-Length") != get.header.Get("Content-Length") ||
			head.header.Get("Content-Type") != get.header.Get("Content-Type") || head.header.Get("Content-Length") == "" {
			t.Errorf("%s: %d %v, GET %d %v", path, head.status, head.header, get.status, get.header)
		}
	}
	for _, path := range []string{"/v1/live", "/v1/events?limit=1"} {
		if g := r.ask("HEAD", path, "", "Accept: text/event-stream"); g.status != 200 || g.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: %d %v", path, g.status, g.header)
		}
	}
	eventually(t, "the streams to end", func() bool { return r.server.Stats().Streams == 0 })
}

func TestExplainTakesAURLApart(t *testing.T) {
	r := start(t, nil)
	for _, give := range []struct{ url, host, wantHost, wantTarget string }{
		{"http://shop.example/a?b=c", "", "shop.example", "/a?b=c"},
		{"HTTPS://shop.example:8443", "", "shop.example:8443", "/"},
		{"https://shop.example?x", "", "shop.example", "/?x"},
		{"https://[::1]:80/x#y", "", "[::1]:80", "/x"},
		{"/a/../b%2f%00?q=%zz", "", "", "/a/../b%2f%00?q=%zz"},
		{"//double", "", "", "//double"},
		{"/a", "other.example:80", "other.example:80", "/a"},
		{"http://shop.example/a", "other.example", "other.example", "/a"},
		{"*", "", "", "*"},
	} {
		q := url.Values{"url": {give.url}, "method": {"POST"}}
		if give.host != "" {
			q.Set("host", give.host)
		}
		have := document[adminapi.Explanation](t, r.ask("GET", "/v1/explain?"+q.Encode(), ""))
		if have.Host != give.wantHost || have.Target != give.wantTarget || have.Method != "POST" {
			t.Errorf("%s %s: %+v", give.url, give.host, have)
		}
	}
	if have := document[adminapi.Explanation](t, r.ask("GET", "/v1/explain?url=/", "")); have.Method != "GET" {
		t.Errorf("%+v", have)
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	r := start(t, nil)
	for path, says := range map[string]string{
		"/v1/explain":                               "url",
		"/v1/explain?url=":                          "url",
		"/v1/explain?url=shop.example":              "http://",
		"/v1/explain?url=ftp://x/":                  "http://",
		"/v1/explain?url=http:///x":                 "host",
		"/v1/explain?url=http://u:p@x/":             "user",
		"/v1/explain?url=/a%20b":                    "space",
		"/v1/explain?url=/a%0d%0ab":                 "control",
		"/v1/explain?url=/&method=G%20T":            "method",
		"/v1/explain?url=/&host=a%0ab":              "host",
		"/v1/explain?url=/&host=a/b":                "host",
		"/v1/explain?url=/wrong":                    "no question",
		"/v1/explain?url=/&url=/a":                  "2 times",
		"/v1/status?x=1":                            `"x"`,
		"/v1/requests?fail=1":                       "failed",
		"/v1/requests?failed=maybe":                 "maybe",
		"/v1/requests?limit=0":                      "1000",
		"/v1/requests?limit=1001":                   "1000",
		"/v1/requests?limit=99999999999999999999":   "1000",
		"/v1/requests?limit=x":                      "limit",
		"/v1/events?limit=-1":                       "limit",
		"/v1/events?since=x":                        "since",
		"/v1/events?since=-1":                       "since",
		"/v1/events?group=a&group=b":                "2 times",
		"/v1/events?%zz":                            "query",
		"/v1/events?a;b":                            "query",
		"/v1/live?limit=1":                          "since",
		"/v1/live?since=99999999999999999999999999": "since",
	} {
		g := r.ask("GET", path, "")
		if e := g.errorOf(t); g.status != http.StatusBadRequest || !strings.Contains(e.Text, says) {
			t.Errorf("%s: %d %s", path, g.status, g.body)
		}
	}
}

func TestRequestsAreAskedForByRouteAndLimit(t *testing.T) {
	r := start(t, nil)
	for path, want := range map[string]string{
		"/v1/requests":                              `requests "" false 50`,
		"/v1/requests?route=all&failed=true":        `requests "all" true 50`,
		"/v1/requests?failed&limit=1000":            `requests "" true 1000`,
		"/v1/requests?failed=0&route=quiet&limit=1": `requests "quiet" false 1`,
	} {
		g := r.ask("GET", path, "")
		document[[]adminapi.Request](t, g)
		if call, _ := r.backend.last(); call != want || strings.Contains(g.body, "null") && strings.Contains(path, "quiet") {
			t.Errorf("%s: %q, %s", path, call, g.body)
		}
	}
	if g := r.ask("GET", "/v1/requests?route=none", ""); g.status != 404 || !strings.Contains(g.errorOf(t).Text, "but all") {
		t.Errorf("%d %s", g.status, g.body)
	}
}

func TestEventsAreListedNewestFirst(t *testing.T) {
	r := start(t, nil)
	if g := r.ask("GET", "/v1/events", ""); g.body != "[]\n" {
		t.Errorf("none: %s", g.body)
	}
	var seqs []uint64
	for i := range 150 {
		e := r.journal.Add(adminapi.Event{Kind: []string{"flip", "verdict", "pin"}[i%3], Group: []string{"shop", "api"}[i%2], Text: "t", Evidence: []adminapi.Probe{{OK: true}}})
		seqs = append(seqs, e.Seq)
	}
	for path, want := range map[string]struct {
		n      int
		newest int
	}{
		"/v1/events":                                         {100, 149},
		"/v1/events?limit=1000":                              {150, 149},
		"/v1/events?limit=2&kind=flip":                       {2, 147},
		"/v1/events?kind=flip&limit=1000":                    {50, 147},
		"/v1/events?kind=flip&kind=verdict&group=shop":       {50, 148},
		"/v1/events?group=none":                              {0, 0},
		"/v1/events?since=" + fmtSeq(seqs[139]):              {10, 149},
		"/v1/events?since=" + fmtSeq(seqs[139]) + "&limit=3": {3, 149},
	} {
		have := document[[]adminapi.Event](t, r.ask("GET", path, "", "Accept: application/json"))
		if len(have) != want.n || want.n > 0 && have[0].Seq != seqs[want.newest] {
			t.Errorf("%s: %d events", path, len(have))
		}
		for i := range len(have) - 1 {
			if have[i].Seq <= have[i+1].Seq {
				t.Errorf("%s: %d before %d", path, have[i].Seq, have[i+1].Seq)
			}
		}
	}
}

// The probes behind a flip are in the events of its origins, which name no group.
func TestTheEventsOfAGroupAreThoseOfItsOriginsAndRoutesToo(t *testing.T) {
	r := start(t, nil)
	for _, e := range []adminapi.Event{
		{Kind: "start", Text: "none"},
		{Kind: "verdict", Origin: "eu", Text: "its primary"},
		{Kind: "verdict", Origin: "ap", Text: "another's origin"},
		{Kind: "breaker", Route: "all", Origin: "eu", Text: "its route"},
		{Kind: "breaker", Route: "other", Origin: "eu", Text: "another's route to its origin"},
		{Kind: "drain", Origin: "us", Text: "its secondary"},
		{Kind: "flip", Group: "shop", Text: "its own"},
		{Kind: "flip", Group: "api", Text: "another's"},
	} {
		r.journal.Add(e)
	}
	want := []string{"its own", "its secondary", "its route", "its primary"}
	var got []string
	for _, e := range document[[]adminapi.Event](t, r.ask("GET", "/v1/events?group=shop", "")) {
		got = append(got, e.Text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed: %q, want %q", got, want)
	}
}

// A reload may give a group other origins while somebody follows its events.
func TestAReloadChangesWhoseEventsAGroupsStreamHas(t *testing.T) {
	r := start(t, nil)
	f := &filter{group: "shop"}
	if f.look(r.backend); !f.wants(&adminapi.Event{Origin: "us"}) || f.wants(&adminapi.Event{Origin: "ap"}) {
		t.Fatalf("the filter is %+v", f)
	}
	f.origins = []string{"ap"} // as it was before the reload
	fd := feed{journal: r.journal, wants: f.wants, reloaded: func() { f.look(r.backend) }, at: r.journal.Last()}
	r.journal.Add(adminapi.Event{Kind: "reload"})
	if _, ok := fd.send(nil); !ok || !f.wants(&adminapi.Event{Origin: "us"}) || f.wants(&adminapi.Event{Origin: "ap"}) {
		t.Errorf("after a reload the filter is %+v", f)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	r := start(t, guarded)
	if g := r.ask("GET", "/readyz?verbose", ""); g.status != 200 || g.body != "ok\n" {
		t.Errorf("%d %s", g.status, g.body)
	}
	r.backend.set(func(f *fake) { f.notServing = errors.New("draining") })
	if g := r.ask("GET", "/readyz", ""); g.status != http.StatusServiceUnavailable || g.body != "not ready: draining\n" {
		t.Errorf("%d %s", g.status, g.body)
	}
	if g := r.ask("GET", "/healthz", ""); g.status != 200 || g.body != "ok\n" {
		t.Errorf("%d %s", g.status, g.body)
	}
}

func TestWithoutMetricsAndAPageThereAreNone(t *testing.T) {
	r := start(t, func(c *Config) { c.Metrics, c.Page = nil, nil })
	for _, path := range []string{"/metrics", "/"} {
		if g := r.ask("GET", path, ""); g.status != 404 || g.errorOf(t).Code != "not_found" {
			t.Errorf("%s: %d %s", path, g.status, g.body)
		}
	}
}
