package route

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawPattern returns a pattern that this package and ServeMux read alike.
func drawPattern(t *rapid.T) string {
	var b strings.Builder
	if m := rapid.SampledFrom([]string{"", "", "GET", "HEAD", "POST", "odd"}).Draw(t, "method"); m != "" {
		b.WriteString(m + " ")
	}
	b.WriteString(rapid.SampledFrom([]string{"", "", "", "x.test", "y.test"}).Draw(t, "host"))
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "b", "%61", "%2F", "a%2Fb", "%7Bx%7D", "%zz", "WILD", "WILD",
	}), 0, 4).Draw(t, "steps")
	for i, s := range steps {
		if s == "WILD" {
			s = fmt.Sprintf("{w%d}", i)
		}
		b.WriteString("/" + s)
	}
	ends := []string{"/", "/{$}", "/{rest...}"}
	if len(steps) > 0 {
		ends = append(ends, "", "", "")
	}
	b.WriteString(rapid.SampledFrom(ends).Draw(t, "end"))
	return b.String()
}

// A request is what Match is asked. Its path has no character that net/url would
// encode: it would decode the others first, and %2F would be lost.
type request struct{ method, host, path string }

func drawRequest(t *rapid.T) request {
	r := request{
		method: rapid.SampledFrom([]string{"GET", "HEAD", "POST", "odd", "CONNECT"}).Draw(t, "request method"),
		host:   rapid.SampledFrom([]string{"", "x.test", "y.test", "z.test"}).Draw(t, "request host"),
	}
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "b", "%61", "%62", "c", "%2f", "%2F", "a%2Fb", "%7bx%7D", "", "..", ".", "w0",
	}), 1, 5).Draw(t, "request steps")
	r.path = "/" + strings.Join(steps, "/")
	// ServeMux takes CONNECT's host as it is.
	if r.host != "" && r.method != "CONNECT" && rapid.Bool().Draw(t, "port") {
		r.host += ":8080"
	}
	return r
}

// drawNear returns a request that one of the patterns is likely to match, or to
// miss by a little: drawRequest seldom gets deep into a tree.
func drawNear(t *rapid.T, patterns []string) request {
	r := drawRequest(t)
	method, target, named := strings.Cut(rapid.SampledFrom(patterns).Draw(t, "near"), " ")
	if !named {
		target = method
	} else if r.method != "CONNECT" { // of which ServeMux takes the host as it is
		r.method = method
	}
	host, path, _ := strings.Cut(target, "/")
	if host != "" {
		r.host = host
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case s == "{$}":
			segments[i] = ""
		case strings.HasPrefix(s, "{"):
			segments[i] = rapid.SampledFrom([]string{"a", "b", "%2F", "a/b", "", "%7bx%7D"}).Draw(t, "wild")
		case rapid.IntRange(0, 9).Draw(t, "astray") == 0:
			segments[i] = "c"
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "more") == 0 {
		segments = append(segments, rapid.SampledFrom([]string{"", "a", "%61"}).Draw(t, "last"))
	}
	r.path = "/" + strings.Join(segments, "/")
	return r
}

func (r request) match(t *Table) int {
	return t.Match([]byte(r.method), []byte(r.host), []byte(r.path))
}

// An indexed is the handler that ServeMux is given for a pattern.
type indexed int

func (indexed) ServeHTTP(http.ResponseWriter, *http.Request) {}

// serveMux returns the pattern that mux picks, -1 for none, and false where it
// would redirect or is never asked, since net/http refuses a path with a bad
// encoding.
func (r request) serveMux(mux *http.ServeMux) (int, bool) {
	req := &http.Request{Method: r.method, Host: r.host, URL: &url.URL{Path: unescape(r.path), RawPath: r.path}}
	if req.URL.EscapedPath() != r.path {
		return -1, false
	}
	h, _ := mux.Handler(req)
	if i, ok := h.(indexed); ok {
		return int(i), true
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return -1, rec.Code == http.StatusNotFound || rec.Code == http.StatusMethodNotAllowed
}

// registers reports whether a ServeMux takes all the patterns.
func registers(mux *http.ServeMux, patterns ...string) (ok bool) {
	defer func() { ok = recover() == nil }()
	for i, p := range patterns {
		mux.Handle(p, indexed(i))
	}
	return true
}

func problems(t interface{ Fatalf(string, ...any) }, err error) []*PatternError {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error is a %T, want one from errors.Join", err)
	}
	var all []*PatternError
	for _, e := range joined.Unwrap() {
		var p *PatternError
		if !errors.As(e, &p) {
			t.Fatalf("joined error is a %T, want *PatternError", e)
		}
		all = append(all, p)
	}
	return all
}

// matches is the meaning of a pattern, without a tree and without cleverness.
func (p *pattern) matches(r request) bool {
	if p.method != "" && p.method != r.method && (p.method != "GET" || r.method != "HEAD") {
		return false
	}
	if p.host != "" && !equalFolded(hostName([]byte(r.host)), p.host) {
		return false
	}
	if !strings.HasPrefix(r.path, "/") {
		return false
	}
	path := r.path
	for _, seg := range p.path {
		if path == "" {
			return false
		}
		text, _, _ := strings.Cut(path[1:], "/")
		rest := path[1+len(text):]
		if path == "/" {
			text = "/"
		}
		text = unescape(text)
		switch seg.kind {
		case multi:
			return true
		case slash:
			if text != "/" {
				return false
			}
		case single:
			if text == "/" {
				return false
			}
		case literal:
			if text != seg.text || path == "/" {
				return false
			}
		}
		path = rest
	}
	return path == ""
}

// best is the pattern that matches r and gives way to none of the others that
// do: the definition that Match has to live up to.
func best(patterns []*pattern, r request) int {
	winner := -1
	for i, p := range patterns {
		if !p.matches(r) {
			continue
		}
		if winner < 0 {
			winner = i
			continue
		}
		w := patterns[winner]
		switch {
		case w.host == "" && p.host != "":
			winner = i
		case w.host == p.host && compare(p, w) == narrower:
			winner = i
		}
	}
	return winner
}

func TestConflictsAreThosePairsThatServeMuxRefuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.SliceOfN(rapid.Custom(drawPattern), 1, 8).Draw(t, "patterns")
		var want []string
		for i := range patterns {
			for j := range i {
				if !registers(http.NewServeMux(), patterns[j], patterns[i]) {
					want = append(want, fmt.Sprint(i, j))
				}
			}
		}
		_, err := NewTable(patterns)
		var got []string
		for _, p := range problems(t, err) {
			got = append(got, fmt.Sprint(p.Index, p.Other))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("conflicting pairs (later earlier) %q, ServeMux refuses %q\n%v", got, want, err)
		}
	})
}

// drawTable returns patterns without conflicts.
func drawTable(t *rapid.T) ([]string, *Table) {
	patterns := rapid.SliceOfN(rapid.Custom(drawPattern), 1, 12).Draw(t, "patterns")
	for {
		table, err := NewTable(patterns)
		if err == nil {
			return patterns, table
		}
		p := problems(t, err)[0]
		patterns = slices.Delete(slices.Clone(patterns), p.Index, p.Index+1)
	}
}

func TestMatchPicksWhatServeMuxPicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patterns, table := drawTable(t)
		mux := http.NewServeMux()
		if !registers(mux, patterns...) {
			t.Fatalf("ServeMux refuses %q", patterns)
		}
		parsed := make([]*pattern, len(patterns))
		for i, s := range patterns {
			parsed[i], _ = parsePattern(i, s)
		}
		for i := range 20 {
			r := drawRequest(t)
			if i%2 == 1 {
				r = drawNear(t, patterns)
			}
			got := r.match(table)
			if want := best(parsed, r); got != want {
				t.Fatalf("%q: Match(%+v) = %d, by definition %d", patterns, r, got, want)
			}
			if want, direct := r.serveMux(mux); direct && got != want {
				t.Fatalf("%q: Match(%+v) = %d, ServeMux picks %d", patterns, r, got, want)
			}
		}
	})
}

// otherwise returns the request in another way of writing it: a host in capitals,
// with a final dot and a port, and a path with letters encoded that need not be.
func (r request) otherwise() request {
	if r.host != "" {
		name, _, _ := strings.Cut(r.host, ":")
		r.host = strings.ToUpper(name) + ".:81"
	}
	var b strings.Builder
	for i := 0; i < len(r.path); i++ {
		switch c := r.path[i]; c {
		case '%':
			b.WriteString(r.path[i : i+3])
			i += 2
		case 'a', 'b', 'c', 'w':
			fmt.Fprintf(&b, "%%%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	r.path = b.String()
	return r
}

// What decides is the request and the set of patterns: neither the order that
// these come in nor how that is spelled.
func TestNeitherOrderNorSpellingChangesAMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patterns, table := drawTable(t)
		shuffled := rapid.Permutation(patterns).Draw(t, "shuffled")
		other, err := NewTable(shuffled)
		if err != nil {
			t.Fatalf("%q is refused, %q is not: %v", shuffled, patterns, err)
		}
		name := func(in []string, i int) string {
			if i < 0 {
				return "none"
			}
			return in[i]
		}
		for range 20 {
			r := drawNear(t, patterns)
			want := name(patterns, r.match(table))
			if got := name(shuffled, r.match(other)); got != want {
				t.Fatalf("%+v matches %q in %q, and %q in %q", r, want, patterns, got, shuffled)
			}
			if got := name(patterns, r.otherwise().match(table)); got != want {
				t.Fatalf("%+v matches %q, %+v %q of %q", r, want, r.otherwise(), got, patterns)
			}
		}
	})
}

var patternCorpus = []string{
	"", "/", "GET /", "get\t/x", "GET  x.test/a/{b}/{c...}", "/{$}", "/{$}/a", "/{a}/{a}", "/{a...}/b", "/a{b}", "/{b}a",
	"/{}", "/{...}", "/{1a}", "/{é}", "/%2F", "/%zz/%41", "//", "POST //a", "/../a", "/./a", "x.test", "X.test:80/", "[::1]/",
	"[::1]:80/", "*.test/", "{h}/a", " /a", "a b/c", "GET", "G@T /", "./", "ü.test/", "/%2E./a", "/a//b/",
}

func FuzzPattern(f *testing.F) {
	for _, s := range patternCorpus {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := NewTable([]string{s})
		taken := registers(http.NewServeMux(), s)
		clean := !strings.Contains(s, "//") && !strings.Contains(s, "/.")
		if err == nil && !taken && clean {
			t.Fatalf("%q is taken, ServeMux refuses it", s)
		}
		climbs := slices.ContainsFunc(strings.Split(s, "/"), func(seg string) bool { return unescape(seg) == ".." })
		if err != nil && taken && strings.HasPrefix(s, "/") && !climbs {
			t.Fatalf("%q is refused, ServeMux takes it: %v", s, err)
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, s := range patternCorpus {
		f.Add(s, "HEAD", "x.TEST.:80", "/a/%62//")
		f.Add(s, "GET", "[::1]:80", "/%2f/%zz")
	}
	f.Fuzz(func(t *testing.T, s, method, host, path string) {
		table, err := NewTable([]string{s})
		if err != nil {
			t.Skip()
		}
		p, _ := parsePattern(0, s)
		r := request{method, host, path}
		if got, want := r.match(table) == 0, p.matches(r); got != want {
			t.Fatalf("%q matches %+v: %v, by definition %v", s, r, got, want)
		}
	})
}
