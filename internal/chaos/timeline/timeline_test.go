package timeline

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// element is one element of a drawn picture.
type element struct {
	name  string
	attrs map[string]string
	text  string // of itself and of what is in it
}

func (e element) number(t *testing.T, attr string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(e.attrs[attr], 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		t.Fatalf("<%s> has %s=%q, want a number", e.name, attr, e.attrs[attr])
	}
	return v
}

// parse reads a picture as strictly as a browser reads a file of SVG.
func parse(t *testing.T, svg []byte) (all []element) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	var open []int
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: make(map[string]string)}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			open = append(open, len(all))
			all = append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			for _, at := range open {
				all[at].text += string(token)
			}
		}
	}
}

// filled returns the elements with a fill but those that patterns are made of.
func filled(all []element, name, fill string) []element {
	return slices.DeleteFunc(slices.Clone(all), func(e element) bool {
		return e.name != name || e.name == "rect" && e.attrs["x"] == "" || e.attrs["class"] != "tl-"+fill && e.attrs["fill"] != "url(#timeline-"+fill+")"
	})
}

// written returns every text in the picture but the style sheet.
func written(all []element) string {
	var b strings.Builder
	for _, e := range all {
		if e.name == "text" || e.name == "title" {
			b.WriteString(e.text + "\n")
		}
	}
	return b.String()
}

// checkSane holds a picture against what every one must be: alone, harmless, and inside its own frame.
func checkSane(t *testing.T, svg []byte) []element {
	t.Helper()
	all := parse(t, svg)
	known := []string{"svg", "style", "defs", "pattern", "path", "circle", "rect", "line", "text", "title"}
	height := all[0].number(t, "height")
	ids := make(map[string]bool)
	for _, e := range all {
		if !slices.Contains(known, e.name) {
			t.Errorf("the picture has an element <%s>", e.name)
		}
		if e.name == "pattern" {
			ids[e.attrs["id"]] = true
		}
		for attr, value := range e.attrs {
			if attr == "href" || attr == "style" || strings.HasPrefix(attr, "on") || strings.Contains(value, "url(http") {
				t.Errorf("<%s> has %s=%q", e.name, attr, value)
			}
		}
		if id, ok := strings.CutPrefix(e.attrs["fill"], "url(#"); ok && !ids[strings.TrimSuffix(id, ")")] {
			t.Errorf("<%s> is filled with %q, which is not in the picture", e.name, id)
		}
		if e.name == "rect" && e.attrs["x"] != "" {
			x, y, w, h := e.number(t, "x"), e.number(t, "y"), e.number(t, "width"), e.number(t, "height")
			if x < 0 || y < 0 || w <= 0 || h <= 0 || x+w > pictureWidth+1 || y+h > height+0.1 {
				t.Errorf("a box at %v, %v of %v by %v is not in a picture of %v by %v", x, y, w, h, pictureWidth, height)
			}
		}
		if e.name == "text" {
			if x, y := e.number(t, "x"), e.number(t, "y"); x < 0 || x > pictureWidth || y < 0 || y > height {
				t.Errorf("the text %q at %v, %v is outside the picture", e.text, x, y)
			}
		}
		if e.name == "path" && strings.ContainsAny(e.attrs["d"], "NaIf") {
			t.Errorf("a path goes through no number: %.80s", e.attrs["d"])
		}
	}
	return all
}

func TestAnOutageIsDrawnWithItsFiguresAndTracks(t *testing.T) {
	p := story(8000)
	all := checkSane(t, p.SVG())
	got := written(all)
	for _, want := range []string{
		"connect_refused\n", "8,000 requests in 20 s from 2026-03-04T12:00:00Z: ", "due in each 250 ms\n",
		"us by failover 383\n", "wrong 1\n", "eu refuses connections\n", "flip to us\n", "failback\n",
		"pointer shop: us, 7.2 s to 17 s\n", "verdict eu: up, 13.9 s to the end\n", "fault eu: connect_refused, 6 s to 13 s\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
	if !strings.HasPrefix(all[0].attrs["aria-label"], "connect_refused: 8,000 requests") {
		t.Errorf("the picture is read aloud as %q", all[0].attrs["aria-label"])
	}
	if !bytes.Equal(p.SVG(), story(8000).SVG()) {
		t.Error("the same picture was drawn in two ways")
	}
}

func TestABinTellsItsCountsAndLatencies(t *testing.T) {
	p := Picture{Start: noon, End: after(80), Origins: []string{"eu", "us"}}
	for i := range 100 {
		p.Requests = append(p.Requests, Request{At: after(3.5), Took: time.Duration(i+1) * time.Millisecond, Origin: "eu"})
	}
	p.Requests = append(p.Requests,
		Request{At: after(3), Took: 50 * time.Millisecond, Origin: "us", Result: FailedOver},
		Request{At: after(3.9), Took: time.Millisecond, Result: Shed},
		Request{At: after(3.9), Took: 2 * time.Second, Result: Hung},
		Request{At: after(3.9), Took: time.Hour, Result: Left},
		Request{At: after(4), Took: time.Hour, Origin: "eu"}, // the next bin
	)
	want := "3 s to 4 s: eu 100, us by failover 1, left 1, shed 1, hung 1; p50 50 ms, p99 99 ms; slowest failure 2 s (hung)\n"
	if got := written(checkSane(t, p.SVG())); !strings.Contains(got, want) {
		t.Errorf("no bin tells %q", want)
	}
}

func TestOneFailureAmongAHundredThousandIsSeen(t *testing.T) {
	p := Picture{Start: noon, End: after(10)}
	for i := range 100_000 {
		p.Requests = append(p.Requests, Request{At: after(float64(i) / 10_000), Took: time.Millisecond, Origin: "eu"})
	}
	p.Requests[70_000].Result = Refused
	var heights []float64
	for _, e := range filled(checkSane(t, p.SVG()), "rect", "refused") {
		heights = append(heights, e.number(t, "height"))
	}
	// The legend's swatch, and the one part.
	if len(heights) != 2 || heights[1] < 2.9 {
		t.Errorf("the failure's heights are %v, want a swatch and one part of 3 pixels", heights)
	}
}

func TestStacksAreAsHighAsTheirCounts(t *testing.T) {
	p := Picture{Start: noon, End: after(80)}
	for i := range 300 {
		p.Requests = append(p.Requests, Request{At: after(float64(i%3) / 2), Origin: "eu"}) // 200 and 100
	}
	parts := filled(checkSane(t, p.SVG()), "rect", "o0")
	if len(parts) != 3 {
		t.Fatalf("%d boxes, want a swatch and two columns", len(parts))
	}
	first, second := parts[1].number(t, "height"), parts[2].number(t, "height")
	if math.Abs(first-2*second) > 0.2 {
		t.Errorf("200 requests are %v pixels high and 100 are %v", first, second)
	}
}

func TestTheBandOfLatenciesHasHolesWhereNothingWasGood(t *testing.T) {
	p := Picture{Start: noon, End: after(80)}
	for i := range 80 {
		r := Request{At: after(float64(i)), Took: 10 * time.Millisecond, Origin: "eu"}
		if i >= 30 && i < 50 {
			r.Result, r.Took = Hung, time.Second
		}
		p.Requests = append(p.Requests, r)
	}
	all := checkSane(t, p.SVG())
	var runs []string
	for _, e := range filled(all, "path", "p50") {
		d := e.attrs["d"]
		from, _, _ := strings.Cut(strings.TrimPrefix(d, "M"), " ")
		runs = append(runs, from+" to "+d[strings.LastIndex(d, "H")+1:])
	}
	// A bin of a second is an eightieth of the plot's width wide.
	bin := func(i float64) string { return number(plotLeft + plotWidth*i/80) }
	want := []string{bin(0) + " to " + bin(30), bin(50) + " to " + bin(80)}
	if !slices.Equal(runs, want) {
		t.Errorf("p50 runs over %v, want %v", runs, want)
	}
	if n := len(filled(all, "path", "band")); n != 2 {
		t.Errorf("%d bands, want one for each run", n)
	}
	dots := filled(all, "circle", "hung")
	if len(dots) != 20 {
		t.Errorf("%d dots of failures, want 20", len(dots))
	}
}

func TestLatenciesStandOnALogarithmicScale(t *testing.T) {
	s := logScale{low: -3, high: 0, top: 0, bottom: 90}
	for give, want := range map[float64]float64{0: 90, 1e-3: 90, 1e-2: 60, 1e-1: 30, 1: 0, 1000: 0} {
		if got := s.y(give); math.Abs(got-want) > 1e-6 {
			t.Errorf("%v s stands at %v, want %v", give, got, want)
		}
	}
}

func TestHundredsOfFlipsAreDrawnAndThousandsMerged(t *testing.T) {
	p := Picture{Start: noon, End: after(20), Origins: []string{"eu", "us"}}
	flips := func(track string, n int) {
		for i := range n {
			from, to := 20*float64(i)/float64(n), 20*float64(i+1)/float64(n)
			p.Spans = append(p.Spans, Span{Track: track, Value: p.Origins[i%2], From: after(from), To: after(to)})
		}
	}
	flips("pointer shop", 200)
	flips("pointer mad", 50_000)
	svg := p.SVG()
	all := checkSane(t, svg)
	if n := len(filled(all, "rect", "o0")); n < 100 || n > 1000 {
		t.Errorf("%d blocks of eu, want the 100 of one track and far from all of the other", n)
	}
	if n := strings.Count(written(all), "pointer shop: "); n != 200 {
		t.Errorf("%d flips told of the first track, want 200", n)
	}
	told := 0
	for line := range strings.Lines(written(all)) {
		if rest, ok := strings.CutPrefix(line, "pointer mad: "); ok {
			count, _, _ := strings.Cut(rest, " span")
			n, err := strconv.Atoi(strings.ReplaceAll(count, ",", ""))
			if err != nil {
				t.Fatal(err)
			}
			told += n
		}
	}
	if told != 50_000 {
		t.Errorf("the merged blocks tell of %d spans, want all 50,000", told)
	}
	if len(svg) > 300_000 {
		t.Errorf("the picture has %d bytes", len(svg))
	}
}

func TestSpansThatOverlapStandUnderEachOther(t *testing.T) {
	p := Picture{Start: noon, End: after(10), Spans: []Span{
		{Track: "fault eu", Value: "a", From: after(1), To: after(5), Bad: true},
		{Track: "fault eu", Value: "b", From: after(2), To: after(6), Bad: true},
		{Track: "fault eu", Value: "c", From: after(5), To: after(8), Bad: true}, // fits behind a
	}}
	var ys []float64
	for _, e := range filled(checkSane(t, p.SVG()), "rect", "bad") {
		ys = append(ys, e.number(t, "y"))
	}
	if len(ys) != 3 || ys[0] != ys[2] || ys[1] != ys[0]+laneHeight {
		t.Errorf("the blocks stand at %v", ys)
	}
}

func TestWhatIsNotDrawnIsTold(t *testing.T) {
	p := Picture{Start: noon, End: after(1)}
	p.Requests = []Request{{At: after(-1)}, {At: after(0)}, {At: after(1)}, {At: after(1.01)}}
	for i := range trackLimit + 2 {
		p.Spans = append(p.Spans, Span{Track: fmt.Sprint("track ", i), Value: "x", From: noon})
	}
	for i := range markRows + 3 {
		p.Marks = append(p.Marks, Mark{At: after(0.5), Text: fmt.Sprint("word ", i)})
	}
	got := written(checkSane(t, p.SVG()))
	for _, want := range []string{
		"2 requests in 1 s", "2 requests outside this time not drawn. 2 tracks not drawn. No room for the words of 3 marks.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
}

func TestColoursStayWithTheOrigins(t *testing.T) {
	p := Picture{Start: noon, End: after(1), Origins: []string{"eu", "us"}, Requests: []Request{{At: noon, Origin: "us"}}}
	if all := checkSane(t, p.SVG()); len(filled(all, "rect", "o1")) == 0 || len(filled(all, "rect", "o0")) != 0 {
		t.Error("us lost the secondary's colour where eu has no request")
	}
	p.Requests = nil
	for i := range 20 {
		p.Requests = append(p.Requests, Request{At: noon, Origin: fmt.Sprint("origin", i)})
	}
	if got := written(checkSane(t, p.SVG())); !strings.Contains(got, "other origins 16\n") {
		t.Error("origins beyond the six colours are not told together")
	}
}

func TestHostileNamesAreOnlyText(t *testing.T) {
	const evil = "</text><script>alert(1)</script>\"'&]]>\x00\n\u202e\xff"
	p := story(200)
	p.Title, p.Prefix, p.Origins[0] = evil, "1\"><x", evil
	for i := range p.Requests {
		p.Requests[i].Origin = evil
	}
	p.Spans = append(p.Spans, Span{Track: evil, Value: evil, From: noon, Bad: true})
	p.Marks = append(p.Marks, Mark{At: after(10), Text: evil})
	svg := p.SVG()
	all := checkSane(t, svg)
	if bytes.Contains(svg, []byte("<script")) || bytes.ContainsRune(svg, '\u202e') {
		t.Error("a hostile name came through as it is")
	}
	if !strings.Contains(written(all), "</text><script>alert(1)</script>\"'&]]>") {
		t.Error("a hostile name is not told as the text it is")
	}
	for _, e := range all {
		if id := e.attrs["id"]; e.name == "pattern" && !strings.HasPrefix(id, "timeline-1x-") {
			t.Errorf("the id %q does not begin with the harmless part of the prefix", id)
		}
	}
}

func TestPicturesOfEverySizeAreSane(t *testing.T) {
	everywhere := story(1000)
	everywhere.Start, everywhere.End = time.Time{}, time.Time{}
	backwards := story(1000)
	backwards.Start, backwards.End = backwards.End, backwards.Start
	tests := []struct {
		name string
		give Picture
		want string
	}{
		{"zero", Picture{}, "0 requests in 1 s."},
		{"no requests", Picture{Start: noon, End: after(5)}, "0 requests in 5 s from 2026-03-04T12:00:00Z."},
		{"one request", Picture{Requests: []Request{{At: noon, Origin: "eu"}}}, "1 request in 1 s from 2026-03-04T12:00:00Z, all good."},
		{"one instant", Picture{Start: noon, End: noon, Requests: []Request{{At: noon, Took: -1, Result: Aborted}}}, "0 good, aborted 1."},
		{"a nanosecond", Picture{Start: noon, End: noon.Add(1), Requests: []Request{{At: noon}}}, "1 request in 1e-09 s"},
		{"a century", Picture{Start: noon, End: noon.AddDate(100, 0, 0), Requests: []Request{{At: noon}}}, "1 request in 3156000000 s"},
		{"more than a duration holds", Picture{Start: noon, End: noon.AddDate(5000, 0, 0), Requests: []Request{{At: noon}}}, "1 request in "},
		{"bounds from the contents", everywhere, "1,000 requests in 19.98 s"},
		{"ends before it starts", backwards, "0 requests in 1 s"},
		{"a result of no name", Picture{Requests: []Request{{At: noon, Result: 99, Took: math.MaxInt64}}}, "wrong 1."},
		{"spans of no length", Picture{Start: noon, End: after(1), Spans: []Span{{}, {From: after(1), To: noon}, {From: after(9)}, {To: after(-9)}}}, "0 requests in 1 s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := written(checkSane(t, tt.give.SVG())); !strings.Contains(got, tt.want) {
				t.Errorf("the picture does not say %q; it says %.200q", tt.want, got)
			}
		})
	}
}

func TestTextsAreCutToTheirRoom(t *testing.T) {
	tests := []struct {
		give string
		room float64
		want string
	}{
		{"eu", 100, "eu"},
		{"connect_refused", 60, "connect_…"},
		{"connect_refused", 20, ""},
		{"二つの港の間", 40, ""},
		{"二つの港の間", 60, "二つの港…"},
		{"a\nb\tc\u202ed", 100, "a b c\ufffdd"},
		{"", 0, ""},
	}
	for _, tt := range tests {
		if got := fitting(tt.give, tt.room, 11); got != tt.want {
			t.Errorf("fitting(%q, %v) = %q, want %q", tt.give, tt.room, got, tt.want)
		}
	}
}

func FuzzSVG(f *testing.F) {
	f.Add("connect_refused", "eu", int64(1e9), int64(5e8), uint8(0))
	f.Add("\x00<a href=x>", "]]>", int64(-1), int64(math.MaxInt64), uint8(200))
	f.Add("", "\xff\xfe", int64(math.MaxInt64), int64(math.MinInt64), uint8(6))
	f.Fuzz(func(t *testing.T, title, name string, length, at int64, result uint8) {
		moment := noon.Add(time.Duration(at))
		p := Picture{
			Title: title, Prefix: name, Start: noon, End: noon.Add(time.Duration(length)), Origins: []string{name},
			Requests: []Request{{At: moment, Took: time.Duration(at), Origin: name, Result: Result(result)}, {At: noon, Origin: title}},
			Spans:    []Span{{Track: name, Value: title, From: moment, To: noon}, {Track: name, Value: name, From: noon, To: moment, Bad: true}},
			Marks:    []Mark{{At: moment, Text: name}, {At: noon, Text: title}},
		}
		checkSane(t, p.SVG())
	})
}
