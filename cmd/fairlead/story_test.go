//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// overseen is a shop whose process has an admin listener, and all the windows that
// an operator may look through.
type overseen struct {
	*process
	shop  *shop
	admin string // host:port
}

// watchShop starts it. The route for reading has no breaker, so that each request
// is tried on the primary while the pointer is there; that of the one for orders
// opens at the first failure. A second passes before the pointer moves, so that
// there is something to see however slow the machine is. It goes back soon after
// the primary is well.
func watchShop(t *testing.T) *overseen {
	t.Helper()
	s := newShop(t)
	set := setup{server: s.keys(), toml: fmt.Sprintf(`
[admin]
listen = "127.0.0.1:0"
[origins.eu]
url = %q
health = { path = "/healthz", interval = "200ms", timeout = "10s", fast_interval = "200ms", fall = 5, rise = 1 }
[origins.us]
url = %q
health = { path = "/healthz", interval = "200ms", timeout = "10s", fast_interval = "200ms", fall = 5, rise = 1 }
[groups.shop]
primary = "eu"
secondary = "us"
failback_after = "500ms"
min_hold = "0s"
[[routes]]
name = "read"
match = "GET /"
group = "shop"
bulkhead = { max_concurrent = 64 }
breaker = { consecutive_failures = 0 }
[[routes]]
name = "order"
match = "POST /"
group = "shop"
bulkhead = { max_concurrent = 64 }
breaker = { consecutive_failures = 1 }
`, s.eu.URL(), s.us.URL())}
	w := &overseen{process: set.start(t), shop: s}
	w.admin = w.await("admin listening", nil)["address"].(string)
	for _, origin := range []string{"eu", "us"} {
		w.awaitSaid(1, "verdict", line{"origin": origin, "to": "healthy"})
	}
	return w
}

// get asks the admin API and decodes the answer.
func get[T any](w *overseen, path string) T {
	w.t.Helper()
	var v T
	if err := json.Unmarshal(w.page(path), &v); err != nil {
		w.t.Fatalf("GET %s: %v", path, err)
	}
	return v
}

// page is what the admin listener answers.
func (w *overseen) page(path string) []byte {
	w.t.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(w.request("GET", path, ""))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s, %v: %s", path, resp.Status, err, body)
	}
	return body
}

func (w *overseen) request(method, path, body string) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.admin+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

// cli is what a command of the command line prints.
func (w *overseen) cli(name string, args ...string) string {
	w.t.Helper()
	code, stdout, stderr := command(w.t, append([]string{name, "--admin", w.admin}, args...)...)
	if code != 0 {
		w.t.Fatalf("%s %v: exit code %d: %s", name, args, code, stderr)
	}
	return stdout
}

// scrape is a page of metrics.
type scrape struct {
	t        *testing.T
	families map[string]*dto.MetricFamily
}

func (w *overseen) scrape() scrape {
	w.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(w.page("/metrics")))
	if err != nil {
		w.t.Fatal(err)
	}
	return scrape{w.t, families}
}

// value is the sum of a metric over all that has these labels, which are names
// and values in turn.
func (s scrape) value(name string, labels ...string) (sum float64) {
	s.t.Helper()
	found := false
	for _, m := range s.families[name].GetMetric() {
		if hasLabels(m, labels) {
			found = true
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if !found {
		s.t.Errorf("/metrics has no %s%v", name, labels)
	}
	return sum
}

func hasLabels(m *dto.Metric, labels []string) bool {
	has := make(map[string]string)
	for _, l := range m.GetLabel() {
		has[l.GetName()] = l.GetValue()
	}
	for i := 0; i < len(labels); i += 2 {
		if has[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// roles are those of the shop's origins.
var roles = map[string]string{"eu": "primary", "us": "secondary"}

// told is what a window says of the shop's pointer.
type told struct {
	window     string
	target     string
	role       string
	generation uint64
	reason     string
	since      time.Time
}

// compare fails the test where two windows say different things. A line of the log
// is written right after the flip that it tells of.
func (a told) compare(t *testing.T, b told) {
	t.Helper()
	if a.target != b.target || a.role != b.role || a.generation != b.generation || a.reason != b.reason {
		t.Errorf("%s tells of %s, %s, generation %d, %s; %s of %s, %s, generation %d, %s",
			a.window, a.target, a.role, a.generation, a.reason, b.window, b.target, b.role, b.generation, b.reason)
	}
	if apart := a.since.Sub(b.since).Abs(); apart > 2*time.Second {
		t.Errorf("%s and %s are %v apart about since when", a.window, b.window, apart)
	}
}

func (w *overseen) moment(l line) time.Time {
	w.t.Helper()
	at, err := time.Parse(timeLayout, l["time"].(string))
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w *overseen) ofLog(flip line) told {
	return told{"the log", flip["to"].(string), flip["target"].(string), uint64(flip["generation"].(float64)), flip["reason"].(string), w.moment(flip)}
}

func ofGroup(window string, g *adminapi.Group) told {
	return told{window, g.Target, g.Role, g.Generation, g.Reason, g.Since}
}

// ofEvent is what a flip says, which names the origin and not its role.
func ofEvent(window string, e *adminapi.Event) told {
	return told{window, e.To, roles[e.To], e.Generation, e.Cause, e.Time}
}

// ofMetrics asks where the pointer is, and which flip is the last to be counted,
// of which there is one for each reason.
func (w *overseen) ofMetrics(reason string) told {
	w.t.Helper()
	m := w.scrape()
	a := told{window: "/metrics", generation: uint64(m.value("fairlead_pointer_generation", "group", "shop"))}
	for origin, role := range roles {
		if m.value("fairlead_pointer_target", "group", "shop", "role", role, "origin", origin) == 1 {
			a.target += origin
			a.role += role
		}
	}
	if m.value("fairlead_flips_total", "group", "shop", "reason", reason) == 1 {
		a.reason = reason
	}
	a.since = time.UnixMicro(int64(m.value("fairlead_pointer_since_timestamp_seconds", "group", "shop") * 1e6))
	return a
}

// ofTable reads the row of a table that "fairlead status" prints.
func (w *overseen) ofTable(g *adminapi.Group) told {
	w.t.Helper()
	table := w.cli("status")
	column := -1 // where the reasons begin
	for row := range strings.Lines(table) {
		f := strings.Fields(row)
		switch {
		case strings.HasPrefix(row, "GROUP "):
			column = strings.Index(row, "REASON")
		case len(f) >= 5 && f[0] == "shop" && column > 0:
			reason := strings.Fields(row[column:])[0]
			return told{"the table of fairlead status", f[1], f[2], g.Generation, reason, g.Since} // no more is in it
		}
	}
	w.t.Fatalf("fairlead status has no row of the group shop:\n%s", table)
	return told{}
}

// flips are the flips that a window knows, newest first.
func flips(events []adminapi.Event) []adminapi.Event {
	return ofKind(events, "flip")
}

func ofKind(events []adminapi.Event, kind string) (found []adminapi.Event) {
	for _, e := range events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// sameStory compares all that is said of the pointer now that it has moved.
func (w *overseen) sameStory(flip line) {
	w.t.Helper()
	log := w.ofLog(flip)
	chaos.Await(w.t, patience, "the status after the flip", func() bool {
		return get[adminapi.Status](w, "/v1/status").Groups[0].Generation == log.generation
	})
	status := get[adminapi.Status](w, "/v1/status")
	g := ofGroup("/v1/status", &status.Groups[0])
	log.compare(w.t, g)
	w.ofMetrics(log.reason).compare(w.t, g)
	w.ofTable(&status.Groups[0]).compare(w.t, g)
	var printed adminapi.Status
	if err := json.Unmarshal([]byte(w.cli("status", "--json")), &printed); err != nil {
		w.t.Fatal(err)
	}
	ofGroup("fairlead status --json", &printed.Groups[0]).compare(w.t, g)

	event := flips(get[[]adminapi.Event](w, "/v1/events"))[0]
	ofEvent("/v1/events", &event).compare(w.t, g)
	if !event.Time.Equal(status.Groups[0].Since) {
		w.t.Errorf("the event is of %v, but the pointer is there since %v", event.Time, status.Groups[0].Since)
	}
	var last adminapi.Event
	if err := json.Unmarshal([]byte(w.cli("events", "--json", "--kind", "flip", "-n", "1")), &last); err != nil {
		w.t.Fatal(err)
	}
	ofEvent("fairlead events --json", &last).compare(w.t, g)
	if text := w.cli("events", "--kind", "flip", "-n", "1"); !strings.Contains(text, event.Text) {
		w.t.Errorf("fairlead events says %q, want %q in it", text, event.Text)
	}
	if explained := get[adminapi.Explanation](w, "/v1/explain?method=GET&url=/product/1"); explained.First != log.target {
		w.t.Errorf("/v1/explain says that a request goes to %q first, want %q", explained.First, log.target)
	}
}

// sameVerdict compares what is said of an origin.
func (w *overseen) sameVerdict(origin, verdict string, n int) {
	w.t.Helper()
	said := w.first("verdict", line{"origin": origin, "to": verdict})
	status := get[adminapi.Status](w, "/v1/status")
	m := w.scrape()
	for i := range status.Origins {
		if o := &status.Origins[i]; o.Name == origin && o.Verdict != verdict {
			w.t.Errorf("/v1/status says that %s is %s, the log that it is %s", origin, o.Verdict, verdict)
		}
	}
	if up := m.value("fairlead_origin_up", "origin", origin); (up == 1) != (verdict == "healthy") {
		w.t.Errorf("fairlead_origin_up of %s is %v, and it is %s", origin, up, verdict)
	}
	if m.value("fairlead_origin_verdict", "origin", origin, "verdict", verdict) != 1 {
		w.t.Errorf("/metrics doesn't say that %s is %s", origin, verdict)
	}
	var told []adminapi.Event
	for _, e := range ofKind(get[[]adminapi.Event](w, "/v1/events"), "verdict") {
		if e.Origin == origin && e.To == verdict {
			told = append(told, e)
		}
	}
	if len(told) != n || w.said("verdict", line{"origin": origin, "to": verdict}) != n {
		w.t.Fatalf("%d events that %s is %s, and %d lines of the log, want %d", len(told), origin, verdict, w.said("verdict", line{"origin": origin, "to": verdict}), n)
	}
	first := told[len(told)-1]
	if len(first.Evidence) == 0 || first.Evidence[len(first.Evidence)-1].OK != (verdict == "healthy") {
		w.t.Errorf("the evidence that %s is %s: %+v", origin, verdict, first.Evidence)
	}
	if cause, _ := said["error"].(string); first.Cause != cause {
		w.t.Errorf("/v1/events says that %s is %s since %q, the log since %q", origin, verdict, first.Cause, cause)
	}
}
