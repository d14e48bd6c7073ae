package route_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/fairlead/fairlead/internal/route"
)

func TestSamplesAreMatchedByTheirPattern(t *testing.T) {
	tests := []struct {
		give                string
		method, host, first string
	}{
		{give: "/", first: "/"},
		{give: "POST /orders", method: "POST", first: "/orders"},
		{give: "/product/{id}", first: "/product/drill"},
		{give: "/product/{id}/reviews/{$}", first: "/product/drill/reviews/"},
		{give: "GET Shop.example/files/{path...}", method: "GET", host: "shop.example", first: "/files/"},
		{give: "/a%20b/ö", first: "/a%20b/%C3%B6"},
		{give: "/{a}/{b}/", first: "/drill/drill/"},
	}
	for _, tt := range tests {
		t.Run(tt.give, func(t *testing.T) {
			s, err := route.SamplesOf(tt.give)
			if err != nil {
				t.Fatal(err)
			}
			if s.Method != tt.method || s.Host != tt.host || s.Paths[0] != tt.first {
				t.Errorf("got %q %q %q, want %q %q %q", s.Method, s.Host, s.Paths[0], tt.method, tt.host, tt.first)
			}
			table, err := route.NewTable([]string{tt.give})
			if err != nil {
				t.Fatal(err)
			}
			for i, path := range s.Paths {
				r := httptest.NewRequest(http.MethodGet, path, nil) // which panics if a request can't carry the path
				if table.Match([]byte(orGet(s.Method)), []byte(s.Host), []byte(r.RequestURI)) != 0 {
					t.Errorf("%s is not matched", path)
				}
				if slices.Contains(s.Paths[:i], path) {
					t.Errorf("%s is there twice", path)
				}
			}
		})
	}
}

func TestSamplesFindAWayBesideNarrowerPatterns(t *testing.T) {
	tests := []struct {
		give   string
		others []string
		want   bool
	}{
		{give: "/", others: []string{"/{$}", "/{a}", "/drill/{b}"}, want: true},
		{give: "/{id}", others: []string{"/drill", "/1"}, want: true},
		{give: "/{rest...}", others: []string{"/report/", "/{a}/"}, want: true},
		{give: "/{id}", others: []string{"/drill", "/1", "/drill-sample-1"}, want: false},
	}
	for _, tt := range tests {
		t.Run(tt.give, func(t *testing.T) {
			table, err := route.NewTable(append([]string{tt.give}, tt.others...))
			if err != nil {
				t.Fatal(err)
			}
			s, err := route.SamplesOf(tt.give)
			if err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(s.Paths, func(path string) bool {
				return table.Match([]byte("GET"), nil, []byte(path)) == 0
			})
			if found != tt.want {
				t.Errorf("found one: %v, want %v (of %q)", found, tt.want, s.Paths)
			}
		})
	}
}

func TestSamplesOfABadPatternSayWhatIsWrong(t *testing.T) {
	if _, err := route.SamplesOf("no slash"); err == nil {
		t.Error("no error")
	}
}

func orGet(method string) string {
	if method == "" {
		return http.MethodGet
	}
	return method
}
