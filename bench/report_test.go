package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// someSizes is a comparison in which fairlead meets one part of its budget and misses another.
func someSizes() []sizeResult {
	sizeOf := func(size int64, own, nginx float64) sizeResult {
		return sizeResult{Size: size, Connections: 64, Rate: 12345, Proxies: []proxyResult{
			{"fairlead", "Fairlead", []float64{own, own + 1, own - 1}, []float64{50000}, []float64{0.97}, []float64{90}, []float64{300}},
			{"nginx", "nginx", []float64{nginx, nginx + 1, nginx - 1}, []float64{40000}, []float64{0.5}, []float64{95}, []float64{250}},
		}}
	}
	return []sizeResult{sizeOf(1<<10, 10, 10), sizeOf(64<<10, 40, 50)}
}

// wantParts wants a text to hold each of these.
func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, want := range parts {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestTheComparisonIsSetAgainstNginxAndTheBudget(t *testing.T) {
	r := compareReport(someSizes())
	text := r.text()
	wantParts(t, text,
		"1 KiB   Fairlead        10.0 µs  1.00 (1.00–1.00)      50,000  97 %  90.0 µs  300 µs          1.20\n",
		"        nginx           10.0 µs  1.00 (1.00–1.00)      40,000  50 %  95.0 µs  250 µs          1.00\n",
		"Budget, CPU a request, 1 KiB, to nginx: at most 1.00, measured 1.00, met.\n",
		"Budget, p99, 1 KiB, to nginx: at most 1.50, measured 1.20, met.\n",
		"Budget, CPU a request, 64 KiB, to nginx: at most 0.75, measured 0.80, missed.\n",
		"for nginx at 1 KiB (50 %), nginx at 64 KiB (50 %).\n",
		"1 KiB: 64 connections, 12,345 requests/s; ",
	)
}

func TestWithoutNginxThereIsNoRatioAndNoVerdict(t *testing.T) {
	sizes := someSizes()
	for i := range sizes {
		sizes[i].Proxies = sizes[i].Proxies[:1]
	}
	text := compareReport(sizes).text()
	if strings.Contains(text, "Budget") || strings.Contains(text, "NaN") || !strings.Contains(text, "–") {
		t.Errorf("got\n%s", text)
	}
}

func TestMarkdownTablesHaveAllCellsInEveryRow(t *testing.T) {
	r := compareReport(someSizes())
	rows := 0
	for line := range strings.Lines(r.markdown()) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		rows++
		if got, want := strings.Count(line, "|"), len(r.Tables[0].Header)+1; got != want {
			t.Errorf("%d bars instead of %d in %s", got, want, line)
		}
	}
	if rows != 6 {
		t.Errorf("%d rows, want a head, a rule and 4", rows)
	}
	if !strings.Contains(r.markdown(), "| **1 KiB** | **Fairlead** | **10.0 µs** |") || !strings.Contains(r.markdown(), "|---|---|---:|") {
		t.Errorf("got\n%s", r.markdown())
	}
}

func TestTheSlowestSetsTheRate(t *testing.T) {
	s := someSizes()[0]
	if got := s.slowest(); got != 40000 {
		t.Errorf("got %v, want 40000", got)
	}
}

func TestIdleConnectionsAreChargedWithTheGrowth(t *testing.T) {
	text := idleReport(1000, []idleResult{
		{"fairlead", "Fairlead", 10 << 20, 10<<20 + 4096*1000},
		{"nginx", "nginx", 1 << 20, 1<<20 + 512*1000},
	}).text()
	wantParts(t, text, "4.0 KiB\n", "0.5 KiB\n", "with 1000 idle", "Budget, KiB for an idle connection: at most 8.0, measured 4.0, met.\n")
}

func TestAPairIsComparedRoundByRound(t *testing.T) {
	p := pairResult{Labels: [2]string{"off", "on"}, CPU: [2][]float64{{10, 30, 10}, {11, 31.5, 12}}}
	if got := p.difference(); got != 1.5 {
		t.Errorf("difference: got %v, want 1.5", got)
	}
	want := [][]string{{"off", "10.0 µs", "1.00 (1.00–1.00)"}, {"on", "12.0 µs", "1.10 (1.05–1.20)"}}
	if got := p.table().Rows; !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFiguresAreReadable(t *testing.T) {
	for _, tt := range []struct{ give, want string }{
		{micros(9.876), "9.9 µs"}, {micros(123.4), "123 µs"}, {micros(9999), "9999 µs"}, {micros(12345), "12.3 ms"}, {micros(median(nil)), "–"},
		{thousands(0), "0"}, {thousands(999), "999"}, {thousands(1000), "1,000"}, {thousands(1234567), "1,234,567"}, {thousands(median(nil)), "–"},
		{percent(0.964), "96 %"},
	} {
		if tt.give != tt.want {
			t.Errorf("got %q, want %q", tt.give, tt.want)
		}
	}
}

func TestASectionIsReplacedAndTheProseStays(t *testing.T) {
	const document = "# Title\n\nBefore.\n\n<!-- bench:idle -->\nold\n<!-- /bench:idle -->\n\nBetween.\n\n<!-- bench:routes -->\n<!-- /bench:routes -->\nAfter.\n"
	once, err := replaceSection(document, "idle", "new")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(document, "old\n", "\nnew\n\n", 1)
	if once != want {
		t.Errorf("got\n%s\nwant\n%s", once, want)
	}
	if twice, err := replaceSection(once, "idle", "new"); twice != once || err != nil {
		t.Errorf("the second time gives\n%s, %v", twice, err)
	}
}

func TestTheDocumentHasAPlaceForEveryReport(t *testing.T) {
	document, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"compare", "tls", "idle", "routes", "accesslog"} {
		if _, err := replaceSection(string(document), section, "new"); err != nil {
			t.Error(err)
		}
	}
}

func TestADocumentWithoutItsMarkersIsLeftAlone(t *testing.T) {
	for _, give := range []string{
		"",
		"<!-- bench:idle -->\n",
		"<!-- /bench:idle -->\n<!-- bench:idle -->\n",
		"<!-- bench:idle -->\n<!-- bench:idle -->\n<!-- /bench:idle -->\n",
	} {
		if got, err := replaceSection(give, "idle", "new"); err == nil {
			t.Errorf("%q became %q", give, got)
		}
	}
}
