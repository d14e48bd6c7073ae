package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/chaos"
)

// ask sends one request on a connection of its own.
func (g *rig) ask(q chaos.Request) chaos.Result {
	c := &chaos.Client{Address: g.addr, Timeout: 2 * patience}
	defer c.Close()
	return c.Do(context.Background(), q)
}

// judge asserts the invariants that hold between what clients got and what
// origins saw.
func (g *rig) judge(results ...chaos.Result) {
	g.t.Helper()
	ledger := &chaos.Ledger{}
	ledger.Add(results...)
	if err := chaos.Check(ledger, g.eu, g.us); err != nil {
		g.t.Error(err)
	}
}

// wantServed asserts a whole response of one origin.
func wantServed(t testing.TB, r chaos.Result, origin string) {
	t.Helper()
	if r.Kind != chaos.Served || r.Origin != origin {
		t.Errorf("got %v %q, want it served by %s", r, r.Text, origin)
	}
}

// wantStatus asserts a whole response with a status; an origin of "" means one
// of the proxy's own.
func wantStatus(t testing.TB, r chaos.Result, status int, origin string) {
	t.Helper()
	if r.Status != status || r.Origin != origin || r.Kind != chaos.Served && r.Kind != chaos.Refused {
		t.Errorf("got %v %q, want %d from %q", r, r.Text, status, origin)
	}
}

// wantRetryAfter asserts that a client is told when to come back.
func wantRetryAfter(t testing.TB, r chaos.Result) {
	t.Helper()
	if r.Head.Get("Retry-After") == "" {
		t.Errorf("%v: no Retry-After in %q", r, r.Head.Raw)
	}
}

// leg is the way from the first route to an origin.
func (g *rig) leg(r failover.Role) *leg { return g.srv.current().table.routes[0].legs[r] }

// breakerState is the state of a leg's breaker.
func (l *leg) breakerState() string {
	state, _ := l.breaker.peek()
	return state
}

// arrivedOnce waits until a request has reached exactly one origin, whose name
// it returns.
func (g *rig) arrivedOnce(id string) string {
	g.t.Helper()
	all := append(g.eu.Arrivals(id), g.us.Arrivals(id)...)
	if len(all) != 1 {
		g.t.Errorf("%s arrived %d times, want once: %+v", id, len(all), all)
		return ""
	}
	return all[0].Origin
}

// points gives the pointer its own configuration.
func points(pc failover.PointerConfig) setup {
	return func(g *rig, cfg *Config) {
		pc.HasSecondary = cfg.Groups[0].Secondary != ""
		g.pointer = failover.NewGroup(failover.GroupConfig{Name: "shop", PointerConfig: pc})
		cfg.Groups[0].Pointer = g.pointer
	}
}

// policy changes what may fail over.
func policy(change func(p *failover.PolicyConfig)) setup {
	return func(_ *rig, cfg *Config) { change(&cfg.Groups[0].Policy) }
}

// primary changes the first origin.
func primary(change func(o *Origin)) setup {
	return func(_ *rig, cfg *Config) { change(&cfg.Origins[0]) }
}

// breaks gives the route a breaker.
func breaks(after int, openFor time.Duration) setup {
	return withRoute(func(r *Route) { r.Breaker = BreakerConfig{ConsecutiveFailures: after, OpenFor: openFor} })
}

// permits sizes the route's bulkhead.
func permits(b bulkhead.Config) setup {
	return withRoute(func(r *Route) { r.Bulkhead = b })
}

// checked adds health checkers to both origins, wired as the command does it.
// It must come after points.
func checked(hc health.Config) setup {
	return func(g *rig, cfg *Config) {
		checkers := make(map[string]*health.Checker)
		work, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		g.t.Cleanup(func() { stop(); running.Wait() })
		for role, o := range map[failover.Role]*chaos.Origin{failover.RolePrimary: g.eu, failover.RoleSecondary: g.us} {
			hc.Origin = o.Name()
			hc.URL, _ = url.Parse(o.URL())
			pointer := g.pointer
			c, err := health.NewChecker(hc, func(e health.Event) {
				if e.Kind == health.VerdictChanged {
					pointer.Verdict(role, e.To != health.Down)
				}
			})
			if err != nil {
				g.t.Fatal(err)
			}
			checkers[o.Name()] = c
			running.Go(func() { _ = c.Run(work) })
		}
		cfg.OnFailure = func(origin string, _ failover.Outcome) { checkers[origin].Hurry() }
	}
}

// failures counts what OnFailure is told.
type failures struct{ n atomic.Int64 }

func (f *failures) counted(_ *rig, cfg *Config) {
	cfg.OnFailure = func(string, failover.Outcome) { f.n.Add(1) }
}

// journal keeps access records as they were written.
type journal struct {
	mu    sync.Mutex
	lines [][]byte
}

// Write implements zapcore.WriteSyncer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, bytes.Clone(p))
	return len(p), nil
}

// Sync implements zapcore.WriteSyncer.
func (j *journal) Sync() error { return nil }

// all returns what was written so far, write by write.
func (j *journal) all() [][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([][]byte(nil), j.lines...)
}

// logged turns the access log on, as the command encodes it.
func (j *journal) logged(_ *rig, cfg *Config) {
	cfg.AccessLog = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(logEncoding), j, zapcore.InfoLevel))
}

var logEncoding = zapcore.EncoderConfig{
	TimeKey: "time", LevelKey: "level", MessageKey: "msg", LineEnding: "\n",
	EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeLevel: zapcore.LowercaseLevelEncoder,
}

// record is an access record as its reader sees it.
type record struct {
	Error      string          `json:"error"`
	Msg        string          `json:"msg"`
	RequestID  string          `json:"request_id"`
	Client     string          `json:"client"`
	Method     string          `json:"method"`
	Host       string          `json:"host"`
	Target     string          `json:"target"`
	Status     int             `json:"status"`
	Decision   string          `json:"decision"`
	Route      string          `json:"route"`
	Group      string          `json:"group"`
	Pointer    string          `json:"pointer"`
	Generation uint64          `json:"generation"`
	Attempts   []attemptRecord `json:"attempts"`
	WhyNot     string          `json:"why_not"`
	Drill      bool            `json:"drill"`
	QueueMS    float64         `json:"queue_ms"`
	ParkedMS   float64         `json:"parked_ms"`
	BytesIn    int64           `json:"bytes_in"`
	BytesOut   int64           `json:"bytes_out"`
	TotalMS    float64         `json:"total_ms"`
}

type attemptRecord struct {
	Origin      string  `json:"origin"`
	Address     string  `json:"address"`
	Class       string  `json:"class"`
	Status      int     `json:"status"`
	ConnectMS   float64 `json:"connect_ms"`
	FirstByteMS float64 `json:"first_byte_ms"`
	ConnRetry   bool    `json:"conn_retry"`
	Simulated   bool    `json:"simulated"`
}

// find returns the one record of the request whose target holds id. It waits
// for it, since a record is written after the response.
func (j *journal) find(t testing.TB, id string) record {
	t.Helper()
	var found []record
	chaos.Await(t, patience, "record of "+id, func() bool {
		found = found[:0]
		for _, line := range j.all() {
			var r record
			if err := json.Unmarshal(line, &r); err != nil {
				t.Errorf("%v in %q", err, line)
			}
			if strings.HasSuffix(r.Target, id) {
				found = append(found, r)
			}
		}
		return len(found) > 0
	})
	if len(found) > 1 {
		t.Errorf("%d records of %s: %+v", len(found), id, found)
	}
	return found[0]
}

// classes are those of a record's attempts, in order.
func (r *record) classes() string {
	var classes []string
	for _, a := range r.Attempts {
		class := a.Class
		if class == "" {
			class = "ok"
		}
		classes = append(classes, a.Origin+" "+class)
	}
	return strings.Join(classes, ", ")
}

// lost is how much time a busy machine takes from this process, so that a bound in
// time can be as tight as what it proves and yet hold anywhere.
type lost struct{ *chaos.Stalls }

// measureLost runs until the test ends.
func measureLost(t testing.TB) *lost {
	l := &lost{chaos.MeasureStalls()}
	t.Cleanup(l.Stop)
	return l
}

// skipIfStarved ends a test whose scenario is one of time-outs, if the machine
// took so much time from the process that they passed for want of it. What
// holds at any speed must have been asserted by then.
func (l *lost) skipIfStarved(t testing.TB) {
	t.Helper()
	if total := l.Total(); total > time.Second {
		t.Skipf("the machine took %v from this process: the rest would prove nothing", total)
	}
}

// allow is a bound with what the machine has taken added.
func (l *lost) allow(d time.Duration) time.Duration { return d + l.Allowance() }
