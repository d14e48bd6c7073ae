package suite

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// bothRow is how both origins fail, and what a covered request gets then.
type bothRow struct {
	eu, us  string // faults
	size    int64  // of the body that an origin answers with; 0: the fault's own
	status  int
	origin  string // who made the answer, "" for the proxy
	classes [2]string
}

// The secondary's response goes before the primary's, which is held up to
// 64 KiB, and the last class decides what the proxy says itself.
var bothRows = []bothRow{
	{eu: "status_503", us: "status_500", status: 500, origin: "us", classes: [2]string{"status:503", "status:500"}},
	{eu: "connect_refused", us: "status_502", status: 502, origin: "us", classes: [2]string{"connect_refused", "status:502"}},
	{eu: "hang", us: "status_504", status: 504, origin: "us", classes: [2]string{"header_timeout", "status:504"}},
	{eu: "status_503", us: "connect_refused", status: 503, origin: "eu", classes: [2]string{"status:503", "connect_refused"}},
	{eu: "status_500", us: "hang", status: 500, origin: "eu", classes: [2]string{"status:500", "header_timeout"}},
	{eu: "status_500", us: "garbage", status: 500, origin: "eu", classes: [2]string{"status:500", "malformed"}},
	{eu: "status_503", size: 64 << 10, us: "connect_refused", status: 503, origin: "eu", classes: [2]string{"status:503", "connect_refused"}},
	{eu: "status_503", size: 64<<10 + 1, us: "connect_refused", status: 502, classes: [2]string{"status:503", "connect_refused"}},
	{eu: "status_503", size: 64<<10 + 1, us: "hang", status: 504, classes: [2]string{"status:503", "header_timeout"}},
	{eu: "connect_refused", us: "connect_refused", status: 502, classes: [2]string{"connect_refused", "connect_refused"}},
	{eu: "connect_refused", us: "hang", status: 504, classes: [2]string{"connect_refused", "header_timeout"}},
	{eu: "hang", us: "connect_refused", status: 502, classes: [2]string{"header_timeout", "connect_refused"}},
	{eu: "hang", us: "hang", status: 504, classes: [2]string{"header_timeout", "header_timeout"}},
	{eu: "reset_before_head", us: "garbage", status: 502, classes: [2]string{"reset", "malformed"}},
	{eu: "garbage", us: "blackhole", status: 504, classes: [2]string{"malformed", "connect_timeout"}},
}

// bothScenarios are what clients get when no origin serves them.
var bothScenarios = []Scenario{
	{
		Name: "both_fail", Proves: []string{"both_fail", "attempts", "classes", "commit"},
		Text:  "Both origins fail, each in its way: a covered request gets the secondary's response if there is one, else the primary's, else 504 or 502 by the last class, after one attempt at each.",
		Setup: Setup{Health: "none", Origin: "connect_timeout = \"200ms\"\nresponse_header_timeout = \"200ms\"\n", Route: steady},
		Load:  idle,
		Steps: Now(bothSteps()...),
		Want:  []Expectation{NoFlip(), NotParked(), Requests(len(bothRows))},
	},
	{
		Name: "both_fail_breakers_open", Proves: []string{"both_fail", "breaker"},
		Text:  "Both origins fail until both breakers are open: then no candidate is left, and a covered request is refused at once with 503 and Retry-After.",
		Setup: Setup{Health: "none", Route: "breaker.open_for = \"20s\"\n"},
		Load:  []chaos.Load{Reading(60)},
		Steps: Now(Fault("eu", "connect_refused"), Fault("us", "hang"), BreakerIs("eu", "open", 2*time.Second), BreakerIs("us", "open", 3*time.Second),
			AskAll("ten reads", 10, chaos.Request{}, Each(Within(0, 300*time.Millisecond, RetryLater(20))))),
		Want: []Expectation{NoFlip(), NotServedOnly(503, 504), FailuresAt("eu", 8), FailuresAt("us", 60)},
	},
	{
		Name: "both_the_same_endpoint", Proves: []string{"attempts"},
		Text:  "Primary and secondary are one address: a request that failed there is not sent there again.",
		Setup: Setup{Health: "none", Route: steady, Reach: func(s *Stage, _ *chaos.Origin) string { return s.origins["eu"].URL() }},
		Load:  []chaos.Load{Reading(100)},
		Steps: Now(Fault("eu", "status_503"), AwaitResults("refusals", 60, everyone)),
		Want:  []Expectation{NotServedOnly(503), AttemptsPerRequest(1), NoFailover(), Arrivals("us", 0, 0), None("served request", func(r *chaos.Result) bool { return r.Kind == chaos.Served })},
	},
}

func bothSteps() (all []Action) {
	for i := range bothRows {
		r := &bothRows[i]
		all = append(all, Do(fmt.Sprintf("%s, then %s: %d from %q", r.eu, r.us, r.status, r.origin), r.play))
	}
	return all
}

// play asks once, holds the answer and the attempts against the row, and mends
// both origins.
func (r *bothRow) play(s *Stage) error {
	for origin, fault := range map[string]string{"eu": r.eu, "us": r.us} {
		if err := Fault(origin, fault).Do(s); err != nil {
			return err
		}
	}
	got := s.ask(chaos.Request{WantSize: r.size})
	if err := Answered(r.status, r.origin)(got); err != nil {
		return fmt.Errorf("%w: %v %q", err, got, got.Text)
	}
	record := func() *Line { return s.journal.record(got.Path) }
	if err := s.await(patience, "the access record", func() bool { return record() != nil }); err != nil {
		return err
	}
	if a := record().Attempts; len(a) != 2 || a[0].Origin != "eu" || a[0].Class != r.classes[0] || a[1].Origin != "us" || a[1].Class != r.classes[1] {
		return fmt.Errorf("the attempts were %+v, not %v", a, r.classes)
	}
	return errors.Join(Mend("eu", r.eu).Do(s), Mend("us", r.us).Do(s))
}
