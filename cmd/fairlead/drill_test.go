package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/drill"
)

// occupied are the addresses and files of a configuration that a drill must leave
// alone. The addresses are the test's own, so that whoever wants to listen there
// fails, and what a drill or a proxy would send there is counted.
type occupied struct {
	listen, admin, dns, origin string
	folder                     string
	touched                    atomic.Int64
}

// marks are what stands in all that the configuration would have sent. Other
// programs on this machine may have some business with a port that was theirs.
var marks = []string{"Chaos-Id", "fairlead-health", "example"}

func (o *occupied) see(b []byte) {
	for _, mark := range marks {
		if bytes.Contains(b, []byte(mark)) {
			o.touched.Add(1)
			return
		}
	}
}

func occupy(t *testing.T) *occupied {
	t.Helper()
	o := &occupied{folder: t.TempDir()}
	var all sync.WaitGroup
	var listeners []net.Listener
	for _, address := range []*string{&o.listen, &o.admin, &o.origin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*address = l.Addr().String()
		listeners = append(listeners, l)
		all.Go(func() { o.accept(l) })
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.dns = udp.LocalAddr().String()
	all.Go(func() {
		for packet := make([]byte, 512); ; {
			n, _, err := udp.ReadFrom(packet)
			if err != nil {
				return
			}
			o.see(packet[:n])
		}
	})
	t.Cleanup(func() {
		udp.Close()
		for _, l := range listeners {
			l.Close()
		}
		all.Wait()
	})
	return o
}

// accept looks at the first of what comes on each connection.
func (o *occupied) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		nc.SetDeadline(time.Now().Add(time.Second))
		first := make([]byte, 4096)
		n, _ := nc.Read(first)
		o.see(first[:n])
		nc.Close()
	}
}

// config is a configuration that would touch all of it. Its group fails over for
// 503 alone.
func (o *occupied) config(t *testing.T) string {
	t.Helper()
	file := filepath.Join(o.folder, "fairlead.toml")
	text := fmt.Sprintf(`
[server]
listen = [%q]
state = "pointers.state"
[log]
output = "fairlead.log"
[resolver]
servers = [%q]
[nameserver]
listen = %[2]q
zone = "failover.example."
ns = ["ns1.failover.example."]
[admin]
listen = %[3]q
[origins.eu]
url = "http://eu.example"
connect_timeout = "5s"
[origins.eu.health]
interval = "1s"
fast_interval = "50ms"
[origins.us]
url = "http://%[4]s"
[origins.us.health]
[groups.shop]
primary = "eu"
secondary = "us"
failover_statuses = [503]
dns_name = "shop"
[[routes]]
name = "page"
match = "/{$}"
group = "shop"
bulkhead = { max_concurrent = 100 }
[[routes]]
name = "order"
match = "POST shop.example/orders"
group = "shop"
bulkhead = { max_concurrent = 100 }
[[routes]]
name = "lost"
match = "TRACE /lost"
group = "shop"
bulkhead = { max_concurrent = 1 }
`, o.listen, o.dns, o.admin, o.origin)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// drilledRoute is a part of what "--json" prints.
type drilledRoute struct {
	Route              string
	Requests           int
	Covered, Uncovered *struct {
		Requests, Errors, Shed int
		FirstSuccess           *float64 `json:"first_success_ms"`
	}
	Parked     int
	FailedOver int                                      `json:"failed_over"`
	Flip       *float64                                 `json:"flip_ms"`
	P99        struct{ Before, During, After *float64 } `json:"p99_ms"`
	Verdict    struct{ Outcome, Text, Key string }
}

type drilledDocument struct {
	Config        string
	Complete      bool
	CoveredFailed int `json:"covered_failed"`
	Violations    int
	Outcomes      map[string]int
	Routes        []struct {
		Route, Covered, Uncovered string
		NotDriven                 string `json:"not_driven"`
	}
	Faults []struct {
		Fault, Skipped string
		For            float64 `json:"for_ms"`
		Stood          float64 `json:"stood_ms"`
		Violations     []string
		Routes         []drilledRoute
	}
}

// drillBesides is "fairlead drill" with its faults side by side, whatever this
// machine bears.
func drillBesides(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	flags := flag.NewFlagSet("drill", flag.ContinueOnError)
	options := drillOptions{lanes: 4}
	options.register(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	p := program{stdout: &out, stderr: &errs}
	code = exitCode(p.drill(t.Context(), &options), &errs)
	return code, out.String(), errs.String()
}

func TestADrillShowsWhatAnOutageWouldDo(t *testing.T) {
	t.Parallel()
	o := occupy(t)
	file, page := o.config(t), filepath.Join(t.TempDir(), "drill.html")
	code, stdout, stderr := drillBesides(t, "-c", file, "--json", "--html", page, "--for", "2s", "--rate", "20",
		"--fault", "connect_refused,status_500", "--fault", "secondary_down,tls_wrong_name")
	var doc drilledDocument
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatalf("%v in %s; stderr %s", err, stdout, stderr)
	}
	if !doc.Complete || doc.Violations != 0 || doc.Config != file || len(doc.Faults) != 4 {
		t.Fatalf("got %+v", doc)
	}
	// The status that is not listed fails them on any machine.
	if n := doc.CoveredFailed; code != exitWrong || n == 0 || !strings.HasSuffix(stderr, fmt.Sprintf("fairlead: %d covered requests failed\n", n)) {
		t.Errorf("exit code %d, %d covered requests failed, stderr %s", code, n, stderr)
	}
	if r := doc.Routes; len(r) != 3 || r[0].Covered != "GET http://drill.test/" || r[0].Uncovered != "POST http://drill.test/" || r[1].Uncovered != "POST http://shop.example/orders" || r[1].Covered != "" || r[2].NotDriven == "" {
		t.Errorf("routes: %+v", doc.Routes)
	}
	if f := doc.Faults[3]; f.Fault != "tls_wrong_name" || f.Skipped == "" || len(f.Routes) != 0 {
		t.Errorf("a fault of TLS without TLS: %+v", f)
	}
	for i, f := range doc.Faults[:3] {
		if want := []string{"connect_refused", "status_500", "secondary_down"}[i]; f.Fault != want || f.Skipped != "" || f.For < 2000 || len(f.Routes) != 2 {
			t.Fatalf("fault %d: %+v, want %s", i, f, want)
		}
		if f.Stood > 250 {
			t.Logf("%s: this machine was too busy for figures, as the drill says itself: it stood still for %v ms", f.Fault, f.Stood)
			continue
		}
		wantDrilled(t, f.Fault, &f.Routes[0], &f.Routes[1])
	}
	if stages := strings.Count(stderr, " of 4 faults: "); stages != 4 {
		t.Errorf("stderr tells of %d faults:\n%s", stages, stderr)
	}
	wantUntouched(t, o)
	wantPage(t, page)
}

// wantDrilled checks one fault's figures.
func wantDrilled(t *testing.T, fault string, page, order *drilledRoute) {
	t.Helper()
	if page.Covered == nil || page.Uncovered == nil || order.Covered != nil || order.Uncovered == nil {
		t.Fatalf("%s: %+v, %+v", fault, page, order)
	}
	// 20 a second for 4.2 s, of which every fifth is a POST.
	if n := page.Requests; n < 40 || n > 120 || n != page.Covered.Requests+page.Uncovered.Requests || page.Covered.Requests < 3*page.Uncovered.Requests {
		t.Errorf("%s: %d requests: %+v, %+v", fault, n, page.Covered, page.Uncovered)
	}
	if p := page.P99; p.Before == nil || p.During == nil || p.After == nil {
		t.Errorf("%s: p99 %+v", fault, p)
	}
	switch fault {
	case "secondary_down":
		if page.Flip != nil || page.Covered.Errors+page.Uncovered.Errors+order.Uncovered.Errors != 0 || page.Verdict.Outcome != "held" || order.Verdict.Outcome != "held" {
			t.Errorf("%s: %+v, %+v", fault, page, order)
		}
		return
	case "status_500":
		if page.Covered.Errors == 0 || page.Verdict.Outcome != "failed" || page.Verdict.Key != "groups.shop.failover_statuses" {
			t.Errorf("%s: %d errors, verdict %+v", fault, page.Covered.Errors, page.Verdict)
		}
	case "connect_refused":
		if page.Covered.Errors != 0 || order.Parked == 0 || page.Verdict.Outcome == "failed" {
			t.Errorf("%s: %d errors, %d parked, verdict %+v", fault, page.Covered.Errors, order.Parked, page.Verdict)
		}
	}
	if page.Flip == nil || order.Flip == nil || *page.Flip <= 0 || *page.Flip > 3000 {
		t.Errorf("%s: the pointer moved after %v and %v ms", fault, page.Flip, order.Flip)
	}
}

func wantUntouched(t *testing.T, o *occupied) {
	t.Helper()
	if n := o.touched.Load(); n != 0 {
		t.Errorf("%d requests, probes and queries came to what the configuration names", n)
	}
	files, err := os.ReadDir(o.folder)
	if err != nil || len(files) != 1 {
		t.Errorf("beside the configuration there are %v (%v)", files, err)
	}
}

func wantPage(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "connect_refused", "pointer shop", "verdict eu", "fault us", "failover_statuses", " broken, ", "speaks TLS"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestADrillOfATLSOriginNeedsNoCertificateOfIt(t *testing.T) {
	t.Parallel()
	file := write(t, `
[origins.eu]
url = "https://eu.example"
sni = "shop.example"
connect_timeout = "5s"
[origins.us]
url = "https://us.example:8443"
connect_timeout = "5s"
[groups.shop]
primary = "eu"
secondary = "us"
[[routes]]
name = "page"
match = "GET /"
group = "shop"
bulkhead = { max_concurrent = 100 }
`)
	code, stdout, stderr := drillBesides(t, "-c", file, "--json", "--for", "1s", "--rate", "5", "--fault", "tls_wrong_name")
	var doc drilledDocument
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatalf("%v in %s; stderr %s", err, stdout, stderr)
	}
	if len(doc.Faults) != 1 || len(doc.Faults[0].Routes) != 1 {
		t.Fatalf("got %+v", doc)
	}
	f := doc.Faults[0]
	if f.Stood > 250 {
		t.Logf("this machine was too busy for figures, as the drill says itself: it stood still for %v ms", f.Stood)
		return
	}
	// Nobody checks eu, so only the failover saves its requests.
	r := f.Routes[0]
	if code != exitDone || r.Covered == nil || r.Covered.Errors != 0 || r.FailedOver == 0 || r.Flip != nil || r.Verdict.Key != "origins.eu.health" {
		t.Errorf("exit code %d, %+v; stderr %s", code, r, stderr)
	}
}

func TestADrillThatIsStoppedPrintsWhatItHas(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs strings.Builder
	p := program{stdout: writerFunc(func(b []byte) (int, error) {
		stop() // with the first line, when the first faults are under way
		return out.Write(b)
	}), stderr: &errs}
	begun := time.Now()
	err := p.run(ctx, []string{"drill", "-c", filepath.Join("..", "..", "testdata", "failover.toml")})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("stopped after 0 of %d faults", len(drill.Faults()))) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "Drill of ") || !strings.Contains(out.String(), "0 faults") || strings.Contains(out.String(), "Nothing to change") {
		t.Errorf("got %s", out.String())
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v to stop", took)
	}
}

// writerFunc is a function as an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestADrillThatCannotBeginSaysWhy(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a bad configuration", "[server]\nlisten = 8080\n", "fairlead.toml:2:10: "},
		{
			"no route that can be driven",
			strings.Replace(oneOrigin("http://127.0.0.1:9101"), `match = "/"`, `match = "TRACE /"`, 1),
			"no route can be driven: app: TRACE drill.test/ is answered with 405",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(t, "drill", "-c", write(t, tt.text))
			if code != exitWrong || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %q", code, stdout, stderr, tt.want)
			}
		})
	}
}

func TestADrillWhosePageCannotBeWrittenDoesNotBegin(t *testing.T) {
	page := filepath.Join(t.TempDir(), "no", "drill.html")
	code, stdout, stderr := command(t, "drill", "-c", filepath.Join("..", "..", "testdata", "minimal.toml"), "--fault", "connect_refused, slow", "--html", page)
	if code != exitWrong || stdout != "" || !strings.Contains(stderr, "write the page: open "+page) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestADrillWhoseReaderIsGoneStops(t *testing.T) {
	p := program{stdout: brokenWriter{}, stderr: io.Discard}
	begun := time.Now()
	err := p.run(t.Context(), []string{"drill", "-c", filepath.Join("..", "..", "testdata", "minimal.toml"), "--fault", "slow", "--for", "100ms"})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
