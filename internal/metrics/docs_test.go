package metrics

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const docs = "../../docs/"

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

var row = regexp.MustCompile("(?m)^\\| `(fairlead_[a-z0-9_]+)` \\| ([a-z]+) \\| (.*?) ?\\| (.*) \\|$")

func TestTheDocumentedMetricsAreTheRealOnes(t *testing.T) {
	text := contents(t, docs+"metrics.md")
	documented := make(map[string]bool)
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		name, labels := m[1], strings.FieldsFunc(m[3], func(r rune) bool { return strings.ContainsRune("`, ", r) })
		i := slices.IndexFunc(families, func(f family) bool { return f.name == name })
		if i < 0 {
			t.Errorf("docs/metrics.md has %s, which there is not", name)
			continue
		}
		f := &families[i]
		if m[2] != string(f.kind) || !slices.Equal(labels, f.labels) && len(labels)+len(f.labels) > 0 || m[4] != f.help {
			t.Errorf("docs/metrics.md has\n%s\nwant %s, %q, %q", m[0], f.kind, f.labels, f.help)
		}
		if documented[name] {
			t.Errorf("docs/metrics.md has %s twice", name)
		}
		documented[name] = true
	}
	for _, f := range families {
		if !documented[f.name] {
			t.Errorf("docs/metrics.md lacks %s", f.name)
		}
	}
	all := everyMetric(t)
	for _, m := range regexp.MustCompile(`fairlead_[a-z0-9_]+[a-z0-9]`).FindAllString(text, -1) {
		if _, ok := all[m]; !ok && m != "fairlead_pointer" {
			t.Errorf("docs/metrics.md speaks of %s, which there is not", m)
		}
	}
}

// A panel of the dashboard, and a query of its variables or annotations.
type panel struct {
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct{ Expr, LegendFormat string }
	FieldConfig              struct{ Defaults struct{ Unit string } }
}

type dashboard struct {
	Title         string
	SchemaVersion int
	Panels        []panel
	Annotations   struct{ List []struct{ Expr string } }
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
		}
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(contents(t, docs+"grafana-dashboard.json")), &d); err != nil {
		t.Fatalf("docs/grafana-dashboard.json: %v", err)
	}
	return d
}

// expressions are all that the dashboard asks Prometheus.
func (d *dashboard) expressions() map[string][]string {
	all := make(map[string][]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all["annotations"] = append(all["annotations"], a.Expr)
	}
	return all
}

func TestTheDashboardAsksForMetricsThatThereAre(t *testing.T) {
	d, all := readDashboard(t), everyMetric(t)
	for title, exprs := range d.expressions() {
		for _, expr := range exprs {
			for _, p := range problems(all, expr) {
				t.Errorf("panel %q: %s, in %s", title, p, expr)
			}
		}
	}
	values := regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type == "datasource" {
			continue
		}
		m := values.FindStringSubmatch(v.Definition)
		if m == nil {
			t.Errorf("variable %q asks for %q", v.Name, v.Definition)
			continue
		}
		for _, p := range problems(all, "sum by ("+m[2]+") ("+m[1]+")") {
			t.Errorf("variable %q: %s", v.Name, p)
		}
	}
}

func TestTheDashboardDrawsAllThatGroupsRoutesAndOriginsHave(t *testing.T) {
	d := readDashboard(t)
	var asked strings.Builder
	for _, exprs := range d.expressions() {
		asked.WriteString(strings.Join(exprs, "\n") + "\n")
	}
	for _, v := range d.Templating.List {
		asked.WriteString(v.Definition + "\n")
	}
	for _, f := range families {
		theirs := slices.ContainsFunc(f.labels, func(label string) bool { return slices.Contains([]string{"group", "route", "origin"}, label) })
		if f.name == "fairlead_queue_limit" { // a setting, which says less than who waits
			continue
		}
		if theirs && !strings.Contains(asked.String(), f.name) {
			t.Errorf("no panel of the dashboard has %s", f.name)
		}
	}
}

func TestEveryPanelHasAUnitADescriptionAndAPlaceOfItsOwn(t *testing.T) {
	d := readDashboard(t)
	if d.SchemaVersion < 39 {
		t.Errorf("schemaVersion %d is older than Grafana 11", d.SchemaVersion)
	}
	variables := []string{"$__rate_interval", "$datasource"}
	for _, v := range d.Templating.List {
		variables = append(variables, "$"+v.Name)
	}
	taken := make(map[[2]int]string)
	panels := 0
	for _, p := range d.Panels {
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[at]; ok {
					t.Fatalf("panels %q and %q lie on each other", other, p.Title)
				}
				taken[at] = p.Title
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q goes over the edge", p.Title)
		}
		if p.Type == "row" {
			continue
		}
		panels++
		if len(p.Description) < 20 || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" && p.Type != "state-timeline" {
			t.Errorf("panel %q lacks a description, a query or a unit", p.Title)
		}
		for _, target := range p.Targets {
			for _, v := range regexp.MustCompile(`\$[a-z_]+`).FindAllString(target.Expr, -1) {
				if !slices.Contains(variables, v) {
					t.Errorf("panel %q uses the variable %s, which there is not", p.Title, v)
				}
			}
		}
	}
	if panels < 20 {
		t.Errorf("only %d panels", panels)
	}
}

type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readAlerts(t *testing.T) []alert {
	t.Helper()
	var f struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(contents(t, docs+"alerts.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		t.Fatalf("docs/alerts.yml: %v", err)
	}
	var all []alert
	for _, g := range f.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func TestTheAlertsLookAtMetricsThatThereAre(t *testing.T) {
	all := everyMetric(t)
	for _, r := range readAlerts(t) {
		for _, p := range problems(all, r.Expr) {
			t.Errorf("%s: %s", r.Alert, p)
		}
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range readAlerts(t) {
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Fairlead") {
			t.Errorf("%q is there twice, or has no name of ours", r.Alert)
		}
		seen[r.Alert] = true
		if r.For == "" || len(r.Annotations["summary"]) < 20 || len(r.Annotations["runbook"]) < 100 {
			t.Errorf("%s lacks for, summary or runbook", r.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
		}
		labels := metricLabels(t, r.Expr)
		for _, m := range regexp.MustCompile(`\$labels\.([a-z]+)`).FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["runbook"], -1) {
			if !slices.Contains(labels, m[1]) {
				t.Errorf("%s speaks of the label %s, which its expression has not", r.Alert, m[1])
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d alerts", len(seen))
	}
}

// metricLabels are the labels that samples of an expression may have: those that
// it sums by, or all of its metrics'.
func metricLabels(t *testing.T, expr string) []string {
	if m := regexp.MustCompile(`^\s*(?:sum|max) by \(([^)]*)\)`).FindStringSubmatch(expr); m != nil {
		return strings.Split(m[1], ", ")
	}
	labels, all := []string{"job", "instance"}, everyMetric(t)
	for _, u := range reading(expr).uses {
		labels = append(labels, all[u.metric].labels...)
	}
	return labels
}

// promtool runs Prometheus's own checker, where it is installed.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package prometheus has it)")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolTakesThePage(t *testing.T) {
	s := everything(2)
	w := httptest.NewRecorder()
	New(func() Snapshot { return s }).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", http.NoBody))
	promtool(t, w.Body.String(), "check", "metrics")
}

func TestPromtoolTakesTheAlerts(t *testing.T) {
	promtool(t, "", "check", "rules", docs+"alerts.yml")
}

func TestPromtoolSeesEachAlertFire(t *testing.T) {
	tested := contents(t, "testdata/alerts_test.yml")
	for _, r := range readAlerts(t) {
		if !strings.Contains(tested, `expr: ALERTS{alertname="`+r.Alert+`"}`) {
			t.Errorf("testdata/alerts_test.yml does not show %s", r.Alert)
		}
	}
	promtool(t, "", "test", "rules", "testdata/alerts_test.yml")
}

// TestPromtoolTakesTheDashboardsExpressions hands them to promtool as recording
// rules, with values for the variables.
func TestPromtoolTakesTheDashboardsExpressions(t *testing.T) {
	type recording struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	g := struct {
		Name  string      `yaml:"name"`
		Rules []recording `yaml:"rules"`
	}{Name: "dashboard"}
	values := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$group", ".*", "$route", ".*", "$origin", ".*")
	d := readDashboard(t)
	for _, exprs := range d.expressions() {
		for _, expr := range exprs {
			g.Rules = append(g.Rules, recording{"fairlead:expression", values.Replace(expr)})
		}
	}
	b, err := yaml.Marshal(map[string][]any{"groups": {g}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", "--lint=none", file)
}
