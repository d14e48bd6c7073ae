package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/fairlead/fairlead/internal/chaos/timeline"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// night is a report of every kind of scenario, the worst not first.
func night() *Report {
	return &Report{
		Title: "Chaos suite", Made: "4 March 2026, fairlead 1.2.0, 2 cores",
		Scenarios: []Scenario{
			{Name: "connect_refused", Text: "The primary refuses.", Proves: []string{"GET hides an outage", "POST is sent once"}, Outcome: Held,
				Took: 20 * time.Second, Figures: []Figure{{"time to flip", "1.2 s"}},
				Steps:   []Step{{6 * time.Second, "eu refuses connections", true}, {7200 * time.Millisecond, "the pointer is on us", true}},
				Picture: &timeline.Picture{Start: noon, End: noon.Add(20 * time.Second), Requests: []timeline.Request{{At: noon, Origin: "us", Result: timeline.FailedOver}}}},
			{Name: "syn_blackhole", Outcome: Skipped, Why: "needs root"},
			{Name: "hang", Outcome: Broken, Why: "3 of 400 requests hung\nsee /order/7", Took: 1500 * time.Millisecond,
				Steps:   []Step{{time.Second, "no request hangs", false}},
				Picture: &timeline.Picture{Title: "A stall", Start: noon, End: noon.Add(time.Second), Requests: []timeline.Request{{At: noon, Origin: "eu", Result: timeline.FailedOver}}}},
			{Name: "flap", Outcome: Held},
		},
	}
}

func TestMarkdownTellsEverythingAndWhatIsBrokenFirst(t *testing.T) {
	const want = `# Chaos suite

4 March 2026, fairlead 1.2.0, 2 cores

1 broken, 1 skipped, 2 held, of 4 scenarios that took 21.5s together.

| Outcome | Scenario | Took | Why |
|---|---|--:|---|
| **broken** | [hang](#s-hang) | 1.5s | 3 of 400 requests hung<br>see /order/7 |
| **skipped** | [syn_blackhole](#s-syn_blackhole) |  | needs root |
| held | [connect_refused](#s-connect_refused) | 20s |  |
| held | [flap](#s-flap) |  |  |

<a id="s-hang"></a>

## hang

**broken**: 3 of 400 requests hung<br>see /order/7

![Timeline of hang](<the%20pictures/hang.svg>)

| Time | Step | |
|--:|---|---|
| 1.000 s | no request hangs | **not as expected** |

<a id="s-syn_blackhole"></a>

## syn_blackhole

**skipped**: needs root

<a id="s-connect_refused"></a>

## connect_refused

held

The primary refuses.

Promises:

- GET hides an outage
- POST is sent once

![Timeline of connect_refused](<the%20pictures/connect_refused.svg>)

| Figure | Value |
|---|---|
| time to flip | 1.2 s |

| Time | Step | |
|--:|---|---|
| 6.000 s | eu refuses connections |  |
| 7.200 s | the pointer is on us |  |

<a id="s-flap"></a>

## flap

held
`
	if got := string(night().Markdown("the pictures")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// page is a parsed page.
type page struct{ root *html.Node }

func parsePage(t *testing.T, content []byte) page {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return page{root}
}

// all returns the elements of a tag, in the page's order.
func (p page) all(tag string) (found []*html.Node) {
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == tag {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, key string) (value string, has bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func TestThePageFoldsTheScenariosAndOpensTheBroken(t *testing.T) {
	p := parsePage(t, night().HTML())
	var ids, open, links []string
	for _, d := range p.all("details") {
		id, _ := attr(d, "id")
		ids = append(ids, "#"+id)
		if _, has := attr(d, "open"); has {
			open = append(open, "#"+id)
		}
	}
	for _, a := range p.all("a") {
		href, _ := attr(a, "href")
		links = append(links, href)
	}
	want := []string{"#s-hang", "#s-syn_blackhole", "#s-connect_refused", "#s-flap"}
	if !slices.Equal(ids, want) || !slices.Equal(links, want) {
		t.Errorf("scenarios %v and links %v, want %v for both", ids, links, want)
	}
	if !slices.Equal(open, want[:1]) {
		t.Errorf("open are %v, want what is broken alone", open)
	}
	whole := words(p.root)
	for _, want := range []string{
		"1 broken, 1 skipped, 2 held, of 4 scenarios that took 21.5s together.", "4 March 2026, fairlead 1.2.0, 2 cores",
		"The primary refuses.", "POST is sent once", "time to flip", "1.2 s", "7.200 s", "the pointer is on us", "needs root",
		"no request hangs not as expected",
	} {
		if !strings.Contains(whole, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestThePageNeedsNothingElse(t *testing.T) {
	p := parsePage(t, night().HTML())
	for _, tag := range []string{"script", "link", "img", "iframe", "object", "base", "form"} {
		if n := len(p.all(tag)); n > 0 {
			t.Errorf("the page has %d <%s>", n, tag)
		}
	}
	for n := range p.root.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "src" || strings.HasPrefix(a.Key, "on") || a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	if strings.Contains(styleSheet, "url(") || strings.Contains(styleSheet, "@import") {
		t.Error("the style sheet fetches something")
	}
}

func TestPicturesOfAPageShareNoIDs(t *testing.T) {
	p := parsePage(t, night().HTML())
	if n := len(p.all("svg")); n != 2 {
		t.Fatalf("%d pictures, want 2", n)
	}
	seen := make(map[string]bool)
	for n := range p.root.Descendants() {
		if id, has := attr(n, "id"); has {
			if seen[id] {
				t.Errorf("two elements have the id %q", id)
			}
			seen[id] = true
		}
	}
	// Each fills with a pattern of its own: the other's may be folded away, and then it draws nothing.
	for _, svg := range p.all("svg") {
		own := make(map[string]bool)
		filled := 0
		for n := range svg.Descendants() {
			if id, has := attr(n, "id"); has {
				own["url(#"+id+")"] = true
			}
			if fill, has := attr(n, "fill"); has && strings.HasPrefix(fill, "url(") {
				filled++
				if !own[fill] {
					t.Errorf("a picture is filled with %s, which is not in it", fill)
				}
			}
		}
		if filled == 0 {
			t.Error("a picture with a failover has no pattern")
		}
	}
}

func TestAnUnknownOutcomeIsBroken(t *testing.T) {
	r := &Report{Scenarios: []Scenario{{Name: "a", Outcome: Held}, {Name: "b", Why: "It stopped."}, {Name: "c", Outcome: "fine"}}}
	got := string(r.Markdown("pictures"))
	for _, want := range []string{
		"2 broken, 0 skipped, 1 held, of 3 scenarios.\n",
		"| **broken** | [b](#s-b) |  | The outcome \"\" is none of broken, weak, skipped, unavoidable, held. It stopped. |\n",
		"| **broken** | [c](#s-c) |  | The outcome \"fine\" is none of broken, weak, skipped, unavoidable, held. |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report does not say %q:\n%s", want, got)
		}
	}
}

func TestHostileTextsAreOnlyText(t *testing.T) {
	const evil = "</style></h2><script>alert(1)</script><img src=x onerror=y>\" | `x` [y](http://z) \u202e\x00"
	r := &Report{Title: evil, Made: evil, Scenarios: []Scenario{{
		Name: evil, Text: evil, Proves: []string{evil}, Outcome: evil, Why: evil, Took: time.Second,
		Figures: []Figure{{evil, evil}}, Steps: []Step{{0, evil, false}},
		Picture: &timeline.Picture{Spans: []timeline.Span{{Track: evil, Value: evil}}},
	}}}
	p := parsePage(t, r.HTML())
	if len(p.all("script")) > 0 || len(p.all("img")) > 0 || len(p.all("h2")) != 1 || len(p.all("details")) != 1 {
		t.Error("a hostile text became a part of the page")
	}
	if got := words(p.all("h2")[0]); got != strings.NewReplacer("\u202e", "\ufffd", "\x00", "\ufffd").Replace(evil) {
		t.Errorf("the heading says %q", got)
	}
	markdown := string(r.Markdown("pictures"))
	for _, never := range []string{"<script", "<img", "[y](", " | `x`", "\x00", "\u202e"} {
		if strings.Contains(markdown, never) {
			t.Errorf("the Markdown contains %q", never)
		}
	}
	for line := range strings.Lines(markdown) {
		cells := strings.Count(line, "|") - strings.Count(line, `\|`)
		if strings.HasPrefix(line, "|") && !slices.Contains([]int{3, 4, 5}, cells) {
			t.Errorf("a row has %d borders: %s", cells, line)
		}
	}
}

func TestPlainSaysWhatItWasGiven(t *testing.T) {
	tests := []struct{ give, want string }{
		{"connect_refused", "connect_refused"},
		{"_x_ a_b", `\_x\_ a_b`},
		{"- a", `\- a`},
		{"1. a", `1\. a`},
		{"1.5 s", "1.5 s"},
		{"-5 ms", "-5 ms"},
		{"## a", `\## a`},
		{"---", `\---`},
		{"a*b|c`d~e\\", "a\\*b\\|c\\`d\\~e\\\\"},
		{" a\n\tb ", "a<br> b"},
		{"a < b & c", "a &lt; b &amp; c"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := plain(tt.give); got != tt.want {
			t.Errorf("plain(%q) = %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestSlugsAreNamesForEverySystem(t *testing.T) {
	used := make(map[string]bool)
	tests := []struct{ give, want string }{
		{"connect_refused", "connect_refused"},
		{"Connect_Refused", "connect_refused-2"}, // the same file where case does not count
		{"connect_refused", "connect_refused-3"},
		{"../../etc/passwd", "etc-passwd"},
		{"5xx, singly", "5xx--singly"},
		{"", "scenario"},
		{"二つ", "scenario-2"},
		{"NUL", "scenario-nul"},
		{"com1", "scenario-com1"},
		{"console", "console"},
		{strings.Repeat("a", 200), strings.Repeat("a", 80)},
	}
	for _, tt := range tests {
		if got := slug(tt.give, used); got != tt.want {
			t.Errorf("slug(%.20q) = %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestWriteWritesAReportThatFindsItsPictures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	r := night()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	markdown, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hang", "connect_refused"} {
		if !bytes.Contains(markdown, []byte("(<pictures/"+name+".svg>)")) {
			t.Errorf("the report does not refer to the picture of %s", name)
		}
		svg, err := os.ReadFile(filepath.Join(dir, "pictures", name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.NewDecoder(bytes.NewReader(svg)).Decode(new(struct{})); err != nil && err != io.EOF {
			t.Errorf("the picture of %s: %v", name, err)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil || !bytes.Equal(page, r.HTML()) {
		t.Errorf("the page is not as written: %v", err)
	}
	if r.Scenarios[0].Picture.Title != "" || r.Scenarios[0].Picture.Prefix != "" {
		t.Error("the caller's picture was changed")
	}
	if err := r.Write(dir); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestWriteSaysWhereItCouldNot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := night().Write(file)
	if err == nil || !strings.HasPrefix(err.Error(), "write report: ") || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}

func TestAReportOfNothingSaysSo(t *testing.T) {
	r := &Report{Title: "Drill"}
	const want = "# Drill\n\n0 broken, 0 skipped, 0 held, of 0 scenarios.\n"
	if got := string(r.Markdown("")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p := parsePage(t, r.HTML()); len(p.all("table")) != 0 || !strings.Contains(words(p.root), "of 0 scenarios.") {
		t.Error("the page of an empty report has a table or no count")
	}
}

func TestWhatIsWeakOrUnavoidableStandsBetweenBrokenAndHeld(t *testing.T) {
	r := Report{Scenarios: []Scenario{
		{Name: "a", Outcome: Held}, {Name: "u", Outcome: Unavoidable}, {Name: "b", Outcome: Weak, Why: "slow"}, {Name: "c", Outcome: Broken},
	}}
	for _, page := range []string{string(r.Markdown("pictures")), string(r.HTML())} {
		if !strings.Contains(page, "1 broken, 1 weak, 0 skipped, 1 unavoidable, 1 held, of 4 scenarios") {
			t.Errorf("the counts are not told:\n%s", page)
		}
		var at []int
		for _, name := range []string{"c", "b", "u", "a"} {
			at = append(at, strings.Index(page, "#s-"+name))
		}
		if at[0] < 0 || !slices.IsSorted(at) {
			t.Errorf("the order is %d, want broken, weak, unavoidable, held:\n%s", at, page)
		}
	}
}
