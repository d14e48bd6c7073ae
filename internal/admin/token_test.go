package admin

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWithATokenNothingButThePageAndHealthIsOpen(t *testing.T) {
	r := start(t, guarded)
	for _, what := range everything(r.server) {
		open := what[1] == "/" || what[1] == "/page.js" || what[1] == "/healthz" || what[1] == "/readyz" || what[0]+what[1] == "POST/v1/session"
		g := r.ask(what[0], what[1], "")
		if open == (g.status == http.StatusUnauthorized) {
			t.Errorf("%v: %d", what, g.status)
		}
		if !open && (g.errorOf(t).Code != "unauthorized" || !strings.HasPrefix(g.header.Get("WWW-Authenticate"), "Bearer")) {
			t.Errorf("%v: %v %s", what, g.header, g.body)
		}
	}
	for _, authorization := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token} {
		if g := r.ask("GET", "/v1/status", "", "Authorization: "+authorization); g.status != 200 {
			t.Errorf("%q: %d", authorization, g.status)
		}
	}
}

func TestWrongTokens(t *testing.T) {
	r := start(t, guarded)
	wrong := []string{"Bearer x", "Bearer " + token[:31], "Bearer " + token + "0", "Bearer " + strings.ToUpper(token), "Bearer", "Bearer  "}
	for _, authorization := range wrong {
		g := r.ask("GET", "/v1/status", "", "Authorization: "+authorization, "User-Agent: "+strings.Repeat("u", 100))
		if g.status != http.StatusUnauthorized || !strings.Contains(g.header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%q: %d %v", authorization, g.status, g.header)
		}
	}
	for _, authorization := range []string{"Basic " + token, token} {
		if g := r.ask("GET", "/v1/status", "", "Authorization: "+authorization); g.status != http.StatusUnauthorized {
			t.Errorf("%q: %d", authorization, g.status)
		}
	}
	if n := r.server.Stats().WrongTokens; n != uint64(len(wrong)) {
		t.Errorf("%d of %d were counted", n, len(wrong))
	}
	c := r.change()
	if c.Action != "wrong_token" || c.Status != 401 || c.Result != "unauthorized" || c.Subject != "GET /v1/status" || !strings.HasPrefix(c.Peer, "127.0.0.1:") || c.UserAgent != strings.Repeat("u", 64) {
		t.Errorf("told: %+v", c)
	}
	select {
	case c := <-r.changes:
		if c.Count != len(wrong)-1 && c.Count < 1 {
			t.Errorf("told: %+v", c)
		}
	default: // within the same second
	}
}

// TestAWrongTokenWaitsAndARightOneDoesNot holds wrong ones for as long as the
// test runs.
func TestAWrongTokenWaitsAndARightOneDoesNot(t *testing.T) {
	r := newRig(t, guarded)
	r.server.brake.delay = time.Hour
	r.server.brake.most = 3
	r.run()
	results := make(chan error, 10)
	for range 4 {
		go func() {
			_, err := r.try("GET", "/v1/status", "", "Authorization: Bearer wrong")
			results <- err
		}()
	}
	if err := <-results; err == nil {
		t.Error("the fourth one was answered")
	}
	if g := r.ask("GET", "/v1/status", "", "Authorization: Bearer "+token); g.status != 200 {
		t.Errorf("the right one: %d", g.status)
	}
	r.stop()
	for range 3 {
		if err := <-results; err == nil {
			t.Error("a held one was answered at the end")
		}
	}
}

func TestTheBrakeHoldsForItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brake{delay: wrongDelay, most: 2}
		never := make(chan struct{})
		begun := time.Now()
		if !b.hold(never, never) || time.Since(begun) != wrongDelay {
			t.Errorf("held for %v", time.Since(begun))
		}
		var held sync.WaitGroup
		left := make(chan struct{})
		for range 2 {
			held.Go(func() {
				if b.hold(left, never) {
					t.Error("an answer for who has left")
				}
			})
		}
		synctest.Wait()
		if b.hold(never, never) {
			t.Error("three are held where two may be")
		}
		close(left)
		held.Wait()
		if b.waiting.Load() != 0 || b.count.Load() != 4 {
			t.Errorf("%d wait, %d were counted", b.waiting.Load(), b.count.Load())
		}
	})
}

func TestThoseTurnedAwayAreToldOnceASecond(t *testing.T) {
	var told []Change
	teller := teller{onChange: func(c Change) { told = append(told, c) }}
	at := time.Unix(1000, 0)
	for i := range 250 {
		teller.turnedAway(Change{Action: "wrong_token", Time: at.Add(time.Duration(i) * 10 * time.Millisecond)})
	}
	teller.turnedAway(Change{Action: "cross_site", Time: at})
	counts := ""
	for _, c := range told {
		counts += fmt.Sprint(c.Action, c.Count, " ")
	}
	if counts != "wrong_token1 wrong_token100 wrong_token100 cross_site1 " {
		t.Error(counts)
	}
}

// signIn opens a session and gives its cookie.
func signIn(r *rig) *http.Cookie {
	r.t.Helper()
	g := r.ask("POST", "/v1/session", `{"token":"`+token+`"}`)
	cookies := (&http.Response{Header: g.header}).Cookies()
	if g.status != http.StatusNoContent || len(cookies) != 1 {
		r.t.Fatalf("%d %v %s", g.status, g.header, g.body)
	}
	return cookies[0]
}

func TestASessionOpensWhatTheTokenOpens(t *testing.T) {
	r := start(t, guarded)
	c := signIn(r)
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.MaxAge != 12*3600 || c.Path != "/" || len(c.Value) < 40 ||
		c.Name != "fairlead_session_"+r.address[strings.LastIndex(r.address, ":")+1:] {
		t.Errorf("the cookie is %+v", c)
	}
	if told := r.change(); told.Action != "sign_in" || told.By != "token 127.0.0.1" || told.Result != "done" {
		t.Errorf("told: %+v", told)
	}
	cookie := "Cookie: " + c.Name + "=" + c.Value
	if g := r.ask("POST", "/v1/groups/shop/unpin", "{}", cookie); g.status != 200 {
		t.Errorf("%d %s", g.status, g.body)
	}
	if told := r.change(); told.By != "session 127.0.0.1" {
		t.Errorf("told: %+v", told)
	}
	if g := r.ask("GET", "/v1/status", "", "Cookie: "+c.Name+"="+c.Value[1:]); g.status != http.StatusUnauthorized {
		t.Errorf("a wrong cookie: %d", g.status)
	}
	if g := r.ask("GET", "/v1/status", "", cookie, "Authorization: Bearer wrong"); g.status != http.StatusUnauthorized {
		t.Errorf("a wrong token beside the cookie: %d", g.status)
	}
	out := r.ask("DELETE", "/v1/session", "", cookie)
	if out.status != http.StatusNoContent || !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("the sign-out: %d %v", out.status, out.header)
	}
	if g := r.ask("GET", "/v1/status", "", cookie); g.status != http.StatusUnauthorized {
		t.Errorf("after the sign-out: %d", g.status)
	}
}

func TestAWrongTokenOpensNoSession(t *testing.T) {
	r := start(t, guarded)
	for _, body := range []string{`{"token":"wrong"}`, `{"token":""}`, `{}`, ``} {
		g := r.ask("POST", "/v1/session", body, "Content-Type: application/json")
		if g.status != http.StatusUnauthorized || g.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %v", body, g.status, g.header)
		}
	}
	if g := r.ask("POST", "/v1/session", "token="+token, "Content-Type: application/x-www-form-urlencoded"); g.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d", g.status)
	}
}

func TestWithoutATokenThereIsNothingToSignInTo(t *testing.T) {
	r := start(t, nil)
	if g := r.ask("POST", "/v1/session", `{"token":"x"}`); g.status != http.StatusNoContent || g.header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", g.status, g.header)
	}
}

func TestSessionsEndAndAreBounded(t *testing.T) {
	var ss sessions
	now := time.Unix(1000, 0)
	first := ss.open(now)
	over := ss.find(first, now).over
	if ss.find(first, now.Add(sessionLife-1)) == nil || ss.find(first, now.Add(sessionLife)) != nil {
		t.Error("a session lasts for another time than its life")
	}
	for i := range mostSessions {
		ss.open(now.Add(time.Duration(i+1) * time.Second))
	}
	if len(ss.all) != mostSessions || ss.find(first, now) != nil {
		t.Errorf("%d sessions", len(ss.all))
	}
	select {
	case <-over:
	default:
		t.Error("the oldest session is not over")
	}
	ss.open(now.Add(2 * sessionLife))
	if len(ss.all) != 1 {
		t.Errorf("%d sessions are left after their life", len(ss.all))
	}
}

func TestReadToken(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if have, exposed, err := ReadToken(write("good", " "+token+"\n", 0o600)); have != token || exposed || err != nil {
		t.Errorf("%q %v %v", have, exposed, err)
	}
	for name, text := range map[string]string{"empty": "\n", "short": "0123456789abcde", "lines": token + "\n" + token, "long": strings.Repeat("a", 5000), "umlaut": "ä" + token} {
		path := write(name, text, 0o600)
		if _, _, err := ReadToken(path); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := ReadToken(filepath.Join(dir, "none")); err == nil {
		t.Error("no file is no error")
	}
	if _, _, err := ReadToken(dir); err == nil {
		t.Error("a folder is no error")
	}
}
