package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestChangesReachTheBackendAndAreTold(t *testing.T) {
	r := start(t, nil)
	for _, give := range []struct{ path, body, call, action, subject, detail string }{
		{"/v1/groups/shop/pin", `{"target":"us","for":"30m","reason":"a look","generation":7,"force":true}`, "shop us 7 true", "pin", "shop", "target us, for 30m, reason a look, generation 7, forced"},
		{"/v1/groups/shop/pin", `{"target":"us"}`, "shop us 0 false", "pin", "shop", "target us"},
		{"/v1/groups/shop/unpin", `{}`, "shop eu 0 false", "unpin", "shop", ""},
		{"/v1/groups/shop/failback", ` {"force":true} `, "shop eu 0 true", "failback", "shop", "forced"},
		{"/v1/origins/eu/drain", `{"force":true}`, "drain eu true", "drain", "eu", "forced"},
		{"/v1/origins/eu%2Fwest/ready", `{}`, "ready eu/west false", "ready", "eu/west", ""},
		{"/v1/reload", `{}`, "reload", "reload", "", ""},
	} {
		g := r.ask("POST", give.path, give.body)
		if call, by := r.backend.last(); g.status != 200 || call != give.call || by != "127.0.0.1" {
			t.Errorf("%s %s: %d %s, the backend got %q by %q", give.path, give.body, g.status, g.body, call, by)
		}
		c := r.change()
		if c.Action != give.action || c.Subject != give.subject || c.Detail != give.detail || c.Result != "done" || c.Status != 200 || c.Count != 1 || c.UserAgent != "Go-http-client/1.1" || c.Time.IsZero() {
			t.Errorf("%s: told %+v", give.path, c)
		}
	}
	if g := r.ask("POST", "/v1/reload", "", "Content-Type: application/json"); g.status != 200 || !strings.Contains(g.body, `"changed":[]`) {
		t.Errorf("an empty body: %d %s", g.status, g.body)
	}
}

func TestRefusedChangesSayWhyAndAreTold(t *testing.T) {
	r := start(t, nil)
	for _, give := range []struct {
		err    error
		status int
		code   string
	}{
		{&Refused{Code: "stale", Text: "t", Generation: 9}, 409, "stale"},
		{&Refused{Code: "no_healthy_origin", Text: "t"}, 409, "no_healthy_origin"},
		{&Refused{Code: "pinned", Text: "t"}, 409, "pinned"},
		{&Refused{Code: "following", Text: "t"}, 409, "following"},
		{&Refused{Code: "primary_down", Text: "t"}, 409, "primary_down"},
		{&Refused{Code: "not_found", Text: "there is no origin x, but eu and us"}, 404, "not_found"},
		{&Refused{Code: "bad_request", Text: "t"}, 400, "bad_request"},
		{&Refused{Code: "bad_config", Text: "t", Problems: []string{"a", "b"}}, 422, "bad_config"},
		{errors.Join(errors.New("wrapped"), &Refused{Code: "stale", Text: "t"}), 409, "stale"},
		{&Refused{Code: "of nobody", Text: "t"}, 500, "internal"},
		{errors.New("disk on fire"), 500, "internal"},
	} {
		r.backend.set(func(f *fake) { f.refused = give.err })
		for _, path := range []string{"/v1/groups/shop/pin", "/v1/origins/eu/drain", "/v1/reload"} {
			body := map[bool]string{true: `{"target":"us"}`, false: `{}`}[strings.HasSuffix(path, "pin")]
			g := r.ask("POST", path, body)
			e := g.errorOf(t)
			if g.status != give.status || e.Code != give.code {
				t.Errorf("%s, %v: %d %s", path, give.err, g.status, g.body)
			}
			if refused, ok := errors.AsType[*Refused](give.err); ok && (e.Generation != refused.Generation || len(e.Problems) != len(refused.Problems) || e.Text != refused.Text) {
				t.Errorf("%s, %v: %s", path, give.err, g.body)
			}
			if c := r.change(); c.Result != give.code || c.Status != give.status || c.Text != e.Text {
				t.Errorf("%s, %v: told %+v", path, give.err, c)
			}
		}
	}
}

func TestOfTwoWhoHaveSeenTheSameGenerationOneIsLate(t *testing.T) {
	r := start(t, nil)
	if g := r.ask("POST", "/v1/groups/shop/pin", `{"target":"us","generation":7}`); g.status != 200 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	g := r.ask("POST", "/v1/groups/shop/pin", `{"target":"eu","generation":7}`)
	if e := g.errorOf(t); g.status != 409 || e.Code != "stale" || e.Generation != 8 {
		t.Errorf("%d %s", g.status, g.body)
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	r := start(t, nil)
	const pin = "/v1/groups/shop/pin"
	for _, give := range []struct {
		path, body, contentType string
		status                  int
		says                    string
	}{
		{pin, `{"target":"us"}`, "text/plain", 415, "application/json"},
		{pin, `{"target":"us"}`, "application/x-www-form-urlencoded", 415, ""},
		{pin, `{"target":"us"}`, "application/jsonx", 415, ""},
		{pin, `{"target":"us"}`, "a/b/c", 415, ""},
		{pin, ``, "", 415, "application/json"},
		{pin, ``, "application/json", 400, "target"},
		{pin, `{}`, "application/json", 400, "target"},
		{pin, `{"target":"us","until":"x"}`, "application/json", 400, "until"},
		{pin, `{"target":7}`, "application/json", 400, "target"},
		{pin, `{"target":"us","generation":-1}`, "application/json", 400, "generation"},
		{pin, `{"target":"us","for":"30"}`, "application/json", 400, "30m"},
		{pin, `{"target":"us","for":"-1m"}`, "application/json", 400, "-1m"},
		{pin, `{"target":"us","reason":"a\nb"}`, "application/json", 400, "reason"},
		{pin, `{"target":"us","reason":"` + strings.Repeat("r", 257) + `"}`, "application/json", 400, "256"},
		{pin, `{"target":"us"`, "application/json", 400, "EOF"},
		{pin, `{"target":"us"} {}`, "application/json", 400, "behind"},
		{pin, `["us"]`, "application/json", 400, "object"},
		{pin, `null`, "application/json", 400, "object"},
		{pin, `{"target":"` + strings.Repeat("u", bodyBytes) + `"}`, "application/json", 413, "65536"},
		{"/v1/groups/shop/unpin", `{"target":"us"}`, "application/json", 400, "target"},
		{"/v1/origins/eu/drain", `{"hard":true}`, "application/json", 400, "hard"},
		{"/v1/reload", `{"force":true}`, "application/json", 400, "force"},
		{"/v1/session", `{"token":"x","user":"y"}`, "application/json", 400, "user"},
	} {
		g := r.ask("POST", give.path, give.body, "Content-Type: "+give.contentType)
		if e := g.errorOf(t); g.status != give.status || !strings.Contains(e.Text, give.says) {
			t.Errorf("%s %.60s (%s): %d %s", give.path, give.body, give.contentType, g.status, g.body)
		}
	}
	if call, _ := r.backend.last(); call != "" {
		t.Errorf("the backend was asked: %s", call)
	}
	if g := r.ask("POST", pin, `{"target":"us"}`, "Content-Type: Application/JSON; charset=utf-8"); g.status != 200 {
		t.Errorf("with a charset: %d %s", g.status, g.body)
	}
}

// TestAReloadIsFinishedForWhoHasLeft cuts the client off while the backend works.
func TestAReloadIsFinishedForWhoHasLeft(t *testing.T) {
	r := start(t, nil)
	begun, left, finished := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	r.backend.set(func(f *fake) {
		f.onReload = func(ctx context.Context) {
			close(begun)
			<-left
			finished <- ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+r.address+"/v1/reload", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	answered := make(chan error, 1)
	go func() {
		_, err := r.client.Do(req)
		answered <- err
	}()
	r.await(begun, "the reload")
	cancel()
	if err := <-answered; err == nil {
		t.Error("there was an answer")
	}
	close(left)
	if err := <-finished; err != nil {
		t.Errorf("the reload's context: %v", err)
	}
	if c := r.change(); c.Action != "reload" || c.Result != "done" {
		t.Errorf("told: %+v", c)
	}
}

func TestClientsWordsAreCutAndHarmless(t *testing.T) {
	for give, want := range map[string]string{
		"curl/8":                      "curl/8",
		"a\x1b[31mb\x00\r\nc":         "a[31mbc",
		strings.Repeat("x", 100):      strings.Repeat("x", 64),
		"\xff\xfe agent":              " agent",
		strings.Repeat("é", 40) + "z": "",
	} {
		if have := printable(give, 64); have != want {
			t.Errorf("%q became %q", give, have)
		}
	}
}

func TestEachCodeOfTheAPIHasAStatus(t *testing.T) {
	for code, status := range statuses {
		if status < 400 || http.StatusText(status) == "" {
			t.Errorf("%s is answered with %d", code, status)
		}
	}
}
