package main

import (
	"encoding/pem"
	"errors"
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

	"github.com/fairlead/fairlead/proxy"
)

// logBeside is all of the log beside a configuration's file.
func logBeside(t *testing.T, file string) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(filepath.Dir(file), "fairlead.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func TestRunTellsWhatItServesAndWarnsOnce(t *testing.T) {
	file := write(t, "[server]\nlisten = [\"127.0.0.1:0\"]\n[log]\noutput = \"fairlead.log\"\n"+oneOrigin(origin(t, "app").URL))
	p, stop, ended := background(file)
	stderr := <-p
	if !strings.Contains(stderr, "listening on 127.0.0.1:") || !strings.Contains(stderr, "fairlead.log") {
		t.Errorf("stderr says %q, want where it listens and where the log is", stderr)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	log := logBeside(t, file)
	for _, want := range []string{
		`"msg":"starting"`, `"origin":"app","url":"http://`, `"group":"app","primary":"app"`, `"route":"app","match":"/"`,
		`"msg":"listening"`, `"msg":"route totals"`, `"msg":"stopped"`, `group app has no secondary`,
	} {
		if n := strings.Count(log, want); n != 1 {
			t.Errorf("%s stands %d times in the log, want once:\n%s", want, n, log)
		}
	}
}

func TestTheEndOfTheContextFinishesWhatIsInFlight(t *testing.T) {
	o := newSlowOrigin(t)
	r := start(t, oneOrigin(o.URL))
	answer := fetch(t.Context(), "GET", "http://"+r.address+"/")
	<-o.arrived
	r.drain()
	r.await("draining", nil)
	if c, err := net.Dial("tcp", r.address); err == nil {
		_ = c.Close()
		t.Error("a draining proxy accepted a connection")
	}
	close(o.release)
	if a := <-answer; a.err != nil || a.status != http.StatusOK || a.body != "slow" {
		t.Errorf("request in flight got %+v", a)
	}
	totals := r.await("route totals", line{"route": "app"})
	if totals["accepted"] != 1.0 || totals["served"] != 1.0 {
		t.Errorf("totals are %v, want one request accepted and served", totals)
	}
	r.rest()
	if err := <-r.ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestForceEndsTheDrain(t *testing.T) {
	o := newSlowOrigin(t)
	defer close(o.release)
	r := start(t, oneOrigin(o.URL))
	answer := fetch(t.Context(), "GET", "http://"+r.address+"/")
	<-o.arrived
	r.drain()
	r.await("draining", nil)
	r.force()
	r.rest()
	if err := <-r.ended; !errors.Is(err, proxy.ErrForced) {
		t.Errorf("run returned %v, want %v", err, proxy.ErrForced)
	}
	if a := <-answer; a.err == nil && a.status == http.StatusOK {
		t.Errorf("request in flight got %+v, want an error", a)
	}
}

// twoGroups has an origin that is primary in one group and secondary in the
// other. Probes are an hour apart, so that only a real failure can make the
// checkers find out.
func twoGroups(eu, us string) string {
	return fmt.Sprintf(`
[origins.eu]
url = %q
health = { interval = "1h", timeout = "10s", fast_interval = "20ms" }
[origins.us]
url = %q
health = { interval = "1h", timeout = "10s", fast_interval = "20ms" }
[groups.shop]
primary = "eu"
secondary = "us"
park_timeout = "10s"
[groups.mirror]
primary = "us"
secondary = "eu"
`, eu, us) + routeTable("shop", "/", "shop", 10) + routeTable("mirror", "/mirror/", "mirror", 10)
}

func TestAFailedRequestHurriesTheCheckerWhoseVerdictReachesEveryGroup(t *testing.T) {
	eu, us := origin(t, "eu"), origin(t, "us")
	r := start(t, twoGroups(eu.URL, us.URL))
	// Both are probed at once at the start; wait until that has calmed down.
	for range 2 {
		r.await("verdict", line{"from": "unknown", "to": "healthy"})
	}
	eu.Close()
	url := "http://" + r.address
	if a := fetchNow(t.Context(), "GET", url+"/"); a.err != nil || a.body != "us" {
		t.Fatalf("GET got %+v, want us in the same request", a)
	}
	post := fetch(t.Context(), "POST", url+"/")
	if v := r.await("verdict", line{"origin": "eu", "to": "down"}); v["level"] != "warn" || v["error"] == nil {
		t.Errorf("the verdict is %v, want a warning with the probe's error", v)
	}
	want := line{"group": "shop", "from": "eu", "to": "us", "target": "secondary", "reason": "primary_down", "generation": 2.0, "level": "warn"}
	if flip := r.await("pointer moved", nil); !flip.has(want) {
		t.Errorf("the flip is %v, want %v", flip, want)
	}
	if a := <-post; a.err != nil || a.body != "us" {
		t.Errorf("POST got %+v, want us after the flip", a)
	}
	if a := fetchNow(t.Context(), "GET", url+"/mirror/"); a.err != nil || a.body != "us" {
		t.Errorf("GET of the other group got %+v, want its primary, us", a)
	}
	r.drain()
	for _, l := range r.rest() {
		if l["msg"] == "pointer moved" {
			t.Errorf("a second flip: %v", l)
		}
	}
}

func TestTheSecondarysVerdictReachesTheGroupThatStandsOnIt(t *testing.T) {
	eu, us := origin(t, "eu"), origin(t, "us")
	r := start(t, strings.Replace(twoGroups(eu.URL, us.URL), `park_timeout = "10s"`, `both_down = "fail_fast"`, 1))
	for range 2 {
		r.await("verdict", line{"from": "unknown", "to": "healthy"})
	}
	eu.Close()
	us.Close()
	if a := fetchNow(t.Context(), "GET", "http://"+r.address+"/"); a.status != http.StatusBadGateway {
		t.Errorf("GET got %+v, want 502 while nothing is known", a)
	}
	last := r.await("pointer moved", line{"group": "shop", "to": "none"})
	if last["reason"] != "both_down" {
		t.Errorf("the flip is %v, want both_down", last)
	}
	if a := fetchNow(t.Context(), "GET", "http://"+r.address+"/"); a.status != http.StatusServiceUnavailable {
		t.Errorf("GET got %+v, want 503 at once", a)
	}
}

func TestAccessRecordsAreSwitchedByTheirOwnKeyOnly(t *testing.T) {
	app := origin(t, "app")
	tests := []struct {
		give string // replaces the log's level
		want int
	}{
		{give: `level = "error"`, want: 1},
		{give: "level = \"debug\"\naccess = false", want: 0},
	}
	for _, tt := range tests {
		t.Run(tt.give, func(t *testing.T) {
			file := write(t, "[server]\nlisten = [\"127.0.0.1:0\"]\n[log]\noutput = \"fairlead.log\"\n"+tt.give+oneOrigin(app.URL))
			p, stop, ended := background(file)
			address := listensOn(t, <-p)
			if a := fetchNow(t.Context(), "GET", "http://"+address+"/"); a.body != "app" {
				t.Errorf("GET got %+v", a)
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			log := logBeside(t, file)
			if got := strings.Count(log, `"msg":"request"`); got != tt.want {
				t.Errorf("%d access records, want %d:\n%s", got, tt.want, log)
			}
		})
	}
}

func TestOriginsWithTLSAndOnUnixSocketsAreServedAndProbed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths of unix sockets in TOML strings need care on Windows")
	}
	dir := t.TempDir()
	secure := httptest.NewTLSServer(named("secure"))
	defer secure.Close()
	ca := filepath.Join(dir, "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	socket := &httptest.Server{Listener: listener, Config: &http.Server{Handler: named("socket")}}
	socket.Start()
	defer socket.Close()
	r := start(t, fmt.Sprintf(`
[origins.secure]
url = %q
ca = %q
sni = "example.com"
health = {}
[origins.socket]
url = "unix:%s"
health = {}
[groups.both]
primary = "secure"
secondary = "socket"
[[routes]]
name = "both"
match = "/"
group = "both"
bulkhead = { max_concurrent = 10 }
`, secure.URL, ca, listener.Addr()))
	for range 2 {
		r.await("verdict", line{"to": "healthy"})
	}
	if a := fetchNow(t.Context(), "GET", "http://"+r.address+"/"); a.err != nil || a.body != "secure" {
		t.Errorf("GET got %+v, want the https origin", a)
	}
	secure.Close()
	if a := fetchNow(t.Context(), "GET", "http://"+r.address+"/"); a.err != nil || a.body != "socket" {
		t.Errorf("GET got %+v, want the origin on the socket", a)
	}
}

func TestATakenAddressIsReportedByName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := write(t, fmt.Sprintf("[server]\nlisten = [%q]\n[log]\noutput = \"fairlead.log\"\n", l.Addr())+oneOrigin("http://127.0.0.1:9101"))
	code, stdout, stderr := command(t, "run", "-c", file)
	if code != exitWrong || stdout != "" {
		t.Errorf("exit code %d, stdout %q; want %d and nothing", code, stdout, exitWrong)
	}
	if !strings.HasPrefix(stderr, "fairlead: listen on "+l.Addr().String()) {
		t.Errorf("stderr is %q, want the address first", stderr)
	}
	if runtime.GOOS != "windows" && !strings.Contains(stderr, "another fairlead") {
		t.Errorf("stderr is %q, want what may be wrong", stderr)
	}
}

// A file in the place of a unix socket is no other program's fault.
func TestAFileInThePlaceOfASocketIsReportedAsOne(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there bind says the same of a file and of a socket")
	}
	folder, err := os.MkdirTemp("", "f") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	for _, table := range []string{"[server]\nlisten = [%q]\n", "[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = %q\n"} {
		path := filepath.Join(folder, "s")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		file := write(t, fmt.Sprintf(table, "unix:"+path)+"[log]\noutput = \"fairlead.log\"\n"+oneOrigin("http://127.0.0.1:9101"))
		code, _, stderr := command(t, "run", "-c", file)
		if code != exitWrong || !strings.Contains(stderr, "what is there is no socket") || strings.Contains(stderr, "another fairlead") {
			t.Errorf("exit code %d, stderr %q; want that no socket is there", code, stderr)
		}
		if text, _ := os.ReadFile(path); string(text) != "precious" {
			t.Errorf("the file now holds %q", text)
		}
	}
}

func TestALogThatCannotBeOpenedStopsTheStart(t *testing.T) {
	file := write(t, "[log]\noutput = \"nowhere/fairlead.log\"\n"+oneOrigin("http://127.0.0.1:9101"))
	code, _, stderr := command(t, "run", "-c", file)
	if code != exitWrong || !strings.Contains(stderr, "open the log: ") {
		t.Errorf("exit code %d, stderr %q; want %d and why", code, stderr, exitWrong)
	}
}

func TestAMissingConfigurationSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nothere.toml")
	for _, command := range []string{"run", "drill"} {
		p := &program{stdout: io.Discard, stderr: io.Discard}
		if err := p.run(t.Context(), []string{command, "-c", file}); err == nil || !strings.Contains(err.Error(), "nothere.toml") || !strings.HasSuffix(err.Error(), "or name another file with -c") {
			t.Errorf("fairlead %s says: %v", command, err)
		}
	}
}
