package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// headRow is a fault that strikes before the end of a response's head. What the
// attempts' class is stands in the fault itself.
type headRow struct {
	fault string
	// lost is how many writes may be lost, and lostAs the statuses that they
	// get. What can't be connected to loses those in flight when its
	// connections are reset, and no other. What takes a request and fails loses
	// what is sent until the breaker opens: it may not be sent twice.
	lost   int
	lostAs []int
	// slow is how long a failed attempt takes.
	slow time.Duration
	// failures is how many attempts may fail before the breaker opens, with
	// those that are in flight by then.
	failures int
	// resets says that the fault begins with a reset of open connections.
	resets bool
	full   bool
	needs  []Need
	// proves and also are what it shows besides.
	proves []string
	also   []Expectation
}

const (
	connectTimeout = 400 * time.Millisecond // of quick
	headerTimeout  = 500 * time.Millisecond // of quick
)

// Five failures open the breaker; what is in flight by then, and a trial or two,
// comes on top, and on a busy machine that is more than it takes on another. Where
// each failure takes half a second, fifty requests are in flight.
var headRows = []headRow{
	{fault: "blackhole", needs: []Need{Linux}, lost: 2, lostAs: []int{502}, slow: connectTimeout, failures: 70, resets: true},
	{fault: "accept_close", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "accept_reset", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "tls_stall", lost: 2, lostAs: []int{502}, slow: connectTimeout, failures: 70, resets: true, proves: []string{"tls"}},
	{fault: "tls_wrong_name", lost: 2, lostAs: []int{502}, failures: 25, resets: true, proves: []string{"tls"}},
	{fault: "tls_expired", lost: 2, lostAs: []int{502}, failures: 25, resets: true, proves: []string{"tls"}},
	{fault: "reset_before_head", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "reset_in_head", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "garbage", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "http_09", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "half_status_line", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "nul_in_head", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "giant_head", lost: 8, lostAs: []int{502}, failures: 25},
	{fault: "interim_storm", lost: 8, lostAs: []int{502}, failures: 25, proves: []string{"interim"}, also: []Expectation{
		Some("clients who got interim responses", 3, func(r *chaos.Result) bool { return r.Interim > 0 }),
		None("client with more than 65 of them, one of which was one too many", func(r *chaos.Result) bool { return r.Interim > 65 })}},
	{fault: "unasked_101", lost: 8, lostAs: []int{502}, failures: 25, proves: []string{"interim"}, also: []Expectation{
		None("client who got an interim response", func(r *chaos.Result) bool { return r.Interim > 0 || r.Status == 101 })}},
	{fault: "hang", lost: 16, lostAs: []int{504}, slow: headerTimeout, failures: 80},
	{fault: "stall", lost: 16, lostAs: []int{504}, slow: headerTimeout, failures: 80},
	{fault: "status_500", lost: 8, lostAs: []int{500}, failures: 25},
	{fault: "status_502", lost: 8, lostAs: []int{502}, failures: 25, full: true},
	{fault: "status_503", lost: 8, lostAs: []int{503}, failures: 25},
	{fault: "status_504", lost: 8, lostAs: []int{504}, failures: 25, full: true},
}

// headScenarios are two for each row: with probes that fail too, and with probes
// that know nothing of it.
var headScenarios = func() (all []Scenario) {
	for i := range headRows {
		all = append(all, headRows[i].probed(), headRows[i].unprobed())
	}
	return all
}()

// soonBack lets the pointer come back half a second after it went.
const soonBack = "failback_after = \"200ms\"\nmin_hold = \"500ms\"\n"

// probed: requests and probes meet the fault. Covered requests never fail, the
// pointer goes, and comes back when it is over.
func (r *headRow) probed() Scenario {
	f := r.kind()
	return Scenario{
		Name: r.fault, Full: r.full, Needs: r.needs, Proves: append([]string{"failover", "classes", "coverage", "once", "pointer", "failback"}, r.proves...),
		Text:  "The primary fails: " + f.Text + ". Covered requests are answered by the secondary, the pointer goes there and comes back.",
		Setup: Setup{TLS: f.TLS, Group: soonBack},
		Load:  []chaos.Load{Shopping(r.rate(&f))},
		Steps: []Step{
			{At: 200 * time.Millisecond, Do: Fault("eu", r.fault)},
			{Do: PointerAt("us", 1200*time.Millisecond)},
			{Do: Served("us", 20)},
			{Do: Mend("eu", r.fault)},
			{Do: PointerAt("eu", 5*time.Second)},
			{Do: Served("eu", 10)},
		},
		Want: append(r.wants(&f), Flips(2, 2)),
	}
}

// unprobed: probes are answered well, or there are none where the fault is one of
// the connection. The breaker does the work, the pointer stays.
func (r *headRow) unprobed() Scenario {
	f := r.kind()
	sc := Scenario{
		Name: r.fault + "_requests_only", Full: r.full, Needs: r.needs, Proves: append([]string{"failover", "breaker", "coverage", "once"}, r.proves...),
		Text:  "The primary fails: " + f.Text + "; but probes say nothing of it. The breaker sends covered requests to the secondary, the pointer stays.",
		Setup: Setup{TLS: f.TLS},
		Load:  []chaos.Load{Shopping(r.rate(&f))},
		Want:  append(r.wants(&f), NoFlip(), BreakerOpened("eu", 1, 3), FailuresAt("eu", r.failures), WritesStay("us")),
	}
	if r.resets { // nothing could be sent, so what is not lost at the reset waits
		sc.Proves = append(sc.Proves, "park")
		sc.Want = append(sc.Want, Parked(2))
	}
	begin := FaultOfRequests("eu", r.fault)
	if r.ofConnection() {
		sc.Name = r.fault + "_unchecked"
		sc.Setup.Health = "none"
		begin = Fault("eu", r.fault)
	}
	sc.Steps = []Step{
		{At: 200 * time.Millisecond, Do: begin},
		{Do: BreakerIs("eu", "open", 1500*time.Millisecond)},
		{Do: Served("us", 40)},
		{Do: Mend("eu", r.fault)},
		{Do: BreakerIs("eu", "closed", 2*time.Second)},
		{Do: Served("eu", 20)},
	}
	return sc
}

func (r *headRow) kind() chaos.Fault {
	f, ok := chaos.FaultByName(r.fault)
	if !ok {
		panic("there is no fault " + r.fault)
	}
	return f
}

// rate is that of requests, a second. When a handshake fails at one origin, all who
// waited for it begin one at the other, which costs this machine far more than
// anything else here.
func (r *headRow) rate(f *chaos.Fault) float64 {
	if f.TLS {
		return 40
	}
	return 100
}

// ofConnection reports whether the fault strikes before there is a request.
func (r *headRow) ofConnection() bool {
	return r.resets || r.fault == "accept_close" || r.fault == "accept_reset"
}

// wants is what both have in common.
func (r *headRow) wants(f *chaos.Fault) []Expectation {
	sent := append([]string{f.Class}, f.Also...)
	if r.resets {
		sent = []string{"reset", "write"} // in flight when the connections were reset
	}
	failed := append(append([]string{f.Class}, f.Also...), "breaker_open")
	if r.resets {
		failed = append(failed, sent...)
	}
	return append([]Expectation{
		CoveredServed(), FailedOver(1), Classes("eu", failed...), NoFailure("us"),
		UncoveredLost(r.lost), NotServedOnly(r.lostAs...), LostAs("eu", sent...),
		Quickly("covered requests", 0.95, r.slow+300*time.Millisecond, Covered), Requests(40),
	}, r.also...)
}
