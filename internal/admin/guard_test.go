package admin

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// everything is what can be asked for, with a method.
func everything(s *Server) (all [][2]string) {
	for _, r := range s.routes {
		path := strings.NewReplacer("{group}", "shop", "{origin}", "eu").Replace(r.pattern)
		all = append(all, [2]string{r.method, path})
	}
	return append(all, [2]string{"GET", "/"}, [2]string{"GET", "/page.js"}, [2]string{"GET", "/v1/none"}, [2]string{"GET", "/none"})
}

func TestANameThatIsNotItsOwnGetsNothing(t *testing.T) {
	r := start(t, func(c *Config) { c.Hosts = []string{"Admin.Example"} })
	for _, host := range []string{"evil.example", "evil.example:9900", "127.0.0.1.evil.example", "localhost.evil.example", "1.2.3", "0x7f.1", "x:y:z"} {
		for _, what := range everything(r.server) {
			g := r.ask(what[0], what[1], "", "Host: "+host)
			if g.status != http.StatusForbidden || g.errorOf(t).Code != "forbidden" {
				t.Errorf("%s %s of %s: %d %s", what[0], what[1], host, g.status, g.body)
			}
		}
	}
	if c := r.change(); c.Action != "foreign_host" || c.Status != 403 || c.Count != 1 || !strings.HasPrefix(c.Subject, "GET /") {
		t.Errorf("told: %+v", c)
	}
}

// An origin whose url is this listener would let every client in.
func TestWhatComesThroughTheDataPlaneGetsNothing(t *testing.T) {
	r := start(t, nil)
	for _, via := range []string{"1.1 fairlead", "1.0 edge, 1.1 fairlead", "1.1 fairlead, 1.1 other"} {
		for _, what := range everything(r.server) {
			if g := r.ask(what[0], what[1], "", "Via: "+via); g.status != http.StatusForbidden || g.errorOf(t).Code != "forbidden" {
				t.Errorf("%s %s with Via %q: %d %s", what[0], what[1], via, g.status, g.body)
			}
		}
	}
	if g := r.ask("GET", "/v1/status", "", "Via: 1.1 gateway"); g.status != 200 {
		t.Errorf("another proxy: %d %s", g.status, g.body)
	}
}

func TestItsOwnNamesAreFine(t *testing.T) {
	r := start(t, func(c *Config) { c.Hosts = []string{"Admin.Example"} })
	_, port, _ := net.SplitHostPort(r.address)
	for _, host := range []string{r.address, "localhost", "LOCALHOST:" + port, "127.0.0.1", "[::1]:" + port, "[::1]", "10.1.2.3:80", "admin.example", "ADMIN.example:1"} {
		if g := r.ask("GET", "/v1/status", "", "Host: "+host); g.status != 200 {
			t.Errorf("%s: %d %s", host, g.status, g.body)
		}
	}
}

func TestNoHostIsNoName(t *testing.T) {
	r := start(t, nil)
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /v1/status HTTP/1.0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("%v %v", resp, err)
	}
}

func TestLocalhostIsNoNameElsewhere(t *testing.T) {
	d := &door{listener: boundTo{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9900}}, host: "ops.internal"}
	for host, want := range map[string]bool{"localhost": false, "localhost:9900": false, "ops.internal:9900": true, "OPS.internal": true, "10.0.0.1:9900": true, "": false} {
		c := &call{door: d, access: newAccess(&Config{}), r: &http.Request{Host: host}}
		if c.knownHost() != want {
			t.Errorf("%q is known: %v", host, !want)
		}
	}
}

// boundTo is a listener that says where it is.
type boundTo struct{ addr net.Addr }

func (b boundTo) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (b boundTo) Close() error              { return nil }
func (b boundTo) Addr() net.Addr            { return b.addr }

// TestAnotherSitesPageChangesNothing plays what browsers send, and what those
// sent that know no Sec-Fetch-Site.
func TestAnotherSitesPageChangesNothing(t *testing.T) {
	r := start(t, nil)
	hostile := [][]string{
		{"Sec-Fetch-Site: cross-site", "Origin: http://evil.example"},
		{"Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:1"},
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Origin: null"},
		{"Sec-Fetch-Site: cross-site"},
		{"Origin: http://evil.example"},
		{"Origin: null"},
		{"Origin: http://127.0.0.1:1"},
	}
	for _, fields := range hostile {
		for _, route := range r.server.routes {
			if route.method == http.MethodGet {
				continue
			}
			path := strings.NewReplacer("{group}", "shop", "{origin}", "eu").Replace(route.pattern)
			if g := r.ask(route.method, path, `{}`, fields...); g.status != http.StatusForbidden {
				t.Errorf("%s %s with %v: %d %s", route.method, path, fields, g.status, g.body)
			}
		}
	}
	if call, _ := r.backend.last(); call != "" {
		t.Errorf("the backend was asked: %s", call)
	}
	if c := r.change(); c.Action != "cross_site" || c.By != "127.0.0.1" {
		t.Errorf("told: %+v", c)
	}
	own := [][]string{{"Sec-Fetch-Site: same-origin", "Origin: http://" + r.address}, {"Origin: http://" + r.address}, {"Sec-Fetch-Site: none"}, nil}
	for _, fields := range own {
		if g := r.ask("POST", "/v1/groups/shop/unpin", `{}`, fields...); g.status != 200 {
			t.Errorf("with %v: %d %s", fields, g.status, g.body)
		}
	}
}

func TestAnotherSitesPageTakesNoStreamButALinkMayBeFollowed(t *testing.T) {
	r := start(t, nil)
	refused := [][]string{
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: empty"},
		{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"},
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
	}
	for _, fields := range refused {
		for _, path := range []string{"/v1/live", "/v1/status", "/metrics"} {
			if g := r.ask("GET", path, "", fields...); g.status != http.StatusForbidden {
				t.Errorf("%s with %v: %d", path, fields, g.status)
			}
		}
	}
	link := []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	for _, path := range []string{"/", "/v1/status"} {
		if g := r.ask("GET", path, "", link...); g.status != 200 {
			t.Errorf("%s: %d", path, g.status)
		}
	}
	if g := r.ask("GET", "/healthz", "", refused[0]...); g.status != 200 {
		t.Errorf("/healthz: %d", g.status)
	}
}

func TestAPreflightGetsNoLeave(t *testing.T) {
	r := start(t, nil)
	g := r.ask("OPTIONS", "/v1/groups/shop/pin", "", "Origin: http://evil.example", "Access-Control-Request-Method: POST")
	if g.status != http.StatusMethodNotAllowed || g.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", g.status, g.header)
	}
}

func TestEveryAnswerIsShielded(t *testing.T) {
	r := start(t, guarded)
	for _, what := range everything(r.server) {
		for _, auth := range []string{"Bearer " + token, ""} {
			if strings.Contains(what[1], "live") && auth != "" {
				what[0] = http.MethodHead
			}
			h := r.ask(what[0], what[1], "", "Authorization: "+auth).header
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Frame-Options") != "DENY" ||
				!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'self';") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") ||
				h.Get("Cache-Control") == "" || h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%v: %v", what, h)
			}
		}
	}
}

func TestAPanicIsAnAnswerAndAnError(t *testing.T) {
	r := start(t, nil)
	r.backend.set(func(f *fake) { f.panics = true })
	if g := r.ask("GET", "/v1/status", ""); g.status != 500 || g.errorOf(t).Code != "internal" || strings.Contains(g.body, "on purpose") {
		t.Errorf("%d %s", g.status, g.body)
	}
	if err := <-r.errs; !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("told: %v", err)
	}
}

func TestPathsAndMethodsThatAreNotThere(t *testing.T) {
	r := start(t, nil)
	for _, give := range []struct{ method, path, allow string }{
		{"GET", "/v1/none", ""},
		{"GET", "/v1/", ""},
		{"GET", "/v1", ""},
		{"GET", "/none.js", ""},
		{"GET", "//v1/status", ""},
		{"GET", "/v1/status/", ""},
		{"GET", "/v1/../v1/status", ""},
		{"GET", "/v1/groups//pin", ""},
		{"POST", "/v1/groups//pin", ""},
		{"POST", "/v1/groups/a/b/pin", ""},
		{"POST", "/v1/status", "GET, HEAD"},
		{"GET", "/v1/groups/shop/pin", "POST"},
		{"PUT", "/v1/session", "DELETE, POST"},
		{"POST", "/", "GET, HEAD"},
		{"DELETE", "/healthz", "GET, HEAD"},
	} {
		g := r.ask(give.method, give.path, "")
		want, code := http.StatusNotFound, "not_found"
		if give.allow != "" {
			want, code = http.StatusMethodNotAllowed, "method_not_allowed"
		}
		if g.status != want || g.errorOf(t).Code != code || g.header.Get("Allow") != give.allow || g.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d, Allow %q, %s", give.method, give.path, g.status, g.header.Get("Allow"), g.body)
		}
	}
}
