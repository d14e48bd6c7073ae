package drill

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Outcome is how a route came through a fault.
type Outcome string

// The outcomes, from good to bad.
const (
	// Held: no client saw an error.
	Held Outcome = "held"
	// Unavoidable: clients saw errors that no configuration could have saved them from.
	Unavoidable Outcome = "unavoidable"
	// Weak: another configuration would have done better.
	Weak Outcome = "weak"
	// Failed: a covered request failed.
	Failed Outcome = "failed"
)

var outcomes = []Outcome{Held, Unavoidable, Weak, Failed}

// Worse reports whether o is a worse outcome than other.
func (o Outcome) Worse(other Outcome) bool {
	return slices.Index(outcomes, o) > slices.Index(outcomes, other)
}

// Finding is one thing that a fault has shown.
type Finding struct {
	Outcome Outcome `json:"outcome"`
	// Text is one sentence without a full stop.
	Text string `json:"text"`
	// Key is the key of the configuration to look at, such as "groups.shop.unsafe"; "" for none.
	Key string `json:"key,omitempty"`
}

// Verdict is the worst of the findings, and the others, worst first.
type Verdict struct {
	Finding
	Also []Finding `json:"also,omitempty"`
}

// Judge says what the figures of a fault mean for the configuration of a route.
func Judge(f Fault, s *Setup, g *Figures) Verdict {
	j := &judge{f: f, s: s, g: g}
	if g.Requests == 0 {
		return Verdict{Finding: Finding{Weak, "no request was sent, so nothing is proved", ""}}
	}
	j.early()
	if g.Shed > g.Uncovered.failed(&f) {
		j.shed() // what concerns most requests is said first
	}
	if f.Place == AtBoth {
		j.bothDown()
	} else {
		j.covered()
		j.uncovered()
	}
	j.aborted()
	j.late()
	j.shed()
	j.waits()
	j.pointer()
	if len(j.findings) == 0 {
		return Verdict{Finding: j.held()}
	}
	slices.SortStableFunc(j.findings, func(a, b Finding) int {
		return slices.Index(outcomes, b.Outcome) - slices.Index(outcomes, a.Outcome)
	})
	return Verdict{Finding: j.findings[0], Also: j.findings[1:]}
}

type judge struct {
	f        Fault
	s        *Setup
	g        *Figures
	findings []Finding
}

// find adds a finding, unless there is one about the same key: the first says it best.
func (j *judge) find(o Outcome, key, format string, args ...any) {
	if key != "" && slices.ContainsFunc(j.findings, func(f Finding) bool { return f.Key == key }) {
		return
	}
	j.findings = append(j.findings, Finding{o, fmt.Sprintf(format, args...), key})
}

func (j *judge) route(key string) string { return "routes." + j.s.Route + "." + key }

func (j *judge) group(key string) string { return "groups." + j.s.Group.Name + "." + key }

// primary is a key of the primary's.
func (j *judge) primary(key string) string { return "origins." + j.s.Group.Primary.Name + "." + key }

func (j *judge) primaryName() string { return j.s.Group.Primary.Name }

// when says how long errors went on: "in 6.2 s before the flip".
func (j *judge) when(s *Share) string {
	if j.g.Flip != nil && s.Span <= *j.g.Flip+Millis(100*time.Millisecond) {
		return "in " + seconds(*j.g.Flip) + " before the flip"
	}
	return "in " + seconds(s.Span)
}

// atOnce is longer than an answer of a drill's origins takes that are well, on a machine that has time for them.
const atOnce = 50 * time.Millisecond

// early is about requests that failed before anything was broken: then the rate is too high for the configuration, or
// for this machine where the permits would carry it.
func (j *judge) early() {
	n := j.g.Early
	if n == 0 {
		return
	}
	what := fmt.Sprintf("%s failed or %s shed before the fault began", count(n, "request"), were(n))
	carried := func(permits int) bool { return float64(permits) >= j.s.Rate*atOnce.Seconds() }
	o := j.narrow()
	switch {
	case o != nil && !carried(o.MaxConnections):
		j.find(Weak, "origins."+o.Name+".max_connections", "%s: max_connections = %d of %s is too small for %s a second, so raise it or ask for a lower --rate",
			what, o.MaxConnections, o.Name, number(j.s.Rate))
	case !carried(j.s.MaxConcurrent):
		j.find(Weak, j.route("bulkhead.max_concurrent"), "%s: max_concurrent = %d and max_queue = %d are too small for %s a second, so raise them or ask for a lower --rate",
			what, j.s.MaxConcurrent, j.s.MaxQueue, number(j.s.Rate))
	default:
		j.find(Weak, "", "%s, though the drill's origins answer at once: this machine was too busy for %s a second, so drill again when it is not, or with a lower --rate",
			what, number(j.s.Rate))
	}
}

// covered is about requests that Fairlead promises to save.
func (j *judge) covered() {
	c := j.g.Covered
	n := c.failed(&j.f)
	if n == 0 {
		return
	}
	what := fmt.Sprintf("%s failed %s", count(n, "covered request"), j.when(c))
	code, isPassed := j.passed()
	switch {
	case j.f.Place == AtSecondary:
		j.find(Failed, "", "%s although %s was well (%s): nothing should have been noticed", what, j.primaryName(), c.kinds())
	case isPassed:
		j.find(Failed, j.group("failover_statuses"), "%s: failover_statuses does not hold %d, so the answer of %s is passed on instead of being asked of %s",
			what, code, j.primaryName(), j.s.Group.Secondary.Name)
	case c.Kinds["504 http_response_timeout"] > n/2:
		j.find(Failed, j.route("timeout"), "%s: the route's timeout = %s was over before %s had answered; a shorter response_header_timeout (%s) leaves more of it",
			what, short(j.s.Timeout), j.s.Group.Secondary.Name, short(j.s.Group.Primary.HeaderTimeout))
	case c.Kinds["503 destination_unavailable"] > n/2:
		j.find(Failed, j.route("breaker.consecutive_failures"), "%s: no origin was left to ask, since the breakers of both had opened", what)
	default:
		j.find(Failed, "", "%s: %s", what, c.kinds())
	}
}

// passed returns the status of the fault if the configuration takes it for an answer like any other: it fails nothing over,
// opens no breaker and hurries no probe.
func (j *judge) passed() (code int, ok bool) {
	status, isStatus := strings.CutPrefix(j.f.Class, "status:")
	code, _ = strconv.Atoi(status)
	return code, isStatus && !slices.Contains(j.s.Group.Statuses, code)
}

// uncovered is about requests that are sent once at most, so that some errors have no remedy.
func (j *judge) uncovered() {
	u := j.g.Uncovered
	n := u.failed(&j.f)
	if n == 0 {
		return
	}
	what := fmt.Sprintf("%s %s", count(n, "error"), j.when(u))
	if len(j.s.Bare) > 0 && j.s.Group.Secondary != nil && j.f.Place == AtPrimary {
		j.find(Weak, j.group("failover_methods"), "%s: failover_methods does not hold %s, whose requests could go to %s at once",
			what, strings.Join(j.s.Bare, " and "), j.s.Group.Secondary.Name)
	}
	switch {
	case j.f.Place == AtSecondary:
		j.find(Weak, "", "%s although %s was well (%s): nothing should have been noticed", what, j.primaryName(), u.kinds())
	case j.s.Group.Secondary == nil:
		j.find(Weak, j.group("secondary"), "%s: group %s has no secondary, so clients see an outage of %s for as long as it lasts", what, j.s.Group.Name, j.primaryName())
	case j.s.Group.Primary.Check == nil:
		j.find(Weak, j.primary("health"), "%s: %s has no health table, so the pointer never leaves it and writes go on failing", what, j.primaryName())
	case j.f.Slow && u.Kinds["504 http_response_timeout"] > n/2:
		j.find(Weak, j.primary("response_header_timeout"), "%s although %s was only slow: response_header_timeout = %s gives up on answers that take longer",
			what, j.primaryName(), short(j.s.Group.Primary.HeaderTimeout))
	case j.f.Slow:
		j.find(Weak, "", "%s although %s was only slow (%s)", what, j.primaryName(), u.kinds())
	case j.f.unsent():
		j.unsent(what)
	case j.s.Group.Unsafe == "never" && u.Kinds["503 destination_unavailable"] > n/2:
		j.find(Weak, j.group("unsafe"), `%s, most of them while the breaker let nothing be sent; unsafe = "park" would have held those`, what)
	default:
		j.sent(what)
	}
}

// unsent is about uncovered requests of which nothing had reached the primary.
func (j *judge) unsent(what string) {
	group := &j.s.Group
	switch {
	case group.Unsafe == "never":
		j.find(Weak, j.group("unsafe"), `%s; unsafe = "park" would have held them`, what)
	case group.Unsafe == "park" && j.g.Flip == nil && !j.f.Some:
		j.find(Weak, j.group("park_timeout"), "%s: they were parked, and park_timeout = %s was over while the pointer had not moved; a faster check of %s moves it sooner",
			what, short(group.ParkTimeout), j.primaryName())
	case group.Unsafe == "park" && j.g.Flip != nil && time.Duration(*j.g.Flip) > group.ParkTimeout:
		j.find(Weak, j.group("park_timeout"), "%s: park_timeout = %s is over before the flip, which took %s; write more, or a lower fall or fast_interval of %s's check",
			what, short(group.ParkTimeout), seconds(*j.g.Flip), j.primaryName())
	case j.g.Uncovered.Kinds["503 destination_unavailable"] > 0:
		j.find(Weak, j.group("park_timeout"), "%s: some were parked for longer than park_timeout = %s", what, short(group.ParkTimeout))
	default:
		j.find(Unavoidable, "", "%s (%s): what was on its way when the connection broke is never sent again", what, j.g.Uncovered.kinds())
	}
}

// sent is about uncovered requests that met the failing origin. Only less time until the flip makes them fewer.
func (j *judge) sent(what string) {
	check := j.s.Group.Primary.Check
	within := FlipWithin(j.f, j.s)
	code, isPassed := j.passed()
	switch {
	case isPassed && j.f.Probes && !j.f.Some:
		j.find(Weak, j.group("failover_statuses"), "%s: failover_statuses does not hold %d, so it counts as no failure of %s; with it the first errors hurry the check%s",
			what, code, j.primaryName(), j.keptBack())
	case !j.f.Probes && j.f.Some:
		j.find(Unavoidable, "", "%s (%s): what was sent once is never sent again, and the check can't see that only some requests fail", what, j.g.Uncovered.kinds())
	case !j.f.Probes:
		j.find(Weak, j.primary("health.path"), "%s: the check stayed well, so the pointer never moved; let health.path ask for what these requests need", what)
	case j.g.Flip == nil && j.f.Some:
		j.find(Unavoidable, "", "%s (%s): what was sent once is never sent again, and %s never failed %d probes in a row", what, j.g.Uncovered.kinds(), j.primaryName(), check.Fall)
	case j.g.Flip == nil:
		j.stays(what + ": ")
	case within > promptFlip:
		j.find(Weak, j.primary(j.slowest()), "%s: what was sent once is never sent again, so only an earlier flip makes them fewer: fall = %d, interval = %s, timeout = %s and fast_interval = %s allow %s",
			what, check.Fall, short(check.Interval), short(check.Timeout), short(check.FastInterval), short(within))
	default:
		j.find(Unavoidable, "", "%s (%s): what was sent once is never sent again, and the flip was quick", what, j.g.Uncovered.kinds())
	}
}

// keptBack says what an open breaker does for uncovered requests before the flip.
func (j *judge) keptBack() string {
	if j.s.Breaker == 0 {
		return ""
	}
	opens := ", and after " + count(j.s.Breaker, "failure") + " in a row the breaker "
	switch j.s.Group.Unsafe {
	case "park":
		return opens + "has the others wait for the flip"
	case "unsent":
		return opens + "sends the others to " + j.s.Group.Secondary.Name
	}
	return ""
}

// promptFlip is how long a flip may take that is not worth a word: what the defaults reach where connections are refused.
const promptFlip = 1500 * time.Millisecond

// slowest is the key of the check that the flip's time depends on most.
func (j *judge) slowest() string {
	c := j.s.Group.Primary.Check
	switch {
	case j.f.hangs() && time.Duration(c.Fall)*c.Timeout >= c.Interval && c.Timeout > c.FastInterval:
		return "health.timeout"
	case j.f.hangs() || j.f.Class == "":
		return "health.interval"
	}
	return "health.fast_interval"
}

// bothDown is about an outage that nobody can hide, only shorten.
func (j *judge) bothDown() {
	all := Share{Kinds: make(map[string]int)}
	for _, s := range []*Share{j.g.Covered, j.g.Uncovered} {
		if s == nil {
			continue
		}
		all.Errors += s.Errors
		for kind, n := range s.Kinds {
			all.Kinds[kind] += n
		}
	}
	if all.Errors == 0 {
		return
	}
	what := fmt.Sprintf("%s (%s)", count(all.Errors, "error"), all.kinds())
	switch {
	case j.s.Group.Secondary == nil:
		j.find(Weak, j.group("secondary"), "%s: group %s has no secondary", what, j.s.Group.Name)
	case j.s.Group.BothDown == "fail_fast":
		j.find(Unavoidable, j.group("both_down"), `%s: nobody was there to ask; both_down = "fail_fast" answers at once`, what)
	default:
		j.find(Unavoidable, j.group("both_down"), `%s: nobody was there to ask; both_down = %q goes on trying, "fail_fast" would answer 503 at once`, what, j.s.Group.BothDown)
	}
}

// aborted is about responses that broke off after their head.
func (j *judge) aborted() {
	n := 0
	for _, s := range []*Share{j.g.Covered, j.g.Uncovered} {
		if s != nil {
			n += s.Aborted
		}
	}
	if n == 0 || !j.f.Aborts {
		return
	}
	text := "%s broke off after their head, which clients see and nobody can mend: what has begun is not sent again"
	if n == 1 {
		text = "%s broke off after its head, which its client sees and nobody can mend: what has begun is not sent again"
	}
	j.find(Unavoidable, "", text, count(n, "response"))
}

// late is about errors after the origin was well again.
func (j *judge) late() {
	n := 0
	for _, s := range []*Share{j.g.Covered, j.g.Uncovered} {
		if s != nil {
			n += s.Late
		}
	}
	if n == 0 {
		return
	}
	if j.s.Breaker > 0 && j.f.Requests {
		j.find(Weak, j.route("breaker.open_for"), "%s came after the fault's end: a breaker stays open for open_for = %s before it asks an origin again; a shorter one finds it well sooner", count(n, "error"), short(j.s.OpenFor))
		return
	}
	j.find(Unavoidable, "", "%s came after the fault's end", count(n, "error"))
}

// shed is about requests for which there was no permit.
func (j *judge) shed() {
	n := j.g.Shed
	if n == 0 {
		return
	}
	primary := &j.s.Group.Primary
	needs := func(each time.Duration) int { return int(j.s.Rate*each.Seconds()) + 1 }
	switch {
	case j.f.Name == "stalled_body":
		j.find(Weak, "server.body_idle_timeout", "%s shed: a body that stalls holds one of the %d permits until server.body_idle_timeout is over", requestsWere(n), j.s.MaxConcurrent)
	case j.f.Class == "header_timeout":
		j.find(Weak, j.primary("response_header_timeout"),
			"%s shed: while %s hung, each request held one of the %d permits for up to response_header_timeout = %s; a shorter one frees them sooner, %d permits would carry %s a second",
			requestsWere(n), primary.Name, j.s.MaxConcurrent, short(primary.HeaderTimeout), needs(primary.HeaderTimeout), number(j.s.Rate))
	case j.f.Class == "connect_timeout":
		j.find(Weak, j.primary("connect_timeout"),
			"%s shed: each request that tried %s held one of the %d permits for connect_timeout = %s; a shorter one frees them sooner, %d permits would carry %s a second",
			requestsWere(n), primary.Name, j.s.MaxConcurrent, short(primary.ConnectTimeout), needs(primary.ConnectTimeout), number(j.s.Rate))
	case j.g.Parked > j.s.MaxConcurrent+j.s.MaxQueue:
		j.find(Weak, j.route("bulkhead.max_queue"), "%s shed: %d were parked and came back at once, to %d permits and %d places in the queue",
			requestsWere(n), j.g.Parked, j.s.MaxConcurrent, j.s.MaxQueue)
	case j.narrow() != nil:
		o := j.narrow()
		j.find(Weak, "origins."+o.Name+".max_connections", "%s shed: max_connections = %d of %s is less than the %d permits", requestsWere(n), o.MaxConnections, o.Name, j.s.MaxConcurrent)
	default:
		j.find(Weak, j.route("bulkhead.max_concurrent"), "%s shed: max_concurrent = %d and max_queue = %d are too small for %s a second (--rate) in such an outage",
			requestsWere(n), j.s.MaxConcurrent, j.s.MaxQueue, number(j.s.Rate))
	}
}

// narrow is an origin that takes fewer connections than the route has permits, nil if there is none.
func (j *judge) narrow() *Origin {
	for _, o := range []*Origin{&j.s.Group.Primary, j.s.Group.Secondary} {
		if o != nil && o.MaxConnections > 0 && o.MaxConnections < j.s.MaxConcurrent {
			return o
		}
	}
	return nil
}

// longWait is how long a covered request may wait for its failover before that is worth a word.
const longWait = 2 * time.Second

// waits is about covered requests that were saved, but late.
func (j *judge) waits() {
	c := j.g.Covered
	if c == nil || time.Duration(c.Slowest) < longWait || j.f.Slow || j.f.Place != AtPrimary {
		return
	}
	primary := &j.s.Group.Primary
	key, limit := "response_header_timeout", primary.HeaderTimeout
	if j.f.Class == "connect_timeout" || j.f.Class == "tls" {
		key, limit = "connect_timeout", primary.ConnectTimeout
	}
	if !j.f.hangs() {
		j.find(Weak, "", "covered requests waited up to %s for their answer", seconds(c.Slowest))
		return
	}
	j.find(Weak, j.primary(key), "covered requests waited up to %s for an answer: %s = %s is how long a primary that hangs holds them before they go to %s; write the longest time that a good answer takes",
		seconds(c.Slowest), key, short(limit), j.s.Group.Secondary.Name)
}

// pointer is about one that should have moved.
func (j *judge) pointer() {
	group := &j.s.Group
	if j.g.Flip != nil || group.Secondary == nil || j.f.Place != AtPrimary || j.f.Slow || j.f.Some || !j.f.Requests || j.g.FailedOver == 0 {
		return
	}
	switch {
	case group.Primary.Check == nil:
		j.find(Weak, j.primary("health"), "%s has no health table, so the pointer never leaves it: %s went to %s one by one, and only the breaker spared them the attempt",
			group.Primary.Name, count(j.g.FailedOver, "covered request"), group.Secondary.Name)
	case !j.f.Probes && !j.f.Aborts:
		j.find(Weak, j.primary("health.path"), "the check stayed well while every request failed, so the pointer never moved and %s; let health.path ask for what requests need",
			j.spared())
	case j.f.Probes:
		j.stays("")
	}
}

// stays says why the pointer did not move although probes met the fault.
func (j *judge) stays(what string) {
	if within := FlipWithin(j.f, j.s); time.Duration(j.g.For) < within {
		j.find(Weak, j.primary("health.interval"), "%sthe fault lasted %s, but the pointer takes up to %s to move: ask for a longer --for, or check more often", what, seconds(j.g.For), short(within))
		return
	}
	if status, ok := strings.CutPrefix(j.f.Class, "status:"); ok {
		j.find(Weak, j.primary("health.expect_status"), "%sthe check takes a %s for a good answer, so the pointer did not move in %s and %s; let health.expect_status leave it out",
			what, status, seconds(j.g.For), j.spared())
		return
	}
	j.find(Weak, j.primary("health.path"), "%sthe check takes what it gets for a good answer, so the pointer did not move in %s and %s", what, seconds(j.g.For), j.spared())
}

// spared says what the breaker does for covered requests while the pointer stays.
func (j *judge) spared() string {
	if j.s.Breaker == 0 {
		return "without a breaker each covered request tried " + j.primaryName() + " first"
	}
	return "only the breaker spared covered requests an attempt at " + j.primaryName()
}

// held says what saved the clients of a route that none of them noticed anything.
func (j *judge) held() Finding {
	var how []string
	if j.f.Slow {
		how = append(how, j.slower())
	}
	if n := j.g.FailedOver; n > 0 && j.s.Group.Secondary != nil {
		how = append(how, fmt.Sprintf("%d went to %s in the same request", n, j.s.Group.Secondary.Name))
	}
	if n := j.g.Parked; n > 0 && j.g.Uncovered != nil {
		how = append(how, fmt.Sprintf("%d waited for the pointer, %s at most", n, seconds(j.g.Uncovered.Slowest)))
	}
	if j.g.Flip != nil {
		how = append(how, "the pointer moved after "+seconds(*j.g.Flip))
	}
	text := "no client saw an error"
	if len(how) > 0 {
		text += ": " + strings.Join(how, ", ")
	}
	return Finding{Outcome: Held, Text: text}
}

// slower says what a slow origin cost.
func (j *judge) slower() string {
	p := j.g.P99
	if p.Before == nil || p.During == nil {
		return "slow answers are no failures"
	}
	return fmt.Sprintf("p99 went from %s to %s, and slow answers are no failures until response_header_timeout = %s",
		milliseconds(*p.Before), milliseconds(*p.During), short(j.s.Group.Primary.HeaderTimeout))
}
