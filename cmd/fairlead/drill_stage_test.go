package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/drill"
)

// outward is a configuration that would touch all that there is outside, if it
// were run.
const outward = `
[server]
listen = ["0.0.0.0:80"]
trusted_proxies = ["127.0.0.0/8"]
proxy_protocol = ["0.0.0.0:80"]
proxy_status = false
state = "pointers.state"
watch = true
[log]
output = "fairlead.log"
[nameserver]
listen = "0.0.0.0:53"
zone = "failover.example."
ns = ["ns1.failover.example."]
[admin]
listen = "127.0.0.1:9900"
[origins.eu]
url = "https://eu.example"
sni = "shop.example"
host = "origin"
connect_timeout = "700ms"
[origins.eu.health]
path = "/healthz?deep=yes"
expect_status = "204"
expect_body = "ready"
interval = "4s"
[origins.us]
url = "unix:/run/us.sock"
[groups.shop]
primary = "eu"
secondary = "us"
dns_name = "shop"
follow = "dns://192.0.2.53:54/shop.elsewhere.example."
unsafe = "never"
[[routes]]
name = "order"
match = "POST /order"
group = "shop"
bulkhead = { max_concurrent = 7 }
`

func TestAStagedConfigurationTouchesNothingOutside(t *testing.T) {
	cfg := parsed(t, outward)
	roots := x509.NewCertPool()
	staged := stageConfig(cfg, func(origin string) string { return "127.0.0.1:1" + map[string]string{"eu": "1", "us": "2"}[origin] }, roots)

	if !reflect.DeepEqual(cfg, parsed(t, outward)) {
		t.Error("the configuration itself was changed")
	}
	s := staged.Server
	if !reflect.DeepEqual(s.Listen, []string{"127.0.0.1:0"}) || s.TLSListen != nil || s.State != "" || s.Watch || s.ProxyProtocol != nil || s.TrustedProxies != nil {
		t.Errorf("server: %+v", s)
	}
	if staged.Nameserver != nil || staged.Admin != nil || staged.Log.Output != "stderr" {
		t.Errorf("nameserver %v, admin %v, log %v", staged.Nameserver, staged.Admin, staged.Log)
	}
	if g := staged.Groups[0]; g.Follow != nil || g.DNSName != "" || g.Unsafe != config.UnsafeNever {
		t.Errorf("group: %+v", g)
	}
	if hosts := dnsHosts(staged); hosts != nil {
		t.Errorf("names are resolved: %q", hosts)
	}
	eu, us := staged.Origin("eu"), staged.Origin("us")
	if eu.Address != "127.0.0.1:11" || eu.Authority != "127.0.0.1:11" || eu.Scheme != "https" || eu.RootCAs != roots || eu.ServerName != "shop.example" {
		t.Errorf("eu: %+v", eu)
	}
	if us.Network != "tcp" || us.Address != "127.0.0.1:12" || us.Scheme != "http" || us.RootCAs != nil {
		t.Errorf("us: %+v", us)
	}
	h := eu.Health
	if h.Path != drillHealth || h.ExpectBody != "eu" || len(h.ExpectStatus) != 2 || h.Interval != cfg.Origin("eu").Health.Interval || eu.ConnectTimeout != cfg.Origin("eu").ConnectTimeout {
		t.Errorf("health: %+v", h)
	}
	if !reflect.DeepEqual(staged.Routes, cfg.Routes) {
		t.Errorf("routes: %+v", staged.Routes)
	}
}

func TestNotesTellWhatADrillDoesOtherwise(t *testing.T) {
	if notes := strings.Join(drillNotes(parsed(t, outward)), "\n"); !strings.Contains(notes, "group shop follows dns://192.0.2.53:54/shop.elsewhere.example.") {
		t.Errorf("got %s", notes)
	}
}

func TestEveryRouteIsDrivenByRequestsOfItsOwn(t *testing.T) {
	const groups = `
[origins.eu]
url = "http://eu.example"
[origins.us]
url = "http://us.example"
[groups.shop]
primary = "eu"
secondary = "us"
[groups.heads]
primary = "eu"
secondary = "us"
failover_methods = ["HEAD"]
[groups.none]
primary = "eu"
secondary = "us"
failover_methods = []
[groups.plain]
primary = "eu"
`
	tests := []struct {
		name   string
		routes [][2]string // match and group
		body   string      // max_body_bytes of the first one
		want   drill.Route // of the first one
	}{
		{"any method", [][2]string{{"/", "shop"}}, "", drill.Route{Covered: "GET http://drill.test/", Uncovered: "POST http://drill.test/"}},
		{"one method", [][2]string{{"POST /orders", "shop"}}, "", drill.Route{Uncovered: "POST http://drill.test/orders"}},
		{"another one", [][2]string{{"HEAD /x/{id}", "shop"}}, "", drill.Route{Covered: "HEAD http://drill.test/x/drill"}},
		{"one that has no body", [][2]string{{"DELETE /x/{id}", "shop"}}, "", drill.Route{Uncovered: "DELETE http://drill.test/x/drill"}},
		{"a host", [][2]string{{"GET shop.example/{$}", "shop"}}, "", drill.Route{Covered: "GET http://shop.example/"}},
		{"an address", [][2]string{{"GET [2001:db8::1]/", "shop"}}, "", drill.Route{Covered: "GET http://[2001:db8::1]/"}},
		{"beside narrower ones", [][2]string{{"/", "shop"}, {"/{$}", "shop"}, {"/drill", "shop"}}, "", drill.Route{Covered: "GET http://drill.test/drill/1", Uncovered: "POST http://drill.test/drill/1"}},
		{"beside one that takes POST", [][2]string{{"/", "shop"}, {"POST /", "shop"}}, "", drill.Route{Covered: "GET http://drill.test/"}},
		{"the methods that fail over", [][2]string{{"/", "heads"}}, "", drill.Route{Covered: "HEAD http://drill.test/", Uncovered: "POST http://drill.test/"}},
		{"no method fails over", [][2]string{{"/", "none"}}, "", drill.Route{Uncovered: "GET http://drill.test/, POST http://drill.test/"}},
		{"a group without a secondary", [][2]string{{"/", "plain"}}, "", drill.Route{Uncovered: "GET http://drill.test/, POST http://drill.test/"}},
		{"small bodies", [][2]string{{"PUT /x", "shop"}}, "10", drill.Route{Uncovered: "PUT http://drill.test/x"}},
		{
			"all is taken by others", [][2]string{{"/{id}", "shop"}, {"/drill", "shop"}, {"/1", "shop"}, {"/drill-sample-1", "shop"}}, "",
			drill.Route{Why: "route r1 takes GET drill.test/drill"},
		},
		{"an encoded slash", [][2]string{{"/a%2Fb", "shop"}}, "", drill.Route{Why: "GET drill.test/a%2Fb is answered with 400 before any route is looked for"}},
		{"a method that is refused", [][2]string{{"TRACE /", "shop"}}, "", drill.Route{Why: "TRACE drill.test/ is answered with 405 before any route is looked for"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var text strings.Builder
			text.WriteString(groups)
			for i, r := range tt.routes {
				text.WriteString(routeTable(fmt.Sprint("r", i), r[0], r[1], 1))
				if i == 0 && tt.body != "" {
					text.WriteString("max_body_bytes = " + tt.body + "\n")
				}
			}
			cfg := parsed(t, text.String())
			ask, err := newDrillRouter(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r, why := newDrillRoute(cfg, &cfg.Routes[0], ask)
			got := drill.Route{Why: why}
			if r != nil {
				got = r.describe(0)
				got.Name, got.Match, got.Group = "", "", ""
				if tt.body != "" && r.mix[0].BodySize != 10 {
					t.Errorf("a body of %d bytes", r.mix[0].BodySize)
				}
			}
			if got != tt.want {
				t.Errorf("got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// crossed has an origin that is the primary of one group and the secondary of
// another.
var crossed = `
[origins.eu]
url = "https://eu.example"
[origins.us]
url = "http://us.example"
[origins.asia]
url = "http://asia.example"
[groups.a]
primary = "eu"
secondary = "us"
[groups.b]
primary = "us"
secondary = "eu"
[groups.c]
primary = "asia"
secondary = "us"
[groups.d]
primary = "asia"
` + routeTable("a", "/a", "a", 1) + routeTable("b", "/b", "b", 1) + routeTable("c", "/c", "c", 1) + routeTable("d", "/d", "d", 1)

func TestAFaultStrikesOnlyWhatItIsMeantFor(t *testing.T) {
	d, err := newDrillRun(parsed(t, crossed), &drillOptions{}, &drill.Document{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ fault, want string }{
		{"connect_refused", "a c d: eu asia; b: us"},
		{"secondary_down", "a c: us; b: eu"},
		{"both_down", "a b c: eu us asia"},
		{"tls_expired", "a: eu"},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			f, _ := drill.FaultByName(tt.fault)
			var rounds []string
			for _, round := range d.rounds(f) {
				var names []string
				for _, r := range round.routes {
					names = append(names, r.config.Name)
				}
				rounds = append(rounds, strings.Join(names, " ")+": "+strings.Join(round.victims(), " "))
			}
			if got := strings.Join(rounds, "; "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTheLoadFitsTheMachine(t *testing.T) {
	routes := func(n int) string {
		var text strings.Builder
		text.WriteString("[origins.eu]\nurl = \"http://eu.example\"\n[groups.shop]\nprimary = \"eu\"\n")
		for i := range n {
			name := "r" + strings.Repeat("x", i)
			text.WriteString(routeTable(name, "/"+name, "shop", 1))
		}
		return text.String()
	}
	tests := []struct {
		routes, processors int
		asked, rate        float64
		lanes              int
	}{
		{routes: 1, processors: 8, rate: 50, lanes: 4},
		{routes: 1, processors: 1, rate: 50, lanes: 2},
		{routes: 8, processors: 8, rate: 50, lanes: 2},
		{routes: 40, processors: 8, rate: 20, lanes: 1},
		{routes: 2, processors: 8, asked: 2000, rate: 2000, lanes: 1},
		{routes: 2, processors: 8, asked: 1, rate: 1, lanes: 4},
	}
	for _, tt := range tests {
		d, err := newDrillRun(parsed(t, routes(tt.routes)), &drillOptions{rate: tt.asked}, &drill.Document{})
		if err != nil {
			t.Fatal(err)
		}
		if lanes := d.fit(tt.processors); d.rate != tt.rate || lanes != tt.lanes || d.clients(d.routes[0]) < 8 {
			t.Errorf("%d routes, asked for %v: %v a second in %d lanes with %d clients", tt.routes, tt.asked, d.rate, lanes, d.clients(d.routes[0]))
		}
		d.certs = new(chaos.Certificates)
		if lanes, want := d.fit(tt.processors), max(1, tt.lanes/2); lanes != want {
			t.Errorf("%d routes over TLS: %d lanes, want %d", tt.routes, lanes, want)
		}
	}
}

func TestJobsGoAloneOnceTheMachineIsTooBusy(t *testing.T) {
	var r road
	calm := func() drillDone { return drillDone{result: &drill.Result{}} }
	busy := func() drillDone { return drillDone{result: &drill.Result{Stood: drill.Millis(time.Second)}} }
	if r.drive(calm); r.narrow.Load() {
		t.Error("narrow although nothing was busy")
	}
	// Two go side by side: each begins only when the other has.
	var both sync.WaitGroup
	first, second := make(chan struct{}), make(chan struct{})
	meet := func(mine, other chan struct{}) func() drillDone {
		return func() drillDone {
			close(mine)
			<-other
			return calm()
		}
	}
	both.Go(func() { r.drive(meet(first, second)) })
	both.Go(func() { r.drive(meet(second, first)) })
	both.Wait()
	times := 0
	over := r.drive(func() drillDone {
		if times++; times == 1 {
			return busy()
		}
		if r.alone.TryRLock() {
			t.Error("the second time is not alone")
			r.alone.RUnlock()
		}
		return calm()
	})
	if times != 2 || over.result.Busy() {
		t.Errorf("played %d times, and the result is %+v", times, over.result)
	}
	times = 0
	r.drive(func() drillDone {
		times++
		if r.alone.TryRLock() {
			t.Error("those that follow are not alone")
			r.alone.RUnlock()
		}
		return busy()
	})
	if times != 1 {
		t.Errorf("one that was alone is played %d times", times)
	}
}

// failedResult is one by which a covered request failed while the process stood still.
func failedResult(stood time.Duration) *drill.Result {
	return &drill.Result{Fault: "hang", Stood: drill.Millis(stood), Routes: []drill.RouteResult{{Figures: drill.Figures{Covered: &drill.Share{Errors: 1}}}}}
}

func TestAJobThatFailsWhileTheMachineIsShortOfTimeGoesAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		narrow bool
		stood  []time.Duration // the first time, and the second
		second bool            // fails, too
		times  int
		kept   time.Duration
	}{
		{"nothing stood", false, []time.Duration{0}, false, 1, 0},
		{"a little", false, []time.Duration{150 * time.Millisecond, 0}, false, 2, 0},
		{"much, alone", true, []time.Duration{time.Second, 0}, false, 2, 0},
		{"twice", true, []time.Duration{time.Second, 2 * time.Second}, true, 2, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r road
			r.narrow.Store(tt.narrow)
			r.again.Store(maxAgain) // is about others
			times := 0
			over := r.drive(func() drillDone {
				result := failedResult(tt.stood[times])
				if times++; times == 2 && !tt.second {
					result.Routes = nil
				}
				return drillDone{result: result}
			})
			if times != tt.times || over.result.Stood != drill.Millis(tt.kept) || over.result.Again != (times == 2) || over.result.Doubtful() != tt.second {
				t.Errorf("played %d times, kept %+v", times, over.result)
			}
		})
	}
}

func TestAPromiseThatWasBrokenStaysSoWhenTheJobGoesAgain(t *testing.T) {
	var r road
	times := 0
	over := r.drive(func() drillDone {
		times++
		seen := &drillSeen{}
		result := &drill.Result{Violations: []string{}}
		if times == 1 {
			result.Stood = drill.Millis(time.Second)
			seen.violations, seen.unrest = []string{"a write came twice"}, []string{"route shop is not at rest"}
			result.Violations = slices.Concat(seen.violations, seen.unrest)
		}
		return drillDone{result: result, seen: []*drillSeen{seen}}
	})
	want := []string{"a write came twice"}
	if times != 2 || !slices.Equal(over.result.Violations, want) || !slices.Equal(over.seen[0].violations, want) {
		t.Errorf("played %d times: %q, on the page %q", times, over.result.Violations, over.seen[0].violations)
	}
}

func TestAJobThatIsStoppedWhenItGoesAgainKeepsItsFirstResult(t *testing.T) {
	var r road
	first := &drill.Result{Stood: drill.Millis(time.Second)}
	over := r.drive(func() drillDone {
		if r.narrow.Load() {
			return drillDone{}
		}
		return drillDone{result: first}
	})
	if over.result != first {
		t.Errorf("got %+v", over)
	}
	broken := errors.New("no port is free")
	r = road{}
	over = r.drive(func() drillDone {
		if r.narrow.Load() {
			return drillDone{err: broken}
		}
		return drillDone{result: first}
	})
	if over.err != broken {
		t.Errorf("got %+v, want the error of the second time", over)
	}
}

func TestADrillOfEveryFileOfTestdataCanBegin(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "*.toml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			copied := write(t, string(text))
			writeCertificate(t, filepath.Dir(copied)) // which tls.toml wants beside it
			cfg, err := load(copied)
			if err != nil {
				t.Fatal(err)
			}
			doc := &drill.Document{}
			d, err := newDrillRun(cfg, &drillOptions{}, doc)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range doc.Routes {
				if r.Why != "" {
					t.Errorf("%s is not driven: %s", r.Name, r.Why)
				}
			}
			if takes := d.estimate(d.jobs(drill.Faults())); takes <= 0 || takes > 5*time.Minute {
				t.Errorf("it would take %v", takes)
			}
		})
	}
}
