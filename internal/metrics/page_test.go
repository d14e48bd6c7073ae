package metrics

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"pgregory.net/rapid"
)

func TestEveryMetricIsShownWithItsHelpTypeAndLabels(t *testing.T) {
	s := everything(2)
	shown := parsed(t, text(t, &s))
	if len(shown) != len(families) {
		t.Errorf("%d metrics are shown, %d are known", len(shown), len(families))
	}
	for _, f := range families {
		m := shown[f.name]
		if m == nil {
			t.Errorf("%s is not shown, with a snapshot that has everything", f.name)
			continue
		}
		if m.GetHelp() != f.help || len(f.help) < 10 || !strings.HasSuffix(f.help, ".") || strings.ContainsAny(f.help, "\\\n") {
			t.Errorf("%s: help %q", f.name, m.GetHelp())
		}
		if got := strings.ToLower(m.GetType().String()); got != string(f.kind) {
			t.Errorf("%s is a %s, want a %s", f.name, got, f.kind)
		}
		for _, sample := range m.GetMetric() {
			var names []string
			for _, l := range sample.GetLabel() {
				names = append(names, l.GetName())
			}
			if !slices.Equal(names, f.labels) {
				t.Errorf("%s has the labels %q, want %q", f.name, names, f.labels)
			}
		}
	}
}

func TestThePageSaysWhatTheSnapshotSays(t *testing.T) {
	s := everything(1)
	page := text(t, &s)
	for _, want := range []string{
		`fairlead_build_info{version="v1.2.3",goversion="go1.26.0"} 1`,
		`fairlead_start_time_seconds 1.763867655926e+09`,
		`fairlead_requests_total{route="route-00000",result="failed_over"} 101`,
		`fairlead_request_duration_seconds_bucket{route="route-00000",result="served",le="0.0005"} 0`,
		`fairlead_request_duration_seconds_bucket{route="route-00000",result="served",le="0.0025"} 3.703701e+06`,
		`fairlead_request_duration_seconds_bucket{route="route-00000",result="served",le="30"} 1.29629535e+08`,
		`fairlead_request_duration_seconds_bucket{route="route-00000",result="served",le="+Inf"} 1.4814804e+08`,
		`fairlead_request_duration_seconds_sum{route="route-00000",result="served"} 1.234567`,
		`fairlead_request_duration_seconds_count{route="route-00000",result="served"} 1.4814804e+08`,
		`fairlead_attempts_total{route="route-00000",origin="us",class="connect_refused"} 2002`,
		`fairlead_breaker_state{route="route-00000",origin="eu",state="half-open"} 1`,
		`fairlead_breaker_state{route="route-00000",origin="eu",state="closed"} 0`,
		`fairlead_origin_up{origin="eu"} 0`,
		`fairlead_origin_up{origin="us"} 1`,
		`fairlead_origin_verdict{origin="us",verdict="unchecked"} 1`,
		`fairlead_origin_connections_limit{origin="eu"} 200`,
		`fairlead_probe_duration_seconds{origin="eu"} 0.003`,
		`fairlead_pointer_target{group="shop",role="primary",origin="eu"} 0`,
		`fairlead_pointer_target{group="shop",role="secondary",origin="us"} 1`,
		`fairlead_pointer_target{group="plain",role="none",origin=""} 1`,
		`fairlead_flips_total{group="shop",reason="primary_down"} 51`,
		`fairlead_flips_total{group="plain",reason="primary_down"} 0`,
		`fairlead_drill_share{group="shop"} 0.05`,
		`fairlead_drill_share{group="plain"} 0`,
		`fairlead_drill_requests_total{group="shop",result="rescued"} 59`,
		`fairlead_certificate_not_after_timestamp_seconds{file="/etc/fairlead/site.pem"} 1.763867655926e+09`,
		`fairlead_nameserver_responses_total{transport="udp",rcode="NXDOMAIN"} 113`,
		`fairlead_config_last_reload_successful 0`,
	} {
		want = strings.ReplaceAll(want, "1.763867655926e+09", string(appendFloat(nil, float64(morning.UnixMilli())/1e3)))
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("the page has no line %s", want)
		}
	}
	for _, none := range []string{
		`fairlead_breaker_state{route="route-00000",origin="us"`, // it is off
		`fairlead_origin_connections_limit{origin="us"}`,         // there is none
		`fairlead_probes_total{origin="us"`,                      // unchecked
		`fairlead_pointer_target{group="plain",role="secondary"`,
	} {
		if strings.Contains(page, none) {
			t.Errorf("the page has a sample %s, of what there is not", none)
		}
	}
}

// strict hands families to client_golang's registry as constant metrics.
type strict map[string]*dto.MetricFamily

func (s strict) Describe(chan<- *prometheus.Desc) {}

func (s strict) Collect(ch chan<- prometheus.Metric) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		family := s[name]
		var desc *prometheus.Desc
		for _, m := range family.GetMetric() {
			var names, values []string
			for _, l := range m.GetLabel() {
				names, values = append(names, l.GetName()), append(values, l.GetValue())
			}
			if desc == nil {
				desc = prometheus.NewDesc(name, family.GetHelp(), names, nil)
			}
			switch {
			case m.GetHistogram() != nil:
				buckets := make(map[float64]uint64)
				for _, b := range m.GetHistogram().GetBucket() {
					buckets[b.GetUpperBound()] = b.GetCumulativeCount()
				}
				ch <- prometheus.MustNewConstHistogram(desc, m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum(), buckets, values...)
			case m.GetCounter() != nil:
				ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, m.GetCounter().GetValue(), values...)
			default:
				ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, m.GetGauge().GetValue(), values...)
			}
		}
	}
}

// fatal is what testing.T and rapid.T have in common here.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// compareWithClientGolang takes a page through the strictest registry there is,
// which refuses duplicates and inconsistent labels, and compares each line with
// what client_golang writes itself.
func compareWithClientGolang(t fatal, ours string, parsed map[string]*dto.MetricFamily) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(strict(parsed))
	all, err := r.Gather()
	if err != nil {
		t.Fatalf("client_golang refuses the page: %v", err)
	}
	var theirs bytes.Buffer
	encoder := expfmt.NewEncoder(&theirs, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range all {
		if err := encoder.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	got, want := sortedLines(ours), sortedLines(theirs.String())
	for i := range max(len(got), len(want)) {
		if g, w := at(got, i), at(want, i); g != w {
			t.Fatalf("we write\n%s\nclient_golang writes\n%s", g, w)
		}
	}
}

func TestThePageIsWhatClientGolangWrites(t *testing.T) {
	s := everything(3)
	page := text(t, &s)
	compareWithClientGolang(t, page, parsed(t, page))
}

func TestAnyNamesAndNumbersAreWrittenAsClientGolangDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := Snapshot{
			Bounds:       bounds[:2],
			Refused:      rapid.Uint64().Draw(rt, "refused"),
			Certificates: []Certificate{{string(rapid.SliceOf(rapid.Byte()).Draw(rt, "file")), time.UnixMilli(rapid.Int64().Draw(rt, "end"))}},
			Origins:      []Origin{{Name: "eu", LastProbe: time.Duration(rapid.Int64Min(1).Draw(rt, "probe"))}},
			Routes: []Route{{Name: rapid.String().Draw(rt, "name"), Results: []Result{{Name: "served", Durations: Histogram{
				Counts: rapid.SliceOfN(rapid.Uint64Max(1<<40), 3, 3).Draw(rt, "counts"), Sum: time.Duration(rapid.Int64Min(0).Draw(rt, "sum")),
			}}}}},
		}
		page := text(t, &s)
		compareWithClientGolang(rt, page, parsed(t, page))
	})
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

var labelled = regexp.MustCompile(`([a-z]+)="((?:[^"\\]|\\.)*)",?`)

// sortedLines are a page's lines, each with its labels sorted, since
// client_golang sorts where we keep the order of the configuration.
func sortedLines(page string) []string {
	lines := strings.Split(page, "\n")
	for i, line := range lines {
		if name, rest, found := strings.Cut(line, "{"); found && !strings.HasPrefix(line, "#") {
			inner, value := rest[:strings.LastIndex(rest, "}")], rest[strings.LastIndex(rest, "}")+1:]
			pairs := labelled.FindAllString(inner+",", -1)
			slices.SortFunc(pairs, cmp.Compare)
			lines[i] = name + "{" + strings.Join(pairs, "") + "}" + value
		}
	}
	slices.Sort(lines)
	return lines
}

func TestTheMetricsKeepTheConventionsOfPrometheus(t *testing.T) {
	s := everything(1)
	m := New(func() Snapshot { return s })
	problems, err := testutil.GatherAndLint(prometheus.Gatherers{
		m.runtime,
		prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			return slices.Collect(maps.Values(parsed(t, text(t, &s)))), nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAProcessWithoutRoutesShowsAPage(t *testing.T) {
	page := text(t, &Snapshot{})
	shown := parsed(t, page)
	for _, absent := range []string{"fairlead_requests_total", "fairlead_start_time_seconds", "fairlead_state_kept", "fairlead_nameserver_queries_total"} {
		if shown[absent] != nil {
			t.Errorf("%s is shown, though there is nothing to show", absent)
		}
	}
	if v := shown["fairlead_reloads_total"]; v == nil || v.GetMetric()[0].GetCounter().GetValue() != 0 {
		t.Error("reloads are not shown as 0")
	}
}

func TestAHistogramThatDoesNotFitTheBoundsIsLeftOut(t *testing.T) {
	s := everything(1)
	s.Bounds = s.Bounds[1:]
	if page := text(t, &s); strings.Contains(page, "fairlead_request_duration_seconds") {
		t.Error("a histogram with another number of buckets is shown")
	}
}

// TestEveryFieldOfTheSnapshotShows changes one field after the other and looks
// whether the page is another one.
func TestEveryFieldOfTheSnapshotShows(t *testing.T) {
	s := everything(1)
	before := text(t, &s)
	others := map[string]string{ // of the closed lists
		"healthy": "down", "down": "healthy", "unchecked": "unknown", "half-open": "closed", "off": "open", "none": "primary", "secondary": "primary",
	}
	changed := 0
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		switch v.Kind() {
		case reflect.String:
			next, closed := others[v.String()]
			if !closed {
				next = v.String() + "x"
			}
			v.SetString(next)
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int, reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Uint64:
			v.SetUint(v.Uint() + 1)
		case reflect.Float64:
			v.SetFloat(v.Float() + 1)
		case reflect.Slice:
			for i := range v.Len() {
				walk(path+"[]", v.Index(i))
			}
			return
		case reflect.Pointer:
			walk(path, v.Elem())
			return
		case reflect.Struct:
			if v.Type() != reflect.TypeFor[time.Time]() {
				for i := range v.NumField() {
					walk(path+"."+v.Type().Field(i).Name, v.Field(i))
				}
				return
			}
			v.Set(reflect.ValueOf(morning.Add(time.Hour)))
		default:
			t.Fatalf("%s is a %s, which this test can't change", path, v.Kind())
		}
		changed++
		if text(t, &s) == before {
			t.Errorf("%s does not show", path)
		}
		v.Set(old)
	}
	walk("Snapshot", reflect.ValueOf(&s).Elem())
	if changed < 100 {
		t.Errorf("only %d fields were changed", changed)
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, errors.New("the reader is gone")
	}
	return len(b), nil
}

func TestAReaderThatIsGoneEndsThePageAndTheBufferStaysSmall(t *testing.T) {
	s := everything(2000)
	p := &page{w: &brokenWriter{left: 2}}
	p.write(&s)
	p.flush()
	if p.err == nil {
		t.Error("no error")
	}
	if p.family.name == families[len(families)-1].name {
		t.Error("the page was written to its end")
	}
	if c := cap(p.buf); c > 2*pageBuffer {
		t.Errorf("the buffer has grown to %d bytes", c)
	}
}

func TestAPageAllocatesNothingForEachRoute(t *testing.T) {
	small, large := everything(10), everything(200)
	p := &page{w: discard{}, buf: make([]byte, 0, 2*pageBuffer)}
	few := testing.AllocsPerRun(5, func() { p.write(&small) })
	many := testing.AllocsPerRun(5, func() { p.write(&large) })
	if many > few {
		t.Errorf("%v allocations for 200 routes, %v for 10", many, few)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
