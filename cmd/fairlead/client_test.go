package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// tokenFile makes a file that holds text.
func tokenFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFlagsSayWhereTheAPIIsThenTheEnvironmentThenTheDefault(t *testing.T) {
	tests := []struct {
		name         string
		give         whereFlags
		admin, token string // of the environment
		wantAddress  string
		wantSource   string
		wantToken    string
	}{
		{name: "nothing", wantAddress: "127.0.0.1:9900", wantSource: "the default"},
		{name: "the environment", admin: "10.0.0.1:1", token: "from the environment", wantAddress: "10.0.0.1:1", wantSource: "FAIRLEAD_ADMIN", wantToken: "environment"},
		{
			name: "flags", give: whereFlags{admin: "[::1]:2", tokenFile: "from a flag"}, admin: "10.0.0.1:1", token: "from the environment",
			wantAddress: "[::1]:2", wantSource: "--admin", wantToken: "flag",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nowhere(t)
			t.Setenv("FAIRLEAD_ADMIN", tt.admin)
			if tt.token != "" {
				t.Setenv("FAIRLEAD_TOKEN_FILE", tokenFile(t, "environment\n"))
			}
			if tt.give.tokenFile != "" {
				tt.give.tokenFile = tokenFile(t, "flag")
			}
			c, err := tt.give.client("status")
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if c.address != tt.wantAddress || c.source != tt.wantSource || c.token != tt.wantToken {
				t.Errorf("got %q by %q with %q, want %q by %q with %q", c.address, c.source, c.token, tt.wantAddress, tt.wantSource, tt.wantToken)
			}
		})
	}
}

func TestAConfigurationIsReadOnlyWhereItIsWanted(t *testing.T) {
	nowhere(t)
	if got := new(whereFlags).file(true); got != "" {
		t.Errorf("without a file, %q is read", got)
	}
	if err := os.WriteFile("fairlead.toml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := new(whereFlags).file(true); got != "fairlead.toml" {
		t.Errorf("%q is read", got)
	}
	// Its token is not for an address that somebody else gives.
	if got := new(whereFlags).file(false); got != "" {
		t.Errorf("with an address, %q is read", got)
	}
	if got := (&whereFlags{config: "x.toml"}).file(false); got != "x.toml" {
		t.Errorf("with -c x.toml, %q is read", got)
	}
}

// A mistake in the file must not keep anybody from the process that still serves.
func TestABrokenConfigurationThatNobodyNamedLeavesTheDefaultAddress(t *testing.T) {
	nowhere(t)
	if err := os.WriteFile("fairlead.toml", []byte("[nothing]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var warned string
	fall := func(warning string) { warned = warning }
	c, err := (&whereFlags{fall: fall}).client("status")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if c.address != defaultAdmin || !strings.Contains(warned, "fairlead.toml can't be used") || !strings.Contains(warned, defaultAdmin) {
		t.Errorf("it asks %s and warns %q", c.address, warned)
	}
	if _, err := (&whereFlags{config: "fairlead.toml", fall: fall}).client("status"); err == nil {
		t.Error("one that -c names is passed over")
	}
}

func TestAnAddressIsDialledWhereItCanBe(t *testing.T) {
	tests := []struct{ give, network, dial, host string }{
		{"127.0.0.1:9900", "tcp", "127.0.0.1:9900", "127.0.0.1:9900"},
		{":9900", "tcp", "127.0.0.1:9900", "127.0.0.1:9900"},
		{"0.0.0.0:9900", "tcp", "127.0.0.1:9900", "127.0.0.1:9900"},
		{"[::]:9900", "tcp", "[::1]:9900", "[::1]:9900"},
		{"edge-1.example:9900", "tcp", "edge-1.example:9900", "edge-1.example:9900"},
		{"unix:/run/fairlead.sock", "unix", "/run/fairlead.sock", "localhost"},
	}
	for _, tt := range tests {
		network, dial, host, err := dialAddress(tt.give)
		if err != nil || network != tt.network || dial != tt.dial || host != tt.host {
			t.Errorf("%s: got %s %s %s, %v", tt.give, network, dial, host, err)
		}
	}
	for _, bad := range []string{"", "9900", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:http", "127.0.0.1:70000", "http://127.0.0.1:9900", "a b:1", "a@b:1", "unix:"} {
		nowhere(t)
		code, _, stderr := command(t, "status", "--admin="+bad, "--token-file", "none")
		if bad != "" && (code != exitUsage || !strings.Contains(stderr, "write ")) {
			t.Errorf("%q: exit code %d, stderr %q", bad, code, stderr)
		}
		if _, _, _, err := dialAddress(bad); err == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

func TestATokenFileHoldsOneToken(t *testing.T) {
	if token, err := readToken(tokenFile(t, "  s3cret \r\n")); err != nil || token != "s3cret" {
		t.Errorf("got %q, %v", token, err)
	}
	for _, bad := range []string{"", " \n", "two words", "two\nlines", "umläut", "esc\x1b", strings.Repeat("x", 5000)} {
		if token, err := readToken(tokenFile(t, bad)); err == nil {
			t.Errorf("%.20q gives %q", bad, token)
		}
	}
	nowhere(t)
	code, _, stderr := command(t, "status", "--token-file", "missing")
	if code != exitWrong || !strings.Contains(stderr, "missing") || !strings.Contains(stderr, "--token-file") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// guarded lets in who shows a token.
func guarded(api http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			refuse(http.StatusUnauthorized, adminapi.Error{Code: "unauthorized", Text: "a token is needed"})(w, r)
			return
		}
		api.ServeHTTP(w, r)
	}
}

func TestTheTokenOpensTheAPIAndItsLackIsExplained(t *testing.T) {
	serveAPI(t, guarded(newFakeAPI()))
	code, _, stderr := command(t, "status")
	if code != exitWrong || !strings.Contains(stderr, "a token is needed\nNo token was sent") || !strings.Contains(stderr, "--token-file") {
		t.Errorf("without a token: exit code %d, stderr %q", code, stderr)
	}
	wrong := tokenFile(t, "wrong")
	code, _, stderr = command(t, "status", "--token-file", wrong)
	if code != exitWrong || !strings.Contains(stderr, "is that of "+wrong) || strings.Contains(stderr, "\"wrong\"") {
		t.Errorf("with a wrong one: exit code %d, stderr %q", code, stderr)
	}
	code, stdout, stderr := command(t, "status", "--token-file", tokenFile(t, "s3cret\n"))
	if code != exitDone || !strings.Contains(stdout, "GROUP") {
		t.Errorf("with the right one: exit code %d, stderr %q", code, stderr)
	}
}

func TestTheAPICanBeAUnixSocket(t *testing.T) {
	path := serveSocket(t, newFakeAPI())
	nowhere(t)
	code, stdout, stderr := command(t, "status", "--admin", "unix:"+path)
	if code != exitDone || !strings.Contains(stdout, "GROUP") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestWhatCannotBeReachedSaysWhatToDo(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	nowhere(t)
	code, stdout, stderr := command(t, "status", "--admin", address)
	if code != exitWrong || stdout != "" || !strings.Contains(stderr, address+" (--admin)") || !strings.Contains(stderr, "Is fairlead running, and does its configuration have [admin]") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if runtime.GOOS == "windows" {
		return
	}
	code, _, stderr = command(t, "status", "--admin", "unix:/none/such.sock")
	if code != exitWrong || !strings.Contains(stderr, "there is no socket at unix:/none/such.sock") || !strings.Contains(stderr, "FAIRLEAD_ADMIN") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestASocketThatIsNotForThisUserSaysSo(t *testing.T) {
	if os.Getuid() <= 0 {
		t.Skip("this user may open everything")
	}
	path := serveSocket(t, newFakeAPI())
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	nowhere(t)
	if code, _, stderr := command(t, "status", "--admin", "unix:"+path); code != exitWrong || !strings.Contains(stderr, "this user may not open") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// says is a handler that answers so.
func says(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestAStrangersAnswerIsToldFromTheAPIs(t *testing.T) {
	tests := []struct {
		name string
		give http.HandlerFunc
		want string
	}{
		{"a page", says(200, "text/html", "<h1>It works</h1>"), `is not the admin API of fairlead: it answers with 200 OK and "text/html"`},
		{"a page that is missing", says(404, "text/plain", "404 page not found"), `it answers with 404 Not Found`},
		{"a redirect", http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound).ServeHTTP, `it answers with 302 Found`},
		{"no JSON", says(200, "application/json", "\x1b[31m"), "is not the admin API"},
		{"nothing", says(200, "application/json", ""), "is not the admin API"},
		{"another document", says(200, "application/json", `{"groups": "all of them"}`), "is not the admin API"},
		{"deep nesting", says(200, "application/json", strings.Repeat("[", 1<<20)), "is not the admin API"},
		{"an error without a reason", says(500, "application/json", `{}`), "it answers with 500 and no reason"},
		{"a type that lies", says(200, "; =", "{}"), "is not the admin API"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serveAPI(t, tt.give)
			code, stdout, stderr := command(t, "status")
			if code != exitWrong || stdout != "" || !strings.Contains(stderr, tt.want) || !isPlain(stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

// smallClient is a client of a server that has little patience.
func smallClient(t *testing.T, handler http.Handler) *client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := newClient(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	c.limit, c.patience = 100_000, 200*time.Millisecond
	return c
}

// endless sends the same piece until nobody takes it.
func endless(kind, piece string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(piece)); err != nil {
				return
			}
		}
	}
}

// silentAfterHead sends a head, and then nothing until the client leaves.
func silentAfterHead(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	c := smallClient(t, endless("application/json", strings.Repeat(" ", 1000)))
	c.patience = time.Minute
	if err := c.status(t.Context(), new(adminapi.Status)); err == nil || !strings.Contains(err.Error(), "longer than 100000 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestASlowAnswerIsNotWaitedForForever(t *testing.T) {
	c := smallClient(t, silentAfterHead("application/json"))
	if err := c.status(t.Context(), new(adminapi.Status)); err == nil || !strings.Contains(err.Error(), "gives no answer in time") {
		t.Errorf("got %v", err)
	}
}

func TestAnEndlessMessageOfAStreamIsCutOff(t *testing.T) {
	for name, piece := range map[string]string{"one line": "x", "many lines": "data: x\n", "comments": ": x\n"} {
		t.Run(name, func(t *testing.T) {
			c := smallClient(t, endless("text/event-stream", strings.Repeat(piece, 1000)))
			s, err := c.open(t.Context(), "/v1/events", nil, "", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if m, err := s.next(); err != errLongMessage {
				t.Errorf("got %.40q, %v", m.data, err)
			}
		})
	}
}

func TestASilentStreamIsGivenUp(t *testing.T) {
	c := smallClient(t, silentAfterHead("text/event-stream"))
	s, err := c.open(t.Context(), "/v1/events", nil, "", 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.next(); err == nil {
		t.Error("it goes on")
	}
}

func TestAChangeWhoseAnswerIsLostSaysThatItMayHaveBeenMade(t *testing.T) {
	api := newFakeAPI()
	api.HandleFunc("POST /v1/reload", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	serveAPI(t, api)
	code, _, stderr := command(t, "reload")
	if code != exitWrong || !strings.Contains(stderr, `The change may have been made all the same: look with "fairlead status"`) {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestAProxyOfTheEnvironmentGetsNothing(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	c := smallClient(t, newFakeAPI())
	if transport := c.http.Transport.(*http.Transport); transport.Proxy != nil {
		t.Error("the transport asks the environment for a proxy")
	}
	if err := c.status(t.Context(), new(adminapi.Status)); err != nil {
		t.Error(err)
	}
}

func TestTheUserAgentSaysWhoAsksInPlainCharacters(t *testing.T) {
	agent := userAgent()
	if !strings.HasPrefix(agent, "fairlead/") || strings.ContainsFunc(agent, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("got %q", agent)
	}
	if fieldCharacter('\r') != '_' || fieldCharacter('ü') != '_' || fieldCharacter('a') != 'a' {
		t.Error("fields may hold more than they should")
	}
}

func FuzzStream(f *testing.F) {
	f.Add("id: 1\nevent: event\ndata: {\"seq\":1}\n\n")
	f.Add(": comment\r\n\r\ndata:a\r\ndata: b\r\n\r\n")
	f.Add("data\n\nid: \x00\ndata: x\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := newStream(io.NopCloser(strings.NewReader(text)), 1000)
		for range len(text) + 1 {
			m, err := s.next()
			if err != nil {
				return
			}
			if len(m.data) > 1000 || strings.ContainsAny(m.event+m.id, "\n\x00") && !strings.Contains(m.event, "\x00") {
				t.Fatalf("got %q", m)
			}
		}
		t.Fatal("more messages than bytes")
	})
}

func TestAStreamIsReadAsTheStandardSays(t *testing.T) {
	s := newStream(io.NopCloser(strings.NewReader(": hello\n\nid: 7\nevent: event\ndata: a\ndata:b\nwhat: ever\n\nevent: lost\n\ndata\r\n\r\nid\ndata: c\n\ndata: cut off")), 1000)
	var got []string
	for {
		m, err := s.next()
		if err != nil {
			break
		}
		got = append(got, fmt.Sprintf("%s %s %q", m.id, m.event, m.data))
	}
	want := []string{`7 event "a\nb"`, `7 message ""`, ` message "c"`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzPlainJSON(f *testing.F) {
	f.Add([]byte("{\"a\":\"\u009b\u202e\xff\U000e0001\", \"b\":[1,null]}"), true)
	f.Add([]byte(" 0\t\r\n"), true)
	f.Fuzz(func(t *testing.T, raw []byte, indent bool) {
		text, err := plainJSON(raw, indent)
		if err != nil {
			if json.Valid(raw) {
				t.Fatal(err)
			}
			return
		}
		var got, want any
		if !isPlain(string(text)) || json.Unmarshal(text, &got) != nil || json.Unmarshal(raw, &want) != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q became %q", raw, text)
		}
		if lines := strings.Count(string(text), "\n"); !indent && lines != 1 {
			t.Fatalf("%d lines", lines)
		}
	})
}
