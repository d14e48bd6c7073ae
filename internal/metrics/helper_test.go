package metrics

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	bounds = []time.Duration{
		500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
		25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	}
	results = []string{"served", "failed_over", "shed", "failed", "left"}
	classes = []string{
		"ok", "dns", "connect_refused", "connect_timeout", "tls", "write", "header_timeout", "reset", "malformed", "status", "breaker_open",
	}
	reasons = []string{"primary_down", "secondary_down", "both_down", "recovered", "failback", "operator", "pin", "follow"}
	morning = time.Date(2026, 11, 23, 3, 14, 15, 926e6, time.UTC)
)

// numbers gives each name a count of its own.
func numbers(start uint64, names ...string) []Count {
	all := make([]Count, len(names))
	for i, name := range names {
		all[i] = Count{name, start + uint64(i)}
	}
	return all
}

// everything is a snapshot in which no field is zero, with so many routes. Each
// has two legs and a histogram for what was served; the first has all.
func everything(routes int) Snapshot {
	s := Snapshot{
		Version: "v1.2.3", GoVersion: "go1.26.0", Started: morning, Bounds: bounds, Refused: 17,
		Origins: []Origin{
			{
				Name: "eu", Verdict: "down", Drained: true, Connections: Connections{31, 200},
				Probes: numbers(41, "ok", "failed", "dropped"), LastProbe: 3 * time.Millisecond,
			},
			{Name: "us", Verdict: "unchecked", Connections: Connections{Open: 32}},
		},
		Groups: []Group{
			{
				Name: "shop", Primary: "eu", Secondary: "us", Role: "secondary", Generation: 7, Since: morning,
				Pinned: true, Flips: numbers(51, reasons...), DrillShare: 0.05, Drilled: numbers(58, "secondary", "rescued", "failed", "left"),
			},
			{Name: "plain", Primary: "us", Role: "none", Generation: 2, Since: morning, Flips: numbers(0, reasons...), Drilled: numbers(0, "secondary", "rescued", "failed", "left")},
		},
		Clients: Connections{61, 1000}, Handshakes: Handshakes{71, 72, 73, 74, 75, 76}, HTTP2: HTTP2{81, 82, 83},
		ProxyProtocol: ProxyProtocol{91, 92, 93, 94, 95},
		Certificates:  []Certificate{{"/etc/fairlead/site.pem", morning}},
		Hosts:         []Host{{"eu.example.", 101, 102, 103, 104}},
		Nameserver: &Nameserver{
			Transports: []Transport{{"udp", 111, numbers(112, "NOERROR", "NXDOMAIN")}, {"tcp", 121, numbers(122, "NOERROR")}},
			Dropped:    131, Slipped: 132, Truncated: 133, Ignored: 134, Errors: 135, Connections: 136,
		},
		Reloads: Reloads{141, 142, true, morning}, State: &State{Kept: true}, LogLinesDropped: 151,
	}
	for i := range routes {
		s.Routes = append(s.Routes, route(fmt.Sprintf("route-%05d", i), i == 0))
	}
	return s
}

func route(name string, all bool) Route {
	r := Route{
		Name: name, Group: "shop", Failovers: 1, Saved: 2, ConnRetry: 3, Parked: 4, PermitsInUse: 5, PermitsLimit: 6,
		Queued: 7, QueueLimit: 8, ParkedNow: 9,
		Legs: []Leg{
			{Origin: "eu", Attempts: numbers(1000, classes...), Breaker: "half-open", Idle: 11},
			{Origin: "us", Attempts: numbers(2000, classes...), Breaker: "off", Idle: 12},
		},
	}
	for i, result := range results {
		h := Histogram{Counts: make([]uint64, len(bounds)+1), Sum: 1234567 * time.Microsecond}
		if i == 0 || all {
			for j := range h.Counts {
				h.Counts[j] = uint64(1234567 * j)
			}
		}
		r.Results = append(r.Results, Result{result, uint64(100 + i), h})
	}
	return r
}

// text is the page of a snapshot, without what the runtime adds.
func text(t testing.TB, s *Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	p := &page{w: &b}
	p.write(s)
	p.flush()
	if p.err != nil {
		t.Fatal(p.err)
	}
	return b.String()
}

// parsed is what client_golang's own parser reads in a page.
func parsed(t testing.TB, page string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader([]byte(page)))
	if err != nil {
		t.Fatalf("the page can't be parsed: %v", err)
	}
	return all
}
