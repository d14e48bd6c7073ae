package suite

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// overloadScenarios are origins that are too small or too slow for what comes.
var overloadScenarios = []Scenario{
	{
		Name: "secondary_too_small_for_the_route", Proves: []string{"bulkhead", "failover", "no_collapse"},
		Text: "The secondary is so slow that the route's permits are enough for a half of the load: the other half gets 503 with " +
			"Retry-After at once, nobody fails over, and all is well again with the primary.",
		Setup: Setup{Permits: 20}, Load: []chaos.Load{Reading(150)},
		Steps: Now(Behave("us", chaos.Delay(250*ms)), Pass(300*ms), Unplug("eu"), PointerAt("us", time.Second), MarkNow("at us"), Pass(1500*ms),
			Plug("eu"), PointerAt("eu", 5*time.Second), MarkNow("back"), Served("eu", 100)),
		Want: []Expectation{Shed(50), Honest(), NotServedOnly(503), noAttemptOfShed(), oneAttempt(Between("at us", "eu mended")),
			QuicklyIn(Between("at us", "eu mended"), "refusals", 0.95, 20*ms, func(r *chaos.Result) bool { return r.Status == 503 }),
			QuicklyIn(Between("at us", "eu mended"), "answers", 0.95, 350*ms, func(r *chaos.Result) bool { return r.Kind == chaos.Served }),
			Goodput(0.35, Between("at us", "eu mended")), Goodput(1, Since("back", 300*ms))},
	},
	{
		Name: "secondary_too_small_with_a_queue", Proves: []string{"bulkhead", "no_collapse"},
		Text:  "As before with a queue: who waits in it is served in its turn or gets 503 after queue_timeout, and the queue is empty in the end.",
		Setup: Setup{Permits: 8, Route: "bulkhead.max_queue = 20\nbulkhead.queue_timeout = \"150ms\"\n"}, Load: []chaos.Load{Reading(100)},
		Steps: Now(Behave("us", chaos.Delay(160*ms)), Pass(300*ms), Unplug("eu"), PointerAt("us", time.Second), MarkNow("at us"), Pass(1500*ms),
			Plug("eu"), PointerAt("eu", 5*time.Second), MarkNow("back"), Served("eu", 100)),
		Want: []Expectation{Shed(20), Honest(), NotServedOnly(503), noAttemptOfShed(), Goodput(0.35, Between("at us", "eu mended")),
			QuicklyIn(Between("at us", "eu mended"), "answers", 0.95, 450*ms, nil), Goodput(1, Since("back", 500*ms))},
	},
	{
		Name: "queue_in_turn", Proves: []string{"bulkhead"},
		Text:  "Half as many again come as two permits can bear, and there is room for all in the queue: who came first goes first, and each is served.",
		Setup: Setup{Permits: 2, Route: "bulkhead.max_queue = 100\nbulkhead.queue_timeout = \"8s\"\ntimeout = \"15s\"\n"},
		Load:  []chaos.Load{{Rate: 50, Conns: 150, Timeout: patience, Mix: []chaos.Shot{{Path: "/product/"}}}},
		Steps: Now(Behave("eu", chaos.Delay(60*ms)), Served("eu", 60), Well("eu"), Served("eu", 60)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NotShed(), inTurn(20)},
	},
	{
		Name: "secondary_refuses_over_a_limit", Proves: []string{"both_fail", "no_collapse", "attempts"},
		Text: "The secondary itself answers 503 when it has more than four requests, and no breaker takes that for a failure of all: what it can " +
			"serve is served, no request is sent twice to it, and all is well again with the primary.",
		Setup: Setup{Route: "breaker.consecutive_failures = 0\n"}, Load: []chaos.Load{Reading(120)},
		Steps: Now(Behave("us", chaos.Crowded(4, chaos.Delay(60*ms))), Pass(300*ms), Unplug("eu"), PointerAt("us", time.Second), MarkNow("at us"), Pass(1500*ms),
			Plug("eu"), PointerAt("eu", 5*time.Second), MarkNow("back"), Served("eu", 80)),
		Want: []Expectation{NotServedOnly(502, 503), Goodput(0.35, Between("at us", "eu mended")), AttemptsIn(Between("at us", "eu mended"), 1.05), // some are under way at the window's ends
			Goodput(1, Since("back", 200*ms))},
	},
	stallReleased("stall_released", true, 3*time.Second),
	stallReleased("stall_released_alone", false, 2*time.Second),
	fullStall("ten_second_stall", true),
	fullStall("ten_second_stall_alone", false),
	{
		Name: "route_stalled_in_full", Proves: []string{"isolation", "bulkhead"},
		Text: "Every request of one route hangs at both origins, and there are far more of them than permits: another route of the same " +
			"origins keeps its latency, fails over never and loses nothing.",
		Setup: Setup{Routes: route("stuck", "/stuck/", 10) + route("shop", "/", 50)},
		Load:  []chaos.Load{Shopping(80), {Rate: 60, Mix: []chaos.Shot{{Method: "GET", Path: "/stuck/", Weight: 3}, {Method: "POST", Path: "/stuck/", BodySize: 100}}}},
		Steps: Now(Pass(400*ms), MarkNow("stall"), Together(stuck("eu"), stuck("us")), Pass(2*time.Second), Together(Well("eu", "/stuck/"), Well("us", "/stuck/")),
			Pass(700*ms), MarkNow("over"), Pass(500*ms)),
		Want: []Expectation{
			Steady(), ServedIn(Window{}, "requests of the other route", elsewhere), Shed(20),
			QuicklyIn(Between("stall", "eu well"), "requests of the other route", 0.98, 50*ms, elsewhere),
			QuicklyIn(Between("stall", "eu well"), "refusals at the stalled route", 0.5, 10*ms, func(r *chaos.Result) bool { return r.Status == 503 }),
			Totals("shop", "all are served where they first go", func(t Line) bool { return t.Served == t.Accepted && t.Accepted > 150 }),
			NotServedOnly(503, 504), Goodput(1, Since("over", 100*ms)),
		},
	},
}

// route is a table of a route of the group shop, with a short life for its breakers.
func route(name, match string, permits int) string {
	return fmt.Sprintf("[[routes]]\nname = %q\nmatch = %q\ngroup = \"shop\"\ntimeout = \"5s\"\nbulkhead.max_concurrent = %d\nbreaker.open_for = \"500ms\"\n", name, match, permits)
}

func stuck(origin string) Action { return Behave(origin, chaos.Hang(), "/stuck/") }

func elsewhere(r *chaos.Result) bool { return !strings.HasPrefix(r.Path, "/stuck/") }

// stallReleased is a stall at 70 % load that is over all at once: 200 requests a
// second is what ten permits and 50 ms each allow.
func stallReleased(name string, pair bool, d time.Duration) Scenario {
	sc := Scenario{
		Name: name, Proves: []string{"no_collapse", "attempts", "bulkhead"},
		Text: fmt.Sprintf("With 70 %% of the load that it can bear the primary stalls for %v and then answers all at once: two probe intervals "+
			"later 99 %% are served again, and no request was sent more than twice.", d),
		Setup: Setup{Permits: 10, Single: !pair, Route: "bulkhead.max_queue = 40\nbulkhead.queue_timeout = \"400ms\"\n"},
		Load:  []chaos.Load{Reading(140)},
		Steps: Now(Behave("eu", chaos.Delay(50*ms)), Pass(600*ms), MarkNow("stall"), Fault("eu", "stall"), Pass(d), Mend("eu", "stall"), Pass(1500*ms)),
		Want: []Expectation{
			AttemptsIn(Window{To: Moment{Mark: "stall"}}, 1.2), AttemptsIn(Since("eu mended", 400*ms), 1.2), AttemptsPerRequest(2),
			Goodput(0.99, Since("eu mended", 400*ms)), NotServedOnly(503, 504),
		},
	}
	if pair {
		sc.Steps = Then(Now(Behave("us", chaos.Delay(50*ms))), sc.Steps, Now(PointerAt("eu", 10*time.Second), Served("eu", 100)))
		sc.Want = append(sc.Want, Reasons("primary_down", "failback"), Goodput(0.99, Window{Moment{"stall", 1500 * ms}, Moment{Mark: "eu mended"}}))
	}
	return sc
}

// fullStall is [stallReleased] with the default times, of ten seconds. Without a
// secondary the breaker has the last word: it opens at the first time-outs, which
// may come as late as the stall's end, and lets nothing pass for open_for.
func fullStall(name string, pair bool) Scenario {
	sc := stallReleased(name, pair, 10*time.Second)
	sc.Full, sc.Alone, sc.Setup.Defaults = true, true, true
	sc.Setup.Route, sc.Setup.Group = "bulkhead.max_queue = 40\n", "failback_after = \"2s\"\nmin_hold = \"2s\"\n"
	sc.Load[0].Timeout = patience
	sc.Steps = Then(sc.Steps, Now(Pass(7*time.Second)))
	back := 2 * 2 * time.Second // two probe intervals
	if !pair {
		back = 5500 * ms
		sc.Text = "With 70 % of the load that it can bear a primary without a secondary stalls for ten seconds: when the breaker's open_for is over, 99 % are served again."
	}
	sc.Want = []Expectation{
		AttemptsIn(Window{To: Moment{Mark: "stall"}}, 1.2), AttemptsIn(Since("eu mended", back), 1.2), AttemptsPerRequest(2),
		Goodput(0.99, Since("eu mended", back)), NotServedOnly(503, 504),
	}
	return sc
}

// noAttemptOfShed: who is shed reached no origin.
func noAttemptOfShed() Expectation {
	return Holds("no shed request reaches an origin", func(o *Outcome) error {
		shed := 0
		for _, r := range o.journal.records() {
			if r.Decision != "shed" {
				continue
			}
			if shed++; len(r.Attempts) > 0 {
				return fmt.Errorf("%s: %+v", r.Target, r.Attempts)
			}
		}
		if shed == 0 {
			return fmt.Errorf("nobody was shed")
		}
		return nil
	})
}

// inTurn: nobody got a permit before somebody who had come clearly earlier, and so
// many had to wait for theirs.
func inTurn(least int) Expectation {
	return Holds("permits are given in the order in which requests came", func(o *Outcome) error {
		const clearly = 100 * ms // within it a log's times may be in another order than the queue
		type turn struct{ came, went time.Time }
		var turns []turn
		waited := 0
		for _, r := range o.journal.records() {
			came := r.Time.Add(-time.Duration(r.TotalMS * float64(time.Millisecond)))
			queued := time.Duration(r.QueuedMS * float64(time.Millisecond))
			if queued > clearly {
				waited++
			}
			turns = append(turns, turn{came, came.Add(queued)})
		}
		if waited < least {
			return fmt.Errorf("only %d waited", waited)
		}
		for _, early := range turns {
			for _, late := range turns {
				if late.came.Sub(early.came) > clearly && early.went.Sub(late.went) > clearly {
					return fmt.Errorf("one came %v after another and had its permit %v before", late.came.Sub(early.came), early.went.Sub(late.went))
				}
			}
		}
		return nil
	})
}

// oneAttempt: of the requests that began in the window none had a second attempt.
func oneAttempt(w Window) Expectation {
	return Holds("no request of the window has two attempts", func(o *Outcome) error {
		all, err := o.in(w, enough, nil)
		for i := range all {
			if l := o.journal.record(all[i].Path); l != nil && len(l.Attempts) > 1 {
				return fmt.Errorf("%s: %+v", l.Target, l.Attempts)
			}
		}
		return err
	})
}
