package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// fuzzed is a server without a socket, and a door to it.
func fuzzed(f *testing.F) (*Server, *door) {
	f.Helper()
	s, err := New(Config{Listen: "127.0.0.1:0", Backend: &fake{generation: 7, target: "eu"}, Events: NewJournal(time.Unix(1, 0)), Page: page})
	if err != nil {
		f.Fatal(err)
	}
	for range 10 {
		s.cfg.Events.Add(adminapi.Event{Kind: "flip", Text: "t"})
	}
	d := s.newDoor("127.0.0.1:0", boundTo{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9900}})
	f.Cleanup(d.cancel)
	return s, d
}

// checkAnswer holds what is true of every answer: it is 200, 204 or an Error,
// and never 500.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code == http.StatusOK || w.Code == http.StatusNoContent {
		return
	}
	var e adminapi.Error
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Text == "" || statuses[e.Code] != w.Code || w.Code == http.StatusInternalServerError {
		t.Fatalf("%d %q: %v", w.Code, w.Body, err)
	}
	for _, c := range e.Text {
		if c < ' ' || c == 0x7f {
			t.Fatalf("a control character in %q", e.Text)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"/v1/explain?url=http://a/b&method=GET&host=c", "/v1/explain?url=%00&url=", "/v1/requests?failed=1&limit=7&route=all", "/v1/events?kind=a&kind=b&group=c&since=5&limit=3",
		"/v1/groups/%2f/pin", "/v1/status?%", "/", "//", "/page.js?x", "/metrics?name[]=x", "/v1/explain?url=/%0d%0aX:&host=%0a", "/v1/origins/a%00b/drain",
	} {
		path, query, _ := strings.Cut(seed, "?")
		f.Add("GET", path, query)
	}
	s, d := fuzzed(f)
	f.Fuzz(func(t *testing.T, method, path, query string) {
		if !isToken(method) {
			t.Skip()
		}
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" || u.Scheme != "" {
			t.Skip()
		}
		u.RawQuery = query
		r := &http.Request{Method: method, URL: u, Host: "127.0.0.1", Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody, RemoteAddr: "127.0.0.1:1"}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a stream ends at once
		w := httptest.NewRecorder()
		s.serve(d, w, r.WithContext(ctx))
		checkAnswer(t, w)
	})
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"target":"us","for":"30m","reason":"r","generation":7,"force":true}`, `{}`, ``, `null`, `[]`, `{"target":`, `{"target":"us"}{}`, `{"Target":"us"}`, `{"x":1}`, "\xff", `{"generation":1e3}`, `{"token":"x"}`} {
		f.Add("/v1/groups/shop/pin", []byte(seed))
		f.Add("/v1/session", []byte(seed))
	}
	f.Add("/v1/reload", []byte(`{}`))
	f.Add("/v1/reload", []byte(" \n"))
	f.Add("/v1/origins/eu/drain", []byte(`{"force":1}`))
	s, d := fuzzed(f)
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Skip()
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.URL, r.Host = u, "127.0.0.1"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.serve(d, w, r)
		checkAnswer(t, w)
		// White space is an empty body.
		if w.Code == http.StatusOK && len(bytes.Trim(body, " \t\r\n")) > 0 && !json.Valid(body) {
			t.Fatalf("%q is no JSON and was taken", body)
		}
	})
}
