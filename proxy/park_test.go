package proxy

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// patient makes parked requests wait longer than any test does.
var patient = policy(func(p *failover.PolicyConfig) { p.ParkTimeout = 25 * time.Second })

// post starts a POST and waits until n requests are parked.
func (g *rig) post(n int, q chaos.Request) <-chan chaos.Result {
	g.t.Helper()
	q.Method = "POST"
	answer := make(chan chaos.Result, 1)
	go func() { answer <- g.ask(q) }()
	g.awaitStats(fmt.Sprint(n, " parked requests"), func(s RouteStats) bool { return s.ParkedNow == n })
	return answer
}

func TestParkedRequestGoesWhereThePointerMoves(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged, patient)
	g.eu.Down()
	answer := g.post(1, chaos.Request{BodySize: 1000})
	if s := g.stats(); s.InUse != 0 || s.Parked != 1 {
		t.Errorf("while parked: %+v", s)
	}
	if n := g.us.Accepted(); n != 0 {
		t.Error("the secondary was touched before the pointer moved")
	}
	g.pointer.Verdict(failover.RolePrimary, false)
	r := <-answer
	wantServed(t, r, "us")
	g.judge(r)
	g.arrivedOnce(r.ID)
	if a := g.us.Arrivals(r.ID); len(a) == 1 && a[0].Get("Failover-Attempt") != "" {
		t.Error("the first send is marked as a second attempt")
	}
	rec := log.find(t, r.ID)
	if rec.ParkedMS <= 0 || rec.Decision != "served" || rec.Pointer != "secondary" || rec.Generation != 2 {
		t.Errorf("record %+v", rec)
	}
	if got := rec.classes(); got != "eu connect_refused, us ok" {
		t.Errorf("attempts %s", got)
	}
}

func TestParkedRequestGoesOnWhenTheOriginAccepts(t *testing.T) {
	tests := map[string][]setup{
		"plain":        {patient},
		"no secondary": {patient, alone},
		"open breaker": {patient, breaks(1, time.Minute)},
	}
	for name, setups := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, setups...)
			g.eu.Down()
			first := g.post(1, chaos.Request{BodySize: 10})
			second := g.post(2, chaos.Request{BodySize: 1 << 20})
			if err := g.eu.Up(); err != nil {
				t.Fatal(err)
			}
			var results []chaos.Result
			for _, answer := range []<-chan chaos.Result{first, second} {
				r := <-answer
				wantServed(t, r, "eu")
				g.arrivedOnce(r.ID)
				results = append(results, r)
			}
			g.judge(results...)
		})
	}
}

func TestParkTimeoutIsToldWithRetryAfter(t *testing.T) {
	t.Parallel()
	g := startRig(t, policy(func(p *failover.PolicyConfig) { p.ParkTimeout = 100 * time.Millisecond }))
	g.eu.Down()
	for _, q := range []chaos.Request{{Method: "POST", BodySize: 10}, {Method: "DELETE"}, {BodySize: 5}, {Method: "PUT", BodySize: 1 << 20}} {
		r := g.ask(q)
		wantStatus(t, r, 503, "")
		wantRetryAfter(t, r)
		if r.Latency < 100*time.Millisecond {
			t.Errorf("answered after %v, before park_timeout", r.Latency)
		}
	}
	if n := g.us.Accepted(); n != 0 {
		t.Errorf("the secondary got %d connections", n)
	}
}

func TestRouteTimeoutEndsAPark(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient, withRoute(func(r *Route) { r.Timeout = 150 * time.Millisecond }))
	g.eu.Down()
	wantStatus(t, g.ask(chaos.Request{Method: "POST"}), 504, "")
}

func TestClientThatLeavesWhileParkedIsNoticed(t *testing.T) {
	t.Parallel()
	stalls := measureLost(t)
	g := startRig(t, patient)
	g.eu.Down()
	for _, body := range []string{"", "some of the body"} {
		left := g.stats().Left
		c := g.dial()
		if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + body); err != nil {
			t.Fatal(err)
		}
		g.awaitStats("park", func(s RouteStats) bool { return s.ParkedNow == 1 })
		from := time.Now()
		c.Close()
		g.awaitStats("departure", func(s RouteStats) bool { return s.Left == left+1 && s.ParkedNow == 0 })
		if took, limit := time.Since(from), stalls.allow(250*time.Millisecond); took > limit {
			t.Errorf("noticed after %v, want less than %v", took, limit)
		}
	}
}

func TestParkedRequestsHoldNoPermit(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient, permits(bulkhead.Config{MaxConcurrent: 1}))
	g.eu.Down()
	var answers []<-chan chaos.Result
	for n := range 3 {
		answers = append(answers, g.post(n+1, chaos.Request{BodySize: 10}))
	}
	for range 5 {
		wantServed(t, g.ask(chaos.Request{}), "us") // covered: fails over
	}
	g.pointer.Verdict(failover.RolePrimary, false)
	for _, answer := range answers {
		wantServed(t, <-answer, "us")
	}
}

// All that were parked come back at one moment. They were admitted once, so
// they are not shed for that.
func TestParkedRequestsAreNotShedWhenTheyComeBack(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient, permits(bulkhead.Config{MaxConcurrent: 2}))
	g.us.Set(chaos.Delay(5 * time.Millisecond))
	g.eu.Down()
	const n = 30
	var answers []<-chan chaos.Result
	for i := range n {
		answers = append(answers, g.post(i+1, chaos.Request{BodySize: 10}))
	}
	g.pointer.Verdict(failover.RolePrimary, false)
	var results []chaos.Result
	for _, answer := range answers {
		r := <-answer
		wantServed(t, r, "us")
		results = append(results, r)
	}
	g.judge(results...)
	g.awaitStats("thirty that were served", func(s RouteStats) bool { return s.Served == n && s.Shed == 0 && atRest(s) })
}

func TestBodyIsNotAskedForWhileParked(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient)
	g.eu.Down()
	c := g.dial()
	if err := c.Send("POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("park", func(s RouteStats) bool { return s.ParkedNow == 1 })
	_ = c.Conn().SetReadDeadline(time.Now().Add(3 * sweepEvery))
	if n, err := c.Conn().Read(make([]byte, 100)); n > 0 || err == nil {
		t.Fatal("something was answered while the request is parked")
	}
	g.pointer.Verdict(failover.RolePrimary, false)
	if got, err := c.Read(25); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := c.Send("hello"); err != nil {
		t.Fatal(err)
	}
	if resp, err := c.ReadResponse("POST"); err != nil || resp.Status != 200 {
		t.Errorf("got %d, %v", resp.Status, err)
	}
	if a := g.us.Arrivals(""); len(a) != 1 || a[0].BodyLen != 5 {
		t.Errorf("the secondary saw %+v", a)
	}
}

func TestBodyIsNotReadWhileParked(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	g := startRig(t, patient)
	g.eu.Down()
	c := g.dial()
	if err := c.Send(fmt.Sprintf("POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)); err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	done := make(chan error, 1)
	go func() { done <- pour(c.Conn(), size, &sent) }()
	g.awaitStats("park", func(s RouteStats) bool { return s.ParkedNow == 1 })
	for before := int64(-1); sent.Load() != before; time.Sleep(2 * sweepEvery) {
		before = sent.Load()
	}
	if n := sent.Load(); n > size/2 {
		t.Errorf("%d bytes of the body were taken while parked", n)
	}
	g.pointer.Verdict(failover.RolePrimary, false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if resp, err := c.ReadResponse("POST"); err != nil || resp.Status != 200 {
		t.Errorf("got %d, %v", resp.Status, err)
	}
	if a := g.us.Arrivals(""); len(a) != 1 || a[0].BodyLen != size {
		t.Errorf("the secondary saw %+v", a)
	}
}

// pour writes n bytes and counts them.
func pour(nc net.Conn, n int64, sent *atomic.Int64) error {
	_ = nc.SetWriteDeadline(time.Now().Add(3 * patience))
	buf := make([]byte, 64<<10)
	for sent.Load() < n {
		m, err := nc.Write(buf)
		sent.Add(int64(m))
		if err != nil {
			return err
		}
	}
	return nil
}

func TestUnsentRequestGoesToTheSecondaryAtOnce(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged, breaks(2, time.Minute), policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeUnsent }))
	g.eu.Down()
	var results []chaos.Result
	for i := range 5 { // the later ones find the breaker open
		r := g.ask(chaos.Request{Method: "POST", BodySize: int64(1 + i*100_000)})
		wantServed(t, r, "us")
		g.arrivedOnce(r.ID)
		if rec := log.find(t, r.ID); rec.ParkedMS != 0 || rec.Decision != "failed_over" {
			t.Errorf("record %+v", rec)
		}
		results = append(results, r)
	}
	g.us.Set(chaos.Status(503))
	r := g.ask(chaos.Request{Method: "POST"})
	wantStatus(t, r, 503, "us")
	g.us.Down()
	r2 := g.ask(chaos.Request{Method: "POST"})
	wantStatus(t, r2, 502, "")
	g.judge(append(results, r, r2)...)
}

func TestUnsentMeansUnsent(t *testing.T) {
	t.Parallel()
	g := startRig(t, policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeUnsent }))
	for _, fault := range chaos.HeadFaults() {
		if fault.Name() == "ResetOnAccept" || fault.Name() == "CloseOnAccept" {
			continue // these may win the race with the first byte
		}
		g.eu.Set(fault)
		r := g.ask(chaos.Request{Method: "POST", BodySize: 10})
		wantStatus(t, r, 502, "")
		if n := len(g.us.Arrivals(r.ID)); n != 0 {
			t.Errorf("%s: sent to the secondary too", fault.Name())
		}
	}
}

func TestNeverAnswersBadGateway(t *testing.T) {
	t.Parallel()
	g := startRig(t, policy(func(p *failover.PolicyConfig) { p.Unsafe = failover.UnsafeNever }))
	g.eu.Down()
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		wantStatus(t, g.ask(chaos.Request{Method: method}), 502, "")
	}
	wantServed(t, g.ask(chaos.Request{}), "us")
	if s := g.stats(); s.Parked != 0 {
		t.Errorf("%+v", s)
	}
}

// A request that waited for its permit while the pointer moved is dispatched
// after the flip.
func TestQueuedRequestGoesToTheNewTarget(t *testing.T) {
	t.Parallel()
	g := startRig(t, permits(bulkhead.Config{MaxConcurrent: 1, MaxQueue: 2}))
	release := make(chan struct{})
	g.eu.Set(chaos.OK(10).When(release))
	held := make(chan chaos.Result, 3)
	go func() { held <- g.ask(chaos.Request{Path: "/first"}) }()
	g.awaitStats("permit in use", func(s RouteStats) bool { return s.InUse == 1 })
	chaos.Await(t, patience, "arrival", func() bool { return g.eu.Arrived() == 1 })
	for i, method := range []string{"GET", "POST"} {
		go func() { held <- g.ask(chaos.Request{Method: method}) }()
		g.awaitStats("queue", func(s RouteStats) bool { return s.Queued == i+1 })
	}
	g.pointer.Verdict(failover.RolePrimary, false)
	close(release)
	var results []chaos.Result
	for range 3 {
		r := <-held
		want := "us"
		if r.Path == "/first" {
			want = "eu"
		}
		wantServed(t, r, want)
		results = append(results, r)
	}
	g.judge(results...)
}

func TestParkedRequestsDrain(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient)
	g.eu.Down()
	answer := g.post(1, chaos.Request{BodySize: 10})
	g.cancel()
	chaos.Await(t, patience, "drain", g.draining)
	g.pointer.Verdict(failover.RolePrimary, false)
	wantServed(t, <-answer, "us")
}

func TestEndOfTheDrainIsToldToParkedRequests(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient, withServer(func(cfg *Config) { cfg.DrainTimeout = 50 * time.Millisecond }))
	g.forced = true
	g.eu.Down()
	answer := g.post(1, chaos.Request{BodySize: 10})
	g.cancel()
	r := <-answer
	wantStatus(t, r, 503, "")
	wantRetryAfter(t, r)
}

func TestParkedRequestIsRefusedWhenNoOriginIsLeft(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient, points(failover.PointerConfig{BothDown: failover.BothDownFailFast}))
	g.eu.Down()
	answer := g.post(1, chaos.Request{BodySize: 10})
	g.pointer.Verdict(failover.RoleSecondary, false)
	g.pointer.Verdict(failover.RolePrimary, false)
	r := <-answer
	wantStatus(t, r, 503, "")
	wantRetryAfter(t, r)
}

// A primary that fails but accepts connections does not shorten the wait for
// the pointer, and costs nobody an error meanwhile.
func TestRequestIsParkedBehindABreakerThatFailuresOpened(t *testing.T) {
	t.Parallel()
	g := startRig(t, patient, breaks(2, time.Minute))
	g.eu.Set(chaos.Status(503))
	for range 2 {
		wantServed(t, g.ask(chaos.Request{}), "us")
	}
	answer := g.post(1, chaos.Request{BodySize: 10})
	arrived := g.eu.Arrived()
	time.Sleep(2 * knockEvery) // the origin answers knocks, which proves nothing
	g.pointer.Verdict(failover.RolePrimary, false)
	r := <-answer
	wantServed(t, r, "us")
	g.arrivedOnce(r.ID)
	if g.eu.Arrived() != arrived {
		t.Error("the open breaker was ignored")
	}
}
