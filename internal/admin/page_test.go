package admin

import (
	"net/http"
	"testing"
	"testing/fstest"
)

func TestThePageIsSentOnceAndThenOnlyConfirmed(t *testing.T) {
	r := start(t, nil)
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/index.html": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8",
	} {
		g := r.ask("GET", path, "")
		etag := g.header.Get("ETag")
		if g.status != 200 || g.header.Get("Content-Type") != contentType || g.header.Get("Cache-Control") != "no-cache" || etag == "" || g.body == "" {
			t.Errorf("%s: %d %v %q", path, g.status, g.header, g.body)
		}
		for _, given := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
			if g := r.ask("GET", path, "", "If-None-Match: "+given); g.status != http.StatusNotModified || g.body != "" || g.header.Get("Content-Security-Policy") == "" {
				t.Errorf("%s with %s: %d %q", path, given, g.status, g.body)
			}
		}
		if g := r.ask("GET", path, "", `If-None-Match: "x"`); g.status != 200 {
			t.Errorf("%s with another tag: %d", path, g.status)
		}
	}
	if a, b := r.ask("GET", "/page.css", "").header.Get("ETag"), r.ask("GET", "/page.js", "").header.Get("ETag"); a == b {
		t.Error("two files have one tag")
	}
}

func TestAPageThatCanNotBeServedIsAnError(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"no index":     {"page.js": {}},
		"unknown kind": {"index.html": {}, "notes.md": {}},
	} {
		if _, err := New(Config{Listen: "127.0.0.1:0", Backend: &fake{}, Events: &Journal{}, Page: files}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
