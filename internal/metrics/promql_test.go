package metrics

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A use is a metric in a PromQL expression: its name, the labels that choose its
// samples, and the function right around it, if any.
type use struct {
	metric   string
	labels   []string
	function string
}

// query is what an expression names.
type query struct {
	uses []use
	// joins are labels of by, without, on, ignoring, group_left and group_right.
	joins []string
}

var (
	token   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\$__[a-z_]+|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9a-z.]*|=~|!~|!=|>=|<=|==|[-+*/%^<>=(){}\[\],@:]`)
	isName  = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	joining = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	words   = []string{"and", "or", "unless", "bool", "offset"}
)

// reading reads the names out of a PromQL expression. It knows no more of the
// grammar than that; whether the expression is one, promtool says.
func reading(expr string) query {
	var q query
	tokens := token.FindAllString(expr, -1)
	for i := 0; i < len(tokens); i++ {
		name := tokens[i]
		switch {
		case !isName.MatchString(name) || slices.Contains(words, name):
		case slices.Contains(joining, name):
			for i++; i+1 < len(tokens) && tokens[i] != ")"; i++ {
				if isName.MatchString(tokens[i]) {
					q.joins = append(q.joins, tokens[i])
				}
			}
		case i+1 < len(tokens) && (tokens[i+1] == "(" || slices.Contains(joining, tokens[i+1])): // a function
		default:
			u := use{metric: name}
			if i >= 2 && tokens[i-1] == "(" && isName.MatchString(tokens[i-2]) {
				u.function = tokens[i-2]
			}
			if i+1 < len(tokens) && tokens[i+1] == "{" {
				for i++; i < len(tokens) && tokens[i] != "}"; i++ {
					if isName.MatchString(tokens[i]) {
						u.labels = append(u.labels, tokens[i])
					}
				}
			}
			q.uses = append(q.uses, u)
		}
	}
	return q
}

func TestTheReaderOfPromQLFindsNamesAndLabels(t *testing.T) {
	q := reading(`topk(10, sum by (route, le) (rate(a_total{route=~"b{x=\"}", result!="shed"}[$__rate_interval]))) / on (job) group_left () c_bytes offset 5m > 0.5 or time() - d`)
	want := []use{{"a_total", []string{"route", "result"}, "rate"}, {metric: "c_bytes"}, {metric: "d"}}
	if !slices.EqualFunc(q.uses, want, func(a, b use) bool {
		return a.metric == b.metric && a.function == b.function && slices.Equal(a.labels, b.labels)
	}) {
		t.Errorf("uses %+v", q.uses)
	}
	if !slices.Equal(q.joins, []string{"route", "le", "job"}) {
		t.Errorf("joins %q", q.joins)
	}
}

// A known is a metric that an expression may use.
type known struct {
	kind   kind
	labels []string
}

// everyMetric are all that a scrape shows, those of the runtime included.
// Labels of the target are Prometheus's.
func everyMetric(t *testing.T) map[string]known {
	t.Helper()
	all := map[string]known{
		"up": {kind: gauge},
		// Not every system has them.
		"process_open_fds": {kind: gauge}, "process_max_fds": {kind: gauge},
		"process_resident_memory_bytes": {kind: gauge}, "process_cpu_seconds_total": {kind: counter},
	}
	for _, f := range families {
		all[f.name] = known{f.kind, f.labels}
	}
	gathered, err := New(func() Snapshot { return Snapshot{} }).runtime.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range gathered {
		k := known{kind: kind(strings.ToLower(f.GetType().String()))}
		for _, l := range f.GetMetric()[0].GetLabel() {
			k.labels = append(k.labels, l.GetName())
		}
		all[f.GetName()] = k
	}
	return all
}

// problems are what is wrong with the names in an expression.
func problems(all map[string]known, expr string) (wrong []string) {
	q := reading(expr)
	labels := []string{"job", "instance"}
	for _, u := range q.uses {
		name := u.metric
		m, ok := all[name]
		if !ok {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base, cut := strings.CutSuffix(name, suffix); cut && all[base].kind == histogram {
					m, ok = known{counter, append([]string{"le"}, all[base].labels...)}, true
				}
			}
		}
		if !ok {
			wrong = append(wrong, "there is no metric "+name)
			continue
		}
		for _, l := range u.labels {
			if !slices.Contains(m.labels, l) && l != "job" && l != "instance" {
				wrong = append(wrong, name+" has no label "+l)
			}
		}
		if rising := u.function == "rate" || u.function == "increase"; rising != (m.kind == counter) {
			wrong = append(wrong, name+" is a "+string(m.kind)+", in "+u.function+"()")
		}
		labels = append(labels, m.labels...)
	}
	for _, l := range q.joins {
		if !slices.Contains(labels, l) {
			wrong = append(wrong, "no metric here has the label "+l)
		}
	}
	if len(q.uses) == 0 {
		wrong = append(wrong, "it uses no metric")
	}
	return wrong
}

func TestWrongExpressionsAreFound(t *testing.T) {
	all := everyMetric(t)
	for give, want := range map[string]string{
		`fairlead_no_such > 0`:                               "there is no metric fairlead_no_such",
		`fairlead_origin_up{host="a"}`:                       "fairlead_origin_up has no label host",
		`sum by (host) (fairlead_origin_up)`:                 "no metric here has the label host",
		`rate(fairlead_origin_up[5m])`:                       "fairlead_origin_up is a gauge, in rate()",
		`fairlead_saved_requests_total > 0`:                  "fairlead_saved_requests_total is a counter, in ()",
		`rate(fairlead_request_duration_seconds_middle[1m])`: "there is no metric fairlead_request_duration_seconds_middle",
		`1 > 0`: "it uses no metric",
	} {
		if got := problems(all, give); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", give, got, want)
		}
	}
	if got := problems(all, `histogram_quantile(0.9, sum by (le, result) (rate(fairlead_request_duration_seconds_bucket{route="a",le!="1"}[5m])))`); got != nil {
		t.Errorf("a good expression: %q", got)
	}
}
