package admin

import (
	"strings"
	"testing"
)

func TestADrillIsStartedWithItsDefaultsAndStoppedWithoutADocument(t *testing.T) {
	r := start(t, nil)
	for _, give := range []struct{ method, body, call, action, detail string }{
		{"POST", `{}`, `start drill shop 0.05 0.01 1m ""`, "start_drill", "share 0.05, stop at 0.01, for 1m"},
		{"POST", `{"share":1,"stop_at":0.5,"for":"1h","reason":"a look","force":true}`, `start drill shop 1 0.5 1h "a look"`, "start_drill",
			"share 1, stop at 0.5, for 1h, reason a look, forced"},
		{"DELETE", ``, "stop drill shop", "stop_drill", ""},
	} {
		g := r.ask(give.method, "/v1/groups/shop/drill", give.body)
		if call, by := r.backend.last(); g.status != 200 || call != give.call || by != "127.0.0.1" || !strings.Contains(g.body, `"drill":{`) {
			t.Errorf("%s %s: %d %s, the backend got %q by %q", give.method, give.body, g.status, g.body, call, by)
		}
		if c := r.change(); c.Action != give.action || c.Subject != "shop" || c.Detail != give.detail || c.Result != "done" {
			t.Errorf("%s %s: told %+v", give.method, give.body, c)
		}
	}
}

func TestDrillsThatCanNotBeMeantAreRefused(t *testing.T) {
	r := start(t, nil)
	for body, says := range map[string]string{
		`{"share":1.5}`:       `"share" must be above 0 and at most 1, not 1.5`,
		`{"share":-0.1}`:      `"share" must be`,
		`{"share":"5%"}`:      `"share" can't be a string`,
		`{"generation":-1}`:   `the body: "generation" can't be a number -1`,
		`{"stop_at":2}`:       `"stop_at" must be above 0 and at most 1, not 2`,
		`{"stop_at":-1}`:      `"stop_at" must be`,
		`{"for":"2h"}`:        `"for" must be a duration from 1s to 1h0m0s`,
		`{"for":"1ms"}`:       `"for" must be`,
		`{"for":"a while"}`:   `not "a while"`,
		`{"reason":"a\nb"}`:   `"reason" must be one line`,
		`{"target":"us"}`:     `unknown field`,
		`{"generation":1}`:    `the pointer has moved`,
		`{"share":0.1} trail`: `behind its JSON object`,
	} {
		g := r.ask("POST", "/v1/groups/shop/drill", body)
		if e := g.errorOf(t); g.status < 400 || g.status > 409 || !strings.Contains(e.Text, says) {
			t.Errorf("%s: %d %s, want %q", body, g.status, e.Text, says)
		}
	}
	if g := r.ask("POST", "/v1/groups/shop/drill", "share=1", "Content-Type: text/plain"); g.status != 415 {
		t.Errorf("a form: %d", g.status)
	}
	if g := r.ask("DELETE", "/v1/groups/none/drill", ""); g.status != 404 {
		t.Errorf("no group: %d %s", g.status, g.body)
	}
}
