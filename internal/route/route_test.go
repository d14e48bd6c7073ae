package route

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestBadPatternsAreRefused(t *testing.T) {
	tests := []struct{ give, want string }{
		{"", `empty pattern`},
		{"GET", `no path in "GET": a pattern is [METHOD ][HOST]/[PATH]`},
		{"GET x.test", `no path in "GET x.test": a pattern is [METHOD ][HOST]/[PATH]`},
		{"G@T /", `bad method "G@T"`},
		{"{h}.test/", `wildcard in the host "{h}.test": a host is matched as a whole, and a path begins with a slash`},
		{"*.test/", `wildcard in the host "*.test": a host is matched as a whole, and a path begins with a slash`},
		{"x.test:80/", `port in the host "x.test:80": the port of a request is not looked at, leave it out`},
		{"[::1]:80/", `port in the host "[::1]:80": the port of a request is not looked at, leave it out`},
		{"./", `bad host "."`},
		{"[]/", `bad host "[]"`},
		{"ü.test/", `bad character in the host "ü.test": write it as a Host field carries it, in ASCII (xn--... for other scripts)`},
		{"/a{b}", `bad wildcard "a{b}" (it must be the whole segment) in the path "/a{b}"`},
		{"/{b}a", `bad wildcard "{b}a" (it must be the whole segment) in the path "/{b}a"`},
		{"/{}", `bad wildcard name "" (it must be a Go identifier) in the path "/{}"`},
		{"/{...}", `bad wildcard name "" (it must be a Go identifier) in the path "/{...}"`},
		{"/{1st}", `bad wildcard name "1st" (it must be a Go identifier) in the path "/{1st}"`},
		{"/{a-b}", `bad wildcard name "a-b" (it must be a Go identifier) in the path "/{a-b}"`},
		{"/{a}/b/{a}", `two wildcards named "a" in the path "/{a}/b/{a}"`},
		{"/{a}/{a...}", `two wildcards named "a" in the path "/{a}/{a...}"`},
		{"/{$}/a", `{$} before the end in the path "/{$}/a"`},
		{"/{a...}/", `{a...} before the end in the path "/{a...}/"`},
		{"/a/../b", `segment ".." (it can never match: such requests are refused) in the path "/a/../b"`},
		{"/a/%2e.", `segment ".." (it can never match: such requests are refused) in the path "/a/%2e."`},
	}
	for _, tt := range tests {
		t.Run(tt.give, func(t *testing.T) {
			table, err := NewTable([]string{"/ok", tt.give})
			got := problems(t, err)
			if table != nil || len(got) != 1 || *got[0] != (PatternError{Index: 1, Other: -1, Msg: tt.want}) {
				t.Errorf("NewTable = %v, %v\nwant %s", table, err, tt.want)
			}
		})
	}
}

func TestConflictsSayWhy(t *testing.T) {
	tests := []struct{ first, second, want string }{
		{"/a", "/%61", `"/%61" matches the same requests as "/a"`},
		{"/{x}", "/{y}", `"/{y}" matches the same requests as "/{x}"`},
		{"/a/", "/a/{rest...}", `"/a/{rest...}" matches the same requests as "/a/"`},
		{"X.test/", "x.TEST./", `"x.TEST./" matches the same requests as "X.test/"`},
		{"/{x}/b", "/a/{y}", `"/a/{y}" and "/{x}/b" both match "/a/b", but neither is more specific`},
		{"/{x}/b/c/d", "/a/{y}/c/", `"/a/{y}/c/" and "/{x}/b/c/d" both match "/a/b/c/d", but neither is more specific`},
		{"/{x}/", "/a/{$}", ``},
		{"/{x}/{$}", "/a/", `"/a/" and "/{x}/{$}" both match "/a/", but neither is more specific`},
		{"/a", "GET /{x}", `"GET /{x}" matches more paths than "/a", but fewer methods`},
		{"HEAD /{x}", "GET /a", `"GET /a" matches more methods than "HEAD /{x}", but fewer paths`},
		{"GET /{x}", "POST /a", ``},
		{"x.test/{x}", "/a", ``},
		{"x.test/{x}/b", "y.test/a/{y}", ``},
		{"/a//b", "/a/{x}/b", ``},
	}
	for _, tt := range tests {
		t.Run(tt.first+" "+tt.second, func(t *testing.T) {
			_, err := NewTable([]string{tt.first, tt.second})
			if tt.want == "" {
				if err != nil {
					t.Fatalf("want no conflict, got %v", err)
				}
				return
			}
			got := problems(t, err)
			if len(got) != 1 || *got[0] != (PatternError{Index: 1, Other: 0, Msg: tt.want}) {
				t.Errorf("NewTable: %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestAllProblemsAreReportedInOrder(t *testing.T) {
	_, err := NewTable([]string{"/a", "bad", "/%61", "/", "GET /{", "/a"})
	const want = `pattern 1: no path in "bad": a pattern is [METHOD ][HOST]/[PATH]
pattern 2: "/%61" matches the same requests as "/a"
pattern 4: bad wildcard "{" (it must be the whole segment) in the path "/{"
pattern 5: "/a" matches the same requests as "/a"
pattern 5: "/a" matches the same requests as "/%61"`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAHopelessTableHasABoundedReport(t *testing.T) {
	patterns := make([]string, 2000)
	for i := range patterns {
		patterns[i] = "/same"
	}
	_, err := NewTable(patterns)
	if got := len(problems(t, err)); got != maxConflicts {
		t.Errorf("%d problems, want %d", got, maxConflicts)
	}
}

// What is written here holds on the path as it was received; what ServeMux
// would redirect is marked.
func TestMatch(t *testing.T) {
	patterns := []string{
		0:  "/files/{name}",
		1:  "/files/{$}",
		2:  "/files/a%20b",
		3:  "GET /files/readme",
		4:  "/tree/",
		5:  "Example.COM/",
		6:  "POST example.com/submit",
		7:  "[2001:DB8::1]/v6",
		8:  "/a//b",
		9:  "GET //admin",
		10: "/shop/{id}/edit",
		11: "/shop/{rest...}",
		12: "/shop/new/{$}",
		13: "HEAD /files/readme",
	}
	tests := []struct {
		method, host, path string
		want               int
	}{
		{"GET", "", "/files/x", 0},
		{"GET", "", "/files/x%2Fy", 0},
		{"GET", "", "/files/{name}", 0},
		{"GET", "", "/files/", 1},
		{"GET", "", "/files", -1},
		{"GET", "", "/files//", -1},
		{"GET", "", "/files/x/", -1},
		{"GET", "", "/files/a%20b", 2},
		{"GET", "", "/fil%65s/%61 b", 2},
		{"GET", "", "/files/a%2", 0},
		{"GET", "", "/files/a%20b%", 0},
		{"GET", "", "/files/%2F", 1}, // as ServeMux
		{"GET", "", "/files/readme", 3},
		{"HEAD", "", "/files/readme", 13},
		{"PUT", "", "/files/readme", 0},
		{"get", "", "/files/readme", 0},
		{"GET", "", "/tree", -1}, // ServeMux redirects
		{"GET", "", "/tree/", 4},
		{"GET", "", "/tree//x/../y", 4}, // ServeMux redirects
		{"GET", "", "/Tree/", -1},
		{"GET", "example.com", "/", 5},
		{"GET", "EXAMPLE.com:8080", "/tree/", 5},
		{"GET", "example.com.:80", "/tree/", 5},
		{"GET", "www.example.com", "/tree/", 4},
		{"GET", "example.com:80:80", "/tree/", 4},
		{"POST", "example.com", "/submit", 6},
		{"GET", "example.com", "/submit", 5},
		{"GET", "[2001:db8::1]:443", "/v6", 7},
		{"GET", "2001:db8::1", "/v6", 7},
		{"GET", "[2001:db8::1", "/v6", -1},
		{"GET", "", "/a//b", 8},
		{"GET", "", "/a/b", -1},
		{"GET", "", "/a/x/b", -1},
		{"GET", "", "//admin", 9},
		{"GET", "", "/admin", -1},
		{"POST", "", "//admin", -1},
		{"GET", "", "/shop/7/edit", 10},
		{"GET", "", "/shop//edit", 10}, // ServeMux redirects
		{"GET", "", "/shop/7/edit/", 11},
		{"GET", "", "/shop/", 11},
		{"GET", "", "/shop/new/", 12},
		{"GET", "", "/shop/new/edit", 10},
		{"GET", "", "/shop/new/other", 11},
		{"OPTIONS", "", "*", -1},
		{"GET", "", "", -1},
		{"GET", "", "files/x", -1},
		{"", "", "/tree/", 4},
	}
	table, err := NewTable(patterns)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.host+tt.path, func(t *testing.T) {
			if got := (request{tt.method, tt.host, tt.path}).match(table); got != tt.want {
				t.Errorf("Match = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestAnEmptyTableMatchesNothing(t *testing.T) {
	empty, err := NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []*Table{empty, {}} {
		if got := (request{"GET", "x.test", "/"}).match(table); got != -1 {
			t.Errorf("Match = %d, want -1", got)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table, err := NewTable([]string{"/", "x.test/{a}/b/{c...}", "/" + strings.Repeat("long", 100)})
	if err != nil {
		t.Fatal(err)
	}
	method, host := []byte("HEAD"), []byte("X.TEST.:80")
	path := []byte("/" + strings.Repeat("l%6fng", 100))
	if n := testing.AllocsPerRun(100, func() { table.Match(method, host, path) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if got := table.Match(method, host, path); got != 2 {
		t.Errorf("Match = %d, want 2", got)
	}
}

// shapes are sets of n patterns that look like real ones, and one that is made
// to be slow to check. Each comes with a request for its pattern i.
var shapes = []struct {
	name    string
	pattern func(i int) string
	request func(i int) request
}{
	{
		"prefixes",
		func(i int) string { return fmt.Sprintf("/service-%d/", i) },
		func(i int) request { return request{"GET", "www.example.com", fmt.Sprintf("/service-%d/v1/items", i)} },
	},
	{
		"REST",
		func(i int) string {
			return fmt.Sprintf("%s /api/resource-%d/{id}", []string{"GET", "POST"}[i%2], i/2)
		},
		func(i int) request {
			return request{[]string{"GET", "POST"}[i%2], "www.example.com", fmt.Sprintf("/api/resource-%d/12345", i/2)}
		},
	},
	{
		"hosts",
		func(i int) string { return fmt.Sprintf("tenant-%d.example.com/", i) },
		func(i int) request { return request{"GET", fmt.Sprintf("tenant-%d.example.com", i), "/cart"} },
	},
	{
		"wild first",
		func(i int) string {
			return []string{fmt.Sprintf("GET /{tenant}/action-%d", i), fmt.Sprintf("/shelf-%d/file", i)}[i%2]
		},
		func(i int) request {
			return request{"GET", "", []string{fmt.Sprintf("/acme/action-%d", i), fmt.Sprintf("/shelf-%d/file", i)}[i%2]}
		},
	},
}

func TestTenThousandPatternsAreFoundEach(t *testing.T) {
	const n = 10_000
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			patterns := make([]string, n)
			for i := range patterns {
				patterns[i] = shape.pattern(i)
			}
			start := time.Now()
			table, err := NewTable(append(patterns, "/"))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("built in %v", time.Since(start))
			for i := range n {
				if got := shape.request(i).match(table); got != i {
					t.Fatalf("Match(%+v) = %d, want %d", shape.request(i), got, i)
				}
			}
		})
	}
}

// BenchmarkMatch asks for ten routes all over the table again and again, as
// traffic with its favourites does; its "round" case asks for each route in turn,
// so that with many nothing is in the cache, neither the table nor the requests.
func BenchmarkMatch(b *testing.B) {
	for _, shape := range shapes {
		for _, n := range []int{10, 100, 1000, 10_000} {
			patterns := make([]string, n)
			for i := range patterns {
				patterns[i] = shape.pattern(i)
			}
			table, err := NewTable(patterns)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) { benchmark(b, table, shape.request, 10, n/10) })
			b.Run(fmt.Sprintf("%s/%d/round", shape.name, n), func(b *testing.B) { benchmark(b, table, shape.request, n, 1) })
		}
	}
}

// benchmark asks for the patterns 0, step, 2*step and so on.
func benchmark(b *testing.B, table *Table, ask func(int) request, count, step int) {
	type bytesOf struct{ method, host, path []byte }
	requests := make([]bytesOf, count)
	for i := range requests {
		r := ask(i * step)
		requests[i] = bytesOf{[]byte(r.method), []byte(r.host), []byte(r.path)}
		if got := r.match(table); got != i*step {
			b.Fatalf("Match(%+v) = %d, want %d", r, got, i*step)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := &requests[i]
		table.Match(r.method, r.host, r.path)
		if i++; i == len(requests) {
			i = 0
		}
	}
}

// BenchmarkServeMux is the alternative, on the requests of BenchmarkMatch/REST.
func BenchmarkServeMux(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("REST/%d", n), func(b *testing.B) {
			shape := shapes[1]
			mux := http.NewServeMux()
			for i := range n {
				mux.Handle(shape.pattern(i), indexed(i))
			}
			requests := make([]*http.Request, 10)
			for i := range requests {
				r := shape.request(i * n / 10)
				requests[i] = &http.Request{Method: r.method, Host: r.host, URL: &url.URL{Path: r.path}}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				mux.Handler(requests[i])
				i = (i + 1) % len(requests)
			}
		})
	}
}
